"""From one schema to the next, when an operator says so, and never by opening a catalog."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from resilient_store.catalog.database import check_schema
from resilient_store.catalog.driver import STORE, Asked, Driver, Row
from resilient_store.catalog.statements import statements

WITHIN_S = 3600.0


@attrs.frozen
class Step:
    """What makes tables of schema n ones of schema n + 1.

    Attributes
    ----------
    texts
        The statements, by dialect.
    oldest
        The oldest release, by its schema, that may use the tables afterwards.
    """

    texts: Mapping[str, tuple[str, ...]]
    oldest: int


# By the schema that a step begins at.
STEPS: Mapping[int, Step] = {}


def upgrade(driver: Driver, steps: Mapping[int, Step] = STEPS) -> tuple[int, int]:
    """Bring a catalog's tables to the newest schema that the steps lead to, in one transaction.

    Returns
    -------
    tuple of int
        The schema that the tables had, and the one that they have.

    Raises
    ------
    ConfigurationError
        They are newer than this release.
    """
    sql = statements(driver.dialect)
    numbers = [0, 0]

    def decide(rows: list[list[Row]], _: float, __: Callable[[], int]) -> list[Asked]:
        settings: dict[str, str] = dict(rows[0])
        check_schema(settings, oldest_readable=0)
        numbers[:] = [int(settings["schema"])] * 2
        writes: list[Asked] = []
        while step := steps.get(numbers[1]):
            numbers[1] += 1
            writes += [(text, {}) for text in step.texts[driver.dialect]]
            for name, value in (("schema", numbers[1]), ("oldest", step.oldest)):
                writes.append((sql.put_setting, {"name": name, "value": str(value)}))
        return writes

    driver.transact([STORE], [(sql.settings, {})], decide, within_s=WITHIN_S)
    return numbers[0], numbers[1]

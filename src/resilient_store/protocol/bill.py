"""What stored bytes cost, what copying them costs, and how long that takes: sums, and no more."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import attrs

from resilient_store.errors import ConfigurationError
from resilient_store.model.amount import Amount, in_bytes, in_columns, in_time, many
from resilient_store.model.domain import parts, platform, prefixes

GB = 10**9
REQUESTS = 1000  # what a price of requests is for

Copies = Mapping[tuple[str, str], Amount]  # by the backends: read here, written there


def _price(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise ConfigurationError(
            f"{type(instance).__name__}: {attribute.name}={value!r} must be a finite number of at "
            "least 0"
        )


def _speed(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    _price(instance, attribute, value)
    if not value:
        raise ConfigurationError(
            f"{type(instance).__name__}: {attribute.name}={value!r} must be above 0"
        )


@attrs.frozen(kw_only=True)
class Price:
    """What a platform asks, in whatever money the others are given in.

    Parameters
    ----------
    storage
        For one GB (10**9 bytes) that is kept for a month.
    put
        For 1000 requests that write.
    get
        For 1000 requests that read.
    egress
        For one GB that is read from another platform.

    Raises
    ------
    ConfigurationError
        One is not a finite number of at least 0.
    """

    storage: float = attrs.field(validator=_price)
    put: float = attrs.field(default=0.0, validator=_price)
    get: float = attrs.field(default=0.0, validator=_price)
    egress: float = attrs.field(default=0.0, validator=_price)


@attrs.frozen(kw_only=True)
class Rate:
    """How fast objects are copied from or to a platform.

    Parameters
    ----------
    objects_per_s, bytes_per_s
        At most so many in a second; what takes longer counts.

    Raises
    ------
    ConfigurationError
        One is not a finite number above 0.
    """

    objects_per_s: float = attrs.field(validator=_speed)
    bytes_per_s: float = attrs.field(validator=_speed)


V = TypeVar("V", Price, Rate)


def by_domain(what: str, kind: type[V], given: Any) -> dict[str, V]:
    """Check a table from failure domains to prices or rates; an entry may be a plain mapping.

    Raises
    ------
    ConfigurationError
        It is no such table, or a value in it is wrong.
    """
    if not isinstance(given, Mapping):
        raise ConfigurationError(
            f'{what} is a mapping from failure domains, such as {{"aws": rs.{kind.__name__}(...)}}'
        )
    table = {}
    for domain, value in given.items():
        try:
            entry = value if isinstance(value, kind) else kind(**value)
        except TypeError as error:
            raise ConfigurationError(f"{what} of {domain!r}: {error}") from None
        table["/".join(parts(str(domain)))] = entry
    return table


def narrowest(what: str, table: Mapping[str, V], domain: str) -> tuple[str, V]:
    """Return the narrowest failure domain of the table that a domain lies in, and its value.

    Raises
    ------
    ConfigurationError
        There is none.
    """
    for prefix in reversed(prefixes(domain)):
        if prefix in table:
            return prefix, table[prefix]
    raise ConfigurationError(
        f"{what} says nothing of {domain!r}: add {platform(domain)!r}, or a domain below it"
    )


# --- copying ------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Transfer:
    """Copies to be made, from whom to whom, and what that takes.

    Attributes
    ----------
    copies
        How many, and their bytes.
    read
        By platform, what is read there.
    written
        By platform, what is written there.
    egress
        By platform: bytes that leave it for another one.
    seconds
        With all platforms at work at once, each at its rate; None where no rates are given.
    cost
        Of one request that reads and one that writes for each copy, and of the egress; None where
        no prices are given. Large objects take more requests.
    """

    copies: Amount
    read: Mapping[str, Amount]
    written: Mapping[str, Amount]
    egress: Mapping[str, int]
    seconds: float | None = None
    cost: float | None = None

    def __str__(self) -> str:
        said = [f"{_copies(self.copies)}, {in_bytes(self.copies.size)}"]
        if self.seconds is not None:
            said.append(in_time(self.seconds))
        if self.cost is not None:
            said.append(f"costs {self.cost:,.2f}")
        return ", ".join(said)


def transfer(
    copies: Copies,
    domains: Mapping[str, str],
    rates: Mapping[str, Rate] | None,
    prices: Mapping[str, Price] | None,
) -> Transfer:
    """Add up what these copies take.

    Parameters
    ----------
    copies
        By the backends that are read and written.
    domains
        The failure domain of every backend.
    rates, prices
        By failure domain; the narrowest counts. Backends under one entry of `rates` share it.
    """
    read: dict[str, Amount] = {}
    written: dict[str, Amount] = {}
    egress: dict[str, int] = {}
    for (source, target), amount in copies.items():
        there, here = platform(domains[source]), platform(domains[target])
        read[there] = read.get(there, Amount()) + amount
        written[here] = written.get(here, Amount()) + amount
        if there != here:
            egress[there] = egress.get(there, 0) + amount.size
    return Transfer(
        copies=_sum(copies.values()),
        read=read,
        written=written,
        egress=egress,
        seconds=None if rates is None else _seconds(copies, domains, rates),
        cost=None if prices is None else _cost(copies, domains, prices),
    )


def _sum(amounts: Iterable[Amount]) -> Amount:
    return sum(amounts, Amount())


def _seconds(copies: Copies, domains: Mapping[str, str], rates: Mapping[str, Rate]) -> float:
    work: dict[str, Amount] = {}
    for ends, amount in copies.items():
        for name in ends:
            prefix, _ = narrowest("rates", rates, domains[name])
            work[prefix] = work.get(prefix, Amount()) + amount
    return max(
        (
            max(done.count / rates[prefix].objects_per_s, done.size / rates[prefix].bytes_per_s)
            for prefix, done in work.items()
        ),
        default=0.0,
    )


def _cost(copies: Copies, domains: Mapping[str, str], prices: Mapping[str, Price]) -> float:
    total = 0.0
    for (source, target), amount in copies.items():
        _, asked = narrowest("prices", prices, domains[source])
        _, paid = narrowest("prices", prices, domains[target])
        total += amount.count * (asked.get + paid.put) / REQUESTS
        if platform(domains[source]) != platform(domains[target]):
            total += amount.size * asked.egress / GB
    return total


# --- keeping ------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Kept:
    """What one platform keeps.

    Attributes
    ----------
    platform
        The first part of its backends' failure domains.
    copies
        How many, and their bytes.
    monthly
        For keeping them a month; None where no prices are given.
    """

    platform: str
    copies: Amount
    monthly: float | None = None


def kept(
    held: Mapping[str, Amount], domains: Mapping[str, str], prices: Mapping[str, Price] | None
) -> tuple[Kept, ...]:
    """Add up by platform what each backend keeps."""
    copies: dict[str, Amount] = {}
    money: dict[str, float] = {}
    for name, amount in held.items():
        where = platform(domains[name])
        copies[where] = copies.get(where, Amount()) + amount
        if prices is not None:
            _, price = narrowest("prices", prices, domains[name])
            money[where] = money.get(where, 0.0) + amount.size * price.storage / GB
    return tuple(
        Kept(platform=where, copies=amount, monthly=money.get(where))
        for where, amount in copies.items()
    )


@attrs.frozen(kw_only=True)
class Bill:
    """What a store keeps on each platform, and what that costs, in outline.

    Attributes
    ----------
    now
        Good copies of current versions, by platform.
    planned
        The same as if the given placements held; None where none were given.
    move
        The copies to be made before they hold; None where none were given.
    """

    now: tuple[Kept, ...]
    planned: tuple[Kept, ...] | None = None
    move: Transfer | None = None

    def __str__(self) -> str:
        said = [f"Kept now{_monthly(self.now)}:", _table(self.now)]
        if self.planned is not None:
            said += [f"Kept under the placements given{_monthly(self.planned)}:"]
            said += [_table(self.planned), f"  to get there: {self.move}"]
        return "\n".join(said)


def _monthly(lines: tuple[Kept, ...]) -> str:
    money = [line.monthly for line in lines if line.monthly is not None]
    return f", {sum(money):,.2f} a month" if money else ""


def _copies(amount: Amount) -> str:
    return many(amount.count, "copy", "copies")


def _table(lines: tuple[Kept, ...]) -> str:
    rows = [
        [
            line.platform,
            _copies(line.copies),
            in_bytes(line.copies.size),
            "" if line.monthly is None else f"{line.monthly:,.2f} a month",
        ]
        for line in lines
    ]
    return in_columns(rows) if rows else "  nothing"

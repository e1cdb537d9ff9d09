"""Settings for short leases, in the process of the tests as in those that they kill."""

from __future__ import annotations

import pytest

from tests.crashes.shop import SETTINGS


@pytest.fixture(autouse=True)
def _short_leases(request, monkeypatch):
    impatient = getattr(request.module, "IMPATIENT", False)
    for module, name, value in SETTINGS:
        if name != "WITHIN_S" or not impatient:
            monkeypatch.setattr(module, name, value)

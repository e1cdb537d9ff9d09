"""Between which buckets a platform may copy by itself: those that one account reads and writes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from resilient_store.backends.classify import classify
from resilient_store.backends.contract import RefusedError, RootMissingError
from resilient_store.model.outcome import Outcome

# They say nothing of who asks, or whom.
_BESIDE_THE_POINT = frozenset(
    {"asynchronous", "loop", "region_name", "skip_instance_cache", "use_listings_cache"}
)


def realm_of(cls: type, arguments: Sequence[Any], options: Mapping[str, Any]) -> str:
    """Return a mark of whom a filesystem asks, and with which proof: equal only for equal options.

    Examples
    --------
    >>> east = {"key": "me", "client_kwargs": {"region_name": "us-east-1"}}
    >>> realm_of(object, (), {"key": "me"}) == realm_of(object, (), east)
    True
    >>> realm_of(object, (), {"key": "you"}) == realm_of(object, (), east)
    False
    """
    told = (cls.__module__, cls.__qualname__, _plain(list(arguments)), _plain(options))
    return hashlib.sha256(repr(told).encode()).hexdigest()  # it may be shown; its options may not


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        told = {str(name): _plain(one) for name, one in value.items() if one is not None}
        return sorted((n, v) for n, v in told.items() if n not in _BESIDE_THE_POINT and v)
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else repr(value)


def about_copy(error: Exception) -> Exception:
    """Turn what says no to all copies of a pair of buckets into a refusal; leave all else."""
    outcome, detail = classify(error, changing=True)
    is_no = outcome in (Outcome.DENIED, Outcome.REFUSED) or isinstance(error, RootMissingError)
    return RefusedError(f"the platform does not copy from there: {detail}") if is_no else error

"""The ten outcomes of one call to one backend, and the reply that carries one."""

from __future__ import annotations

import enum
from typing import Generic, TypeVar

import attrs

T_co = TypeVar("T_co", covariant=True)


class Outcome(enum.Enum):
    """What one call to one backend came to. There is no other answer."""

    OK = "ok"
    NOT_FOUND = "not found"
    EXISTS = "exists"  # an exclusive create lost, or what was looked at has changed
    DENIED = "denied"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    TIMED_OUT = "timed out"  # unknown: it may have happened
    FULL = "full"
    CORRUPT = "corrupt"
    REFUSED = "refused"  # the backend is well and will never do this

    @property
    def answers(self) -> bool:
        """Whether the backend is well enough to have said something true of the object."""
        return self in _ANSWERS


_ANSWERS = frozenset({Outcome.OK, Outcome.NOT_FOUND, Outcome.EXISTS, Outcome.REFUSED})


@attrs.frozen
class Reply(Generic[T_co]):
    """What one backend answered to one call.

    Attributes
    ----------
    backend
        The backend's name.
    outcome
        One of the ten.
    value
        What an ``OK`` brought; None otherwise.
    detail
        Type, code and status of the original error, in words of our own; never its text,
        which may hold a URL with its signature.
    blank
        True where an ``OK`` brought an empty body: not believed on one backend's word (P5).
    """

    backend: str
    outcome: Outcome
    value: T_co | None = attrs.field(default=None, repr=False)
    detail: str = ""
    blank: bool = False

    @property
    def ok(self) -> bool:
        """Whether the call did what was asked."""
        return self.outcome is Outcome.OK

    def words(self) -> str:
        """Say it for an error message."""
        said = "empty" if self.blank else self.outcome.value
        return f"{self.backend}: {said}" + (f" ({self.detail})" if self.detail else "")

    def bare(self) -> Reply[None]:
        """Return the reply without what it brought, fit for an error or a log."""
        return Reply(self.backend, self.outcome, None, self.detail, self.blank)

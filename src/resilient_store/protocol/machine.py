"""What a machine may ask of its driver: ask a backend, wait, or be done."""

from __future__ import annotations

import math
from typing import Generic, Protocol, TypeVar

import attrs

from resilient_store.model.outcome import Reply

T_co = TypeVar("T_co", covariant=True)
V_contra = TypeVar("V_contra", contravariant=True)


@attrs.frozen
class Ask:
    """Send the request to this backend; its reply comes back through ``observe``."""

    backend: str


@attrs.frozen
class Wait:
    """Wait for a reply, at most until `until_s` on the loop's clock.

    With `wake` set, a change of any backend's state ends the wait too.
    """

    until_s: float = math.inf
    wake: bool = False


@attrs.frozen
class Done(Generic[T_co]):
    """It is decided; whatever is still under way is cancelled."""

    value: T_co


class Machine(Protocol[T_co, V_contra]):
    """Decide, be told, decide again.

    ``decide`` is called until it returns `Wait` or `Done`; it never asks for a wait when
    nothing is under way and no time is given.
    """

    def decide(self, now_s: float) -> Ask | Wait | Done[T_co]:
        """Say what to do now."""

    def observe(self, reply: Reply[V_contra], now_s: float, /) -> None:
        """Take note of one backend's reply."""

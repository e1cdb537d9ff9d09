"""What a conformance suite is asked of: a family, and ways around it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import attrs

from resilient_store.backends.classify import classify
from resilient_store.backends.contract import Family
from resilient_store.model.info import Headers
from resilient_store.model.outcome import Outcome

_NO_HEADERS = Headers()


@attrs.frozen
class Subject:
    """One opened family, and ways around it.

    Attributes
    ----------
    family
        What is tested, at an empty root.
    run
        Runs a coroutine to its end, in the loop that the family belongs to.
    write, read
        Store and fetch an object by other means; `read` returns None where there is none.
    names
        List every key that is stored, the store's own included, by other means.
    lose_root
        Take the root away; None where that cannot be.
    """

    family: Family
    run: Callable[[Coroutine[Any, Any, Any]], Any]
    write: Callable[[str, bytes], object]
    read: Callable[[str], bytes | None]
    names: Callable[[], Iterable[str]]
    lose_root: Callable[[], object] | None = None

    def ask(self, verb: str, *arguments: Any, **options: Any) -> tuple[Outcome, Any]:
        """Make a call; return its outcome, and what it brought or raised."""
        if verb in ("get", "list", "page"):
            options["moves"] = lambda _: None
        return self.outcome(getattr(self.family, verb)(*arguments, **options), verb)

    def outcome(self, call: Coroutine[Any, Any, Any], verb: str = "finish") -> tuple[Outcome, Any]:
        """Run a coroutine as `ask` does."""
        changing = verb not in ("info", "get", "list", "page", "sign")
        try:
            return Outcome.OK, self.run(call)
        except Exception as error:  # noqa: BLE001 - a family raises what its storage raises
            return classify(error, changing=changing)[0], error

    def put(
        self, key: str, data: bytes, headers: Headers = _NO_HEADERS, *, exclusive: bool = False
    ) -> tuple[Outcome, Any]:
        """Store through the family."""
        return self.ask("put", key, data, exclusive=exclusive, headers=headers)

    def tag(self, key: str) -> str | None:
        """Return what the family says of a key."""
        outcome, info = self.ask("info", key)
        assert outcome is Outcome.OK, info
        tag: str | None = info.tag
        return tag

    def upload(self, key: str, *parts: bytes, exclusive: bool = False) -> Any:
        """Begin an upload and send parts."""
        upload = self.run(self.family.upload(key, exclusive=exclusive, headers=Headers()))
        for part in parts:
            self.run(upload.write(part))
        return upload

    def can(self, capability: str) -> bool:
        """Say whether a test that needs this can be asked of the subject."""
        traits = self.family.traits
        return {
            "exclusive creation": traits.exclusive_create is not False,
            "exclusive creation among many": traits.exclusive_create is True,
            "conditional deletion": traits.conditional_delete,
            "no conditional deletion": not traits.conditional_delete,
            "directories": traits.directories,
            "no directories": not traits.directories,
            "a root that can be lost": self.lose_root is not None,
        }[capability]

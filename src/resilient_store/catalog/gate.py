"""Where a change that nobody waits for any more is told from one that may be committed."""

from __future__ import annotations

import threading

from resilient_store.threads import AbandonedError


class Gate:
    """What a change passes just before its commit, unless its caller has given up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._given_up = False
        self._passed = False

    def enter(self) -> None:
        """Go on to the commit.

        Raises
        ------
        AbandonedError
            Nobody waits for it any more.
        """
        with self._lock:
            if self._given_up:
                raise AbandonedError
            self._passed = True

    def give_up(self) -> bool:
        """Let nothing through any more; say whether something has gone through."""
        with self._lock:
            self._given_up = True
            return self._passed

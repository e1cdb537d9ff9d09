"""Modules that are imported when first used, one at a time whichever thread asks.

pytest writes the assertions of a package that brings it a plugin anew, and Python up to 3.11.7
cannot do that in two threads at once: a `SystemError` says that it lost count
(https://github.com/python/cpython/issues/106905).
"""

from __future__ import annotations

import os
import threading
from importlib import import_module
from types import ModuleType


def import_in_turn(name: str) -> ModuleType:
    """Import a module while no other thread does so here."""
    with _turn:
        return import_module(name)


def _begin_anew() -> None:
    """Forget the thread that was importing in the parent: it does not exist here."""
    global _turn  # noqa: PLW0603 - a lock that another thread held cannot be let go
    _turn = threading.RLock()


_turn = threading.RLock()  # a module that is imported may ask for another
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)

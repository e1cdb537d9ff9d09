"""What the tree must look like, as functions from source text to complaints.

They read text, so that each can be shown a planted offence: see `test_layout.py`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

MODULE_LINES = 400
MODULE_LINES_ALLOWED = {"filesystem.py": 500}
FUNCTION_LINES = 60
NAMES_THAT_SAY_NOTHING = {
    *("common", "helper", "helpers", "handler", "handlers", "manager", "managers"),
    *("misc", "util", "utilities", "utils"),
}

# --- sizes and names ----------------------------------------------------------------------


def too_long_module(path: str, source: str) -> Iterator[str]:
    allowed = MODULE_LINES_ALLOWED.get(path, MODULE_LINES)
    lines = len(source.splitlines())
    if lines > allowed:
        yield f"{path}: {lines} lines, allowed are {allowed}: it does more than one job"


def too_long_functions(path: str, source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = _lines(node) - _docstring_lines(node)
            if lines > FUNCTION_LINES:
                yield f"{path}: {node.name} has {lines} lines, allowed are {FUNCTION_LINES}"


def _lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return 0 if ast.get_docstring(node) is None else _lines(node.body[0])


def name_that_says_nothing(path: str, source: str) -> Iterator[str]:
    for part in PurePosixPath(path).with_suffix("").parts:
        if NAMES_THAT_SAY_NOTHING & set(part.split("_")):
            yield f"{path}: name it after what it does, not {part!r}"


def no_docstring(path: str, source: str) -> Iterator[str]:
    if not ast.get_docstring(ast.parse(source)):
        yield f"{path}: open it with one sentence of its job"


# --- the one door -------------------------------------------------------------------------

DOORS = ("runtime.py", "io/drive.py", "testing/simulation/")
# What a module of the standard library offers that no seed could replay ...
BEHIND_THE_DOOR = {
    "time": {
        *("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"),
        *("sleep", "localtime", "gmtime", "process_time", "thread_time"),
    },
    "datetime.datetime": {"now", "utcnow", "today"},
    "datetime.date": {"today"},
    "asyncio": {
        *("create_task", "ensure_future", "gather", "TaskGroup", "sleep", "to_thread"),
        *("run_coroutine_threadsafe", "as_completed"),
    },
    "os": {"urandom", "getrandom"},
    "uuid": {"uuid1", "uuid4"},
    "random": {"*"},
    "secrets": {"*"},
}
# ... and the same things asked of an object, whatever it is: a loop, a group, an executor.
BEHIND_ANY_OBJECT = {"create_task", "ensure_future", "time"}
# Threads of other loops are the business of whoever talks to a backend.
ALSO_ALLOWED = {"backends/": {"asyncio.run_coroutine_threadsafe"}}


def past_the_door(path: str, source: str) -> Iterator[str]:
    """Find clocks, tasks, waits and chance that do not come in through the one door."""
    if path.startswith(DOORS):
        return
    allowed = {
        name for where, names in ALSO_ALLOWED.items() if path.startswith(where) for name in names
    }
    tree = ast.parse(source)
    imported = dict(_imported(tree))
    for line, name in _uses(tree, imported):
        if _is_behind_the_door(name) and name not in allowed:
            yield f"{path}:{line}: {name} must come in through runtime or io.drive"


def _imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Pair each local name with what it was imported from."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                plain = alias.name.partition(".")[0]
                yield alias.asname or plain, alias.name if alias.asname else plain
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _uses(tree: ast.AST, imported: dict[str, str]) -> Iterator[tuple[int, str]]:
    """List what is imported by name, and every attribute, by its full name if it has one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Attribute):
            yield node.lineno, _full_name(node, imported)


def _full_name(node: ast.expr, imported: dict[str, str]) -> str:
    """Return `asyncio.sleep` for what was imported, `?.time` for what is asked of an object."""
    if isinstance(node, ast.Name):
        return imported.get(node.id, "?")
    if isinstance(node, ast.Attribute):
        return f"{_full_name(node.value, imported)}.{node.attr}"
    return "?"


def _is_behind_the_door(name: str) -> bool:
    owner, _, attribute = name.rpartition(".")
    if owner.startswith("?"):
        return attribute in BEHIND_ANY_OBJECT
    return bool({attribute, "*"} & BEHIND_THE_DOOR.get(owner, set()))


# --- documentation ------------------------------------------------------------------------

_DIRECTIVE = re.compile(
    r"^\.\. (?:(currentmodule)|auto(?:class|exception|function|data|attribute)):: +(\S+)",
    re.MULTILINE,
)


def documented_names(page: str) -> set[str]:
    """Return the full names that a page of the reference documents."""
    module, names = "", set()
    for switch, name in _DIRECTIVE.findall(page):
        if switch:
            module = name
        else:
            names.add(f"{module}.{name}" if module else name)
    return names

"""The table of traps is whole, and what it names is there."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.traps.table import TRAPS

MAKING_IMAGES = [99, 100, 101, 102, 103]
TESTS = Path(__file__).parents[1]


def test_every_trap_is_listed_once_and_in_order():
    assert [number for number, _, _ in TRAPS] == list(range(1, 117))
    titles = [title for _, title, _ in TRAPS]
    assert len(set(titles)) == len(titles)


def test_every_trap_has_a_test_that_exists():
    assert [number for number, _, tests in TRAPS if not tests] == MAKING_IMAGES
    assert [test for _, _, tests in TRAPS for test in tests if not exists(test)] == []


def exists(test: str) -> bool:
    path, _, name = test.partition("::")
    file = TESTS / path
    tree = ast.parse(file.read_text("utf-8")) if file.exists() else ast.parse("")
    named = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return any(isinstance(node, named) and node.name == name for node in tree.body)


def test_a_test_that_is_not_there_is_missed():
    assert not exists("traps/test_table.py::test_nothing")
    assert not exists("traps/test_nothing.py::test_nothing")
    assert exists("traps/test_table.py::test_every_trap_is_listed_once_and_in_order")

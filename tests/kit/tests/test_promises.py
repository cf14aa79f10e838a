"""docs/reliability.md and the tests that it names are one: a letter or file that nobody answers to is found here."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "reliability.md").read_text()
ROWS = [line.strip("|").split("|") for line in PAGE.splitlines() if line.startswith("| ")]
ASKED_BY = [row[2].strip() for row in ROWS if row[0].strip() not in ("promise", "---")]
_RANGE = re.compile(r"\b([A-Z])(\d)–\1?(\d)\b")
_LETTER = re.compile(r"\b[A-Z]\d\b")
_TESTED = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["testpaths"]
_TESTS = [path for folder in _TESTED for path in (ROOT / folder).rglob("test_*.py")]


def letters_in(text: str) -> set[str]:
    ranges = {f"{kind}{n}" for kind, low, high in _RANGE.findall(text) for n in range(int(low), int(high) + 1)}
    return ranges | set(_LETTER.findall(text))


def answered_by(path: Path) -> set[str]:
    """The letters in the docstrings of a test file and of its tests, and in their names (`test_n1_…`)."""
    tree = ast.parse(path.read_text())
    tests = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    tests = [test for test in tests if test.name.startswith("test_")]
    if not tests:
        return set()
    said = " ".join(ast.get_docstring(node) or "" for node in (tree, *tests))
    names = {match[1].upper() for test in tests if (match := re.match(r"test_([a-z]\d)_", test.name))}
    return letters_in(said) | names


ANSWERED = {letter for path in _TESTS for letter in answered_by(path)}


def test_there_are_promises() -> None:
    assert len(ASKED_BY) > 20
    assert letters_in(" ".join(ASKED_BY)) >= {"N1", "D4", "P1", "X1", "F2", "C3", "B1", "O1", "Z3", "W6"}


@pytest.mark.parametrize("letter", sorted(letters_in(" ".join(ASKED_BY))))
def test_somebody_asks_for_it(letter: str) -> None:
    assert letter in ANSWERED


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`(\w+/[\w/]*(?:\.py)?)`", PAGE))))
def test_a_file_that_is_named_is_there(path: str) -> None:
    assert any(list(place.glob(f"{path.rstrip('/')}*")) for place in (ROOT, ROOT / "deploy/local/src"))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip()[:60])
def test_every_promise_has_somebody_who_asks(row: list[str]) -> None:
    assert len(row) == 3
    assert all(cell.strip() for cell in row)

"""B5: what no linter sees: SQL made of strings, and code made of data, anywhere in the tree.

ruff's S rules refuse pickle, marshal, yaml.load, eval, exec and shell=True; eslint refuses v-html and innerHTML.
"""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path
    for room in ("contracts", "sdk", "services", "gateway", "deploy")
    for path in (ROOT / room).rglob("src/**/*.py")
    if ".venv" not in path.parts
)
WORDS = re.compile(r"\b(select\s.+\sfrom|insert\s+into|update\s.+\sset|delete\s+from|drop\s+table|alter\s+role|create\s+(table|schema|role|database))\b", re.I | re.S)  # fmt: skip
RUN = {"execute", "executemany", "copy", "fetch", "stream"}


def test_there_is_something_to_look_at() -> None:
    assert len(SOURCES) > 80


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_sql_is_made_of_strings(path: Path) -> None:
    """psycopg.sql composes where names must vary: its `format` takes `Identifier` and `Literal`, which it quotes."""
    tree = ast.parse(path.read_text())
    wrong = [
        f"line {node.lineno}: {ast.unparse(node)[:100]}"
        for node in ast.walk(tree)
        if (isinstance(node, ast.JoinedStr) and _has_holes(node) and WORDS.search(_text(node)))
        or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod | ast.Add) and _is_sql(node.left))
        or (isinstance(node, ast.Call) and _formats_sql(node))
        or (isinstance(node, ast.Call) and _runs_an_f_string(node))
    ]
    assert wrong == []


def _text(node: ast.JoinedStr) -> str:
    return "".join(part.value if isinstance(part, ast.Constant) else "x" for part in node.values)  # type: ignore[misc]


def _has_holes(node: ast.JoinedStr) -> bool:
    return any(isinstance(part, ast.FormattedValue) for part in node.values)


def _is_sql(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and bool(WORDS.search(node.value))


def _formats_sql(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr == "format" and _is_sql(call.func.value)


def _runs_an_f_string(call: ast.Call) -> bool:
    runs = isinstance(call.func, ast.Attribute) and call.func.attr in RUN
    return runs and bool(call.args) and isinstance(call.args[0], ast.JoinedStr) and _has_holes(call.args[0])


def test_the_linters_look_for_the_rest() -> None:
    chosen = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    assert "S" in chosen["select"]
    forbidden = {"S102", "S301", "S302", "S307", "S506", "S602", "S604", "S605", "S608", "S701"}
    assert not forbidden & set(chosen["ignore"])
    excused = [code for folder, codes in chosen["per-file-ignores"].items() if "tests" not in folder for code in codes]
    assert not forbidden & set(excused)
    rules = (ROOT / "ui/eslint.config.js").read_text()
    for rule in (
        "'vue/no-v-html': 'error'",
        "property: 'innerHTML'",
        "property: 'outerHTML'",
        "property: 'insertAdjacentHTML'",
    ):
        assert rule in rules


def test_nobody_excuses_himself() -> None:
    """There is one excuse, for a text that stands in the line itself."""
    excuses = re.compile(
        r"noqa:.*\b(S102|S301|S302|S307|S506|S602|S604|S605|S608|S701)\b|eslint-disable.*(v-html|restricted-properties)"
    )
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in [*SOURCES, *(ROOT / "ui/src").rglob("*.vue"), *(ROOT / "ui/src").rglob("*.ts")]
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if excuses.search(line) and 'exec("raise KeyboardInterrupt")' not in line
    ]
    assert found == []

"""SQL stands in `.sql` files beside the code that runs it, and is loaded by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, LiteralString, cast

import orjson

_HEADER = re.compile(r"^-- name: *([a-z0-9_]+) *$", re.MULTILINE)


def load(package: str, file: str) -> dict[str, LiteralString]:
    """The statements of `file` in `package`, by the name in their header line `-- name: <name>`.

    What stands before the first header belongs to none. Errors: `ValueError` where a name is given twice.
    """
    text = files(package).joinpath(file).read_text(encoding="utf-8")
    _, *parts = _HEADER.split(text)
    names, bodies = parts[::2], parts[1::2]
    if len(set(names)) != len(names):
        raise ValueError(f"{package}/{file}: a name is given twice")
    # The text ships with the code, so it is as literal as if it stood in the module.
    return {name: cast("LiteralString", body.strip()) for name, body in zip(names, bodies, strict=True)}


def columns_of(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Arguments of a statement that takes `rows` (not empty) as one array per column, `unnest(%b::text[], …)`."""
    return [list(column) for column in zip(*rows, strict=True)]


def array_text(texts: Sequence[str]) -> str:
    """`texts` as PostgreSQL reads a `text[]`: for a column of arrays, which `unnest` cannot take as such."""
    quoted = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return '{"' + '","'.join(quoted) + '"}' if texts else "{}"


def json_text(value: Any) -> str:
    """For a `json` column: keys in one order, because PostgreSQL keeps such a text as it is, and equal states must be equal."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def load_text(package: str, file: str) -> LiteralString:
    """All of `file` in `package`, such as a `schema.sql`."""
    return cast("LiteralString", files(package).joinpath(file).read_text(encoding="utf-8"))

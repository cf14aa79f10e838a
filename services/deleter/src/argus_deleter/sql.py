"""SQL files, read once, by the name of each statement."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import LiteralString, cast

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def statements(folder: str) -> dict[str, LiteralString]:
    """The statements of `<folder>/queries.sql`, by the name in their `-- name:` line."""
    text = (resources.files("argus_deleter") / folder / "queries.sql").read_text()
    parts = _NAME.split(text)
    # The text is part of the program: as literal as if it stood in a Python file.
    return {name: cast("LiteralString", body.strip()) for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def migrations(folder: str) -> list[tuple[str, LiteralString]]:
    """(name, SQL) of every `NNNN_*.sql` in the folder, in the order of their numbers."""
    files = [f for f in (resources.files("argus_deleter") / folder).iterdir() if re.match(r"\d{4}_.*\.sql$", f.name)]
    return [(f.name, cast("LiteralString", f.read_text())) for f in sorted(files, key=lambda f: f.name)]

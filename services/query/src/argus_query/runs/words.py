"""The words by which a run is found: pieces of its text, and what never changes about it. Pure.

One inverted index over all of them answers "in this workspace, with this label, with this text in it" by intersecting
lists, so it never looks at the many runs that have only one of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_PIECE = 3


def words_of(text: str, facets: Iterable[tuple[str, str]]) -> list[str]:
    """All pieces of three characters of each line (shorter ones at its end), and a word for each facet. Not in order."""
    found = {line[at : at + _PIECE] for line in text.split("\n") for at in range(len(line))}
    found.update(_facet(kind, value) for kind, value in facets)
    return list(found)


def words_query(search: str | None, workspaces: Sequence[str] | None, facets: Iterable[tuple[str, str]]) -> str:
    """A `tsquery` for what has `search` in it (perhaps: its pieces may stand apart), in one of `workspaces` (None: any;
    else not empty) and with all `facets`."""
    parts = [_quoted(_facet(kind, value)) for kind, value in facets]
    if workspaces is not None:
        parts.append(f"({' | '.join(_quoted(_facet('workspace', name)) for name in workspaces)})")
    if search:
        text = folded(search)
        if len(text) < _PIECE:
            parts.append(f"{_quoted(text)}:*")
        else:
            parts += [_quoted(piece) for piece in sorted({text[at : at + 3] for at in range(len(text) - 2)})]
    return " & ".join(parts)


def folded(search: str) -> str:
    """As texts of runs are kept."""
    return search.casefold().replace("\0", "�")


def _facet(kind: str, value: str) -> str:
    """No piece of a text has a line break in it, so the two never meet."""
    return f"\n{kind}\n{value}"


def _quoted(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"

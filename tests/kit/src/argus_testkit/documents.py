"""Tables of our documents that tests hold Argus to: what a reviewer reads is what is checked."""

from __future__ import annotations

from argus_testkit.packages import REPOSITORY


def read_table(document: str, title: str) -> tuple[list[str], dict[tuple[str, str], list[str]]]:
    """The table under `## title` of docs/`document`: its columns behind the two that name a row, and each row's cells there.

    AssertionError where a row stands there twice or has not as many cells as the head.
    """
    section = (REPOSITORY / "docs" / document).read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    head, body = rows[0], rows[2:]
    assert all(len(row) == len(head) for row in rows), f"{title}: a row has a cell too many or too few"
    found = {(row[0].strip("`"), row[1]): row[2:] for row in body}
    assert len(found) == len(body), f"{title}: a row stands there twice"
    return head[2:], found

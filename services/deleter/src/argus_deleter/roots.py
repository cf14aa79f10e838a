"""Which folders of which buckets this Argus may touch at all, and whose each of them is. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from argus_contracts.locations import Location, StrangeLocation, output_location, root

EVERYBODY = "*"
_WORKSPACE, _USER = "{workspace}", "{user}"
_SLOTS = (_WORKSPACE, _USER)
_NO_NAME = "-"
"""Stands for a name where only the shape of a root matters."""


@dataclass(frozen=True, slots=True, order=True)
class Root:
    """A folder, or with `{workspace}` or `{user}` for whole parts of its path one for each of them."""

    bucket: str
    parts: tuple[str, ...]

    def of(self, workspace: str, user: str) -> Location | None:
        """None: the name of the workspace or user can be no part of a path."""
        names = {_WORKSPACE: workspace, _USER: user}
        parts = [names.get(part, part) for part in self.parts]
        if any("/" in part or part in ("", ".", "..") for part in parts):
            return None
        return Location(self.bucket, "".join(f"{part}/" for part in parts))

    def around(self, found: Location) -> Location | None:
        """The one of these folders that `found` lies in, or is."""
        parts = _parts_of(found)
        if self.bucket != found.bucket or len(parts) < len(self.parts) or not self._fits(parts):
            return None
        return Location(self.bucket, "".join(f"{part}/" for part in parts[: len(self.parts)]))

    def is_within(self, found: Location) -> bool:
        """Whether `found` is one of these folders, or may have one in it."""
        parts = _parts_of(found)
        return self.bucket == found.bucket and len(parts) <= len(self.parts) and self._fits(parts)

    def _fits(self, parts: list[str]) -> bool:
        return all(part in _SLOTS or part == own for part, own in zip(self.parts, parts, strict=False))


class Roots:
    """Set by the operator, and by nobody else: what a run says of itself is believed only below one of them."""

    def __init__(self, by_workspace: Mapping[str, Iterable[Root]]) -> None:
        self.by_workspace = {workspace: sorted(set(found)) for workspace, found in by_workspace.items()}
        self.all = sorted({one for found in self.by_workspace.values() for one in found})

    @property
    def buckets(self) -> list[str]:
        return sorted({one.bucket for one in self.all})

    def locate(self, workspace: str, user: str, output_dir: str) -> Location:
        """The folder that `output_dir` names, as a place that a run of this user and workspace may have for itself.

        Errors: `StrangeLocation` (see `output_location`); also where it lies in a root that is only another's, though a wider root is
        everybody's, and where somebody's root is it or may lie in it.
        """
        own = [*self.by_workspace.get(workspace, ()), *self.by_workspace.get(EVERYBODY, ())]
        mine = [where for one in own if (where := one.of(workspace, user)) is not None]
        found = output_location(output_dir, mine)
        if any(one.is_within(found) for one in self.all):
            raise StrangeLocation(f"{output_dir!r} is a root, or has one in it: it is nobody's own folder")
        around = [where for one in self.all if (where := one.around(found)) is not None]
        if max(around, key=lambda one: len(one.prefix)) not in mine:
            raise StrangeLocation(f"{output_dir!r} lies in the root of somebody else")
        return found

    @property
    def are_personal(self) -> bool:
        """No two users have a root in common. Then nobody else's run has anything in a user's folder, whatever it says: else whoever
        names a folder could keep its owner from deleting it."""
        return bool(self.all) and all(_USER in one.parts and _WORKSPACE in one.parts for one in self.all)


def parse_roots(text: str) -> Roots:
    """`s3://bucket/folder/` addresses with commas or spaces between them, or a JSON object from workspace (`*`: all of them) to a
    list of such addresses. `{workspace}` and `{user}` as parts of a path stand for the run's. Empty: nothing may be touched.

    Errors: `ValueError` (`StrangeLocation` is one).
    """
    text = text.strip()
    by_workspace: dict[str, list[Root]] = {}
    try:
        value: Any = json.loads(text) if text.startswith("{") else None
    except ValueError:
        raise ValueError("it begins as a JSON object, and is none") from None
    if value is None:
        return Roots({EVERYBODY: [_parsed(one) for one in re.split(r"[,\s]+", text) if one]})
    for workspace, addresses in cast("dict[str, Any]", value).items():
        if not isinstance(addresses, list) or not all(isinstance(one, str) for one in cast("list[Any]", addresses)):
            raise ValueError(f"the roots of {workspace!r} are no list of addresses")
        by_workspace[workspace] = [_parsed(one) for one in cast("list[str]", addresses)]
    return Roots(by_workspace)


def _parsed(text: str) -> Root:
    if not text.startswith("s3://"):
        root(text)  # says what is wrong
    bucket, _, rest = text.removeprefix("s3://").removesuffix("/").partition("/")
    parts = rest.split("/") if rest else []
    if any(("{" in part or "}" in part) and part not in _SLOTS for part in parts) or "{" in bucket:
        raise StrangeLocation(
            f"{text!r}: only {_WORKSPACE} and {_USER}, as whole parts of the path, stand for something"
        )
    shape = root(
        text if not parts else f"s3://{bucket}/{'/'.join(_NO_NAME if part in _SLOTS else part for part in parts)}/"
    )
    return Root(shape.bucket, tuple(parts))


def _parts_of(where: Location) -> list[str]:
    return where.prefix.split("/")[:-1]

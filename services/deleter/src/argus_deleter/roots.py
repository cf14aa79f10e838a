"""Which folders of which buckets this Argus may touch at all, workspace by workspace. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

from argus_contracts.locations import Location, StrangeLocation, output_location, root

EVERYBODY = "*"


class Roots:
    """Set by the operator, and by nobody else: what a run says of itself is believed only below one of them."""

    def __init__(self, by_workspace: Mapping[str, Iterable[Location]]) -> None:
        self.by_workspace = {workspace: sorted(set(found)) for workspace, found in by_workspace.items()}
        self.all = sorted({one for found in self.by_workspace.values() for one in found})

    @property
    def buckets(self) -> list[str]:
        return sorted({one.bucket for one in self.all})

    def locate(self, workspace: str, output_dir: str) -> Location:
        """The folder that `output_dir` names, as a place that a run of `workspace` may have for itself.

        Errors: `StrangeLocation` (see `output_location`); also where it lies in a root that is only another workspace's, though
        a wider root is everybody's, and where somebody's root lies in it.
        """
        mine = [*self.by_workspace.get(workspace, ()), *self.by_workspace.get(EVERYBODY, ())]
        found = output_location(output_dir, mine)
        if any(found.holds(one) for one in self.all):
            raise StrangeLocation(f"{output_dir!r} is a root, or has one in it: it is nobody's own folder")
        nearest = max((one for one in self.all if one.holds(found)), key=lambda one: len(one.prefix))
        if nearest not in mine:
            raise StrangeLocation(f"{output_dir!r} lies in the root of another workspace")
        return found


def parse_roots(text: str) -> Roots:
    """`s3://bucket/folder/` addresses with commas or spaces between them, or a JSON object from workspace (`*`: all of them) to a
    list of such addresses. Empty: nothing may be touched.

    Errors: `ValueError` (`StrangeLocation` is one).
    """
    text = text.strip()
    if not text.startswith("{"):
        return Roots({EVERYBODY: [root(one) for one in re.split(r"[,\s]+", text) if one]})
    value: Any = json.loads(text)
    by_workspace: dict[str, list[Location]] = {}
    for workspace, addresses in cast("dict[str, Any]", value).items():
        if not isinstance(addresses, list) or not all(isinstance(one, str) for one in cast("list[Any]", addresses)):
            raise ValueError(f"the roots of {workspace!r} are no list of addresses")
        by_workspace[workspace] = [root(one) for one in cast("list[str]", addresses)]
    return Roots(by_workspace)

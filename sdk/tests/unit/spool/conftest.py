from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from argus import folders
from argus.spool import CLASSES
from argus_testkit.spools import Spooled


@pytest.fixture(params=["new", "used before"])
def producer(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Spooled]:
    """In a folder of its own, or in one whose files were another producer's."""
    root = tmp_path / "spool"
    if request.param == "used before":
        earlier = Spooled(root)
        for name in CLASSES:
            earlier.say(*range(1000, 1010), name=name)
        earlier.spool.give_back()
    yield Spooled(root)
    folders.remove_spares()

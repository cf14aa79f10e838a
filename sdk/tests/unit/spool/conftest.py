from __future__ import annotations

from pathlib import Path

import pytest

from argus_testkit.spools import Spooled


@pytest.fixture
def producer(tmp_path: Path) -> Spooled:
    return Spooled(tmp_path / "spool")

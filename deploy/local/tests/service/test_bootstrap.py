"""`deploy/bootstrap.py` on a Python without venv and pip: uv comes out of its wheel, if the wheel is the right one."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

BOOTSTRAP = Path(__file__).parents[3] / "bootstrap.py"


@pytest.fixture
def bootstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap", BOOTSTRAP)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "OWN", tmp_path)
    return module


def test_uv_is_unpacked_from_the_index(bootstrap: ModuleType) -> None:
    path = bootstrap.unpack_uv()
    said = subprocess.run([path, "--version"], check=True, capture_output=True, text=True).stdout
    assert said.split()[1] == bootstrap.UV_VERSION


def test_a_wheel_that_is_not_what_the_index_says_is_refused(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = bootstrap.fetch
    monkeypatch.setattr(bootstrap, "fetch", lambda url: b"evil" if url.endswith(".whl") else fetch(url))
    with pytest.raises(ValueError, match="not what the index says"):
        bootstrap.unpack_uv()


def test_a_version_that_the_index_does_not_have_is_said(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "UV_VERSION", "0.0.0")
    with pytest.raises(ValueError, match=r"no uv 0\.0\.0 for"):
        bootstrap.unpack_uv()

"""A process is killed where the test says, exactly once; a name that is gone fails; a clock is wrong by what was said."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from argus_testkit.failpoints import Clock, Failpoints

POINT = "argus_contracts.subjects:partition"
ASYNC_POINT = "argus_query.hints:Hints.publish"


def run(code: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=120
    )


CALLS = """
from argus_contracts.subjects import partition
for call in range(3):
    print(call, flush=True)
    partition("b")
"""


def test_a_process_dies_at_the_call_that_was_named_and_only_once(tmp_path: Path) -> None:
    points = Failpoints(tmp_path / "points", [POINT])
    assert run(CALLS, points.environment).stdout.split() == ["0", "1", "2"]
    points.arm(POINT, "before", 2)
    died = run(CALLS, points.environment)
    assert (died.returncode, died.stdout.split(), points.has_fired) == (-signal.SIGKILL, ["0", "1"], True)
    again = run(CALLS, points.environment)
    assert (again.returncode, again.stdout.split()) == (0, ["0", "1", "2"])


def test_a_coroutine_is_left_after_its_work(tmp_path: Path) -> None:
    points = Failpoints(tmp_path / "points", [ASYNC_POINT])
    points.arm(ASYNC_POINT, "after")
    code = "import asyncio\nfrom argus_query.hints import Hints\nasyncio.run(Hints().publish({}))"
    assert run(code, points.environment).returncode == -signal.SIGKILL


@pytest.mark.parametrize("name", ["no_such_function", "Hints.no_such_method", "Nothing.at_all", "live_subject.x"])
def test_a_function_that_was_renamed_is_noticed(tmp_path: Path, name: str) -> None:
    points = Failpoints(tmp_path / "points", [f"argus_query.hints:{name}"])
    ended = run("import argus_query.hints\nprint('went on')", points.environment)
    assert (ended.returncode, ended.stdout) == (97, "")
    assert points.missing == [f"argus_query.hints:{name}"]
    assert "renamed" in ended.stderr


def test_a_clock_is_wrong_by_what_was_said_and_steps(tmp_path: Path) -> None:
    clock = Clock(tmp_path / "clock", -86_400)
    code = """
import sys, time
from datetime import datetime, UTC, timedelta
from pathlib import Path
def wrong():
    import subprocess
    date = float(subprocess.run(["date", "+%s.%N"], capture_output=True, text=True).stdout)
    return [round((t - date) / 60) * 60 for t in (time.time(), time.time_ns() / 1e9, datetime.now(UTC).timestamp())]
print(*wrong())
Path(sys.argv[1]).write_text("3600")
time.sleep(0.1)
print(*wrong(), type(datetime.now()) is datetime, isinstance(datetime.now(UTC) - datetime.now(UTC), timedelta))
"""
    command = [sys.executable, "-c", code, str(clock.file)]
    done = subprocess.run(
        command, env={**os.environ, **clock.environment}, capture_output=True, text=True, check=True, timeout=120
    )
    first, second = done.stdout.splitlines()
    assert first.split() == ["-86400"] * 3
    assert second.split() == ["3600"] * 3 + ["True", "True"]

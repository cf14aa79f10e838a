"""The kit itself: what every other test relies on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from argus_testkit import Database, NeverHappened, eventually, eventually_async, shared_servers
from argus_testkit.shared_servers import SharedServers


def test_eventually_answers_the_first_truthy_value() -> None:
    answers = iter([0, None, "yes"])
    assert eventually(lambda: next(answers), within=30) == "yes"


def test_eventually_says_what_never_happened() -> None:
    with pytest.raises(
        NeverHappened, match=r"the moon is blue did not come true within 0\.1 s; last answer: AssertionError"
    ):
        eventually(_never, within=0.1, what="the moon is blue")


def _never() -> object:
    raise AssertionError("3 == 0")


async def test_eventually_async_takes_coroutines() -> None:
    answers = iter([False, True])

    async def next_answer() -> bool:
        return next(answers)

    assert await eventually_async(next_answer, within=30)


def test_databases_of_two_tests_share_nothing_part_one(database: Database) -> None:
    with database.connect("ingest") as ingest:
        ingest.execute("CREATE TABLE log.only_here (n int)")


def test_databases_of_two_tests_share_nothing_part_two(database: Database) -> None:
    with database.connect("ingest") as ingest:
        assert ingest.execute("SELECT to_regclass('log.only_here')").fetchone() == (None,)


def test_a_killed_run_leaves_nothing_behind(tmp_path: Path, servers: SharedServers) -> None:
    script = "from argus_testkit import shared_servers as s; import time; print(s.join().folder, flush=True); time.sleep(600)"
    env = {**os.environ, "TMPDIR": str(tmp_path), "PYTEST_XDIST_TESTRUNUID": "killedrun"}
    tmp_path.chmod(0o755)
    with subprocess.Popen([sys.executable, "-c", script], env=env, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        folder = Path(run.stdout.readline().strip())
        keeper = int((folder / "keeper.pid").read_text().split()[0])
        family = [keeper, *(child.pid for child in psutil.Process(keeper).children(recursive=True))]
        assert len(family) > 2
        run.send_signal(signal.SIGKILL)
    eventually(lambda: not folder.exists(), within=60, what="the folder of the killed run is gone")
    eventually(lambda: not any(psutil.pid_exists(pid) for pid in family), within=60, what="its servers are gone")


def test_the_run_shares_one_keeper(servers: SharedServers) -> None:
    assert shared_servers.run_folder() == servers.folder
    assert len(shared_servers.living_users(servers.folder)) >= 1

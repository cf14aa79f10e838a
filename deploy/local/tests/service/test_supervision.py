"""The supervisor with the real servers: it restarts, it stops in order, and its death leaves nobody behind."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from argus_local.programs import Stack
from argus_local.settings import StackSettings
from argus_local.state import StackState, save_state
from argus_local.supervision import Supervisor
from argus_testkit import eventually


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """A stack with a long and odd home (spaces, %), initialised, with nothing running."""
    home = tmp_path / ("a % very long name " * 6).strip() / "home"
    settings, state = StackSettings(home=home), StackState()
    for folder in (settings.logs, settings.run):
        folder.mkdir(parents=True)
    state.choose_ports({settings.port})
    save_state(home, state)
    made = Stack(settings, state)
    made.postgres.initialise()
    made.nats.write()
    made.s3.prepare()
    made.write_plan()
    return made


@pytest.fixture
def supervisor(stack: Stack) -> Iterator[Supervisor]:
    """With postgres, nats and s3 running and ready."""
    made = Supervisor(stack.settings, stack.state)
    servers = [program for program in stack.programs() if program.is_server]
    made.start(servers)
    for program in servers:
        made.launch(program.name)
    try:
        eventually(lambda: all(program.is_ready() for program in servers), 60)
        yield made
    finally:
        made.stop()


def all_ready(stack: Stack) -> bool:
    return all(program.is_ready() for program in stack.programs() if program.is_server)


def pid_of(supervisor: Supervisor, name: str) -> int:
    (found,) = [known["pid"] for known in supervisor.states() if known["name"] == name]
    return found


@pytest.mark.parametrize("name", ["postgres", "nats", "s3"])
def test_a_killed_server_is_started_again_every_time_without_a_growing_pause(
    supervisor: Supervisor, stack: Stack, name: str
) -> None:
    said: set[str] = set()

    def is_back(victim: int) -> bool:
        (known,) = [known for known in supervisor.states() if known["name"] == name]
        said.add(known["statename"])
        return known["pid"] not in {0, victim} and all_ready(stack)

    for _ in range(3):  # each time right after the one before
        victim = pid_of(supervisor, name)
        psutil.Process(victim).kill()
        eventually(lambda victim=victim: is_back(victim), 45)
    assert said <= {"RUNNING", "STARTING", "EXITED"}  # in BACKOFF supervisord waits a second longer each time


def test_stopping_ends_every_process(supervisor: Supervisor, stack: Stack) -> None:
    pid = supervisor.running_pid()
    assert pid
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    assert len(family) > 8
    with psycopg.connect(stack.admin_url):  # an open session does not hold it up
        supervisor.stop()
    assert psutil.wait_procs(family, timeout=30)[1] == []
    assert "database system is shut down" in (stack.settings.logs / "postgres.log").read_text()
    assert supervisor.running_pid() is None


def test_a_killed_supervisor_takes_its_programs_along_and_a_new_one_takes_over(
    supervisor: Supervisor, stack: Stack
) -> None:
    pid = supervisor.running_pid()
    assert pid
    children = psutil.Process(pid).children()
    psutil.Process(pid).send_signal(signal.SIGKILL)
    assert supervisor.process
    supervisor.process.wait(30)
    assert psutil.wait_procs(children, timeout=60)[1] == []
    assert supervisor.running_pid() is None
    servers = [program for program in stack.programs() if program.is_server]
    supervisor.start(servers)
    for program in servers:
        supervisor.launch(program.name)
    eventually(lambda: all_ready(stack), 60)


def test_a_pid_file_of_another_process_is_stale(stack: Stack) -> None:
    supervisor = Supervisor(stack.settings, stack.state)
    supervisor.pid_file.write_text("1")
    assert supervisor.running_pid() is None
    supervisor.pid_file.write_text("not a number")
    assert supervisor.running_pid() is None


def test_secrets_are_for_our_eyes_only(supervisor: Supervisor, stack: Stack) -> None:
    home = stack.settings.home
    for path in (home / "stack.json", home / "supervisord.conf", home / "nats" / "nats.conf"):
        assert path.stat().st_mode & 0o077 == 0, path
    pid = supervisor.running_pid()
    assert pid
    secrets = [stack.state.postgres_password, stack.state.s3_secret_key, *stack.state.nats_passwords.values()]
    for process in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # a session of PostgreSQL that has ended since tells nobody
            assert not [secret for secret in secrets if secret in " ".join(process.cmdline())]

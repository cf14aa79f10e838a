"""`argus-local up` as a user meets it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from argus_testkit import LocalStack, eventually


def family(stack: LocalStack) -> list[psutil.Process]:
    """`up` and everything that it started."""
    assert stack.process
    own = psutil.Process(stack.process.pid)
    return [own, *own.children(recursive=True)]


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("with_signal", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_ends_everything_cleanly(start_stack, with_signal: signal.Signals) -> None:
    stack = start_stack()
    everything = family(stack)
    assert len(everything) > 12
    assert stack.stop(with_signal=with_signal) == 0
    eventually(lambda: not any(map(is_alive, everything)), what="nothing of it is left")
    assert "database system is shut down" in stack.log("postgres")


def test_the_admin_can_sign_in_and_keeps_the_password(start_stack) -> None:
    stack = start_stack()
    first = stack.credentials
    assert (stack.home / "credentials.json").stat().st_mode & 0o777 == 0o600
    assert first.url == stack.url
    with stack.client() as client:
        assert client.get("/api/auth/me").status_code == 200
    signed_in = httpx.post(f"{stack.url}/api/auth/login", json={"username": first.username, "password": first.password})
    assert signed_in.status_code in {200, 204}, signed_in.text
    stack.stop()
    stack.start()
    assert stack.credentials == first


def test_two_stacks_run_side_by_side(stack: LocalStack, start_stack) -> None:
    other = start_stack(name="other")
    assert other.credentials.token != stack.credentials.token
    refused = httpx.get(f"{other.url}/api/auth/me", headers={"Authorization": f"Bearer {stack.credentials.token}"})
    assert refused.status_code == 401
    assert not set(other.state.ports.values()) & set(stack.state.ports.values())


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        stack = LocalStack(tmp_path / "home", {"ARGUS_PORT": str(port)})
        assert failure(stack) == f"argus-local: port {port} is taken: choose another one with ARGUS_PORT={port + 1}"


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    stack = LocalStack(tmp_path / "home", {"ARGUS_MIN_FREE_BYTES": str(2**62)})
    assert "free disk space" in failure(stack)


def test_a_second_up_is_one_line(stack: LocalStack) -> None:
    line = failure(stack)
    assert "is already running" in line
    assert "make down" in line


def test_another_command_of_a_service_runs_as_its_process_does(stack: LocalStack) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "argus_local", "command", "ingest", "redrive", "--dry-run"],
        env=stack.env, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "dead letters would go into the log" in done.stdout


def failure(stack: LocalStack) -> str:
    """What `up` says on stderr when it gives up: exactly one line."""
    done = subprocess.run(
        [sys.executable, "-m", "argus_local", "up"],
        env=stack.env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    return line


def test_a_stack_whose_foreground_was_killed_is_taken_over(start_stack) -> None:
    stack = start_stack()
    before = family(stack)[1:]
    assert stack.process
    stack.process.kill()
    stack.process.wait()
    assert all(process.is_running() for process in before), "the services go on without their foreground"
    stack.start()
    eventually(lambda: not any(map(is_alive, before)), what="nothing of the first one is left")
    with stack.client() as client:
        assert client.get("/api/batches").status_code == 200


def test_a_killed_supervisor_is_replaced_with_all_that_it_had(start_stack) -> None:
    stack = start_stack()
    (supervisor,) = [process for process in family(stack) if "supervisor.supervisord" in process.cmdline()]
    children = supervisor.children()
    supervisor.kill()
    psutil.wait_procs(children, timeout=60)
    eventually(lambda: len(stack.status()) == len(stack.facts.programs()))
    stack.wait_ready(within=60)
    with stack.client() as client:
        assert client.get("/api/batches").status_code == 200

"""The same work through Argus, MLflow's server (on PostgreSQL) and trackio, in one run on one machine.

Argus' time ends when the read models have everything, MLflow's when its call returns (the server has committed then),
trackio's when `finish` returns (its SQLite has it then). The peers live in an environment of their own, `.peers/`, with
the versions of requirements.txt. MLflow's database is in the same PostgreSQL, with the same settings, as Argus' own.
"""

from __future__ import annotations

import json
import os
import runpy
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg

from argus_local.database import url_for
from argus_local.ports import free_port
from argus_testkit.stack import LocalStack
from benchmarks.figures import Figure
from benchmarks.peers import work
from benchmarks.stacks import running_stack, sender_environment

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ENVIRONMENT = ROOT / ".peers"
REQUIREMENTS = HERE / "requirements.txt"
START_SECONDS = 300.0
WORKER_SECONDS = 600.0
QUIET = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_OFFLINE": "1",
}

PROFILE = """
MLflow answers each call from an ORM that inserts every metric value as a row and updates a row of latest values; Argus writes
a spool file, one message of 500 events, one row of the log and one packed block per curve.

10,000 points are read from three packed blocks into arrays, become JSON without an object per number, are packed once by
`query` (zstd, 430 to 100 kB), and pass the broker and the gateway as they are. Each is asked by its own client: `argus.Reader` decodes
with orjson, which is 2 ms less than Python's `json`. Fewer round trips to PostgreSQL (five instead of eight) changed nothing.

A run through MLflow is three HTTP calls, each of which its server answers after a commit. A run through Argus' SDK is a folder, two
messages that travel with those of other runs, and nothing that its script waits for. Its time here ends when the read models have it, so
it counts what the SDK, ingest, the projector and PostgreSQL spend on it, on the same two processors (docs/decisions/0020, 0021 and 0023
say what that was, and what became of it).

Why 100 times as many runs are not reached through the SDK: MLflow makes 22 to 42 a second at its best, as the machine's own speed
varies, so each of ours would have 0.5 to 0.9 ms of the two processors together. Told through the broker, in large bundles, a run takes
0.41 of them (projector 0.16, PostgreSQL 0.15, ingest 0.06, the broker 0.02), beside 0.02 of its sender, and that is 117 times. The SDK
takes 0.75, half of it the kernel's: two files that are there when the call returns, a folder that gets its name, a lock. So it is over
the budget by itself, and the budget less the server's part is less than the kernel's half: what would have to go is that a run is on disk, in a
place of its own, when `finish` returns. Trainings that are jobs of one run need no folder and no row in the list of runs: 158 times.
"""


def measure() -> list[Figure]:
    _make_environment()
    with running_stack() as stack:
        argus = _worker(
            sys.executable, "argus_work.py", [stack.url, stack.credentials.token], sender_environment(stack)
        )
        with _mlflow_server(stack) as uri:
            mlflow = _worker(_python(), "mlflow_work.py", [uri], {**os.environ, **QUIET})
        trackio_folder = {"TRACKIO_DIR": str(stack.home.parent / "trackio")}
        trackio = _worker(_python(), "trackio_work.py", [], {**os.environ, **QUIET, **trackio_folder})
    return _figures(argus, mlflow, trackio)


def _figures(argus: dict[str, Any], mlflow: dict[str, Any], trackio: dict[str, Any]) -> list[Figure]:
    points = work.N_STEPS * len(work.KEYS)
    rates = {
        name: points / found["points_s"] for name, found in (("argus", argus), ("mlflow", mlflow), ("trackio", trackio))
    }
    n_runs = {"argus": argus["n_runs"], "mlflow": work.N_RUNS, "trackio": work.N_RUNS}
    runs = {
        name: n_runs[name] / found["runs_s"]
        for name, found in (("argus", argus), ("mlflow", mlflow), ("trackio", trackio))
    }
    at_once = {
        "argus": argus["n_runs"] / argus["runs_at_once_s"],
        "mlflow": 2 * work.N_RUNS / mlflow["runs_at_once_s"],
    }
    by_broker = argus["n_told"] / argus["runs_by_broker_s"]
    said = argus["n_runs"] / argus["runs_said_s"]
    jobs = argus["n_told"] / argus["jobs_s"]
    best = {name: max(runs[name], at_once[name]) for name in at_once}
    return [
        Figure("metric points: Argus to MLflow", rates["argus"] / rates["mlflow"], 20, "times", "higher"),
        Figure("runs created, logged and ended: Argus' SDK to MLflow, each at its best", best["argus"] / best["mlflow"], 100, "times", "higher"),
        Figure("  the same, one process that tells Argus of many runs through the broker", by_broker / best["mlflow"], 100, "times", "higher"),
        Figure("  the same, until they are safe on disk and the script goes on", said / best["mlflow"], None, "times", "higher"),
        Figure("  the same as jobs of one run: a sweep in one script", jobs / best["mlflow"], None, "times", "higher"),
        Figure("reading 10,000 points: Argus to MLflow", mlflow["history_s"] / argus["history_s"], 40, "times", "higher"),
        Figure("metric points: Argus to trackio", rates["argus"] / rates["trackio"], None, "times", "higher"),
        Figure("runs: Argus to trackio", best["argus"] / runs["trackio"], None, "times", "higher"),
        Figure("reading 10,000 points: Argus to trackio", trackio["history_s"] / argus["history_s"], None, "times", "higher"),
        *(Figure(f"  {name}: metric points, {len(work.KEYS)} a step", rate, None, "points/s", "higher") for name, rate in rates.items()),
        Figure("  argus: the same at the call", points / argus["points_said_s"], None, "points/s", "higher"),
        *(Figure(f"  {name}: runs, one after the other", rate, None, "runs/s", "higher") for name, rate in runs.items()),
        *(Figure(f"  {name}: runs, {work.RUNS_AT_ONCE} at once", rate, None, "runs/s", "higher") for name, rate in at_once.items()),
        Figure("  argus: runs at the call", said, None, "runs/s", "higher"),
        Figure("  argus: jobs of one run", jobs, None, "jobs/s", "higher"),
        Figure("  argus: runs, through the broker", by_broker, None, "runs/s", "higher"),
        Figure("  argus: all 10,000 points of a curve", argus["history_s"] * 1000, None, "ms"),
        Figure("  argus: the same by httpx and Python's json", argus["history_json_s"] * 1000, None, "ms"),
        Figure("  argus: the curve as a page asks for it", argus["first_answer_s"] * 1000, None, "ms"),
        Figure("  mlflow: all 10,000 points of a metric", mlflow["history_s"] * 1000, None, "ms"),
        Figure("  trackio: all 10,000 points", trackio["history_s"] * 1000, None, "ms"),
    ]  # fmt: skip


def _make_environment() -> None:
    """`.peers/` has what requirements.txt names; nothing is fetched where it has it already."""
    uv = runpy.run_path(str(ROOT / "deploy" / "bootstrap.py"))
    program = uv["find_uv"]() or uv["fetch_uv"]()
    if not Path(_python()).exists():
        subprocess.run([program, "venv", "--quiet", "--python", sys.executable, str(ENVIRONMENT)], check=True)
    install = [program, "pip", "sync", "--quiet", "--python", _python(), str(REQUIREMENTS)]
    subprocess.run(install, check=True)


def _python() -> str:
    return str(ENVIRONMENT / "bin" / "python")


@contextmanager
def _mlflow_server(stack: LocalStack) -> Iterator[str]:
    """MLflow's server, with as many workers as it starts by itself, answers at this address."""
    folder = stack.home.parent / "mlflow"
    folder.mkdir()
    database = _database(stack, "mlflow").replace("postgresql://", "postgresql+psycopg2://")
    port = free_port()
    command = [
        _python(), "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--backend-store-uri", database,
        "--default-artifact-root", str(folder / "artifacts"),
    ]  # fmt: skip
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, env={**os.environ, **QUIET}, start_new_session=True
        )
    uri = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(f"{uri}/health"):
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"MLflow's server did not start:\n{(folder / 'server.log').read_text()[-3_000:]}")
            time.sleep(0.2)
        yield uri
    finally:
        _end_family(server)


def _database(stack: LocalStack, name: str) -> str:
    """The address of a new database, and of a role that owns it."""
    password = secrets.token_hex(16)
    with psycopg.connect(stack.facts.admin_url, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")  # pyright: ignore[reportArgumentType]
        admin.execute(f"CREATE DATABASE {name} OWNER {name}")  # pyright: ignore[reportArgumentType]
    return url_for(stack.facts.admin_url, name, password, name)


def _worker(python: str, file: str, arguments: Sequence[str], environment: dict[str, str]) -> dict[str, Any]:
    """What the worker has found."""
    sys.stderr.write(f"  {file} …\n")
    environment = {name: value for name, value in environment.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    with subprocess.Popen(
        [python, str(HERE / file), *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=HERE, start_new_session=True,
    ) as worker:  # fmt: skip
        try:
            out, err = worker.communicate(timeout=WORKER_SECONDS)
        finally:
            _end_family(worker)
    found = [line.removeprefix("FOUND ") for line in out.splitlines() if line.startswith("FOUND ")]
    if worker.returncode != 0 or not found:
        raise RuntimeError(f"{file} ended with {worker.returncode}: {(err or out).strip()[-2_000:]}")
    sys.stderr.write(f"    {found[-1]}\n")
    return json.loads(found[-1])


def _end_family(leader: subprocess.Popen[Any]) -> None:
    """The process and all of its session that it started are gone."""
    try:
        os.killpg(leader.pid, 15)
        leader.wait(10)
    except ProcessLookupError:
        pass
    except subprocess.TimeoutExpired:
        os.killpg(leader.pid, 9)
        leader.wait(10)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False

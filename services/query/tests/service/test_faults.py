"""Query as real processes while things go wrong: kills, restarts, a second copy, a rebuild under load."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import orjson
import psycopg
import pytest
from nats.errors import NoRespondersError

from argus_contracts.subjects import ask_subject
from argus_local.servers import NatsServer, PostgresServer
from argus_testkit import Database, ServiceProcess, eventually, eventually_async
from argus_testkit.failpoints import Failpoints
from argus_testkit.nats import nats_client

Event = Callable[..., dict[str, Any]]
Start = Callable[..., ServiceProcess]
N_JOBS, N_EPOCHS = 20, 3_000
IN_A_REBUILD = "argus_query.rebuild:_Shadow._fold_some"


def env(nats_server: NatsServer, database: Database, **more: str) -> dict[str, str]:
    return nats_server.settings.env_for("query") | {"ARGUS_DATABASE_URL": database.query_url, **more}


def argus_query(nats_server: NatsServer, database: Database, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line, to its end."""
    program = Path(sys.executable).with_name("argus-query")
    environment = {"PATH": os.environ["PATH"], **env(nats_server, database)}
    return subprocess.run(
        [program, *arguments], env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def many_points(event: Event, batch_id: str, n_epochs: int = N_EPOCHS) -> list[dict[str, Any]]:
    told = [event("batch_start", batch_id, name=batch_id)]
    for job in range(N_JOBS):
        told.append(event("job_start", batch_id, f"j{job}", at=1))
        told += [
            event("job_epoch", batch_id, f"j{job}", at=2 + i, epoch=i, metrics={"loss": i / 7, "acc": 0.5})
            for i in range(n_epochs)
        ]
    return told


def projected(database: Database) -> int:
    with database.connect("query") as connection:
        try:
            row = connection.execute("SELECT position FROM read.projection_positions").fetchone()
        except psycopg.errors.UndefinedTable:
            return 0
    return row[0] if row else 0


def children(pid: int) -> list[int]:
    """Processes whose parent is `pid`."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return found


def kill_at_once(service: ServiceProcess) -> None:
    """The service and its projector die in the middle of whatever they do."""
    service.pause()  # it shall not start anybody while we look whom it has started
    for pid in family_of(service.pid)[1:]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    service.kill()


def family_of(pid: int) -> list[int]:
    """`pid` and all that it started."""
    family = [pid]
    for member in family:
        family += children(member)
    return family


async def runs_in_the_list(nats_server: NatsServer) -> set[str]:
    """The ids of ada's runs, as soon as anybody can tell: who has just lost a server needs a moment to find it again."""
    question = orjson.dumps({"viewer": {"user": "ada", "workspaces": ["lab"]}})
    async with nats_client(nats_server) as nats:

        async def answer() -> dict[str, Any] | None:
            try:
                reply = await nats.request(ask_subject("list_runs"), question, timeout=60)
            except NoRespondersError:
                return None
            envelope = orjson.loads(reply.data)
            assert envelope["problem"] is None or envelope["problem"]["code"] == "unavailable", envelope
            return envelope["answer"]

        return {run["batch_id"] for run in (await eventually_async(answer))["items"]}


def assert_as_the_log_says(nats_server: NatsServer, database: Database, n_points: int) -> None:
    checked = argus_query(nats_server, database, "check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    with database.connect("query") as connection:
        assert connection.execute("SELECT sum(n_points) FROM read.series").fetchone() == (n_points,)
        assert connection.execute("SELECT count(*) FROM read.projection_failures").fetchone() == (0,)


def test_kills_in_the_middle_of_a_fold_lose_and_double_nothing(
    start_service: Start, nats_server: NatsServer, database: Database, log: Any, event: Event
) -> None:
    told = many_points(event, "b1")
    last = log.append(told)
    settings = env(nats_server, database, ARGUS_FOLD_EVENTS="500")
    for share in (0.1, 0.4, 0.7):
        query = start_service("argus-query", settings, ready=False)
        eventually(lambda share=share: projected(database) > share * last)
        kill_at_once(query)
    start_service("argus-query", settings)
    eventually(lambda: projected(database) == last)
    assert_as_the_log_says(nats_server, database, N_JOBS * N_EPOCHS * 2)


async def test_a_restart_of_postgres_is_survived(  # noqa: PLR0917
    start_service: Start, nats_server: NatsServer, postgres_server: PostgresServer, own_database: Database,
    open_log: Any, event: Event,
) -> None:  # fmt: skip
    log = open_log(own_database)
    log.append([event("batch_start", "b1", name="before")])
    query = start_service("argus-query", env(nats_server, own_database))
    eventually(lambda: projected(own_database) == 1)
    log.close()
    postgres_server.stop()
    question = orjson.dumps({"viewer": {"user": "ada", "workspaces": ["lab"]}})
    async with nats_client(nats_server) as nats:
        reply = orjson.loads((await nats.request(ask_subject("list_runs"), question, timeout=60)).data)
        assert reply["problem"]["code"] == "unavailable"
        async with httpx.AsyncClient(timeout=60) as http:
            assert (await http.get(f"{query.url}/readyz")).status_code == 503
            assert (await http.get(f"{query.url}/healthz")).status_code == 200
        postgres_server.start()
        log = open_log(own_database)
        log.append([event("batch_start", "b2", name="after")])
        log.close()
        eventually(lambda: projected(own_database) == 2)
    assert await runs_in_the_list(nats_server) == {"b1", "b2"}


def test_a_second_copy_waits_and_takes_over(
    start_service: Start, nats_server: NatsServer, database: Database, log: Any, event: Event
) -> None:
    log.append([event("batch_start", "b1")])
    first = start_service("argus-query", env(nats_server, database))
    eventually(lambda: projected(database) == 1)
    second = start_service("argus-query", env(nats_server, database))
    eventually(lambda: "another projector works on this database" in second.logs())
    last = log.append(many_points(event, "b2", n_epochs=20))
    eventually(lambda: projected(database) == last)
    kill_at_once(first)
    last = log.append(many_points(event, "b3", n_epochs=20))
    eventually(lambda: projected(database) == last)
    assert_as_the_log_says(nats_server, database, 2 * N_JOBS * 20 * 2)


def test_a_rebuild_under_traffic_swaps_in_the_same_tables(
    start_service: Start, nats_server: NatsServer, database: Database, log: Any, event: Event
) -> None:
    last = log.append(many_points(event, "b1", n_epochs=500))
    start_service("argus-query", env(nats_server, database))
    eventually(lambda: projected(database) == last)  # its own first rebuild, of no tables at all, is over
    program = Path(sys.executable).with_name("argus-query")
    environment = {"PATH": os.environ["PATH"], **env(nats_server, database)}
    rebuilding = subprocess.Popen([program, "rebuild", "all"], env=environment)
    n_runs = 1
    while rebuilding.poll() is None or n_runs < 5:
        n_runs += 1
        log.append(many_points(event, f"b{n_runs}", n_epochs=20))
    assert rebuilding.returncode == 0
    last = log.append([event("batch_start", "last")])
    eventually(lambda: projected(database) == last)
    assert_as_the_log_says(nats_server, database, N_JOBS * 2 * (500 + 20 * (n_runs - 1)))


def test_a_rebuild_that_is_killed_leaves_the_live_tables_as_they_are(  # noqa: PLR0917
    start_service: Start, nats_server: NatsServer, database: Database, log: Any, event: Event, tmp_path: Path
) -> None:
    last = log.append(many_points(event, "b1", n_epochs=1500))
    start_service("argus-query", env(nats_server, database))
    eventually(lambda: projected(database) == last)
    program = Path(sys.executable).with_name("argus-query")
    deadly = Failpoints(tmp_path / "failpoints", [IN_A_REBUILD])
    deadly.arm(IN_A_REBUILD, "before", 2)
    environment = {"PATH": os.environ["PATH"], **env(nats_server, database), **deadly.environment}
    killed = subprocess.run([program, "rebuild", "all"], env=environment, timeout=120, check=False)
    assert (killed.returncode, deadly.has_fired) == (-signal.SIGKILL, True)
    assert _has_schema(database, "read_shadow")
    last = log.append(many_points(event, "b2", n_epochs=20))
    eventually(lambda: projected(database) == last)
    eventually(lambda: argus_query(nats_server, database, "rebuild", "runs").returncode == 0)
    assert not _has_schema(database, "read_shadow")
    assert_as_the_log_says(nats_server, database, N_JOBS * 2 * 1520)


def _has_schema(database: Database, name: str) -> bool:
    with database.connect() as connection:
        row = connection.execute("SELECT count(*) FROM pg_namespace WHERE nspname = %s", [name]).fetchone()
    return row == (1,)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_and_cleanly(
    start_service: Start, nats_server: NatsServer, database: Database, log: Any, number: signal.Signals
) -> None:
    query = start_service("argus-query", env(nats_server, database))
    family = family_of(query.pid)
    assert len(family) >= 2, "the projector is a process of its own"
    os.kill(query.pid, number)
    eventually(lambda: not any(_runs(pid) for pid in family))
    assert query.process is not None
    assert query.process.wait(60) == 0


def _runs(pid: int) -> bool:
    """Not ended; a zombie that nobody has waited for has no command line."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


async def test_a_restart_of_the_broker_is_survived(
    start_service: Start, nats_server: NatsServer, database: Database, log: Any, event: Event
) -> None:
    query = start_service("argus-query", env(nats_server, database))
    nats_server.kill()
    last = log.append([event("batch_start", "b1")])
    eventually(lambda: projected(database) == last)  # folding needs no broker
    nats_server.start()
    eventually(lambda: httpx.get(f"{query.url}/readyz", timeout=60).status_code == 200)
    assert await runs_in_the_list(nats_server) == {"b1"}
    assert query.is_running

"""The embedded PostgreSQL, for real."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import errors

from argus_local.database import create_database
from argus_local.errors import ServerDidNotStart
from argus_local.servers import PostgresServer
from argus_local.unprivileged import user_for_postgres
from argus_testkit import Database, eventually
from argus_testkit.servers import new_postgres


def test_committed_rows_survive_a_kill(postgres_server: PostgresServer) -> None:
    with psycopg.connect(postgres_server.admin_url, autocommit=True) as admin:
        admin.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
    postgres_server.kill()
    postgres_server.start()
    with psycopg.connect(postgres_server.admin_url) as admin:
        assert admin.execute("SELECT count(*) FROM kept").fetchone() == (1000,)


def test_a_lost_settings_file_costs_no_data(postgres_server: PostgresServer) -> None:
    with psycopg.connect(postgres_server.admin_url, autocommit=True) as admin:
        admin.execute("CREATE TABLE kept AS SELECT 1 AS n")
    postgres_server.stop()
    (postgres_server.cluster.folder / "argus.conf").unlink()
    postgres_server.start()
    with psycopg.connect(postgres_server.admin_url) as admin:
        assert admin.execute("SELECT n FROM kept").fetchone() == (1,)


def test_a_folder_of_somebody_else_is_not_touched(tmp_path: Path) -> None:
    folder = new_postgres(tmp_path / "other").cluster.folder
    folder.mkdir(parents=True)
    (folder / "thesis.tex").write_text("precious")
    with pytest.raises(ServerDidNotStart, match="nothing was touched"):
        new_postgres(tmp_path / "other").start()
    assert (folder / "thesis.tex").read_text() == "precious"


def test_durability_is_not_traded_away(postgres_server: PostgresServer) -> None:
    if os.environ.get("ARGUS_TEST_FAST") == "1":
        pytest.skip("ARGUS_TEST_FAST=1 gives up durability: run without it")
    with psycopg.connect(postgres_server.admin_url) as admin:
        for setting in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
            assert admin.execute(f"SHOW {setting}").fetchone() == ("on",)


def test_wrong_password_is_refused(postgres_server: PostgresServer) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres_server.admin_url.replace(postgres_server.cluster.password, "wrong"))


def test_an_interrupted_initdb_is_made_again(tmp_path: Path) -> None:
    server = new_postgres(tmp_path / "postgres")
    folder = server.cluster.folder
    (folder / "base").mkdir(parents=True)
    (folder / "PG_VERSION").write_text("18\n")
    folder.with_name(f"{folder.name}.unfinished").touch()
    try:
        server.start()
        assert server.cluster.initialised
    finally:
        server.stop()


@pytest.fixture
def private_folder() -> Iterator[Path]:
    """A folder below a home that only root may enter, as /root is on most machines."""
    home = Path(tempfile.mkdtemp(prefix="argus-private-", dir="/var/tmp"))
    yield home / "deep" / "er"
    shutil.rmtree(home)


@pytest.mark.skipif(
    os.geteuid() != 0, reason="only root changes the user: run the tests as root (in a container) to try it"
)
def test_root_with_data_below_a_private_home(private_folder: Path) -> None:
    private_folder.mkdir(parents=True)
    server = new_postgres(private_folder / "postgres")
    try:
        server.start()
        user = user_for_postgres()
        assert user
        assert user.uid != 0
        assert Path(f"/proc/{server.pid}").stat().st_uid == user.uid
        with psycopg.connect(server.admin_url, autocommit=True) as admin:
            admin.execute("CREATE TABLE kept AS SELECT 1 AS n")
            admin.execute("CHECKPOINT")
        server.kill()
        server.start()
        with psycopg.connect(server.admin_url) as admin:
            assert admin.execute("SELECT n FROM kept").fetchone() == (1,)
        assert stat.S_IMODE(private_folder.parents[1].stat().st_mode) == 0o700
    finally:
        server.stop()


@pytest.mark.skipif(
    os.geteuid() != 0, reason="only root changes the user: run the tests as root (in a container) to try it"
)
def test_root_with_programs_below_a_private_home(
    private_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment itself (.venv) lies where the other user cannot go: the programs are copied, libraries included."""
    from argus_local import postgres, unprivileged

    package = postgres.bundled_install().parent
    for folder in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(folder, private_folder / folder.name, symlinks=True)
    install = private_folder / package.name / "pginstall18"
    copies = Path("/var/tmp") / f"argus-copies-{os.getpid()}"
    monkeypatch.setenv("ARGUS_POSTGRES_INSTALL", str(copies))
    try:
        user = user_for_postgres()
        assert user
        usable = unprivileged.install_for(user, install)
        assert usable.is_relative_to(copies)
        assert unprivileged.install_for(user, install) == usable
        assert [entry for entry in copies.rglob("*") if not entry.is_symlink() and entry.stat().st_mode & 0o022] == []
        monkeypatch.setattr(postgres, "bundled_install", lambda: install)
        cluster = new_postgres(private_folder / "postgres").cluster
        cluster.initialise()
        assert cluster.initialised
        copies.chmod(0o777)
        with pytest.raises(PermissionError):  # anybody could have put a program there
            unprivileged._copied(install, copies)
    finally:
        shutil.rmtree(copies, ignore_errors=True)


def test_the_server_ends_with_its_parent(postgres_server: PostgresServer, tmp_path: Path) -> None:
    import subprocess
    import sys

    import psutil

    script = (
        "import sys, os, signal; from pathlib import Path; from argus_testkit.servers import new_postgres\n"
        "server = new_postgres(Path(sys.argv[1])); server.start(); print(server.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "orphan")], capture_output=True, text=True, check=False
    )
    pid = int(done.stdout)
    eventually(lambda: not psutil.pid_exists(pid), within=60, what="the orphaned postgres has ended")


def test_each_role_owns_its_schema_and_nothing_else(database: Database) -> None:
    with (
        database.connect("ingest") as ingest,
        database.connect("query") as query,
        database.connect("gateway") as gateway,
    ):
        ingest.execute("CREATE TABLE log.rows AS SELECT 7 AS n")
        query.execute("CREATE TABLE read.rows AS SELECT 8 AS n")
        query.execute("CREATE SCHEMA read_shadow")
        gateway.execute("CREATE TABLE identity.rows AS SELECT 9 AS n")
        for role, statement in (
            (ingest, "SELECT * FROM read.rows"),
            (ingest, "SELECT * FROM identity.rows"),
            (query, "SELECT * FROM log.rows"),
            (query, "SELECT * FROM identity.rows"),
            (gateway, "SELECT * FROM log.rows"),
            (gateway, "SELECT * FROM read.rows"),
            (gateway, "CREATE SCHEMA mine"),
            (ingest, "CREATE TABLE public.mine (n int)"),
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                role.execute(statement)
        ingest.execute("GRANT SELECT ON log.rows TO argus_log_reader")
        assert query.execute("SELECT n FROM log.rows").fetchone() == (7,)
        with pytest.raises(errors.InsufficientPrivilege):
            query.execute("DELETE FROM log.rows")


def test_creating_the_database_again_changes_nothing(postgres_server: PostgresServer) -> None:
    passwords = {"argus_ingest": "one", "argus_query": "two", "argus_gateway": "three", "argus_deleter": "four"}
    first = create_database(postgres_server.admin_url, "argus", passwords)
    with psycopg.connect(first["argus_ingest"], autocommit=True) as ingest:
        ingest.execute("CREATE TABLE log.rows AS SELECT 7 AS n")
    assert create_database(postgres_server.admin_url, "argus", passwords) == first
    with psycopg.connect(first["argus_ingest"]) as ingest:
        assert ingest.execute("SELECT n FROM log.rows").fetchone() == (7,)


def test_an_admin_who_is_not_superuser_can_create_the_database(postgres_server: PostgresServer) -> None:
    from argus_local.database import url_for

    with psycopg.connect(postgres_server.admin_url, autocommit=True) as admin:
        admin.execute("CREATE ROLE hosted LOGIN CREATEDB CREATEROLE PASSWORD 'secret'")
    urls = create_database(url_for(postgres_server.admin_url, "hosted", "secret"), "argus")
    with psycopg.connect(urls["argus_query"], autocommit=True) as query:
        query.execute("CREATE SCHEMA read_shadow")

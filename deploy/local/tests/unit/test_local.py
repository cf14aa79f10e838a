"""The parts of the stack that need no server."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from argus_local.database import url_for
from argus_local.disk import DiskWatch, make_home, nearly_full, require_space
from argus_local.errors import BadSetting, DiskFull, LocalStackError, ProgramMissing
from argus_local.lock import HomeLock
from argus_local.nats import INTERNAL_USERS, NatsSettings, issuer_public_key, new_issuer_seed, program
from argus_local.ports import free_port, port_is_free
from argus_local.programs import Stack
from argus_local.settings import REPOSITORY, StackSettings, load_settings
from argus_local.state import INTERNAL_PORTS, StackState, load_state, save_state, write_private
from argus_local.ui import sources_digest


def test_a_disk_that_becomes_full_is_told_of_once_an_hour_and_when_it_has_room_again(tmp_path: Path) -> None:
    """The disk stays as it is; what is called full moves past it."""
    watch = DiskWatch([tmp_path, tmp_path / "nobody", tmp_path.parent], alarm_share=1.01)
    assert watch.look(0) == []
    watch.alarm_share = 0.0
    (said,) = watch.look(10)
    assert said.startswith(f"the disk of {tmp_path} is ")
    assert watch.look(3_600) == []
    assert len(watch.look(3_611)) == 1
    watch.alarm_share = 1.01
    assert watch.look(3_620) == [f"the disk of {tmp_path} has room again"]
    watch.alarm_share = 0.0
    assert len(watch.look(3_630)) == 1
    assert list(nearly_full([tmp_path], 0.0)) == [tmp_path]


def test_a_wrong_setting_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARGUS_PORT", "eighty")
    with pytest.raises(BadSetting, match=r"^ARGUS_PORT='eighty' does not work: [^\n]+$"):
        load_settings()
    monkeypatch.setenv("ARGUS_PORT", "8001")
    monkeypatch.setenv("DEMO", "perhaps")
    with pytest.raises(BadSetting, match=r"^DEMO='perhaps'"):
        load_settings()


def test_empty_variables_count_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ARGUS_PORT", "ARGUS_HOME", "ARGUS_NATS_URL", "DEMO"):
        monkeypatch.setenv(name, "")
    settings = load_settings()
    assert (settings.port, settings.home, settings.nats_url, settings.demo) == (8000, REPOSITORY / ".argus", "", True)


def test_demo_zero_switches_the_demo_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO", "0")
    assert load_settings().demo is False


def test_a_relative_home_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARGUS_HOME", "here")
    assert load_settings().home == tmp_path / "here"


def test_a_home_that_cannot_be_made_is_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for home in (Path("/proc/argus"), tmp_path / "file", tmp_path / "file" / "home"):
        with pytest.raises(LocalStackError, match=r"^ARGUS_HOME=/[^\n]+ cannot be used: [^\n]+$"):
            make_home(home)


def test_ports_and_secrets_are_kept(tmp_path: Path) -> None:
    state = StackState()
    assert state.choose_ports({8000}) == []
    save_state(tmp_path, state)
    again = load_state(tmp_path)
    assert again == state
    assert (tmp_path / "stack.json").stat().st_mode & 0o777 == 0o600
    assert set(state.ports) == set(INTERNAL_PORTS)
    assert len(set(state.ports.values())) == len(INTERNAL_PORTS)


def test_a_kept_port_that_somebody_took_is_replaced() -> None:
    state = StackState()
    state.choose_ports(set())
    before = dict(state.ports)
    with socket.socket() as other:
        other.bind(("127.0.0.1", before["nats"]))
        other.listen()
        assert not port_is_free(before["nats"])
        assert state.choose_ports(set()) == ["nats"]
    assert {name for name in before if before[name] != state.ports[name]} == {"nats"}


def test_a_second_stack_gets_other_secrets() -> None:
    assert StackState().model_dump() != StackState().model_dump()


def test_free_port_avoids_what_it_is_told() -> None:
    taken = {free_port() for _ in range(20)}
    assert free_port(taken) not in taken


def test_no_two_processes_choose_the_same_port(tmp_path: Path) -> None:
    """Though none of them listens yet, and though chance gives both the same numbers."""
    script = (
        "import random; from argus_local import ports; numbers = iter([25_000, 25_001, 25_002]);"
        "random.randint = lambda *_: next(numbers); print(ports.free_port(), flush=True); input()"
    )
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    first, second = (
        subprocess.Popen(
            [sys.executable, "-c", script], env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(2)
    )
    with first, second:
        assert first.stdout
        assert second.stdout
        chosen = [int(first.stdout.readline()), int(second.stdout.readline())]
        assert len(set(chosen)) == 2
        for process in (first, second):
            process.communicate("\n")
    third = subprocess.run(
        [sys.executable, "-c", script], env=env, text=True, input="\n", capture_output=True, check=True
    )
    assert int(third.stdout) in chosen  # who has ended holds nothing


def test_the_lock_is_exclusive_and_names_its_holder(tmp_path: Path) -> None:
    lock = HomeLock(tmp_path)
    assert lock.holder() is None
    assert lock.acquire()
    script = (
        "import sys; from pathlib import Path; from argus_local.lock import HomeLock;"
        "lock = HomeLock(Path(sys.argv[1])); print(lock.acquire(), lock.holder())"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", str(os.getpid())]
    lock.release()
    assert lock.holder() is None
    assert HomeLock(tmp_path).acquire()


def test_too_little_space_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DiskFull, match=r"^only \d+ MiB of free disk space in [^\n]+$"):
        require_space(tmp_path, 2**60)
    require_space(tmp_path, 1)


def test_a_missing_program_says_what_to_do() -> None:
    with pytest.raises(
        ProgramMissing, match="no build for this platform; set ARGUS_NATS_URL to use a server of your own"
    ):
        program("no-such-server", "no-such-package", "set ARGUS_NATS_URL")


def test_private_files_are_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "secret.json"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, {"new": 1})
    assert path.read_text() == '{\n  "new": 1\n}\n'
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret.json"]


def test_urls_keep_host_and_parameters() -> None:
    admin = "postgresql://root:a%40b@db.lab.org:5433/postgres?sslmode=require"
    assert url_for(admin, "argus_query", "p@ss/word", "argus") == (
        "postgresql://argus_query:p%40ss%2Fword@db.lab.org:5433/argus?sslmode=require"
    )


def a_stack(tmp_path: Path, **settings: object) -> Stack:
    state = StackState()
    state.choose_ports(set())
    return Stack(StackSettings.model_validate({"home": tmp_path, **settings}), state)


def test_servers_of_your_own_replace_the_embedded_ones(tmp_path: Path) -> None:
    own = a_stack(
        tmp_path,
        nats_url="tls://nats.lab.org:4222",
        database_url="postgresql://admin:x@db.lab.org/argus_lab",
        s3_endpoint_url="https://s3.lab.org",
    )
    programs = {program.name: program for program in own.programs()}
    assert list(programs) == ["ingest", "query", "deleter", "gateway"]
    assert programs["ingest"].env["ARGUS_NATS_URL"] == "tls://nats.lab.org:4222"
    assert programs["query"].env["ARGUS_DATABASE_URL"].endswith("@db.lab.org/argus_lab")
    assert [program.name for program in a_stack(tmp_path).programs()] == [
        "postgres",
        "nats",
        "s3",
        "ingest",
        "query",
        "deleter",
        "gateway",
    ]


def test_a_service_is_told_its_own_secrets_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARGUS_DATABASE_URL", "postgresql://admin:secret@elsewhere/x")
    monkeypatch.setenv("ARGUS_RETENTION_LOG_LINE_DAYS", "3")
    stack = a_stack(tmp_path)
    environments = {program.name: stack.environment_of(program) for program in stack.programs()}
    assert environments["ingest"]["ARGUS_RETENTION_LOG_LINE_DAYS"] == "3"
    assert "ARGUS_DATABASE_URL" not in environments["nats"]
    assert [name for name, env in environments.items() if "ARGUS_NATS_ISSUER_SEED" in env] == ["gateway"]
    for name in ("ingest", "query", "deleter", "gateway"):
        others = {password for user, password in stack.state.nats_passwords.items() if user != name}
        assert not others & set(environments[name].values())
        assert stack.state.role_passwords[f"argus_{name}"] in environments[name]["ARGUS_DATABASE_URL"]


def test_the_issuer_key_fits_the_configuration() -> None:
    seed = new_issuer_seed()
    assert seed.startswith("SA")
    assert issuer_public_key(seed).startswith("A")
    config = NatsSettings(Path("/x"), 1, 2, issuer_seed=seed).as_config()
    callout = config["authorization"]["auth_callout"]
    assert callout["issuer"] == issuer_public_key(seed)
    assert set(INTERNAL_USERS) < set(callout["auth_users"])
    assert config["jetstream"]["sync_interval"] == "always"
    assert seed not in str(config)


def test_the_ui_is_rebuilt_when_any_source_changes(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "main.ts").write_text("one")
    first = sources_digest(tmp_path)
    for ignored in ("dist", "node_modules"):
        (tmp_path / ignored).mkdir()
        (tmp_path / ignored / "x.js").write_text("x")
    assert sources_digest(tmp_path) == first
    (tmp_path / "src" / "main.ts").write_text("two")
    second = sources_digest(tmp_path)
    (tmp_path / "src" / "main.ts").rename(tmp_path / "src" / "app.ts")
    assert len({first, second, sources_digest(tmp_path)}) == 3

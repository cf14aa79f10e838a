"""`argus-local`: the whole stack on one machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import click

from argus_local.disk import nearly_full
from argus_local.errors import LocalStackError
from argus_local.settings import StackSettings, load_settings


def _say(line: str) -> None:
    click.echo(line)
    sys.stdout.flush()


@click.group()
def main() -> None:
    """Argus on one machine: PostgreSQL, NATS, S3 and the services, under one supervisor."""


@main.command()
@click.option(
    "--detach/--foreground",
    default=lambda: os.environ.get("DETACH", "") not in {"", "0"},
    help="Go to the background once it is up (DETACH=1).",
)
@click.option("--ready-file", type=click.Path(path_type=Path), hidden=True)
def up(detach: bool, ready_file: Path | None) -> None:
    """Start everything; Ctrl-C stops everything."""
    from argus_local.up import Up

    with_one_line_errors(
        lambda: _up_detached(load_settings()) if detach else Up(load_settings(), _say).run(_touch(ready_file))
    )


def _touch(ready_file: Path | None) -> Callable[[], None]:
    return lambda: ready_file.touch() if ready_file else None


def _up_detached(settings: StackSettings) -> None:
    """The same `up` in a session of its own; we repeat what it says until it is ready or has given up."""
    from argus_local.disk import make_home, require_space

    make_home(settings.home)
    require_space(settings.home, settings.min_free_bytes)
    settings.logs.mkdir(exist_ok=True, mode=0o700)
    ready, log = settings.home / f".ready-{os.getpid()}", settings.logs / "up.log"
    with log.open("ab") as out, log.open("rb") as words:
        words.seek(0, os.SEEK_END)
        child = subprocess.Popen(
            [sys.executable, "-m", "argus_local", "up", "--foreground", "--ready-file", str(ready)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
        try:
            while not ready.exists():
                code = child.poll()
                click.echo(words.read().decode(errors="replace"), nl=False)
                if code is not None:
                    sys.exit(code or 1)
                time.sleep(0.1)
            click.echo(words.read().decode(errors="replace"), nl=False)
        finally:
            ready.unlink(missing_ok=True)
    child.returncode = 0  # it lives on: not ours to wait for


@main.command()
def down() -> None:
    """Stop the stack of ARGUS_HOME."""
    from argus_local.up import stop_stack

    def stop() -> None:
        settings = load_settings()
        stopped = stop_stack(settings)
        _say("stopped" if stopped else f"no stack with ARGUS_HOME={settings.home} is running")

    with_one_line_errors(stop)


@main.command()
@click.option("--json", "as_json", is_flag=True)
def status(as_json: bool) -> None:
    """What runs; exit code 3 when the stack is down, 1 when something is not ready."""
    from argus_local.up import describe

    def show() -> None:
        programs = describe(load_settings())
        if as_json:
            _say(json.dumps(programs, indent=2))
        elif not programs:
            _say("down")
        else:
            for known in programs:
                ready = "ready" if known["ready"] else "NOT READY"
                _say(
                    f"{known['name']:<10} {known['state']:<10} {ready:<10} pid {known['pid']:<8} up {known['up_seconds']} s"
                )
            for folder, share in nearly_full(load_settings().data_folders).items():
                _say(f"the disk of {folder} is {share:.0%} full")
        if not programs:
            sys.exit(3)
        if not all(known["ready"] for known in programs):
            sys.exit(1)

    with_one_line_errors(show)


@main.command()
@click.argument("names", nargs=-1)
@click.option("--lines", "-n", default=20, show_default=True)
@click.option("--follow", "-f", is_flag=True)
def logs(names: tuple[str, ...], lines: int, follow: bool) -> None:
    """The last lines of the logs (postgres, nats, s3, ingest, query, gateway, demo)."""
    from argus_local.up import follow_logs

    with_one_line_errors(lambda: sys.exit(follow_logs(load_settings(), names, lines, follow)))


@main.command("reset-admin")
def reset_admin() -> None:
    """Give `admin` a new password and API key, and write them to credentials.json (the stack is up)."""
    from argus_local.credentials import ensure_admin
    from argus_local.programs import Stack
    from argus_local.state import load_state

    def reset() -> None:
        settings = load_settings()
        state = load_state(settings.home)
        if state is None:
            raise LocalStackError(f"{settings.home} holds no stack")
        ensure_admin(Stack(settings, state), reset=True)
        _say(f"a new password and token for admin are in {settings.credentials_path}")

    with_one_line_errors(reset)


@main.command("command", context_settings={"ignore_unknown_options": True})
@click.argument("service", type=click.Choice(["ingest", "query", "deleter", "gateway"]))
@click.argument("arguments", nargs=-1, required=True, type=click.UNPROCESSED)
def command(service: str, arguments: tuple[str, ...]) -> None:
    """Run another command of a service with what its process is told: `command ingest redrive --dry-run`."""
    from argus_local.programs import Stack
    from argus_local.state import load_state

    def start() -> None:
        settings = load_settings()
        state = load_state(settings.home)
        if state is None:
            raise LocalStackError(f"{settings.home} holds no stack")
        stack = Stack(settings, state)
        program = next(program for program in stack.programs() if program.name == service)
        os.execve(program.argv[0], [program.argv[0], *arguments], stack.environment_of(program))  # noqa: S606

    with_one_line_errors(start)


@main.command("nats-config")
def nats_config() -> None:
    """The configuration that a nats-server of your own needs for this stack (it holds secrets)."""
    from argus_local.programs import Stack
    from argus_local.state import StackState, load_state, save_state

    def show() -> None:
        settings = load_settings()
        settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        state = load_state(settings.home) or StackState()
        if not state.ports:
            state.choose_ports({settings.port})
        save_state(settings.home, state)
        config = Stack(settings, state).nats.as_config()
        for local_only in ("listen", "http", "websocket", "server_name"):
            config.pop(local_only, None)
        config["jetstream"].pop("store_dir")
        _say(json.dumps(config, indent=2))

    with_one_line_errors(show)


def with_one_line_errors(action: Callable[[], object]) -> None:
    """What went wrong as one line on stderr and exit code 1, never a traceback of ours."""
    try:
        action()
    except LocalStackError as problem:
        _fail(str(problem))


def _fail(line: str) -> NoReturn:
    click.echo(f"argus-local: {line}", err=True)
    sys.exit(1)


if __name__ == "__main__":
    main()

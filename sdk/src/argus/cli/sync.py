"""`argus sync`: what dead processes left in the spool is sent, and counted."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import click
import orjson

from argus.courier import Courier, Orphan, is_of_another, orphans, read_meta, try_lock
from argus.sender import most_ended
from argus.settings import Settings, settings
from argus.transport import Transport, open_transport

NO_PROGRESS_S = 15.0


@click.command()
@click.option(
    "--all",
    "everybody",
    is_flag=True,
    help="Also what was said with other keys or for other addresses, but for other users' runs.",
)
@click.option("--timeout", type=click.FloatRange(min=1), default=600.0, show_default=True, help="Seconds at most.")
@click.option("--json", "as_json", is_flag=True, help="The counts as JSON.")
def sync(everybody: bool, timeout: float, as_json: bool) -> None:
    """Send what runs left on this machine. May be run again at any time: nothing is stored twice.

    Exit code 1 where something is left afterwards.
    """
    where = settings()
    if where.url is None:
        raise click.ClickException("no address: run `argus login URL`, or set ARGUS_URL")
    transport = open_transport(where)
    try:
        wait_for(transport, min(timeout, 10.0))
        counts, seen = send_all(transport, where, timeout, everybody=everybody)
    finally:
        transport.close()
    counts |= others(where.spool_dir, seen, transport)
    if as_json:
        click.echo(orjson.dumps(counts).decode())
    else:
        click.echo(
            f"{counts['producers']} producers: {counts['stored']} events stored, {counts['left']} left, "
            f"{counts['torn']} torn; {counts['live']} still running, {counts['foreign']} of other keys or addresses"
            + (" (argus sync --all sends these too)" if counts["foreign"] and not everybody else "")
            + (f", {counts['other_users']} of other users (theirs to send)" if counts["other_users"] else "")
            + (f", {counts['damaged']} that cannot be read" if counts["damaged"] else "")
        )
    if counts["left"] or counts["damaged"] or (everybody and counts["foreign"]):
        raise SystemExit(1)


def send_all(
    transport: Transport, where: Settings, timeout: float, *, everybody: bool
) -> tuple[dict[str, int], set[str]]:
    """What became of the folders, and whose they were. So many at a time as may be held open."""
    deadline = time.monotonic() + timeout
    counts: dict[str, int] = {"producers": 0, "stored": 0, "torn": 0, "left": 0}
    seen: set[str] = set()
    while True:
        found = orphans(
            where.spool_dir,
            where,
            transport,
            unaddressed=True,
            everybody=everybody,
            at_most=max(most_ended(), 1),
            leave=seen,
        )
        if not found:
            return counts, seen
        counts["producers"] += len(found)
        counts["stored"] += carry(transport, found, where.max_bytes, max(deadline - time.monotonic(), 0))
        counts["torn"] += sum(orphan.outbox.n_torn for orphan in found)
        counts["left"] += sum(sum(orphan.outbox.left()) for orphan in found)
        seen |= {orphan.outbox.producer_id for orphan in found}
        for orphan in found:
            orphan.release()


def wait_for(transport: Transport, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not transport.connected():
        if time.monotonic() >= deadline:
            return
        transport.idle(0.1)


def carry(transport: Transport, found: list[Orphan], max_bytes: int, timeout: float) -> int:
    """How many events became stored, until all are or nothing moves any more."""
    courier = Courier(transport, max_bytes)
    courier.outboxes = {orphan.outbox.producer_id: orphan.outbox for orphan in found}
    deadline = time.monotonic() + timeout
    moved_at, before = time.monotonic(), -1
    while found and time.monotonic() < deadline and time.monotonic() - moved_at < NO_PROGRESS_S:
        moved = courier.turn()
        for orphan in found:
            orphan.outbox.form(1)
            orphan.outbox.finish_reading()
        if all(orphan.outbox.is_empty() for orphan in found):
            break
        now = sum(orphan.outbox.n_stored for orphan in found)
        if moved or now != before:
            moved_at, before = time.monotonic(), now
        if not moved:
            transport.idle(0.05)
    return sum(orphan.outbox.n_stored for orphan in found)


def others(root: Path, ours: set[str], transport: Transport) -> dict[str, int]:
    """How many folders belong to live processes, to other keys or addresses, to other users, and to nobody knows whom."""
    live = foreign = other_users = damaged = 0
    with contextlib.suppress(OSError):
        for folder in root.iterdir():
            if folder.name.startswith(".") or folder.name in ours or not folder.is_dir():
                continue
            if (meta := read_meta(folder)) is None:
                damaged += any(folder.glob("*.seg"))
                continue
            lock_fd = try_lock(folder)
            if lock_fd is None:
                live += 1
                continue
            os.close(lock_fd)
            if transport.user is not None and is_of_another(meta, transport):
                other_users += 1
            else:
                foreign += 1
    return {"live": live, "foreign": foreign, "other_users": other_users, "damaged": damaged}

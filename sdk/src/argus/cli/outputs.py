"""`argus outputs`: whose a folder is, what deleting would free, deleting, and how that went."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

import click
import orjson

from argus.cli.deletion_words import counted, reason_in_words, state_in_words, why_left_alone
from argus.cli.door import Door
from argus.cli.selection import AT_ONCE, runs_where, where_option
from argus.cli.tables import byte_size, dollar_range, moment, plain, seconds, table
from argus.reader import ReadError, run_path

IN_FLIGHT = frozenset({"requested", "planned", "running"})
"""As `argus_contracts.queries.deletions` has it, which would load pydantic before each command."""
GOOD = frozenset({"deleted"})
TIMED_OUT = 124
"""Exit code of a `--wait` that took too long, as `timeout` has it."""
_POLL_S, _LONGEST_POLL_S = 1.0, 30.0
_NOT_HEARD_OF_S = 15.0
"""So long after it was decided a deletion may still be unknown to whoever asks for it."""
_AS_JSON = click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")
_WAIT = click.option("--wait", is_flag=True, help="Until it has ended: exit code 0 deleted, 1 not, 124 timed out.")
_TIMEOUT = click.option("--timeout", "timeout_s", type=click.FloatRange(min=0), default=3600.0, show_default=True, help="Of --wait, in seconds.")  # fmt: skip


@click.group()
def outputs() -> None:
    """What runs have written to object storage."""


@outputs.command()
@click.argument("what", metavar="RUN|s3://…")
@_AS_JSON
def info(what: str, as_json: bool) -> None:
    """The outputs of a run; or, of an address, the runs whose folder it is, or lies in."""
    door = Door()
    if what.startswith("s3://"):
        if not what.removeprefix("s3://").strip("/"):
            raise click.BadParameter(f"{what} names no bucket: it is s3://bucket/folder/", param_hint="RUN|s3://…")
        there = door.get("/api/outputs", location=what)["items"]
        if as_json:
            return click.echo(orjson.dumps(there).decode())
        rows = [
            (one["batch_id"], one["name"], one["user"], one["status"], byte_size(one["bytes"]), _folder(one)) for one in there
        ]  # fmt: skip
        return click.echo(
            table(("RUN", "NAME", "OWNER", "STATUS", "SIZE", "FOLDER"), rows, 60) if rows else "no run of yours"
        )
    run = door.get(run_path(what))["run"]
    if as_json:
        return click.echo(orjson.dumps(run).decode())
    for name, value in (
        ("run", run["batch_id"]), ("name", run["name"]), ("owner", f"{run['user']} ({run['workspace']})"),
        ("status", run["status"]), ("outputs", run["output_dir"]), ("size", byte_size(run["output_bytes"])),
        ("objects", run["output_objects"]), ("listed", moment(run["outputs_measured_at"])),
        ("deleted", moment(run["outputs_deleted_at"])), ("deletion", run["deletion_id"]),
    ):  # fmt: skip
        if value not in (None, "-"):
            click.echo(f"{name:<9} {plain(value, 400)}")
    return None


@outputs.command()
@click.argument("runs", nargs=-1, metavar="[RUN]…")
@where_option
@click.option("--as-user", help="For admins: only runs of this user are meant.")
@click.option(
    "--dry-run", is_flag=True, help="List what would be deleted; change nothing. Exit code 1 where nothing could be."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@_WAIT
@_TIMEOUT
@_AS_JSON
@click.pass_context
def delete(
    context: click.Context, *, runs: tuple[str, ...], conditions: tuple[str, ...], as_user: str | None, dry_run: bool, yes: bool,
    wait: bool, timeout_s: float, as_json: bool,
) -> None:  # fmt: skip
    """Delete the outputs of these runs. Their records, metrics and logs stay.

    A run whose deletion is on its way keeps that one: asking again does nothing twice.
    """
    if bool(runs) == bool(conditions):
        raise click.UsageError("name runs, or give --where: one of the two")
    door = Door()
    chosen = list(dict.fromkeys(runs)) or [run["batch_id"] for run in runs_where(door, conditions)]
    if not chosen:
        click.echo("[]" if as_json else "no run with outputs fits")
        context.exit(1 if dry_run else 0)
    lots = [chosen[at : at + AT_ONCE] for at in range(0, len(chosen), AT_ONCE)]
    if dry_run or not yes:
        asked = ({"batch_ids": lot, "as_user": as_user} for lot in lots)
        previews = [door.post("/api/outputs/deletions/preview", body) for body in asked]
        show_preview(previews, as_json=as_json and dry_run, to_stderr=as_json and not dry_run)
        n_runs = sum(preview["n_runs"] for preview in previews)
        if dry_run:
            context.exit(0 if n_runs else 1)
        _ask(n_runs, len(chosen), previews[0]["grace_s"], to_stderr=as_json)
    deadline = time.monotonic() + (timeout_s if wait else 0.0)
    answers = [_decided(door, lot, as_user, deadline) for lot in lots]
    results = [result for answer in answers for result in answer["results"]]
    on_the_way = [
        result["deletion_id"] for answer in answers if answer["outcome"] != "queued" for result in answer["results"]
        if result["deletion_id"] is not None
    ]  # fmt: skip
    ended = _waited(door, on_the_way, deadline) if wait else {}
    if as_json:
        told = [{**result, "deletion": ended.get(result["deletion_id"])} for result in results]
        click.echo(orjson.dumps(told).decode())
    else:
        _say_results(results, ended)
    is_undecided = wait and any(answer["outcome"] == "queued" for answer in answers)
    context.exit(TIMED_OUT if is_undecided else _exit_code(results, ended, waited=wait))


@outputs.command()
@click.argument("deletion_id")
@_WAIT
@_TIMEOUT
@_AS_JSON
@click.pass_context
def status(context: click.Context, deletion_id: str, wait: bool, timeout_s: float, as_json: bool) -> None:
    """How a deletion stands: its receipt."""
    door = Door()
    receipt = _receipt(door, deletion_id) if not wait else _heard_of(door, deletion_id, time.monotonic() + timeout_s)
    if as_json:
        click.echo(orjson.dumps(receipt).decode())
    else:
        show_receipt(receipt)
    context.exit(_code_of(receipt["state"], waited=wait))


@outputs.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN…")
def measure(runs: tuple[str, ...]) -> None:
    """List the output folders of these runs again. Their sizes follow."""
    door, chosen = Door(), list(dict.fromkeys(runs))
    for lot in (chosen[at : at + AT_ONCE] for at in range(0, len(chosen), AT_ONCE)):
        for result in door.post("/api/outputs/measurements", {"batch_ids": lot})["results"]:
            words = "will be listed" if result["skipped"] is None else f"left alone: {why_left_alone(result)}"
            click.echo(f"{plain(result['batch_id'], 128)}  {plain(words)}")


@outputs.command()
@_AS_JSON
def deletions(as_json: bool) -> None:
    """Deletions that you have asked for, and those of your runs by others: on their way, and of the last 24 hours."""
    there = Door().get("/api/dashboard/deletions")["items"]
    if as_json:
        return click.echo(orjson.dumps(there).decode())
    rows = [
        (
            one["deletion_id"], one["batch_id"], one["requested_by"], state_in_words(one["state"]), moment(one["due_at"]) if one["may_cancel"] else "-",
            _outcome(one),
        )
        for one in there
    ]  # fmt: skip
    return click.echo(
        table(("DELETION", "RUN", "BY", "STATE", "CAN BE CANCELLED UNTIL", "OUTCOME"), rows, 300)
        if rows
        else "no deletions"
    )


@outputs.command()
@click.argument("deletion_id")
def cancel(deletion_id: str) -> None:
    """Call a deletion off, as long as it has touched nothing."""
    Door().delete(f"/api/outputs/deletions/{deletion_id}")
    click.echo("cancelled: nothing was deleted")


def show_preview(previews: Sequence[dict[str, Any]], *, as_json: bool, to_stderr: bool = False) -> None:
    """What would be deleted, and what would be left and why."""
    if as_json:
        return click.echo(orjson.dumps(list(previews) if len(previews) > 1 else previews[0]).decode())
    runs = [run for preview in previews for run in preview["runs"]]
    rows = [
        (run["batch_id"], "leave alone", None, None, run["location"])
        if run["skipped"]
        else (run["batch_id"], "delete", run["objects"], byte_size(run["bytes"]), run["location"])
        for run in runs
    ]
    click.echo(table(("RUN", "WHAT", "OBJECTS", "SIZE", "WHERE"), rows, 128), err=to_stderr)
    if left := [run for run in runs if run["skipped"]]:
        click.echo("\nLeft alone:", err=to_stderr)
        for run in left:  # whole, however long: it may hold a command to copy
            click.echo(f"  {plain(run['batch_id'], 128)}: {plain(why_left_alone(run))}", err=to_stderr)
    n_runs, objects, n_bytes = (sum(preview[name] for preview in previews) for name in ("n_runs", "objects", "bytes"))
    least, most = (sum(preview[f"storage_usd_{end}"] for preview in previews) for end in ("min", "max"))
    about = "" if all(preview["complete"] for preview in previews) else "at least "
    click.echo(
        f"\n{n_runs} of {counted(len(rows), 'run')}: {about}{counted(objects, 'object')}, {byte_size(n_bytes)};"
        f" saves {dollar_range(least, most)} a year",
        err=to_stderr,
    )
    if any(run["versioned"] for run in runs):
        click.echo("The bucket keeps versions: all of them, and their delete markers, go.", err=to_stderr)
    return None


def show_receipt(receipt: dict[str, Any]) -> None:
    untouched = receipt["state"] in ("requested", "planned", "cancelled") and not receipt["objects"]
    for name, value in (
        ("deletion", receipt["deletion_id"]), ("state", state_in_words(receipt["state"])), ("run", f"{receipt['batch_id']} ({receipt['run_name']})"),
        ("of", receipt["owner"]), ("by", receipt["requested_by"]), ("for", receipt["as_user"]), ("where", receipt["location"]),
        ("asked", moment(receipt["requested_at"])), ("due", moment(receipt["due_at"]) if receipt["may_cancel"] else None),
        ("ended", moment(receipt["ended_at"])), ("objects", None if untouched else f"{receipt['objects_deleted']} of {receipt['objects'] or 0}"),
        ("freed", None if untouched else byte_size(receipt["bytes_freed"])), ("uploads", receipt["uploads_aborted"] or None),
        ("verified", moment(receipt["verified_at"])), ("left", receipt["remaining_objects"]),
        ("manifest", receipt["manifest_sha256"]), ("errors", receipt["n_errors"] or None), ("reason", reason_in_words(receipt["reason"])),
    ):  # fmt: skip
        if value not in (None, "-"):
            click.echo(f"{name:<9} {plain(value)}")


def _ask(n_runs: int, n_named: int, grace_s: float, *, to_stderr: bool) -> None:
    if n_runs == 0:
        raise click.ClickException("none of them can be deleted")
    phrase = _phrase(n_named)
    undone = (
        f"For {seconds(grace_s)} it can be called off; then it cannot be undone" if grace_s else "This cannot be undone"
    )
    if click.prompt(f"{undone}. Type `{phrase}` to go on", default="", show_default=False, err=to_stderr) != phrase:
        raise click.ClickException("nothing was deleted")


def _phrase(n_runs: int) -> str:
    return f"delete {counted(n_runs, 'run')}"


def _receipt(door: Door, deletion_id: str) -> dict[str, Any]:
    return door.get(f"/api/outputs/deletions/{deletion_id}")["deletion"]


def _decided(door: Door, lot: Sequence[str], as_user: str | None, deadline: float) -> dict[str, Any]:
    """The answer to the request. Where nobody has decided yet (the deleter is away, or has much to do), the same request is made
    again until the deadline: it does nothing twice."""
    body = {"batch_ids": lot, "as_user": as_user, "confirm": _phrase(len(lot)), "command_id": str(uuid.uuid4())}
    pause_s = _POLL_S
    while True:
        answer = door.post("/api/outputs/deletions", body)
        if answer["outcome"] != "queued" or time.monotonic() + pause_s > deadline:
            return answer
        body = {**body, "asked_at": answer["asked_at"]}  # what a run says meanwhile keeps it from being deleted
        time.sleep(pause_s)
        pause_s = min(_LONGEST_POLL_S, 2 * pause_s)


def _waited(door: Door, deletion_ids: Iterable[str], deadline: float) -> dict[str, dict[str, Any]]:
    """The receipts, of those that are still on their way at the deadline as they stand then."""
    return {deletion_id: _ended(door, deletion_id, deadline) for deletion_id in deletion_ids}


def _heard_of(door: Door, deletion_id: str, deadline: float) -> dict[str, Any]:
    """As `_ended`, of a deletion that somebody names. Errors: `ReadError`, where there is no such one."""
    _until_known(door, deletion_id, min(deadline, time.monotonic() + _NOT_HEARD_OF_S))
    return _ended(door, deletion_id, deadline)


def _until_known(door: Door, deletion_id: str, deadline: float) -> dict[str, Any]:
    """The receipt; the moment after it was decided nobody has heard of a deletion."""
    while True:
        try:
            return _receipt(door, deletion_id)
        except ReadError as error:
            if error.status != 404 or time.monotonic() + _POLL_S > deadline:
                raise
        time.sleep(_POLL_S)


def _ended(door: Door, deletion_id: str, deadline: float) -> dict[str, Any]:
    """The receipt once it has ended, or as it stands at the deadline, or stood before its run was purged."""
    receipt = _until_known(door, deletion_id, max(deadline, time.monotonic() + _NOT_HEARD_OF_S))
    while receipt["state"] in IN_FLIGHT and time.monotonic() < deadline:
        time.sleep(min(_POLL_S, max(0.0, deadline - time.monotonic())))
        try:
            receipt = _receipt(door, deletion_id)
        except ReadError as error:
            if error.status != 404:
                raise
            return receipt
    return receipt


def _say_results(results: Sequence[dict[str, Any]], ended: dict[str, dict[str, Any]]) -> None:
    for result in results:
        receipt = ended.get(result["deletion_id"] or "")
        if receipt is not None:
            n_objects = counted(receipt["objects_deleted"], "object")
            what = f"{state_in_words(receipt['state'])}: {n_objects}, {byte_size(receipt['bytes_freed'])} freed"
            still = f" (deletion {receipt['deletion_id']})" if receipt["state"] in IN_FLIGHT else ""
            why = reason_in_words(receipt["reason"])
            words = f"{what}{f'; {why}' if why else ''}{still}"
        elif result["skipped"] in (None, "in_flight"):
            due = f", can be cancelled until {moment(result['due_at'])}" if result["due_at"] else ""
            words = f"deletion {result['deletion_id'] or 'queued'}{due}"
        else:
            words = f"left alone: {why_left_alone(result)}"
        click.echo(f"{plain(result['batch_id'], 128)}  {plain(words)}")


def _exit_code(results: Sequence[dict[str, Any]], ended: dict[str, dict[str, Any]], *, waited: bool) -> int:
    """124 where one timed out, else 1 where one failed or was refused; deleted already is as good as deleted."""
    refused = any(result["skipped"] not in (None, "in_flight", "already_deleted") for result in results)
    codes = {_code_of(receipt["state"], waited=waited) for receipt in ended.values()}
    return TIMED_OUT if TIMED_OUT in codes else 1 if refused or 1 in codes else 0


def _code_of(state: str, *, waited: bool) -> int:
    if state in IN_FLIGHT:
        return TIMED_OUT if waited else 0
    return 0 if state in GOOD else 1


def _outcome(one: dict[str, Any]) -> str | None:
    """What has come of it so far; None: nothing."""
    if one["state"] in ("requested", "planned"):
        return None
    if one["state"] == "cancelled":
        return "nothing was deleted"
    said = [
        f"{counted(one['objects_deleted'], 'object')}, {byte_size(one['bytes_freed'])} freed",
        reason_in_words(one["reason"]),
    ]
    return "; ".join(part for part in said if part)


def _folder(one: dict[str, Any]) -> str:
    return f"{one['folder']} (work)" if one["is_work_dir"] else one["folder"]

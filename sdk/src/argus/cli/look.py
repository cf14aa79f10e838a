"""`argus runs`, `argus show`, `argus tail`: what the pages show, in a terminal."""

from __future__ import annotations

from typing import Any

import click
import orjson

from argus.cli.door import Door
from argus.cli.follow import ENDED, ended_at
from argus.cli.follow import follow as lines_behind
from argus.cli.tables import moment, plain, seconds, table
from argus.reader import job_path, run_path

STATUSES = ["queued", "running", "stopping", "succeeded", "failed", "aborted", "disconnected"]


def ended_jobs(jobs: dict[str, int]) -> str:
    """As the page says it: how many jobs have ended, of how many, and how many of them failed."""
    ended = sum(jobs[status] for status in ENDED)
    return f"{ended}/{jobs['total']}" + (f", {jobs['failed']} failed" if jobs["failed"] else "")


@click.command()
@click.option("--status", multiple=True, type=click.Choice(STATUSES), help="May be given several times.")
@click.option("--project")
@click.option("--search", help="A part of the name, id, project or a label.")
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")
def runs(status: tuple[str, ...], project: str | None, search: str | None, limit: int, as_json: bool) -> None:
    """The newest runs."""
    answer = Door().get("/api/batches", status=list(status), project=project, search=search, limit=limit)
    if as_json:
        return print_json(answer)
    rows = [
        (
            run["batch_id"], run["name"], run["project"], status_of(run), progress(run["progress"]),
            ended_jobs(run["jobs"]),
            moment(run["started_at"]), seconds(run["elapsed_s"]),
        )
        for run in answer["items"]
    ]  # fmt: skip
    if not rows:
        return click.echo("no runs")
    return click.echo(table(("RUN", "NAME", "PROJECT", "STATUS", "DONE", "JOBS", "STARTED", "ELAPSED"), rows, 60))


@click.command()
@click.argument("what", metavar="RUN[/JOB]")
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")
def show(what: str, as_json: bool) -> None:
    """One run with its jobs, or one job with its metrics."""
    batch_id, job_id = parts(what)
    door = Door()
    if job_id is not None:
        answer = door.get(job_path(batch_id, job_id))
        return print_json(answer) if as_json else show_job(answer["job"])
    answer = door.get(run_path(batch_id))
    jobs = door.get(f"{run_path(batch_id)}/jobs", limit=1000)
    if as_json:
        return print_json({**answer, "jobs": jobs["items"]})
    return show_run(answer["run"], jobs["items"])


@click.command()
@click.argument("what", metavar="RUN[/JOB]")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run has ended (or Ctrl-C).")
@click.option("-n", "--lines", type=click.IntRange(1, 2000), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def tail(what: str, follow: bool, lines: int, as_json: bool) -> None:
    """The newest log lines of a run or a job."""
    batch_id, job_id = parts(what)
    door = Door()
    path = f"{run_path(batch_id)}/log-lines"
    ended = follow and ended_at(door, batch_id, job_id) is not None
    answer = door.get(path, job_id=job_id, limit=lines)
    print_lines(answer["lines"], as_json, with_job=job_id is None)
    if follow and not ended:
        for line in lines_behind(door, batch_id, job_id, answer):
            print_lines([line], as_json, with_job=job_id is None)


def parts(what: str) -> tuple[str, str | None]:
    batch_id, slash, job_id = what.partition("/")
    return batch_id, (job_id if slash and job_id else None)


def print_lines(lines: list[dict[str, Any]], as_json: bool, *, with_job: bool) -> None:
    """The lines stand on the screen."""
    for line in lines:
        if as_json:
            print_json(line)
            continue
        if line["missing_before"]:
            click.secho(f"… {line['missing_before']} lines not received", dim=True)
        head = moment(line["occurred_at"])[11:]
        job = f" {plain(line['job_id'], 24)}" if with_job and line["job_id"] else ""
        level = f" {plain(line['level'], 8)}" if line["level"] else ""
        click.echo(f"{click.style(head + job + level, dim=True)} {plain(line['line'])}")


def show_run(run: dict[str, Any], jobs: list[dict[str, Any]]) -> None:
    facts = [
        ("run", run["batch_id"]), ("name", run["name"]), ("project", run["project"]), ("status", status_of(run)),
        ("reason", run["reason"]), ("owner", f"{run['user']} ({run['workspace']})"), ("host", run["host"]),
        ("started", moment(run["started_at"])), ("elapsed", seconds(run["elapsed_s"])),
        ("attempt", run["attempt"] if run["attempt"] > 1 else None),
        ("command", " ".join(run["environment"]["command"]) or None), ("commit", run["environment"]["git_commit"]),
    ]  # fmt: skip
    print_facts(facts)
    if jobs:
        rows = [
            (
                job["job_id"], job["status"], progress(job["progress"]), job["epoch"], job["step"], job["loss"],
                seconds(job["eta_s"]) if job["eta_s"] is not None else None, seconds(job["elapsed_s"]),
            )
            for job in jobs
        ]  # fmt: skip
        click.echo("")
        click.echo(table(("JOB", "STATUS", "DONE", "EPOCH", "STEP", "LOSS", "LEFT", "ELAPSED"), rows))


def show_job(job: dict[str, Any]) -> None:
    facts = [
        ("job", f"{job['batch_id']}/{job['job_id']}"), ("status", job["status"]), ("reason", job["reason"]),
        ("model", job["model"]), ("dataset", job["dataset"]), ("host", job["host"]),
        ("progress", progress(job["progress"])), ("left", seconds(job["eta_s"]) if job["eta_s"] is not None else None),
        ("elapsed", seconds(job["elapsed_s"])), ("GPU use", f"{job['gpu_util_pct']:.0f} %" if job["gpu_util_pct"] is not None else None),
        ("params", orjson.dumps(job["params"]).decode() if job["params"] else None),
    ]  # fmt: skip
    print_facts(facts)
    metrics = [item for item in job["series"] if item["family"] == "metric"]
    if metrics:
        rows = [(m["key"], m["last"], m["last_step"], m["min"], m["max"], m["n_points"]) for m in metrics]
        click.echo("")
        click.echo(table(("METRIC", "LAST", "STEP", "MIN", "MAX", "POINTS"), rows))
    if job["traceback"]:
        click.echo("\n" + "\n".join(plain(line) for line in job["traceback"].splitlines()))


def print_facts(facts: list[tuple[str, Any]]) -> None:
    for name, value in facts:
        if value not in (None, "-", ""):
            click.echo(f"{name:<9} {plain(value, 400)}")


def print_json(value: Any) -> None:
    click.echo(orjson.dumps(value).decode())


def status_of(run: dict[str, Any]) -> str:
    if run.get("disconnected_since") and run["status"] not in ENDED:
        return f"{run['status']} (disconnected)"
    return run["status"]


def progress(share: float | None) -> str | None:
    return None if share is None else f"{share * 100:.0f} %"

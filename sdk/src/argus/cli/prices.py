"""`argus prices`: what machines cost an hour; `argus prices set` says so."""

from __future__ import annotations

from datetime import UTC, datetime
from math import isfinite

import click

from argus.cli.door import Door
from argus.cli.look import print_json
from argus.cli.tables import moment, table
from argus.machine import CAPACITIES

_LONGEST_TYPE = 256


@click.group(invoke_without_command=True)
@click.option("--workspace", help="Of this workspace only.")
@click.option("--all", "with_restated", is_flag=True, help="Those that were restated since, too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def prices(context: click.Context, workspace: str | None, with_restated: bool, as_json: bool) -> None:
    """What machines cost an hour, by type, capacity and from when on."""
    if context.invoked_subcommand is not None:
        return
    found = [price for price in Door().prices(workspace=workspace) if with_restated or price["counts"]]
    if as_json:
        for price in found:
            print_json(price)
        return
    rows = [
        (
            price["workspace"], price["instance_type"], price["capacity"], price["usd_per_hour"],
            moment(price["effective_from"]), price["recorded_by"], None if price["counts"] else "restated",
        )
        for price in found
    ]  # fmt: skip
    click.echo(
        "no prices"
        if not rows
        else table(("WORKSPACE", "TYPE", "CAPACITY", "USD/HOUR", "FROM", "BY", "NOTE"), rows, 60)
    )


@prices.command("set")
@click.argument("instance_type", metavar="TYPE")
@click.option("--capacity", type=click.Choice(CAPACITIES), required=True)
@click.option("--usd-per-hour", type=click.FloatRange(0, 1_000_000), required=True)
@click.option("--from", "since", type=click.DateTime(), required=True, help="UTC; the same moment again restates it.")
@click.option("--workspace", help="Yours, where it is not given.")
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")
def set_price(
    instance_type: str, capacity: str, usd_per_hour: float, since: datetime, *, workspace: str | None, as_json: bool
) -> None:
    """A machine costs so much from a moment on. For administrators of the workspace, with a key of full rights."""
    if not instance_type.strip() or not instance_type.isprintable() or len(instance_type) > _LONGEST_TYPE:
        raise click.BadParameter("it is the name of a kind of machine, such as g5.xlarge", param_hint="TYPE")
    if not isfinite(usd_per_hour):
        raise click.BadParameter("it is a number of dollars", param_hint="--usd-per-hour")
    door = Door()
    body = {
        "workspace": workspace or door.get("/api/auth/me")["workspace"], "instance_type": instance_type,
        "capacity": capacity, "usd_per_hour": usd_per_hour, "effective_from": since.replace(tzinfo=UTC).isoformat(),
    }  # fmt: skip
    answer = door.post("/api/prices", body)
    if as_json:
        print_json(answer)
    else:
        when = f"{since:%Y-%m-%d %H:%M:%S} UTC"
        click.echo(f"{instance_type} ({capacity}): {usd_per_hour:g} USD an hour in {body['workspace']} from {when} on")

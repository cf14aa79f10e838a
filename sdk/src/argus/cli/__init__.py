"""The `argus` command."""

from __future__ import annotations

from typing import Any

import click

from argus.cli.login import login
from argus.cli.look import runs, show, tail
from argus.cli.outputs import outputs
from argus.cli.prices import prices
from argus.cli.sync import sync
from argus.reader import ReadError


class Commands(click.Group):
    """Every trouble of reading ends the command with one clear line (exit code 1)."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ReadError as error:
            raise click.ClickException(str(error)) from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="argus-sdk", prog_name="argus")
def main() -> None:
    """Look at training runs, follow their logs, delete their outputs, say what machines cost, send what is still on this machine."""


for command in (login, runs, show, tail, outputs, prices, sync):
    main.add_command(command)

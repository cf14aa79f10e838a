"""The `argus` command."""

from __future__ import annotations

import click

from argus.cli.login import login
from argus.cli.look import runs, show, tail
from argus.cli.sync import sync


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="argus-sdk", prog_name="argus")
def main() -> None:
    """Look at training runs, follow their logs, send what is still on this machine."""


for command in (login, runs, show, tail, sync):
    main.add_command(command)

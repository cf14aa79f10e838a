"""`argus-ingest`: accept facts, once, into the log."""

from __future__ import annotations

import argparse
import gc
import logging
import sys
from typing import TypeVar

import uvloop
from psycopg import Error as DatabaseError
from pydantic import ValidationError
from pydantic_settings import BaseSettings

from argus_ingest.app import run
from argus_ingest.database import connect
from argus_ingest.migrate import migrate
from argus_ingest.redrive import Redriven, redrive
from argus_ingest.settings import DatabaseSettings, Settings

AnySettings = TypeVar("AnySettings", bound=BaseSettings)


def main() -> None:
    """Runs until it is told to stop, or redrives. Exit status 2: a setting or argument is wrong."""
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if arguments.command == "redrive":
        sys.exit(uvloop.run(_redrive(_settings(DatabaseSettings), arguments.code, arguments.dry_run)))
    settings = _settings(Settings)
    # A commit makes some 10**6 objects and frees them all: the collector finds nothing in them, and took a third of the time.
    gc.freeze()
    gc.set_threshold(500_000, 20, 100)
    sys.exit(uvloop.run(run(settings)))


def _settings(kind: type[AnySettings]) -> AnySettings:
    try:
        return kind()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        sys.stderr.write(f"argus-ingest: ARGUS_{'_'.join(map(str, first['loc'])).upper()}: {first['msg']}\n")
        sys.exit(2)


async def _redrive(settings: DatabaseSettings, codes: list[str], dry_run: bool) -> int:
    try:
        async with await connect(settings.database_url) as connection:
            await migrate(connection)
            outcome = await redrive(connection, codes, dry_run=dry_run)
    except DatabaseError as error:  # what was redriven before it stays so
        sys.stderr.write(f"argus-ingest: {' '.join(str(error).split())[:300]}\n")
        return 1
    sys.stdout.write(_sentences(outcome, dry_run))
    return 0


def _sentences(outcome: Redriven, dry_run: bool) -> str:
    verb = "would go" if dry_run else "went"
    lines = [
        f"{outcome.n_letters} dead letters {verb} into the log: {outcome.n_events} events, "
        f"{outcome.n_repeats} more that it had already"
    ]
    lines += [f"{n} dead letters are refused as before ({code})" for code, n in sorted(outcome.still_refused.items())]
    return "\n".join(lines) + "\n"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="argus-ingest", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("run", help="accept events until a signal (what happens without a command, too)")
    again = commands.add_parser("redrive", help="put dead letters through acceptance again, after a fix or an upgrade")
    again.add_argument("--code", action="append", default=[], help="only those buried under this code; may be repeated")
    again.add_argument("--dry-run", action="store_true", help="change nothing, say what would happen")
    return parser.parse_args()


if __name__ == "__main__":
    main()

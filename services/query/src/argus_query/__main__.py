"""`argus-query`: folds the log into read models and answers questions about them."""

from __future__ import annotations

import argparse
import gc
import logging
import sys

import uvloop
from pydantic import ValidationError

from argus_query import app
from argus_query.models import all_models, models_named
from argus_query.rebuild import RebuildRuns, differences, rebuild
from argus_query.settings import Settings, problem_of


def main() -> None:
    """Exit status 2: a setting or argument is wrong."""
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
    try:
        settings = Settings()  # pyright: ignore[reportCallIssue] the environment fills it
    except ValidationError as error:
        sys.stderr.write(f"argus-query: {problem_of(error)}\n")
        sys.exit(2)
    sys.exit(_run(arguments, settings))


def _run(arguments: argparse.Namespace, settings: Settings) -> int:
    if arguments.command == "run":
        return uvloop.run(app.run(settings))
    if arguments.command == "answer":
        return uvloop.run(app.answer(settings))
    # A fold makes many objects and frees them all: the collector finds nothing in them.
    gc.freeze()
    gc.set_threshold(500_000, 20, 100)
    if arguments.command == "project":
        return uvloop.run(app.project(settings, arguments.until_stdin_closes))
    if arguments.command == "check":
        return uvloop.run(_check(settings))
    try:
        position = uvloop.run(rebuild(settings.database_url, models_named(arguments.name)))
    except RebuildRuns as error:
        sys.stderr.write(f"argus-query: {error}\n")
        return 1
    sys.stdout.write(f"rebuilt {arguments.name} up to position {position}\n")
    return 0


async def _check(settings: Settings) -> int:
    different = await differences(settings.database_url, all_models())
    for table in different:
        sys.stdout.write(f"{table} differs from what the log says\n")
    if not different:
        sys.stdout.write("the read models are as the log says\n")
    return 1 if different else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="argus-query", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="answer questions and follow the log")
    commands.add_parser("answer", help="only answer questions; as many copies as you like")
    project = commands.add_parser("project", help="only follow the log; a second copy waits")
    project.add_argument("--until-stdin-closes", action="store_true", help=argparse.SUPPRESS)
    again = commands.add_parser("rebuild", help="build a read model anew from the log, beside the live one, and swap")
    again.add_argument("name", choices=[*(model.name for model in all_models()), "all"])
    commands.add_parser("check", help="compare the read models with ones built anew; exit status 1 where they differ")
    return parser.parse_args()


if __name__ == "__main__":
    main()

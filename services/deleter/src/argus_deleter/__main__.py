"""`argus-deleter`: deletes the outputs of runs in object storage, and measures them."""

from __future__ import annotations

import argparse
import logging
import sys

import uvloop
from pydantic import ValidationError

from argus_deleter.app import run
from argus_deleter.settings import Settings


def main() -> None:
    """Runs until it is told to stop. Exit status 2: a setting or argument is wrong."""
    argparse.ArgumentParser(prog="argus-deleter", description=__doc__).parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    sys.exit(uvloop.run(run(_settings())))


def _settings() -> Settings:
    try:
        return Settings()  # pyright: ignore[reportCallIssue] the environment has the values
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        sys.stderr.write(f"argus-deleter: ARGUS_{'_'.join(map(str, first['loc'])).upper()}: {first['msg']}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()

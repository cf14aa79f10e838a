"""`argus-gateway run | create-admin | openapi`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys

from argus_contracts.errors import Unavailable
from argus_gateway.settings import DatabaseSettings, Settings, SettingsWrong, load


def main() -> None:
    parser = argparse.ArgumentParser(
        "argus-gateway", description="The only door of Argus: HTTP, SSE, identity, authorisation."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="serve")
    admin = commands.add_parser(
        "create-admin", help="make a global administrator with a random password and an API key"
    )
    admin.add_argument("--username", default="admin")
    admin.add_argument("--workspace", default="main")
    admin.add_argument(
        "--reset", action="store_true", help="the user exists: a new password and a new key, old sessions end"
    )
    admin.add_argument("--json", action="store_true", help="answer as one line of JSON")
    commands.add_parser("openapi", help="print the OpenAPI document")
    said = parser.parse_args()
    try:
        match said.command:
            case "run":
                from argus_gateway.serve import serve

                sys.exit(serve(load(Settings)))
            case "create-admin":
                from argus_gateway.create_admin import create_admin

                logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
                settings = load(DatabaseSettings)
                sys.exit(asyncio.run(create_admin(settings, said.username, said.workspace, said.reset, said.json)))
            case _:
                from argus_gateway.app import openapi_document

                sys.stdout.write(openapi_document().decode() + "\n")
    except (SettingsWrong, Unavailable) as error:
        sys.exit(f"argus-gateway: {error}")


if __name__ == "__main__":
    main()

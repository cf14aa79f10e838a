"""Runs the shared servers of one test run until nobody uses them: `python -m argus_testkit.keeper FOLDER`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

from argus_testkit.databases import make_template, new_passwords
from argus_testkit.servers import new_nats, new_postgres
from argus_testkit.shared_servers import living_users, locked


def main(folder: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for pytest; we follow when it has left
    postgres, nats = new_postgres(folder / "postgres"), new_nats(folder / "nats")
    try:
        postgres.start(60)
        nats.start(60)
        passwords = new_passwords()
        make_template(postgres.admin_url, passwords)
        settings = nats.settings
        facts = {
            "admin_url": postgres.admin_url,
            "passwords": passwords,
            "nats": {
                "url": settings.url,
                "monitor_url": f"http://127.0.0.1:{settings.monitor_port}",
                "websocket_url": settings.websocket_url,
                "passwords": dict(settings.passwords),
                "issuer_seed": settings.issuer_seed,
            },
        }
        fresh = folder / "servers.json.new"
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(facts))
        fresh.rename(folder / "servers.json")
        while True:
            time.sleep(0.25)
            if not living_users(folder):
                with locked(folder):
                    if not living_users(folder):
                        nats.stop()
                        postgres.stop()
                        shutil.rmtree(folder, ignore_errors=True)
                        return
    finally:
        nats.stop()
        postgres.stop()


if __name__ == "__main__":
    os.umask(0o022)
    main(Path(sys.argv[1]))

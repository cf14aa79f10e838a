"""The command line without a server."""

from __future__ import annotations

import httpx
import orjson
import pytest
from click.testing import CliRunner

from argus.cli import main
from argus.cli.login import login


def test_a_piped_key_is_read_without_a_word_about_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    """`argus login URL < key.txt` printed getpass' warning that input may be echoed."""
    sent: list[str] = []

    def answer(address: str, headers: dict[str, str], timeout: float) -> None:
        sent.append(headers["Authorization"])
        raise httpx.ConnectError("away")

    monkeypatch.setattr(httpx, "get", answer)
    done = CliRunner().invoke(login, ["http://127.0.0.1:9"], input="ak_piped\n")
    assert (done.exit_code, sent) == (1, ["Bearer ak_piped"])
    assert done.output == "Error: cannot reach http://127.0.0.1:9: away\n"
    assert "no key" in CliRunner().invoke(login, ["http://127.0.0.1:9"], input="").output


def test_prices_are_listed_and_set(monkeypatch: pytest.MonkeyPatch) -> None:
    price = {
        "event_id": "e", "workspace": "lab", "instance_type": "p4d", "capacity": "spot", "usd_per_hour": 1.25,
        "effective_from": "2026-01-01T12:00:00Z", "recorded_at": "2026-01-01T12:00:00Z", "recorded_by": "ada",
        "received_at": "2026-01-01T12:00:00Z", "position": 1, "counts": True,
    }  # fmt: skip
    posted: list[dict[str, object]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            posted.append(orjson.loads(request.content))
            return (
                httpx.Response(202, json={"event_id": "e"})
                if posted[-1]["usd_per_hour"]
                else httpx.Response(403, json={})
            )
        if request.url.path == "/api/auth/me":
            return httpx.Response(200, json={"workspace": "lab"})
        return httpx.Response(
            200, json={"items": [price, {**price, "usd_per_hour": 9.75, "counts": False}], "next_cursor": None}
        )

    client = httpx.Client
    monkeypatch.setattr(httpx, "Client", lambda **options: client(transport=httpx.MockTransport(answer), **options))
    monkeypatch.setenv("ARGUS_URL", "http://argus")
    monkeypatch.setenv("ARGUS_TOKEN", "ak_x_y")
    listed = CliRunner().invoke(main, ["prices"])
    assert (listed.exit_code, "1.25" in listed.output, "9.75" in listed.output) == (0, True, False)
    assert "restated" in CliRunner().invoke(main, ["prices", "--all"]).output
    arguments = ["prices", "set", "p4d", "--capacity", "spot", "--from", "2026-01-01", "--usd-per-hour"]
    done = CliRunner().invoke(main, [*arguments, "1.25"])
    assert done.exit_code == 0, done.output
    assert posted == [{
        "workspace": "lab", "instance_type": "p4d", "capacity": "spot", "usd_per_hour": 1.25,
        "effective_from": "2026-01-01T00:00:00+00:00",
    }]  # fmt: skip
    assert CliRunner().invoke(main, [*arguments, "0"]).exit_code == 1

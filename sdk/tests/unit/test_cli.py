"""The command line without a server."""

from __future__ import annotations

import httpx
import pytest
from click.testing import CliRunner

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

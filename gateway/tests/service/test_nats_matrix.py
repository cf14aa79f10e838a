"""Z1, Z4: every subject × everybody who connects to NATS, against the reviewed table of docs/authorisation.md."""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import nats
import pytest
from nats.aio.client import Client

from argus_contracts import subjects
from argus_testkit.documents import read_table
from argus_testkit.nats import Heard, key_client, nats_client, settled
from argus_testkit.waiting import eventually_async

_NO_SUBJECTS = {"token", "untoken", "partition", "parse_event_subject", "syncs_always"}
_NO_PATTERNS = {"EVENTS_STREAM", "COMMANDS_STREAM", "ANY_PARTITION"}
_REFUSED = re.compile(r'permissions violation for (publish|subscription) to "([^"]+)"')


@pytest.fixture(scope="module")
def table() -> dict[tuple[str, str], dict[str, str]]:
    """(subject, whose) -> who connects -> what they may: `say`, `hear`, both or `–`."""
    callers, rows = read_table("authorisation.md", "NATS")
    return {row: dict(zip(callers, cells, strict=True)) for row, cells in rows.items()}


def subject_of(name: str, whose: str, key: Mapping[str, str]) -> str:
    """The subject that the row means. key: id, user and workspace of the key whose subject it is."""
    known = getattr(subjects, name, None)
    if isinstance(known, str):
        return known
    if known is None:
        return name.format(**key)
    fitting = {"workspace": key["workspace"], "user": key["user"], "batch_id": f"b-{whose[:4]}", "host": "box"}
    return known(*(fitting.get(parameter, "x") for parameter in inspect.signature(known).parameters))


def test_the_table_has_a_row_for_every_subject_of_the_contract(table):
    public = {name: value for name, value in vars(subjects).items() if not name.startswith("_")}
    own = {name for name, value in public.items() if getattr(value, "__module__", "") == subjects.__name__}
    functions = {name for name in own if inspect.isfunction(public[name])} - _NO_SUBJECTS
    patterns = {name for name, value in public.items() if name.isupper() and isinstance(value, str)} - _NO_PATTERNS
    assert functions | patterns <= {name for name, _ in table}
    told_apart = {name for name in functions if "user" in inspect.signature(getattr(subjects, name)).parameters}
    assert all((name, whose) in table for name in told_apart for whose in ("own", "mate's", "foreign"))


@contextlib.asynccontextmanager
async def connected(door: Any, who: str, token: str) -> AsyncIterator[tuple[Client, Heard]]:
    """A connection as somebody, and what the server refused it."""
    heard = Heard()
    user = {"operator": "admin"}.get(who, who)
    connection = key_client(door.nats, token) if who == "key" else nats_client(door.nats, user, error_cb=heard.error)
    async with connection as made:
        yield made if isinstance(made, tuple) else (made, heard)


@pytest.mark.parametrize("who", ["key", "ingest", "query", "deleter", "gateway", "operator"])
async def test_everybody_says_and_hears_exactly_what_the_table_says(door, table, who):
    home = door.new_workspace()
    mine, mate, foreigner = door.new_person(home), door.new_person(home), door.new_person(door.new_workspace())
    tokens = {"own": door.key_of(mine), "mate's": door.key_of(mate), "foreign": door.key_of(foreigner)}
    facts = {
        whose: door.client(token).get("/api/auth/me").json() | {"id": token.split("_")[1]}
        for whose, token in tokens.items()
    }
    asked = {row: subject_of(*row, facts.get(row[1], facts["own"])) for row in table}
    assert len(set(asked.values())) == len(asked), "two rows mean one subject"
    async with connected(door, who, tokens["own"]) as (client, heard_of):
        for subject in asked.values():
            await client.publish(subject, b"x")
            heard = await client.subscribe(subject)
            shared = await client.subscribe(subject, queue="q")
            await settled(client)
            for subscription in (heard, shared):
                with contextlib.suppress(nats.errors.BadSubscriptionError):  # refused: there is none to end
                    await subscription.unsubscribe()
        cells = {subject: table[row][who] for row, subject in asked.items()}
        n_expected = sum(("say" not in cell) + 2 * ("hear" not in cell) for cell in cells.values())
        refused = heard_of.errors
        await eventually_async(lambda: len(refused) >= n_expected, what=f"{n_expected} refusals of {who}")
        await settled(client)
    found = {match.groups() for error in refused for match in [_REFUSED.search(error.lower())] if match}
    for subject, cell in cells.items():
        lower = subject.lower()
        allowed = [word for word, act in (("say", "publish"), ("hear", "subscription")) if (act, lower) not in found]
        assert (", ".join(allowed) or "–") == cell, (who, subject)
    assert len(refused) == n_expected

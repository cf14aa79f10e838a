"""Z4: who connects to NATS with a key may speak as that key's user and as nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import Iterator

import nats
import nats.errors
import orjson
import pytest

from argus_contracts.subjects import event_subject, own_events, stored_subject
from argus_testkit.nats import CONNECT_SECONDS, Heard, connect, key_client, refused_connections, settled
from argus_testkit.waiting import eventually_async


@pytest.fixture(autouse=True)
def forgotten_sockets() -> Iterator[None]:
    """nats-py 2.16 forgets to close the sockets of connections that the server cut: they go before the next test."""
    yield
    with refused_connections():
        pass


def message(batch: str, *kinds: str) -> bytes:
    events = [
        {"event_id": str(uuid.uuid4()), "kind": kind, "batch_id": batch, "occurred_at": "2026-11-21T03:00:00Z", "data": {}, "user": "forged"}
        for kind in kinds
    ]  # fmt: skip
    return orjson.dumps({"v": 2, "class": "lifecycle", "events": events})


def has_been_refused(heard: Heard) -> bool:
    return any("authorization violation" in error.lower() for error in heard.errors)


async def test_a_key_publishes_as_its_user_and_learns_who_that_is(door):
    person = door.new_person()
    token = door.key_of(person)
    batch = f"b-{uuid.uuid4().hex[:10]}"
    async with key_client(door.nats, token) as (client, heard):
        who = json.loads((await client.request("$SYS.REQ.USER.INFO", b"", timeout=30)).data)["data"]
        assert own_events("main", person.name) in who["permissions"]["publish"]["allow"]
        ack = await client.jetstream(timeout=30).publish(
            event_subject("main", person.name, batch), message(batch, "batch_start")
        )
        assert ack.stream == "ARGUS_EVENTS"
        assert not heard.errors

    def owner():
        return door.sql("SELECT workspace, user_name FROM log.record_batches WHERE batch_id = %s", batch)

    assert await eventually_async(owner, within=100) == [("main", person.name)]


async def test_a_key_may_say_and_hear_nothing_else(door):
    person, other = door.new_person(), door.new_person()
    token = door.key_of(person)
    name, workspace = person.name, door.new_workspace()
    forbidden_to_say = [
        event_subject("main", other.name, "b"), event_subject(workspace, name, "b"), "argus.events.main", "argus.commands.deleter.purge",
        "argus.ask.list_runs", "argus.live.x", stored_subject("main", name), "$JS.API.STREAM.INFO.ARGUS_EVENTS",
        "$JS.API.STREAM.PURGE.ARGUS_EVENTS", "$JS.ACK.ARGUS_EVENTS.ingest-log.1.1.1.1.0", "$SYS.REQ.USER.AUTH",
        "$SYS.REQ.SERVER.PING.CONNZ", "_INBOX_gateway.x", f"_INBOX_{door.key_of(other).split('_')[1]}.x",
    ]  # fmt: skip
    forbidden_to_hear = [
        ">", "argus.>", "argus.events.>", own_events("main", name), "_INBOX.>", "_INBOX_gateway.>", "argus.stored.>",
        stored_subject("main", other.name), "argus.live.*", "argus.ask.>", "$SYS.>", "$JS.>", "$SYS.REQ.USER.AUTH",
    ]  # fmt: skip
    async with key_client(door.nats, token) as (client, heard):
        for subject in forbidden_to_say:
            await client.publish(subject, b"x")
        for subject in forbidden_to_hear:
            await client.subscribe(subject)
            await client.subscribe(subject, queue="q")
        await settled(client)
        wanted = len(forbidden_to_say) + 2 * len(forbidden_to_hear)
        await eventually_async(lambda: len(heard.errors) >= wanted)
        assert all("permissions violation" in error.lower() for error in heard.errors)
        for subject in (*forbidden_to_say, *forbidden_to_hear):
            assert any(subject.lower() in error.lower() for error in heard.errors), subject
        assert client.is_connected


@pytest.mark.parametrize("token", ["", "x", "ak_aaaaaaaaaaaa_" + "a" * 43, "ak_aaaaaaaaaaaa_short", "nkey", "a" * 3000])
async def test_without_a_good_key_nobody_comes_in(door, token):
    with refused_connections():
        with pytest.raises((nats.errors.Error, TimeoutError)):
            await connect(
                door.nats.settings.url, token=token or None, allow_reconnect=False, connect_timeout=CONNECT_SECONDS
            )
        with pytest.raises((nats.errors.Error, TimeoutError)):
            await connect(
                door.nats.settings.url,
                user="gateway",
                password="guess",
                allow_reconnect=False,
                connect_timeout=CONNECT_SECONDS,
            )


async def test_a_secret_of_one_key_does_not_open_another(door):
    person = door.new_person()
    first, second = door.key_of(person), door.key_of(person)
    mixed = f"ak_{first.split('_')[1]}_{second.split('_')[2]}"
    with refused_connections(), pytest.raises((nats.errors.Error, TimeoutError)):
        await connect(door.nats.settings.url, token=mixed, allow_reconnect=False, connect_timeout=CONNECT_SECONDS)
    assert door.client(mixed).get("/api/auth/me").status_code == 401


async def test_revoking_a_key_cuts_its_connection_and_no_other(door):
    person = door.new_person()
    kept, revoked = door.key_of(person), door.key_of(person)
    with refused_connections():
        async with (
            key_client(door.nats, kept) as (other, other_heard),
            key_client(door.nats, revoked) as (client, heard),
        ):
            assert person.delete(f"/api/keys/{revoked.split('_')[1]}").status_code == 204
            await eventually_async(lambda: heard.disconnected > 0)
            await eventually_async(lambda: has_been_refused(heard), what="it tried to come in again")
            assert not client.is_connected
            assert other.is_connected
            assert other_heard.disconnected == 0


async def test_a_key_revoked_behind_the_gateways_back_is_cut_within_a_minute(door):
    token = door.key_of(door.new_person())
    with refused_connections():
        async with key_client(door.nats, token) as (_, heard):
            door.sql("UPDATE identity.api_keys SET revoked_at = now() WHERE key_id = %s", token.split("_")[1])
            await eventually_async(lambda: heard.disconnected > 0, within=60)


async def test_disabling_a_user_cuts_their_connections(door):
    person = door.new_person()
    token = door.key_of(person)
    with refused_connections():
        async with key_client(door.nats, token) as (client, heard):
            door.client(door.admin["token"]).patch(f"/api/users/{person.name}", json={"disabled": True})
            await eventually_async(lambda: heard.disconnected > 0)
            await eventually_async(lambda: has_been_refused(heard), what="it tried to come in again")
            assert not client.is_connected


async def test_a_hundred_clients_come_in_together(door):
    token = door.key_of(door.new_person())
    started = time.perf_counter()
    async with contextlib.AsyncExitStack() as stack:
        clients = await asyncio.gather(*(stack.enter_async_context(key_client(door.nats, token)) for _ in range(100)))
        took = time.perf_counter() - started
        assert all(client.is_connected for client, _ in clients)
    print(f"{100 / took:,.0f} connections/s")


async def test_a_key_has_so_many_connections_and_no_more(door):
    """The setting is 120 here. Another key is not asked, and a place that becomes free is given again."""
    person = door.new_person()
    token, other = door.key_of(person), door.key_of(person)

    async def may_come_in(with_token: str) -> bool:
        url = door.nats.settings.url
        try:
            client = await connect(url, token=with_token, allow_reconnect=False, connect_timeout=CONNECT_SECONDS)
        except (nats.errors.Error, TimeoutError):
            return False
        await client.close()
        return True

    with refused_connections():
        async with contextlib.AsyncExitStack() as stack:
            clients = [
                (await stack.enter_async_context(key_client(door.nats, token, allow_reconnect=False)))[0]
                for _ in range(120)
            ]
            assert not await may_come_in(token)
            assert await may_come_in(other)
            assert all(client.is_connected for client in clients)
            await clients[0].close()
            await eventually_async(lambda: may_come_in(token), what="the free place is given")

"""Z4: what the holder of a key tries against others over NATS: none of it takes, forges or hides anything."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
import uuid
from collections.abc import Iterator

import orjson
import pytest
from nats.aio.client import Client
from nats.js.api import ConsumerInfo
from nats.js.errors import APIError

from argus_contracts.quantities import MAX_MESSAGE_BYTES
from argus_contracts.subjects import event_subject, partition, stored_subject
from argus_testkit.nats import key_client, nats_client, refused_connections, settled
from argus_testkit.waiting import eventually_async


@pytest.fixture(autouse=True)
def forgotten_sockets() -> Iterator[None]:
    """nats-py 2.16 forgets to close the sockets of connections that the server cut: they go before the next test."""
    yield
    with refused_connections():
        pass


def an_event(batch: str, kind: str = "batch_start", **data: object) -> bytes:
    event = {
        "event_id": str(uuid.uuid4()), "kind": kind, "batch_id": batch, "occurred_at": "2026-11-21T03:00:00Z", "data": data,
    }  # fmt: skip
    return orjson.dumps({"v": 2, "class": "lifecycle", "events": [{**event, "user": "forged", "workspace": "forged"}]})


def dead_letters(door, user: str | None, column: str = "code") -> list[str]:
    rows = door.sql(
        "SELECT code, subject FROM log.dead_letters WHERE user_name IS NOT DISTINCT FROM %s ORDER BY 1", user
    )
    return [row[("code", "subject").index(column)] for row in rows]


async def owner_of(door, batch: str, within: float = 100) -> tuple[str, str]:
    query = "SELECT DISTINCT workspace, user_name FROM log.record_batches WHERE batch_id = %s"
    [row] = await eventually_async(lambda: door.sql(query, batch), within=within, what=f"{batch} is in the log")
    return row


class Pair:
    """An attacker and a victim of one workspace."""

    def __init__(self, door) -> None:
        attacker, victim = door.new_person(), door.new_person()
        self.attacker, self.victim = attacker.name, victim.name
        self.attackers_key, self.victims_key = door.key_of(attacker), door.key_of(victim)

    def own(self, batch: str) -> str:
        return event_subject("main", self.attacker, batch)

    def theirs(self, batch: str) -> str:
        return event_subject("main", self.victim, batch)


def fresh() -> str:
    return f"b-{uuid.uuid4().hex[:10]}"


async def test_whose_event_it_is_says_the_subject_and_not_the_payload(door):
    """A forged owner inside is ignored; the victim's run is not the attacker's to add to; a wrong partition is no subject."""
    pair, theirs, mine = Pair(door), fresh(), fresh()
    elsewhere = next(batch for batch in iter(fresh, "") if partition(batch) != partition(mine))
    async with (
        key_client(door.nats, pair.victims_key) as (victim, _),
        key_client(door.nats, pair.attackers_key) as (attacker, heard),
    ):
        await victim.jetstream(timeout=30).publish(pair.theirs(theirs), an_event(theirs))
        assert await owner_of(door, theirs) == ("main", pair.victim)
        for payload in (
            an_event(theirs, "batch_done"),  # the victim's run
            an_event(mine, "run_purged", purged_by="root", counts={}),  # a decision of Argus
            an_event(elsewhere),
        ):
            batch = orjson.loads(payload)["events"][0]["batch_id"]
            subject = pair.own(mine) if batch == elsewhere else pair.own(batch)
            await attacker.jetstream(timeout=30).publish(subject, payload)
        await attacker.jetstream(timeout=30).publish(pair.own(mine), an_event(mine))
        assert not heard.errors
    assert await owner_of(door, mine) == ("main", pair.attacker)
    await eventually_async(lambda: len(dead_letters(door, pair.attacker)) == 3, within=100)
    assert dead_letters(door, pair.attacker) == ["not_the_owner", "not_yours_to_say", "wrong_subject"]
    assert await owner_of(door, theirs) == ("main", pair.victim)
    assert dead_letters(door, pair.victim) == []


async def test_a_guessed_message_id_hides_nobodys_event(door):
    """Dedup is per stream: whoever uses a `Nats-Msg-Id` first would make the other's message vanish. Nobody of ours says one."""
    pair, theirs = Pair(door), fresh()
    async with (
        key_client(door.nats, pair.attackers_key) as (attacker, _),
        key_client(door.nats, pair.victims_key) as (victim, _),
    ):
        for guess in (theirs, pair.theirs(theirs), "1", "0"):
            await attacker.jetstream(timeout=30).publish(pair.own("b"), b"no event", headers={"Nats-Msg-Id": guess})
        ack = await victim.jetstream(timeout=30).publish(pair.theirs(theirs), an_event(theirs))
        assert not ack.duplicate
    assert await owner_of(door, theirs) == ("main", pair.victim)


_HEADERS = [
    {"Nats-Rollup": "all"}, {"Nats-Rollup": "sub"}, {"Nats-TTL": "1"}, {"Nats-Incr": "1"}, {"Nats-Expected-Stream": "OTHER"},
    {"Nats-Expected-Last-Sequence": "999999999"}, {"Nats-Expected-Last-Subject-Sequence": "99", "Nats-Expected-Last-Subject-Sequence-Subject": ">"},
    {"Nats-Schedule": "@every 1s", "Nats-Schedule-Target": "argus.events.main.victim.1"},
    {"Nats-Schedule": "@at 2030-01-01T00:00:00Z", "Nats-Schedule-Target": "argus.commands.deleter.purge"},
    {"Nats-Batch-Id": "x", "Nats-Batch-Sequence": "1", "Nats-Batch-Commit": "1"}, {"Nats-Required-Api-Level": "99"},
]  # fmt: skip


async def test_no_header_makes_the_broker_drop_or_change_what_others_said(door):
    pair, batches = Pair(door), [fresh() for _ in _HEADERS]
    async with (
        key_client(door.nats, pair.attackers_key) as (attacker, _),
        key_client(door.nats, pair.victims_key) as (victim, _),
    ):
        for batch, headers in zip(batches, _HEADERS, strict=True):
            await victim.publish(pair.theirs(batch), an_event(batch))
            await attacker.publish(pair.own("b"), b"no event", headers=headers)
        await settled(victim)
        await settled(attacker)
        last = fresh()
        await victim.jetstream(timeout=30).publish(pair.theirs(last), an_event(last))
    for batch in (*batches, last):
        assert await owner_of(door, batch) == ("main", pair.victim)
    async with nats_client(door.nats) as admin:
        config = (await admin.jetstream(timeout=30).stream_info("ARGUS_EVENTS")).config
    assert (config.deny_delete, config.deny_purge) == (True, True)
    assert not (config.allow_rollup_hdrs or config.allow_direct or config.mirror_direct)


async def test_traces_of_a_message_go_nowhere_that_its_sender_may_not_speak(door):
    pair = Pair(door)
    async with key_client(door.nats, pair.attackers_key) as (attacker, heard):
        for target in (pair.theirs("b"), stored_subject("main", pair.victim), "argus.commands.deleter.purge"):
            await attacker.publish(pair.own("b"), b"no event", headers={"Nats-Trace-Dest": target})
        await settled(attacker)
        await eventually_async(lambda: len(heard.errors) >= 3)
    assert dead_letters(door, pair.victim) == []


async def steered(attacker: Client, pair: Pair, targets: list[str]) -> None:
    """Answers of the broker, sent to the targets: acknowledgements, refusals, and who one is."""
    for target in targets:
        await attacker.publish(pair.own("b"), b"no event", reply=target)
        await attacker.publish(pair.own("b"), b"no event", reply=target, headers={"Nats-Expected-Stream": "OTHER"})
        await attacker.publish("$SYS.REQ.USER.INFO", b"", reply=target)
    await settled(attacker)


async def test_the_reply_of_a_publish_is_no_way_to_say_more(door):
    """The broker sends its answers to any subject that a publisher names: none of them may be taken for a wish, an
    acknowledgement of a delivery, or somebody's event."""
    pair, batch = Pair(door), fresh()
    ingest = door.services["argus-ingest"]
    ingest.stop()
    try:
        async with key_client(door.nats, pair.attackers_key) as (attacker, heard), nats_client(door.nats) as admin:
            stream = admin.jetstream(timeout=30)
            await stream.publish(pair.theirs(batch), an_event(batch))
            before = await stream.stream_info("ARGUS_EVENTS")
            seq = before.state.last_seq

            async def of_nobody() -> ConsumerInfo | None:
                found = await stream.consumer_info("ARGUS_EVENTS", "ingest-log")
                return found if not found.num_waiting else None

            waiting = await eventually_async(of_nobody, what="the last pull of ingest is over")
            await steered(attacker, pair, [
                *(f"$JS.API.{wish}.ARGUS_EVENTS" for wish in (
                    "STREAM.PURGE", "STREAM.DELETE", "STREAM.UPDATE", "STREAM.MSG.DELETE", "STREAM.SNAPSHOT", "STREAM.CREATE",
                    "CONSUMER.CREATE", "STREAM.LEADER.STEPDOWN", "CONSUMER.LIST",
                )),
                *(f"$JS.API.CONSUMER.{wish}.ARGUS_EVENTS.ingest-log" for wish in ("DELETE", "MSG.NEXT", "PAUSE", "UNPIN")),
                *(f"$JS.ACK.ARGUS_EVENTS.ingest-log.1.{seq}.1.{time.time_ns()}.0" for _ in range(2)),
                stored_subject("main", pair.victim), "argus.ask.list_runs", "argus.commands.deleter.purge", "$SYS.REQ.USER.AUTH",
            ])  # fmt: skip
            await asyncio.sleep(0.5)
            now = await stream.stream_info("ARGUS_EVENTS")
            assert now.state.first_seq == before.state.first_seq
            assert now.state.messages == now.state.last_seq - now.state.first_seq + 1  # none is gone
            assert now.config == before.config
            consumer = await stream.consumer_info("ARGUS_EVENTS", "ingest-log")
            assert (consumer.ack_floor.stream_seq, consumer.delivered.stream_seq, consumer.num_waiting) == (
                waiting.ack_floor.stream_seq, waiting.delivered.stream_seq, waiting.num_waiting,
            )  # fmt: skip
            await steered(attacker, pair, [pair.theirs(batch), pair.theirs("c")])  # they do come in, as nobody's word
            assert attacker.is_connected
            acks = [error for error in heard.errors if "publish with reply of" in error and "$js.ack." in error]
            assert len(acks) == len(heard.errors) == 6  # the server itself refuses these, and delivers nothing
    finally:
        ingest.launch()
        ingest.wait_ready()
    assert await owner_of(door, batch) == ("main", pair.victim)

    def in_the_name_of_nobody() -> int:
        return dead_letters(door, None, "subject").count(pair.theirs(batch))

    await eventually_async(lambda: in_the_name_of_nobody() == 3, within=100)
    assert dead_letters(door, pair.victim) == []
    assert set(dead_letters(door, pair.attacker)) == {"malformed"}


async def test_a_key_has_its_limits(door):
    """A thousand subscriptions, messages of the size that an event message has, a right that ends within a day."""
    pair = Pair(door)
    with refused_connections():
        async with key_client(door.nats, pair.attackers_key, allow_reconnect=False) as (client, heard):
            who = json.loads((await client.request("$SYS.REQ.USER.INFO", b"", timeout=30)).data)["data"]
            assert 0 < who["expires"] / 1e9 <= 86_400
            assert set(who["permissions"]["publish"]["allow"]) == {
                f"argus.events.main.{pair.attacker}.*",
                "$SYS.REQ.USER.INFO",
            }
            with pytest.raises(APIError, match="message size exceeds maximum"):
                await client.jetstream(timeout=30).publish(pair.own("b"), b"x" * (MAX_MESSAGE_BYTES + 32 * 1024))
            for _ in range(1_005):
                await client.subscribe(stored_subject("main", pair.attacker))
            await eventually_async(lambda: heard.disconnected or heard.closed, what="the connection is cut")


def test_the_broker_is_new_enough_and_opens_no_other_door(door):
    """No leaf nodes, no cluster, no gateways, no MQTT: they have rights of their own. All that listens is on loopback here."""
    with urllib.request.urlopen(f"http://127.0.0.1:{door.nats.settings.monitor_port}/varz", timeout=30) as answer:
        said = json.load(answer)
    assert tuple(int(part) for part in said["version"].split(".")[:2]) >= (2, 14)
    assert said["auth_required"] is True
    assert {name: said[name].get("port") for name in ("leaf", "cluster", "gateway", "mqtt")} == dict.fromkeys(
        ("leaf", "cluster", "gateway", "mqtt")
    )
    assert said["host"] == said["http_host"] == "127.0.0.1"
    with urllib.request.urlopen(f"http://127.0.0.1:{door.nats.settings.monitor_port}/leafz", timeout=30) as answer:
        assert json.load(answer)["leafnodes"] == 0

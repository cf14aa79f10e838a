"""The embedded NATS server: durable, and everyone only gets what is theirs."""

from __future__ import annotations

import nats
import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import StreamConfig

from argus_local.servers import NatsServer
from argus_testkit import eventually_async
from argus_testkit.nats import (
    CONNECT_SECONDS,
    TokenRights,
    auth_callout,
    connect,
    nats_client,
    refused_connections,
    settled,
)

ADA = TokenRights(
    publish=["argus.events.lab.ada.*", "$SYS.REQ.USER.INFO"],
    subscribe=["_INBOX_key1.>", "argus.stored.lab.ada"],
    name="ada",
)


async def token_client(
    server: NatsServer,
    token: str,
    errors: list[Exception] | None = None,
    url: str | None = None,
    allow_reconnect: bool = True,
) -> Client:
    async def note(error: Exception) -> None:
        if errors is not None:
            errors.append(error)

    return await connect(
        url or server.settings.url,
        token=token,
        inbox_prefix=b"_INBOX_key1",
        error_cb=note,
        allow_reconnect=allow_reconnect,
        connect_timeout=CONNECT_SECONDS,
    )


async def make_stream(server: NatsServer) -> None:
    async with nats_client(server, "ingest") as ingest:
        await ingest.jetstream(timeout=30).add_stream(
            StreamConfig(name="ARGUS_EVENTS", subjects=["argus.events.>"], max_bytes=2**30)
        )


async def test_a_token_publishes_only_below_its_own_prefix(nats_server: NatsServer) -> None:
    await make_stream(nats_server)
    async with auth_callout(nats_server, {"ak_1_good": ADA}):
        errors: list[Exception] = []
        client = await token_client(nats_server, "ak_1_good", errors)
        try:
            assert (await client.jetstream(timeout=30).publish("argus.events.lab.ada.7", b"mine")).seq == 1
            for subject in (
                "argus.events.lab.bob.7",
                "argus.commands.deleter.purge",
                "argus.ask.runs",
                "$JS.API.STREAM.DELETE.ARGUS_EVENTS",
            ):
                errors.clear()
                await client.publish(subject, b"not mine")
                await settled(client)
                await eventually_async(lambda: errors and "permissions violation" in str(errors[0]).lower())
            for subject in ("argus.events.>", "_INBOX_key2.>", "argus.stored.lab.bob", "argus.live.>"):
                errors.clear()
                await client.subscribe(subject)
                await settled(client)
                await eventually_async(lambda: errors and "permissions violation" in str(errors[0]).lower())
            info = await client.request("$SYS.REQ.USER.INFO", timeout=30)
            assert b"argus.events.lab.ada.*" in info.data
        finally:
            await client.close()


@pytest.mark.parametrize("token", ["ak_1_wrong", ""])
async def test_an_unknown_token_is_refused(nats_server: NatsServer, token: str) -> None:
    async def refusal() -> bool:
        with pytest.raises((nats.errors.Error, TimeoutError)) as refused:
            await token_client(nats_server, token, allow_reconnect=False)
        return "authorization" in str(refused.value).lower()  # a timeout of a busy machine tells nothing

    async with auth_callout(nats_server, {"ak_1_good": ADA}):
        with refused_connections():
            await eventually_async(refusal, what="an answer")


async def test_nobody_gets_in_while_no_one_answers_the_callout(nats_server: NatsServer) -> None:
    with refused_connections(), pytest.raises((nats.errors.Error, TimeoutError)):
        await token_client(nats_server, "ak_1_good", allow_reconnect=False)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # of aiohttp inside nats-py
async def test_a_token_works_over_websocket_too(nats_server: NatsServer) -> None:
    await make_stream(nats_server)
    async with auth_callout(nats_server, {"ak_1_good": ADA}):
        client = await token_client(nats_server, "ak_1_good", url=nats_server.settings.websocket_url)
        try:
            assert (await client.jetstream(timeout=30).publish("argus.events.lab.ada.1", b"mine")).seq == 1
        finally:
            await client.close()


async def test_services_may_do_their_work_and_no_more(nats_server: NatsServer) -> None:
    await make_stream(nats_server)
    refused: list[str] = []

    async def note(error: Exception) -> None:
        refused.append(str(error))

    async with (
        nats_client(nats_server, "query", error_cb=note) as query,
        nats_client(nats_server, "gateway", error_cb=note) as gateway,
        nats_client(nats_server, "ingest", error_cb=note) as ingest,
    ):

        async def answer(question: Msg) -> None:
            await question.respond(b"answer")

        await query.subscribe("argus.ask.runs", cb=answer)
        await settled(query)
        assert (await gateway.request("argus.ask.runs", b"?", timeout=30)).data == b"answer"
        await gateway.jetstream(timeout=30).publish("argus.events.lab.ada.1", b"fact")
        pulled = await ingest.jetstream(timeout=30).pull_subscribe(
            "argus.events.>", durable="ingest-log", stream="ARGUS_EVENTS"
        )
        (message,) = await pulled.fetch(1, timeout=30)
        await message.ack_sync(timeout=30)
        heard = await gateway.subscribe("argus.stored.>")
        await settled(gateway)
        await ingest.publish("argus.stored.lab.ada", b"{}")
        await settled(ingest)
        assert (await heard.next_msg(30)).data == b"{}"
        assert refused == []
        await query.publish("argus.events.lab.ada.1", b"forged")
        await settled(query)
        await gateway.publish("$JS.API.STREAM.PURGE.ARGUS_EVENTS", b"")
        await settled(gateway)
        await ingest.publish("argus.ask.runs", b"")
        await settled(ingest)
        await eventually_async(lambda: len(refused) == 3)


async def test_acknowledged_messages_survive_a_kill(nats_server: NatsServer) -> None:
    await make_stream(nats_server)
    async with nats_client(nats_server) as admin:
        for number in range(50):
            await admin.jetstream(timeout=30).publish("argus.events.lab.ada.1", b"%d" % number)
    nats_server.kill()
    nats_server.start()
    async with nats_client(nats_server) as admin:
        info = await admin.jetstream(timeout=30).stream_info("ARGUS_EVENTS")
        assert info.state.messages == 50


def test_the_configuration_is_for_our_eyes_only(nats_server: NatsServer) -> None:
    assert nats_server.settings.config_path.stat().st_mode & 0o077 == 0

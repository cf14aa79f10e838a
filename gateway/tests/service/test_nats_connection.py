"""The gateway's own connection to NATS."""

from __future__ import annotations

import pytest
from nats.aio.msg import Msg

from argus_gateway.nats_connection import NatsConnection
from argus_gateway.settings import Settings
from argus_local.servers import NatsServer
from argus_testkit.nats import nats_client, settled
from argus_testkit.proxy import FaultProxy
from argus_testkit.waiting import eventually_async


async def test_a_subscription_hears_what_is_said_once_it_is_made(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the way to the broker is: whoever found the gateway open was refused, as nobody answered the callout yet."""
    heard: list[bytes] = []

    async def hear(message: Msg) -> None:
        heard.append(message.data)

    with FaultProxy(nats_server.settings.port) as proxy:
        for name, value in nats_server.settings.env_for("gateway").items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("ARGUS_NATS_URL", f"nats://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("ARGUS_NATS_ISSUER_SEED", nats_server.settings.issuer_seed)
        monkeypatch.setenv("ARGUS_DATABASE_URL", "postgresql://nobody@127.0.0.1/nothing")
        connection = NatsConnection(Settings(), lambda: None)  # pyright: ignore[reportCallIssue]
        async with nats_client(nats_server) as near:
            await connection.open()
            try:
                proxy.slow(delay_s=0.3)
                await connection.subscribe("argus.live.*", hear)
                await near.publish("argus.live.b", b"at once")
                await settled(near)
                await eventually_async(lambda: heard == [b"at once"])
            finally:
                proxy.heal()
                await connection.close()

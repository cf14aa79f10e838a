"""Connections on which no request comes end; those on which one is answered do not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio
import uvicorn

from argus_gateway.http_protocol import http_protocol
from argus_testkit.waiting import eventually_async

HEAD_WITHIN_S = 0.5
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest_asyncio.fixture
async def port() -> AsyncIterator[int]:
    """uvicorn with our protocol and an app that thinks for longer than a head may take."""

    async def app(scope, receive, send) -> None:
        if scope["type"] != "http":
            return
        await asyncio.sleep(3 * HEAD_WITHIN_S)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    config = uvicorn.Config(app, port=0, http=http_protocol([], HEAD_WITHIN_S), log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    await eventually_async(lambda: server.started)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await serving


async def test_nothing_half_a_head_and_a_byte_now_and_then_are_cut_off(port: int) -> None:
    async def is_cut(head: bytes, drop: bytes = b"") -> bool:
        """drop: comes again and again behind `head`."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head)
        try:
            async with asyncio.timeout(60):
                while not reader.at_eof():
                    writer.write(drop)
                    try:
                        async with asyncio.timeout(HEAD_WITHIN_S / 5):
                            assert await reader.read() == b""
                    except TimeoutError:
                        pass
                return True
        except ConnectionError:
            return True
        finally:
            writer.close()

    assert await asyncio.gather(is_cut(b""), is_cut(GET[:-2]), is_cut(GET[:-2] + b"X: ", b"a")) == [True, True, True]


async def test_a_slow_answer_comes_and_the_next_request_too(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(2):
        writer.write(GET)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK")
        assert await reader.readexactly(2) == b"ok"
    writer.close()


async def test_half_a_head_behind_an_answer_is_cut_off_too(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET)
    await reader.readuntil(b"\r\n\r\nok")
    writer.write(GET[:-2])
    async with asyncio.timeout(60):
        assert await reader.read() == b""
    writer.close()

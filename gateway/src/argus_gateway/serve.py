"""`argus-gateway run`: one process, one event loop, until a signal or a lost connection ends it."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from types import FrameType

import uvicorn

from argus_gateway.app import create_app
from argus_gateway.http_protocol import http_protocol
from argus_gateway.middleware import MAX_HEAD_BYTES, security_headers
from argus_gateway.settings import Settings

logger = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """Tells the live streams that the end is near, so that browsers reconnect to the next process at once."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        parts = getattr(getattr(self.config.app, "state", None), "parts", None)
        if parts is not None:
            parts.live.close()
        super().handle_exit(sig, frame)


def serve(settings: Settings) -> int:
    """Exit status: 0 after a signal, 1 where the process must be started again."""
    logging.basicConfig(
        level=settings.log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("nats").setLevel(logging.ERROR)
    try:
        listening = listen(settings.host, settings.port)
    except OSError as error:
        raise SystemExit(f"argus-gateway: ARGUS_PORT {settings.port} on {settings.host}: {error.strerror}") from None
    lost = False

    def on_closed() -> None:
        nonlocal lost
        lost = True
        os.kill(os.getpid(), signal.SIGTERM)

    config = uvicorn.Config(
        create_app(settings, on_closed),
        loop="uvloop",
        http=http_protocol(security_headers(settings)),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),  # of anybody else `X-Forwarded-For` is whatever a caller writes
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=8,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        lifespan="on",
    )
    server = _Server(config)
    server.run(sockets=[listening])
    return 0 if server.started and not lost else 1


def listen(host: str, port: int) -> socket.socket:
    """A listening socket whose connections notice within 30 s that the other side is gone (Wi-Fi off, laptop closed)."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for option, value in (
            ("TCP_USER_TIMEOUT", 25_000),
            ("TCP_KEEPIDLE", 10),
            ("TCP_KEEPINTVL", 5),
            ("TCP_KEEPCNT", 3),
        ):
            if hasattr(socket, option):  # Linux; accepted connections inherit them
                listening.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        listening.bind((host, port))
        listening.listen(512)
    except OSError:
        listening.close()
        raise
    return listening

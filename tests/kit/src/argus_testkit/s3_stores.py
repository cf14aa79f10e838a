"""Object stores for tests beside rclone's: moto's server (versions, locks, storage classes), MinIO, and a proxy that misbehaves."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import boto3
from botocore.config import Config

from argus_local.ports import LOOPBACK, accepts_connections, free_port
from argus_local.s3 import S3Settings
from argus_local.servers import RunningServer

_SPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"
KEYS = {"AWS_ACCESS_KEY_ID": "AKTESTTESTTEST", "AWS_SECRET_ACCESS_KEY": "secret-of-a-test", "AWS_REGION": "us-east-1"}


class MotoServer(RunningServer):
    """moto's S3, in memory. It checks no keys."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        command = [str(Path(sys.executable).with_name("moto_server")), "-H", LOOPBACK, "-p", str(self.port)]
        super().__init__(
            "moto",
            [sys.executable, "-m", "argus_local.launch", "run", *command],
            folder / "moto.log",
            lambda: accepts_connections(self.port),
        )

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def client_env(self) -> dict[str, str]:
        """The settings by which a process finds it."""
        return {"ARGUS_S3_ENDPOINT_URL": self.url, **KEYS}


class MinioSettings(S3Settings):
    """One MinIO on one folder, in place of rclone: both limits and versions, in one real store."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, free_port())

    def argv(self) -> list[str]:
        return [str(minio()), "server", str(self.folder), "--address", f"{LOOPBACK}:{self.port}", "--quiet"]

    def process_env(self) -> dict[str, str]:
        keys = {"MINIO_ROOT_USER": self.access_key, "MINIO_ROOT_PASSWORD": self.secret_key}
        return {**keys, "MINIO_BROWSER": "off", "MINIO_UPDATE": "off", "MINIO_CALLHOME_ENABLE": "off"}


def minio() -> Path:
    """The program that `ARGUS_TEST_MINIO` names, else the one on the PATH; or FileNotFoundError, with how to get it."""
    found = os.environ.get("ARGUS_TEST_MINIO") or shutil.which("minio")
    if not found:
        raise FileNotFoundError(
            "ARGUS_TEST_S3=minio needs MinIO: `go install github.com/minio/minio@latest`, then put it on the PATH"
        )
    return Path(found)


def s3_client(env: dict[str, str]) -> Any:
    """A boto3 client for the store that `env` (`S3Settings.env`, `MotoServer.client_env`) leads to."""
    return boto3.client(
        "s3",
        endpoint_url=env["ARGUS_S3_ENDPOINT_URL"],
        region_name=env["AWS_REGION"],
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
        config=Config(
            max_pool_connections=32,
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def put_objects(client: Any, bucket: str, keys: Iterable[str], body: bytes = b"0123456789") -> None:
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda key: client.put_object(Bucket=bucket, Key=key, Body=body), keys))


def canary(client: Any, bucket: str, without: str = "\0") -> tuple[int, str]:
    """How many objects there are whose keys do not begin with `without`, and the hash of their keys, sizes and etags."""
    found = sorted(
        (one["Key"], one["Size"], one["ETag"])
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        for one in page.get("Contents", ())
        if not one["Key"].startswith(without)
    )
    return len(found), hashlib.sha256(repr(found).encode()).hexdigest()


@dataclass(slots=True)
class Call:
    """One request that went through the proxy."""

    method: str
    path: str
    query: dict[str, list[str]]
    keys: list[str] = field(default_factory=list[str])
    """That a DeleteObjects named."""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    """Names in small letters."""
    body: bytes = b""

    @property
    def is_delete(self) -> bool:
        return self.method == "DELETE" or (self.method == "POST" and "delete" in self.query)


class FaultyS3:
    """`with FaultyS3(env) as proxy`: whoever uses `proxy.env()` talks to the store of `env`. `calls`: all that was asked.

    refuse: for a key that a DeleteObjects names, the code to answer instead of deleting it, or None. before: called with each
    call before it is passed on.
    """

    def __init__(self, env: dict[str, str]) -> None:
        self._env, self._client = env, s3_client(env)
        self.calls: list[Call] = []
        self.refuse: Callable[[str], str | None] = lambda key: None
        self.before: Callable[[Call], None] = lambda call: None
        self.answer: Callable[[Call], tuple[int, bytes] | None] = lambda call: None
        """Instead of passing the call on: status and body."""
        self._lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None: ...

            def _pass_on(self) -> None:
                proxy._handle(self)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass_on

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_: Any) -> None: ...  # a client that was killed

        self._server = Server((LOOPBACK, 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> FaultyS3:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._client.close()

    def env(self) -> dict[str, str]:
        return {**self._env, "ARGUS_S3_ENDPOINT_URL": f"http://{LOOPBACK}:{self._server.server_address[1]}"}

    @property
    def deletes(self) -> list[Call]:
        return [call for call in self.calls if call.is_delete]

    def _handle(self, request: Any) -> None:
        parts = urlsplit(request.path)
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        call = Call(request.command, parts.path, parse_qs(parts.query, keep_blank_values=True), body=body)
        call.headers = {name.lower(): value for name, value in request.headers.items()}
        if call.is_delete and body:
            call.keys = [one.text or "" for one in ElementTree.fromstring(body).iter() if one.tag.endswith("Key")]
        with self._lock:
            self.calls.append(call)
        self.before(call)
        instead = self.answer(call)
        if instead is not None:
            self._reply(request, instead[0], [("Content-Type", "application/xml")], instead[1])
            return
        if call.keys and (refused := {key: code for key in call.keys if (code := self.refuse(key))}):
            self._reply(request, 200, [("Content-Type", "application/xml")], self._delete_others(call, refused))
            return
        target = urlsplit(self._env["ARGUS_S3_ENDPOINT_URL"])
        connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=60)
        try:
            headers = {name: value for name, value in request.headers.items() if name.lower() != "connection"}
            connection.request(request.command, request.path, body, headers)
            answer = connection.getresponse()
            self._reply(request, answer.status, answer.getheaders(), answer.read())
        finally:
            connection.close()

    def _delete_others(self, call: Call, refused: dict[str, str]) -> bytes:
        """The proxy signs anew what it has changed."""
        kept = [{"Key": key} for key in call.keys if key not in refused]
        if kept:
            bucket = call.path.strip("/").partition("/")[0]
            self._client.delete_objects(Bucket=bucket, Delete={"Objects": kept, "Quiet": True})
        errors = "".join(
            f"<Error><Key>{escape(key)}</Key><Code>{code}</Code><Message>by the test</Message></Error>"
            for key, code in refused.items()
        )
        return f'<DeleteResult xmlns="{_SPACE[1:-1]}">{errors}</DeleteResult>'.encode()

    def _reply(self, request: Any, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        request.send_response(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)

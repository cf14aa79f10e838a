"""Real servers for tests: embedded by default, containers with `ARGUS_TEST_SERVERS=containers`, MinIO with `ARGUS_TEST_S3=minio`."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from argus_local.nats import NatsSettings
from argus_local.ports import free_port
from argus_local.postgres import PostgresCluster
from argus_local.s3 import S3Settings
from argus_local.servers import NatsServer, PostgresServer, S3Server
from argus_testkit.s3_stores import MinioSettings


def containers_asked_for() -> bool:
    """What `ARGUS_TEST_SERVERS` says; any other word than the two known ones is an error, not a default."""
    choice = os.environ.get("ARGUS_TEST_SERVERS", "") or "embedded"
    if choice not in {"embedded", "containers"}:
        raise ValueError(f"ARGUS_TEST_SERVERS is {choice!r}: it must be embedded or containers")
    return choice == "containers"


def new_postgres(folder: Path) -> PostgresServer:
    """A cluster that is not started yet. Durable as in production unless `ARGUS_TEST_FAST=1`."""
    cluster = PostgresCluster(
        folder,
        free_port(),
        secrets.token_urlsafe(16),
        fast=os.environ.get("ARGUS_TEST_FAST") == "1",
        max_connections=200,
    )
    if containers_asked_for():
        from argus_testkit.containers import PostgresContainerServer

        return PostgresContainerServer(cluster)
    return PostgresServer(cluster)


def new_nats(folder: Path, websocket: bool = True) -> NatsServer:
    """A nats-server that is not started yet, with the users and permissions of a real installation."""
    settings = NatsSettings(folder, free_port(), free_port(), free_port() if websocket else None)
    if containers_asked_for():
        from argus_testkit.containers import NatsContainerServer

        return NatsContainerServer(settings)
    return NatsServer(settings)


def new_s3(folder: Path) -> S3Server:
    """An S3 server that is not started yet: rclone, or what `ARGUS_TEST_S3` names."""
    return S3Server(MinioSettings(folder) if minio_asked_for() else S3Settings(folder, free_port()))


def minio_asked_for() -> bool:
    """What `ARGUS_TEST_S3` says; any other word than the two known ones is an error, not a default."""
    choice = os.environ.get("ARGUS_TEST_S3", "") or "rclone"
    if choice not in {"rclone", "minio"}:
        raise ValueError(f"ARGUS_TEST_S3 is {choice!r}: it must be rclone or minio")
    return choice == "minio"

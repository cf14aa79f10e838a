"""Databases of one test each, copied from a template in a real PostgreSQL."""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import errors, sql

from argus_local.database import ROLES, create_database, url_for
from argus_testkit.waiting import eventually

TEMPLATE = "argus_template"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Database:
    """One database with the rights of a real installation: a URL for each role, and one for the superuser."""

    name: str
    admin_url: str
    ingest_url: str
    query_url: str
    gateway_url: str
    deleter_url: str

    def connect(self, role: str = "admin") -> psycopg.Connection:
        """An autocommit connection as `admin`, `ingest`, `query`, `gateway` or `deleter`; close it."""
        return psycopg.connect(getattr(self, f"{role}_url"), autocommit=True)


def new_passwords() -> dict[str, str]:
    """One generated password per role."""
    return {role: secrets.token_urlsafe(16) for role in ROLES}


def make_template(admin_url: str, passwords: dict[str, str]) -> None:
    """The cluster has the roles and an empty template database with their schemas."""
    create_database(admin_url, TEMPLATE, passwords)


@contextmanager
def cloned_database(admin_url: str, passwords: dict[str, str]) -> Iterator[Database]:
    """A fresh copy of the template; dropped afterwards, whoever is still connected."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    urls = create_database(admin_url, name, passwords, template=TEMPLATE)
    try:
        services = {f"{service}_url": urls[f"argus_{service}"] for service in ("ingest", "query", "gateway", "deleter")}
        yield Database(name, url_for(admin_url, database=name), **services)
    finally:
        with psycopg.connect(admin_url, autocommit=True) as admin:
            eventually(lambda: _dropped(admin, name), within=60, what=f"{name} is dropped")


def _dropped(admin: psycopg.Connection, name: str) -> bool:
    """False: a session that was told to end has not ended within the 5 s for which PostgreSQL waits."""
    try:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
    except errors.ObjectInUse:
        return False
    return True

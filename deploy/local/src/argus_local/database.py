"""The database of one Argus: a role and a schema for each service, and nothing for anybody else."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

# role -> the schema that it owns
ROLES = {"argus_ingest": "log", "argus_query": "read", "argus_gateway": "identity", "argus_deleter": "deleter"}
LOG_READER = "argus_log_reader"  # no login: ingest grants SELECT on the log to it
_READ_THE_LOG = ("argus_query", "argus_deleter")


def create_database(
    admin_url: str, name: str, passwords: Mapping[str, str] | None = None, template: str | None = None
) -> dict[str, str]:
    """The database `name` exists with its roles and schemas; answers the URL of each role. Safe to repeat.

    admin_url: a superuser, or a role with CREATEDB and CREATEROLE. passwords: by role; the roles get these (generated where
    absent, so a repeat without them locks the earlier holders out). template: a database made here before, copied as it is.
    Roles belong to the whole cluster: two stacks in one cluster must share their passwords.
    """
    chosen = {role: (passwords or {}).get(role) or secrets.token_urlsafe(24) for role in ROLES}
    with psycopg.connect(admin_url, autocommit=True) as admin:
        if template is None:
            _create_roles(admin, chosen)
        if not admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
            source = sql.SQL(" TEMPLATE {}").format(sql.Identifier(template or "template0"))
            encoding = sql.SQL("" if template else " ENCODING 'UTF8'")
            admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)) + source + encoding)
        _grant_on_database(admin, name)
    if template is None:
        with psycopg.connect(url_for(admin_url, database=name), autocommit=True) as inside:
            _create_schemas(inside)
    return {role: url_for(admin_url, role, chosen[role], name) for role in ROLES}


def url_for(admin_url: str, role: str | None = None, password: str | None = None, database: str | None = None) -> str:
    """`admin_url` with another role, password or database; host, port and parameters stay."""
    parts = urlsplit(admin_url)
    netloc = parts.netloc
    if role is not None:
        host = netloc.rpartition("@")[2]
        netloc = f"{quote(role, safe='')}:{quote(password or '', safe='')}@{host}"
    path = f"/{quote(database, safe='')}" if database is not None else parts.path
    return urlunsplit((parts.scheme, netloc, path, parts.query, ""))


def _create_roles(admin: psycopg.Connection, passwords: Mapping[str, str]) -> None:
    known = {row[0] for row in admin.execute("SELECT rolname FROM pg_roles")}
    if LOG_READER not in known:
        admin.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(LOG_READER)))
    for role, password in passwords.items():
        verb = "ALTER" if role in known else "CREATE"
        admin.execute(
            sql.SQL("{} ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {}").format(
                sql.SQL(verb), sql.Identifier(role), sql.Literal(password)
            )
        )
    for reader in _READ_THE_LOG:
        admin.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(LOG_READER), sql.Identifier(reader)))
    for role in ROLES:  # CREATE SCHEMA … AUTHORIZATION asks that a non-superuser admin may become the role
        if not admin.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchall()[0][0]:
            admin.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(role)))


def _grant_on_database(admin: psycopg.Connection, name: str) -> None:
    database = sql.Identifier(name)
    admin.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    for role in ROLES:
        admin.execute(sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(database, sql.Identifier(role)))
    admin.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO argus_query").format(database))  # shadow schemas of a rebuild


def _create_schemas(inside: psycopg.Connection) -> None:
    inside.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    for role, schema in ROLES.items():
        inside.execute(
            sql.SQL("CREATE SCHEMA IF NOT EXISTS {} AUTHORIZATION {}").format(
                sql.Identifier(schema), sql.Identifier(role)
            )
        )
    inside.execute(sql.SQL("GRANT USAGE ON SCHEMA log TO {}").format(sql.Identifier(LOG_READER)))

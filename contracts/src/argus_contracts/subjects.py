"""Names of streams, subjects and their tokens. Nobody builds a subject by hand."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from argus_contracts.errors import WrongSubject
from argus_contracts.quantities import N_PARTITIONS

EVENTS_STREAM = "ARGUS_EVENTS"
EVENTS_SUBJECTS = "argus.events.*.*.*"
COMMANDS_STREAM = "ARGUS_COMMANDS"
COMMANDS_SUBJECTS = "argus.commands.*.*"
LIVE_SUBJECTS = "argus.live.*"
LIVE_OF_MANY = "argus.live.="
"""Instead of a subject per batch where many were projected at once. No batch has this token. Body: a JSON array of batch ids."""
STORED_SUBJECTS = "argus.stored.*.*"
ANY_PARTITION = "any"
"""Last token of an event subject whose message tells of several batches, or does not say of which."""

ASK_BROKER_SETTINGS, ASK_BROKER_SETTINGS_BODY = "$SYS.REQ.SERVER.PING.JSZ", b'{"config":true}'
"""A NATS server answers with its settings where the account may ask (the system account must export it)."""

_ARGUS = "=argus"
"""Stands where a workspace does in the subject of a decision. No name has this token, so no user may publish there."""
_PLAIN = re.compile(rb"[A-Za-z0-9_-]")
_ALL_PLAIN = re.compile("[A-Za-z0-9_-]+")
_PARTITION = re.compile(rf"[0-9]{{1,2}}|{ANY_PARTITION}")


def token(text: str) -> str:
    """`text` as one token of a subject: letters, digits, `_` and `-` stay, every other byte becomes `=XX` (hex)."""
    if not text:
        raise ValueError("a subject token cannot be empty")
    if _ALL_PLAIN.fullmatch(text):  # as nearly all are
        return text
    return "".join(chr(b) if _PLAIN.match(bytes([b])) else f"={b:02X}" for b in text.encode())


def untoken(encoded: str) -> str:
    """The text that `token` encoded. `WrongSubject` where no text gives this token."""
    try:
        raw = re.sub(rb"=([0-9A-F]{2})", lambda m: bytes([int(m[1], 16)]), encoded.encode())
        text = raw.decode()
    except UnicodeDecodeError:
        raise WrongSubject(f"not a subject token: {encoded[:100]!r}") from None
    if not text or token(text) != encoded:
        raise WrongSubject(f"not a subject token: {encoded[:100]!r}")
    return text


def partition(batch_id: str) -> int:
    """0 to 63, the same for ever and in every process: keeps the order of a batch while ingest scales."""
    return int.from_bytes(hashlib.blake2s(batch_id.encode(), digest_size=4).digest(), "big") % N_PARTITIONS


def event_subject(workspace: str, user: str, batch_id: str) -> str:
    return f"argus.events.{token(workspace)}.{token(user)}.{partition(batch_id)}"


def bundle_subject(workspace: str, user: str) -> str:
    """Where messages of any of this user's batches may be published, and bundles of them (`envelope.EventMessage`)."""
    return f"argus.events.{token(workspace)}.{token(user)}.{ANY_PARTITION}"


def decision_subject(service: str, batch_id: str) -> str:
    """Where `service` of Argus states what it has decided about a batch, in the form of any other event."""
    return f"argus.events.{_ARGUS}.{token(service)}.{partition(batch_id)}"


def own_events(workspace: str, user: str) -> str:
    """The wildcard that one user may publish to."""
    return f"argus.events.{token(workspace)}.{token(user)}.*"


@dataclass(frozen=True, slots=True)
class EventSource:
    """Who says it: read from the subject, which NATS has checked, never from the payload."""

    workspace: str
    user: str
    partition: int | None
    """To which every batch in it belongs; None: `ANY_PARTITION`, the batches are of any."""
    service: str | None = None
    """The service of Argus whose decision it is. Workspace and user are then empty: they are the batch's, which the log knows,
    or what a fact about a workspace says itself."""


def parse_event_subject(subject: str) -> EventSource:
    """Who published on `subject`. `WrongSubject` where it is not an event subject."""
    parts = subject.split(".")
    if len(parts) != 5 or parts[:2] != ["argus", "events"] or not _PARTITION.fullmatch(parts[4]):
        raise WrongSubject(f"not an event subject: {subject[:200]!r}")
    number = None if parts[4] == ANY_PARTITION else int(parts[4])
    if parts[2] == _ARGUS:
        return EventSource("", "", number, service=untoken(parts[3]))
    source = EventSource(untoken(parts[2]), untoken(parts[3]), number)
    if not (source.workspace.isprintable() and source.user.isprintable()):
        raise WrongSubject(f"a name that cannot be printed: {subject[:200]!r}")
    return source


def syncs_always(settings: bytes) -> bool:
    """Whether the server that answers `ASK_BROKER_SETTINGS` so writes to disk before it acknowledges."""
    return b'"sync_always":true' in settings.replace(b" ", b"")


def command_subject(service: str, verb: str) -> str:
    return f"argus.commands.{token(service)}.{token(verb)}"


def decided_subject(command_id: str) -> str:
    """Where the service that owns a command says what it has decided (`commands.Decision`), for whoever listens just then."""
    return f"argus.decided.{token(command_id)}"


def ask_subject(question: str) -> str:
    return f"argus.ask.{token(question)}"


def live_subject(batch_id: str) -> str:
    return f"argus.live.{token(batch_id)}"


def stored_subject(workspace: str, user: str) -> str:
    return f"argus.stored.{token(workspace)}.{token(user)}"


def agent_subject(workspace: str, user: str, host: str) -> str:
    return f"argus.agent.{token(workspace)}.{token(user)}.{token(host)}"

"""What one attempt has said of the machine that it uses, and from when to when it used it. Pure.

An attempt is (batch, job, attempt of the batch); the batch itself is the job ''. Facts are kept, not what followed from them:
so their order does not matter, and what was known at some moment can be asked for later.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from argus_query.facts import attempt_of, older_environment, short_name

MAX_FACTS = 256
"""Of one attempt; the earliest are kept. A task that is started anew a hundred times under one number has no more."""
_MOST_MILLI_CPUS = 4_096_000
"""No machine has more; whoever says so shall not take everybody else's share."""
_CAPACITIES = ("spot", "on-demand")
_ABOUT = frozenset({"job_submitted", "env_snapshot"})
_STARTS = frozenset({"batch_start", "job_start"})
_ENDS = {
    "batch_done": "succeeded", "batch_failed": "failed", "batch_aborted": "aborted", "job_done": "succeeded",
    "job_cached": "cached", "job_failed": "failed", "job_aborted": "aborted",
}  # fmt: skip
_GOOD = frozenset({"succeeded", "cached"})
WASTED = frozenset({"failed", "aborted"})
KINDS = frozenset({*_ABOUT, *_STARTS, *_ENDS})
NAMING = frozenset({"batch_start", "job_start", "job_submitted"})
Key = tuple[str, str, int]
"""batch_id, job_id ('' for the batch itself), attempt."""


class Said(NamedTuple):
    """One fact. at: the sender's clock; received: Argus' clock; both in microseconds since 1970.

    outcome: of an end; about: of the others, what they say of the machine.
    """

    at: int
    event_id: str
    role: Literal["about", "start", "end"]
    received: int
    outcome: str | None
    about: dict[str, Any]


class Try(NamedTuple):
    """From `start` to `end` (None: not over) an attempt used a share of its host. number: from 0, within the attempt."""

    batch_id: str
    job_id: str
    attempt: int
    number: int
    workspace: str
    host: str | None
    instance_type: str | None
    capacity: str | None
    milli_cpus: int | None
    start: int
    end: int | None
    outcome: str | None

    @property
    def key(self) -> tuple[str, str, int, int]:
        return self[:4]


@dataclass(slots=True)
class Usage:
    """All that an attempt has said. jobs_since (of a batch itself): when Argus first heard of a job in this attempt."""

    batch_id: str
    job_id: str
    attempt: int
    workspace: str
    facts: list[Said] = field(default_factory=list)
    jobs_since: int | None = None
    changed: bool = True

    @property
    def key(self) -> Key:
        return self.batch_id, self.job_id, self.attempt

    def add(self, said: Said) -> None:
        insort(self.facts, said, key=_order)
        del self.facts[MAX_FACTS:]
        self.changed = True

    def has_jobs(self, since: int) -> None:
        if self.jobs_since is None or since < self.jobs_since:
            self.jobs_since, self.changed = since, True

    def depends(self) -> bool:
        """What its batch says matters: to its end, or to where it ran."""
        facts = self.facts
        return any(end is None for _, end, _ in _spans(facts)) or len(_machine(facts, None)) < len(_FIELDS)

    def to_json(self) -> dict[str, Any]:
        return {"facts": [list(said) for said in self.facts], "jobs_since": self.jobs_since}

    @classmethod
    def from_json(cls, key: Key, workspace: str, raw: dict[str, Any]) -> Usage:
        return cls(*key, workspace, [Said(*said) for said in raw["facts"]], raw["jobs_since"], changed=False)


_FIELDS = ("host", "instance_type", "capacity", "milli_cpus")


def key_of(event: dict[str, Any]) -> Key:
    return event["batch_id"], event.get("job_id") or "", attempt_of(event)


def said_by(event: dict[str, Any], at: int, received: int) -> Said:
    """What an event of `KINDS` says."""
    kind = event["kind"]
    outcome = _ENDS.get(kind)
    role = "about" if kind in _ABOUT else "start" if kind in _STARTS else "end"
    return Said(at, event["event_id"], role, received, outcome, {} if outcome else about_of(event))


def about_of(event: dict[str, Any]) -> dict[str, Any]:
    """What a start says of the machine. No contract checks fields that came later, so anything may stand there."""
    data = event.get("data") or {}
    host = data.get("host") or older_environment(data.get("environment")).get("host")
    kind, capacity, cpus = data.get("instance_type"), data.get("capacity"), data.get("cpus")
    about = {
        "host": short_name(host) if isinstance(host, str) and host else None,
        "instance_type": short_name(kind) if isinstance(kind, str) and kind else None,
        "capacity": capacity if capacity in _CAPACITIES else None,
        "milli_cpus": _milli(cpus) if isinstance(cpus, int | float) and cpus > 0 else None,
    }
    return {name: value for name, value in about.items() if value is not None}


def names_a_machine(event: dict[str, Any]) -> bool:
    """Of an event of `NAMING`: with it a run gets into the ledger."""
    return bool((event.get("data") or {}).get("instance_type"))


def tries_of(usage: Usage, of_batch: Mapping[int, Usage], until: int | None = None) -> list[Try]:
    """The times that the attempt used its machine. until: by what Argus had heard at that moment.

    of_batch: what the batch itself has said, by attempt. A batch with jobs uses nothing itself: its jobs do. A start opens a
    try and the next end closes it; also behind a good end, which is final for the status, but not for the machine. Without an end
    of its own a try ends with the batch's attempt, or with the start of a later one.
    """
    facts = _known(usage.facts, until)
    is_batch = usage.job_id == ""
    if is_batch and usage.jobs_since is not None and (until is None or usage.jobs_since <= until):
        return []
    around = of_batch.get(usage.attempt)
    batch_facts = _known(around.facts, until) if around is not None and not is_batch else []
    tries: list[Try] = []
    for number, (start, end, outcome) in enumerate(_spans(facts)):
        machine = {**_machine(batch_facts, None), **_machine(facts, end)}
        closed_at, closed_as = (end.at, outcome) if end is not None else (None, None)
        if end is None:
            closed_at = _closing(start, batch_facts, _next_start(usage.attempt, of_batch, until))
            closed_as = None if closed_at is None else "aborted"
        host, instance_type, capacity, milli_cpus = (machine.get(name) for name in _FIELDS)
        tries.append(
            Try(
                usage.batch_id, usage.job_id, usage.attempt, number, usage.workspace, host, instance_type, capacity, milli_cpus,
                start, closed_at, closed_as,
            )
        )  # fmt: skip
    return tries


def in_vain(of_batch: Mapping[int, Usage], until: int | None = None) -> bool:
    """The batch's newest attempt has failed, or was aborted."""
    for attempt in sorted(of_batch, reverse=True):
        facts = [said for said in _until_good_end(_known(of_batch[attempt].facts, until)) if said.role != "about"]
        if facts:
            return facts[-1].outcome in WASTED
    return False


def _order(said: Said) -> tuple[int, str]:
    return said.at, said.event_id


def _known(facts: Sequence[Said], until: int | None) -> Sequence[Said]:
    return facts if until is None else [said for said in facts if said.received <= until]


def _until_good_end(facts: Sequence[Said]) -> Iterable[Said]:
    for said in facts:
        yield said
        if said.outcome in _GOOD:
            return


def _spans(facts: Sequence[Said]) -> list[tuple[int, Said | None, str | None]]:
    """Start, the fact that ended it, outcome. A start while one is open tells nothing new."""
    spans: list[tuple[int, Said | None, str | None]] = []
    opened: int | None = None
    for said in facts:
        if said.role == "start" and opened is None:
            opened = said.at
        elif said.role == "end" and opened is not None:
            spans.append((opened, said, said.outcome))
            opened = None
    return spans if opened is None else [*spans, (opened, None, None)]


def _machine(facts: Sequence[Said], up_to: Said | None) -> dict[str, Any]:
    """What was said last of each, before that end."""
    machine: dict[str, Any] = {}
    for said in facts:
        machine.update(said.about)
        if said is up_to:
            break
    return machine


def _next_start(attempt: int, of_batch: Mapping[int, Usage], until: int | None) -> int | None:
    starts = [
        said.at
        for later, usage in of_batch.items()
        if later > attempt
        for said in _known(usage.facts, until)
        if said.role == "start"
    ]
    return min(starts, default=None)


def _closing(start: int, batch_facts: Sequence[Said], next_start: int | None) -> int | None:
    """When a try that began at `start` and has no end of its own was over; never before it began. None: it is not over."""
    is_over = False
    for said in batch_facts:
        if said.role == "end":
            if said.at >= start:
                return said.at
            is_over = True
        elif said.role == "start":
            is_over = False
    if is_over:
        return start
    return None if next_start is None else max(start, next_start)


def _milli(cpus: float) -> int:
    return max(1, round(min(cpus * 1000, _MOST_MILLI_CPUS)))

"""What is remembered of one run, and what follows from it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from argus_contracts.registry import FACTS_OF_WORKSPACES
from argus_query.facts import (
    Field,
    attempt_of,
    first_rank,
    iso,
    older_environment,
    rank,
    short_name,
    state_field,
)
from argus_query.lifecycle import TERMINAL, Fact, Lifecycle, is_lifecycle_kind, is_sign_of_life, is_start
from argus_query.runs.activity import Activity
from argus_query.runs.ended import EndedRow, ended_row
from argus_query.runs.folders import MAX_FOLDERS, Folder, Unmeasured, folders_of, named_in, unmeasured
from argus_query.runs.outputs import Measured, OutputsKnown, is_about_outputs
from argus_query.sql import array_text

DEFAULT_HEARTBEAT_S = 30.0
MAX_REMEMBERED = 1_000
MAX_SEARCH_CHARS = 4_096
_START_FIELDS = frozenset((
    "name", "type", "project", "runner", "labels", "tags", "n_jobs_expected", "params", "config", "output_dir",
    "work_dir", "cluster", "resume_of", "session_id", "heartbeat_interval_s", "environment",
))  # fmt: skip
_NOT_OF_A_RUN = FACTS_OF_WORKSPACES | {"retention_swept", "run_purged"}
_NO_PROGRESS = frozenset({"batch_heartbeat", "resource_snapshot"})


class FoundBy(NamedTuple):
    """By what lists find a run. It hardly ever changes after the start."""

    text: str
    """What a search looks into: name, id, project and labels, a line each."""
    facets: frozenset[tuple[str, str]]
    at: int
    """Where it stands in a list (microseconds since 1970)."""


@dataclass(slots=True)
class RunState:
    """One run. Times are microseconds since 1970; `seen` and `progressed` by Argus' clock, the others by the sender's."""

    batch_id: str
    workspace: str
    user: str
    life: Lifecycle = field(default_factory=Lifecycle)
    fields: dict[str, Field] = field(default_factory=dict)
    attempts: list[int] = field(default_factory=list)
    dropped: dict[str, dict[str, int]] = field(default_factory=dict)
    stop: Fact | None = None
    cost: tuple[float | None, float | None] | None = None
    """Of all attempts, and of those in vain, in USD, as far as it is known; None: the run is not in the ledger."""
    outputs: OutputsKnown = field(default_factory=OutputsKnown)
    activity: Activity = field(default_factory=Activity)
    folders: list[Folder] = field(default_factory=list)
    """What it has ever named for its files; ascending, the first `MAX_FOLDERS`."""
    first_at: int | None = None
    last_at: int = 0
    seen: int = 0
    progressed: int = 0
    stored: FoundBy | None = None
    """As the tables have it; None: they have no row."""
    stored_ended: EndedRow | None = None
    stored_folders: frozenset[Folder] = frozenset()
    stored_unmeasured: Unmeasured | None = None
    """As the tables beside have it."""
    changed: bool = True
    """More than the three times (`last_at`, `seen`, `progressed`) differs from the tables."""

    def project_event(self, event: dict[str, Any], at: int, received: int, position: int, producer: str | None) -> None:
        """The run now knows of `event`."""
        kind: str = event["kind"]
        if not is_sign_of_life(kind):
            self._project_decision(kind, event, at, position)
            return
        self.hear(attempt_of(event), event.get("job_id") is None and is_lifecycle_kind(kind), at, at, received)
        if kind not in _NO_PROGRESS:
            self.progressed = max(self.progressed, received)
        if is_lifecycle_kind(kind) and self.activity.add(is_start(kind), event.get("job_id"), position):
            self.changed = True
        if event.get("job_id") is not None:
            return
        if is_lifecycle_kind(kind):
            self._project_lifecycle(kind, event, at, position)
        if kind == "env_snapshot":
            self._set("env", first_rank(attempt_of(event), at, event["event_id"]), event.get("data") or {})
        dropped = (event.get("data") or {}).get("dropped")
        if dropped:
            self._project_dropped(producer, dropped)

    def hear(self, attempt: int, is_own_fact: bool, first_at: int, last_at: int, received: int) -> None:
        """The run gave signs of life in `attempt`, from `first_at` to `last_at`."""
        if not is_own_fact and self.life.hear(attempt):
            self.changed = True
        if attempt not in self.attempts:
            self.attempts = sorted([*self.attempts, attempt])[-MAX_REMEMBERED:]
            self.changed = True
        if self.first_at is None or first_at < self.first_at:
            self.first_at, self.changed = first_at, True
        self.last_at = max(self.last_at, last_at)
        self.seen = max(self.seen, received)

    def set_cost(self, cost_usd: float | None, wasted_usd: float | None) -> bool:
        """The run is in the ledger, with these figures. True: they are new."""
        if self.cost == (cost_usd, wasted_usd):
            return False
        self.cost, self.changed = (cost_usd, wasted_usd), True
        return True

    def _project_lifecycle(self, kind: str, event: dict[str, Any], at: int, position: int) -> None:
        data = event.get("data") or {}
        attempt = attempt_of(event)
        kept = {} if kind == "batch_start" else data
        if self.life.add(Fact(event["event_id"], kind, attempt, at, position, kept)):
            self.changed = True
        if kind == "batch_start":
            self._name_folders(data)
            event_rank = rank(attempt, at, event["event_id"])
            for name, value in data.items():  # a few of the many that there are
                if name in _START_FIELDS:
                    self._set(name, event_rank, value)

    def _name_folders(self, data: dict[str, Any]) -> None:
        named = named_in(data).difference(self.folders)
        if named:
            self.folders = sorted([*self.folders, *named])[:MAX_FOLDERS]
            self.changed = True

    def _project_decision(self, kind: str, event: dict[str, Any], at: int, position: int) -> None:
        self.first_at = at if self.first_at is None else min(self.first_at, at)
        self.changed = True
        if kind == "stop_requested":
            fact = Fact(event["event_id"], kind, attempt_of(event), at, position, event.get("data") or {})
            if self.stop is None or (fact.attempt, fact.order) > (self.stop.attempt, self.stop.order):
                self.stop = fact
        elif is_about_outputs(kind):
            self.outputs.project(kind, event, at, position)

    def _project_dropped(self, producer: str | None, dropped: dict[str, int]) -> None:
        """A sender counts up, so the highest number of each process is the one to add."""
        of_producer = self.dropped.setdefault(producer or "", {})
        for retention_class, count in dropped.items():
            if count > of_producer.get(retention_class, 0):
                of_producer[retention_class] = count
                self.changed = True

    def _set(self, name: str, event_rank: str, value: Any) -> None:
        if state_field(self.fields, name, event_rank, value):
            self.changed = True

    # What follows.

    @property
    def cost_usd(self) -> float | None:
        return None if self.cost is None else self.cost[0]

    @property
    def wasted_usd(self) -> float | None:
        return None if self.cost is None else self.cost[1]

    def get(self, name: str, default: Any = None) -> Any:
        known = self.fields.get(name)
        return default if known is None else known[1]

    @property
    def stop_counts(self) -> bool:
        """The stop request is meant for the present start of the run, not for an earlier one."""
        stop, life = self.stop, self.life
        if stop is None or stop.attempt < life.attempt:
            return False
        # Only after a resume, because the clocks of the sender and of whoever asked may differ.
        return life.last_start is None or life.last_start == life.first_start or stop.at >= life.last_start.at

    def status(self) -> str:
        status = self.life.status()
        return "stopping" if status == "running" and self.stop_counts else status

    def because(self) -> list[Fact]:
        facts = self.life.because()
        if self.status() == "stopping" and self.stop is not None:
            facts.append(self.stop)
        return facts

    @property
    def started_at(self) -> int | None:
        return None if self.life.first_start is None else self.life.first_start.at

    @property
    def host(self) -> str | None:
        env = self.get("env") or {}
        return env.get("host") or older_environment(self.get("environment")).get("host")

    @property
    def labels(self) -> list[str]:
        return list(dict.fromkeys(short_name(label) or "" for label in self.get("labels", [])))

    @property
    def project(self) -> str | None:
        return short_name(self.get("project"))

    @property
    def outputs_deleted_at(self) -> int | None:
        """When all outputs were deleted, where the run neither goes on nor has begun or ended since."""
        if self.activity.is_active or self.life.status() not in TERMINAL:
            return None
        return self.outputs.deleted_at(self.activity.position)

    def live_outputs(self) -> Measured | None:
        """The newest listing that still tells something of the outputs; None: their size is not known."""
        return self.outputs.live(self.outputs_deleted_at)

    def found_by(self) -> FoundBy:
        labels, project = self.labels, self.project
        parts = (self.get("name"), self.batch_id, self.get("project"), *labels)
        text = "\n".join(part.casefold() for part in parts if part)[:MAX_SEARCH_CHARS]
        facets = {("user", self.user), ("workspace", self.workspace), *(("label", label) for label in labels)}
        if project:
            facets.add(("project", project))
        return FoundBy(text, frozenset(facets), self.sort_at)

    @property
    def sort_at(self) -> int:
        return self.started_at if self.started_at is not None else self.first_at or 0

    def row(self, found_by: FoundBy) -> tuple[Any, ...]:
        """Its row in `runs`. found_by: as `found_by()` says."""
        return (
            self.batch_id, self.workspace, self.user, self.get("type", "training"), self.project, array_text(self.labels),
            self.status(), iso(found_by.at), float(self.get("heartbeat_interval_s") or DEFAULT_HEARTBEAT_S), *self.times(),
            found_by.text,
        )  # fmt: skip

    def summary(self) -> dict[str, Any]:
        """What lists show of it, beyond its row in `runs`."""
        end, because = self.life.end(), self.because()
        end_data = end.data if end else {}
        return {
            "name": self.get("name") or self.batch_id,
            "status_since": iso(because[-1].at) if because else None,
            "started_at": iso(self.started_at),
            "ended_at": iso(end.at) if end else None,
            "elapsed_s": end_data.get("elapsed_s"),
            "host": self.host,
            "attempt": max(1, self.life.attempt),
            "n_jobs_expected": self.get("n_jobs_expected"),
            "reason": end_data.get("reason") or _last_line(end_data.get("error_report")),
            "dashboard": self._on_dashboard(),
        }

    def _on_dashboard(self) -> dict[str, Any]:
        """What the dashboard and the deleter are told beyond that; most runs have little of it, so nothing stands for null."""
        said = {"cluster": self.get("cluster"), "output_dir": self.get("output_dir")}
        if said["output_dir"] is not None:
            said |= {"lifecycle_position": self.activity.position, "is_active": self.activity.is_active}
        if self.cost_usd is not None:
            said |= {"cost_usd": self.cost_usd, "wasted_usd": self.wasted_usd}
        if self.outputs.is_any:
            said |= self._of_outputs()
        return {name: value for name, value in said.items() if value is not None}

    def _of_outputs(self) -> dict[str, Any]:
        live, deletion = self.live_outputs(), self.outputs.deletion()
        return {
            "bytes": live.bytes if live else None,
            "objects": live.objects if live else None,
            "measured_at": iso(live.at) if live else None,
            "deleted_at": iso(self.outputs_deleted_at),
            "deletion_id": deletion.deletion_id if deletion else None,
            "deletion_state": deletion.step.state if deletion else None,
        }

    def times(self) -> tuple[str | None, str | None, str | None]:
        """When it was last seen, last made progress, and last said anything."""
        return iso(self.seen or None), iso(self.progressed or None), iso(self.last_at or None)

    def to_json(self) -> dict[str, Any]:
        return {
            "workspace": self.workspace,
            "user": self.user,
            "life": self.life.to_json(),
            "fields": self.fields,
            "attempts": self.attempts,
            "dropped": self.dropped,
            "stop": None if self.stop is None else self.stop.to_json(),
            "activity": self.activity.to_json(),
            "folders": [list(folder) for folder in self.folders],
            "first_at": self.first_at,
            "cost": self.cost,
            "outputs": self.outputs.to_json() if self.outputs.is_any else None,
        }

    @classmethod
    def from_json(cls, batch_id: str, raw: dict[str, Any], last_at: int, seen: int, progressed: int) -> RunState:
        state = cls(
            batch_id=batch_id,
            workspace=raw["workspace"],
            user=raw["user"],
            life=Lifecycle.from_json(raw["life"]),
            fields=raw["fields"],
            attempts=raw["attempts"],
            dropped=raw["dropped"],
            stop=None if raw["stop"] is None else Fact(*raw["stop"]),
            activity=Activity(*raw["activity"]),
            folders=[Folder(*one) for one in raw["folders"]],
            first_at=raw["first_at"],
            cost=None if raw.get("cost") is None else tuple(raw["cost"]),
            outputs=OutputsKnown() if raw.get("outputs") is None else OutputsKnown.from_json(raw["outputs"]),
            last_at=last_at,
            seen=seen,
            progressed=progressed,
            changed=False,
        )
        state.stored = state.found_by()
        state.stored_ended = ended_row(state, state.stored)
        state.stored_folders, state.stored_unmeasured = folders_of(state), unmeasured(state)
        return state


def makes_a_run(kind: str) -> bool:
    """False for kinds whose `batch_id` names something else, or a run that is no more."""
    return kind not in _NOT_OF_A_RUN


def _last_line(text: str | None) -> str | None:
    return None if not text else text.strip().splitlines()[-1][:1024] if text.strip() else None

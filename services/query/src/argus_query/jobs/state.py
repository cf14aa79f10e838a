"""What is remembered of one job, and of the batch around it, and what follows. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from argus_query.facts import (
    Field,
    attempt_of,
    iso,
    natural_key,
    rank,
    seconds,
    short_name,
    state_field,
)
from argus_query.jobs.losses import Losses, Order
from argus_query.jobs.machine import Machine
from argus_query.lifecycle import OPEN, TERMINAL, Fact, JobView, Lifecycle, is_lifecycle_kind, is_sign_of_life, job_view
from argus_query.shares import Measured, Share
from argus_query.sql import json_text

STATUSES: tuple[str, ...] = ("queued", "running", "succeeded", "failed", "aborted", "cached")
_FIELDS = frozenset((
    "name", "model", "dataset", "params", "host", "pid", "process", "tag", "n_epochs_expected", "n_steps_expected",
    "instance_type", "capacity", "gpu_indexes",
))  # fmt: skip


@dataclass(slots=True)
class BatchState:
    """The batch around the jobs."""

    batch_id: str
    life: Lifecycle = field(default_factory=Lifecycle)
    machine: Machine = field(default_factory=Machine)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATUSES, 0))
    changed: bool = True

    @property
    def n_jobs(self) -> int:
        """Of those that the tables have."""
        return sum(self.counts.values())

    def verdict(self) -> tuple[Any, ...]:
        """What the status of its open jobs depends on."""
        end = self.life.end()
        start = self.life.first_start
        return (self.life.attempt, end.event_id if end else None, start.event_id if start else None)

    def row(self) -> tuple[Any, ...]:
        """Its row in `job_batches`: the counts in the order of `STATUSES`."""
        state = {"life": self.life.to_json(), "machine": self.machine.to_json()}
        return self.batch_id, json_text(state), *(self.counts[status] for status in STATUSES)

    @classmethod
    def from_json(cls, batch_id: str, raw: dict[str, Any], counts: dict[str, int]) -> BatchState:
        life, machine = Lifecycle.from_json(raw["life"]), Machine.from_json(raw["machine"])
        return cls(batch_id, life, machine, counts, changed=False)


@dataclass(slots=True)
class JobState:
    """One job. Times are microseconds since 1970 by the sender's clock."""

    batch_id: str
    job_id: str
    life: Lifecycle = field(default_factory=Lifecycle)
    fields: dict[str, Field] = field(default_factory=dict)
    losses: Losses = field(default_factory=Losses)
    machine: Machine = field(default_factory=Machine)
    first_point: list[Any] | None = None
    """[attempt, at, event_id, epoch, step] of the first point of the newest attempt that has any."""
    least_epoch: int | None = None
    last_at: int = 0
    idle: list[Any] | None = None
    """[rank, at or None]: since when the job's GPUs do nothing."""
    stored_status: str | None = None
    """As the tables and the counts have it; None: not there yet."""

    def project_event(self, event: dict[str, Any], at: int, position: int) -> None:
        """The job now knows of `event`."""
        kind, attempt, event_id = event["kind"], attempt_of(event), event["event_id"]
        if kind == "job_epoch":
            self.project_share(Share(kind, self.job_id, attempt, [event], [at]))
        elif kind == "resource_snapshot":
            self.machine.add(event["data"], attempt, at, event_id)
        elif is_lifecycle_kind(kind):
            self._project_lifecycle(event, at, position)
        elif kind in ("job_idle_flagged", "job_idle_recovered"):
            event_rank = rank(attempt, at, event_id)
            if self.idle is None or event_rank > self.idle[0]:
                self.idle = [event_rank, at if kind == "job_idle_flagged" else None]
        if is_sign_of_life(kind):
            self.last_at = max(self.last_at, at)
            if not is_lifecycle_kind(kind):
                self.life.hear(attempt)

    def _project_lifecycle(self, event: dict[str, Any], at: int, position: int) -> None:
        kind, attempt, event_id, data = event["kind"], attempt_of(event), event["event_id"], event.get("data") or {}
        is_end = kind not in ("job_submitted", "job_start")
        self.life.add(Fact(event_id, kind, attempt, at, position, data if is_end else {}))
        if not is_end:
            event_rank = rank(attempt, at, event_id)
            for name, value in data.items():
                if name in _FIELDS:
                    state_field(self.fields, name, event_rank, value)

    def project_share(self, share: Share) -> None:
        """The job now knows of this telemetry: epochs, or only signs of life. One call for many events."""
        if share.kind == "job_epoch":
            for measured in share.measured():
                self._project_measured(share.attempt, measured)
        self.last_at = max(self.last_at, *share.times)
        self.life.hear(share.attempt)

    def _project_measured(self, attempt: int, measured: Measured) -> None:
        xs = measured.xs
        if len(measured.times) == 1:
            first = newest = 0
            first_order = newest_order = self._order(attempt, measured, 0)
        else:
            least, most = min(measured.times), max(measured.times)
            ends = [
                place for place, at in enumerate(measured.times) if at in (least, most)
            ]  # hardly ever more than two
            orders = sorted((self._order(attempt, measured, place), place) for place in ends)
            (first_order, first), (newest_order, newest) = orders[0], orders[-1]
        epochs, steps = measured.epochs, measured.steps
        if epochs is not None:
            state_field(self.fields, "epoch", rank(*newest_order), epochs[newest])
            self.least_epoch = min(epochs) if self.least_epoch is None else min(self.least_epoch, *epochs)
        if steps is not None:
            state_field(self.fields, "step", rank(*newest_order), steps[newest])
        known = self.first_point
        if known is None or attempt > known[0] or (attempt == known[0] and list(first_order[1:]) < known[1:3]):
            self.first_point = [
                *first_order, None if epochs is None else epochs[first], None if steps is None else steps[first]
            ]  # fmt: skip
        for key in measured.keys:
            track = self.losses.track(key)
            if track is not None:
                values = [metrics[key] for metrics in measured.metrics]
                newest_point = (newest_order, None if xs is None else xs[newest], values[newest])
                track.add_all(attempt, xs, measured.times, values, newest_point)

    @staticmethod
    def _order(attempt: int, measured: Measured, place: int) -> Order:
        """Clocks with whole seconds (argus-reporter) give many points one time: then the further step is the newer one."""
        x = -1 if measured.xs is None else measured.xs[place]
        return (attempt, measured.times[place], f"{x:017d}.{measured.ids[place]}")

    def get(self, name: str, default: Any = None) -> Any:
        known = self.fields.get(name)
        return default if known is None else known[1]

    @property
    def started_at(self) -> int | None:
        return None if self.life.first_start is None else self.life.first_start.at

    def elapsed_s(self, view: JobView) -> float | None:
        end = self.life.end()
        if end is not None and view.end is end:
            stated = end.data.get("elapsed_s")
            return stated if stated is not None else seconds(self.started_at, end.at)
        return seconds(self.started_at, self.last_at)

    def progress(self, epoch: int | None, step: int | None) -> float | None:
        """0 to 1. Epochs count from 0 where an epoch 0 was seen: then epoch 0 is one done."""
        if self.get("n_steps_expected") and step is not None:
            return min(1.0, step / self.get("n_steps_expected"))
        if self.get("n_epochs_expected") and epoch is not None:
            done = epoch + 1 if self.least_epoch == 0 else epoch
            return min(1.0, done / self.get("n_epochs_expected"))
        return None

    def eta_s(self, view: JobView) -> float | None:
        """At the pace between the first and the newest point of the attempt; with one point, since the start."""
        progress = self.progress(self.get("epoch"), self.get("step"))
        if view.status != "running" or not progress or self.first_point is None:
            return None
        first_progress = self.progress(self.first_point[3], self.first_point[4]) or 0.0
        newest_at = max(int(self.fields[name][0].split(".")[1]) for name in ("epoch", "step") if name in self.fields)
        took, done = seconds(self.first_point[1], newest_at) or 0.0, progress - first_progress
        if done <= 0:
            took, done = self.elapsed_s(view) or 0.0, progress
        return took / done * (1 - progress)

    def row(self, batch: BatchState) -> tuple[str, str, str, str, bool, str | None, str, str]:
        """Its row in `jobs`."""
        view = job_view(self.life, batch.life)
        own_end = self.life.end()
        end_data = own_end.data if own_end is not None and view.end is own_end else {}
        name = self.get("name") or self.job_id
        texts = (name, self.job_id, self.get("model"), self.get("dataset"), self.get("process"), self.get("tag"))
        key = self.losses.key
        steps, values = self.losses.tracks[key].curve() if key else ([], [])
        epoch, step = self.get("epoch"), self.get("step")
        progress = self.progress(epoch, step)
        summary = {
            "name": name,
            "model": self.get("model"),
            "dataset": self.get("dataset"),
            "status_since": iso(view.since),
            "started_at": iso(self.started_at),
            "ended_at": iso(view.end.at) if view.end is not None and view.status in TERMINAL else None,
            "last_activity_at": iso(self.last_at or None),
            "elapsed_s": self.elapsed_s(view),
            "attempt": max(1, self.life.attempt),
            "epoch": epoch,
            "step": step,
            "n_epochs_expected": self.get("n_epochs_expected"),
            "n_steps_expected": self.get("n_steps_expected"),
            "progress": 1.0 if progress is not None and view.status == "succeeded" else progress,
            "eta_s": self.eta_s(view),
            "loss_key": key,
            "loss": self.losses.newest(key),
            "train_loss": self.losses.newest("train_loss"),
            "val_loss": self.losses.newest("val_loss"),
            "sparkline": {"key": key, "steps": steps, "values": values} if steps else None,
            "gpu_util_pct": self.machine.gpu_util_pct,
            "gpu_memory_peak_bytes": self.machine.gpu_memory_peak_bytes,
            "reason": _reason(view, end_data),
        }
        search_text = "\n".join(text.casefold() for text in texts if text)
        return (
            self.batch_id, self.job_id, natural_key(self.job_id), view.status, self.life.status() in OPEN,
            short_name(self.get("host")), search_text, orjson.dumps(summary).decode(),
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        return {
            "life": self.life.to_json(),
            "fields": self.fields,
            "losses": self.losses.to_json(),
            "machine": self.machine.to_json(),
            "first_point": self.first_point,
            "least_epoch": self.least_epoch,
            "last_at": self.last_at,
            "idle": self.idle,
        }

    @classmethod
    def from_json(cls, batch_id: str, job_id: str, raw: dict[str, Any], stored_status: str) -> JobState:
        return cls(
            batch_id=batch_id,
            job_id=job_id,
            life=Lifecycle.from_json(raw["life"]),
            fields=raw["fields"],
            losses=Losses.from_json(raw["losses"]),
            machine=Machine.from_json(raw["machine"]),
            first_point=raw["first_point"],
            least_epoch=raw["least_epoch"],
            last_at=raw["last_at"],
            idle=raw["idle"],
            stored_status=stored_status,
        )


def _reason(view: JobView, end_data: dict[str, Any]) -> str | None:
    """Why it ended: as the job says, else the last line of its traceback, else why its batch ended."""
    if end_data.get("reason"):
        return end_data["reason"]
    traceback = (end_data.get("traceback") or "").strip()
    if traceback:
        return traceback.splitlines()[-1][:1024]
    if view.status == "aborted" and view.end is not None and view.end.kind.startswith("batch_"):
        return view.end.data.get("reason")
    return None

"""The events of one record, put together by what they are about: looked at once for all read models. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Measured(NamedTuple):
    """`job_epoch`s of one job and attempt that state the same things, in columns of the same length, in their order."""

    keys: tuple[str, ...]
    """Names of the metrics, as every one of `metrics` has them, in this order."""
    epochs: list[Any] | None
    """Whole numbers; None: these events state no epoch."""
    steps: list[Any] | None
    times: list[int]
    """`occurred_at` in microseconds since 1970."""
    ids: list[str]
    metrics: list[dict[str, Any]]

    @property
    def xs(self) -> list[int] | None:
        """The step, or else the epoch, of each."""
        return self.epochs if self.steps is None else self.steps


@dataclass(slots=True)
class Share:
    """Events of one kind about one job (None: about the run itself) in one attempt, in their order.

    times: `occurred_at` of each in microseconds since 1970.
    """

    kind: str
    job_id: str | None
    attempt: int
    events: list[dict[str, Any]] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    _measured: list[Measured] | None = None

    def measured(self) -> list[Measured]:
        """What these `job_epoch`s state."""
        if self._measured is None:
            self._measured = _measured_of(self.events, self.times)
        return self._measured


def shares_of(events: Sequence[dict[str, Any]], times: Sequence[int]) -> list[Share]:
    """All of `events`, each in one share. Events that follow each other are mostly about the same."""
    shares: dict[tuple[str, str | None, int], Share] = {}
    last = share = None
    for event, time in zip(events, times, strict=True):
        key = (event["kind"], event.get("job_id"), event.get("attempt") or 1)
        if share is None or key != last:
            last, share = key, shares.get(key)
            if share is None:
                share = shares[key] = Share(*key)
        share.events.append(event)
        share.times.append(time)
    return list(shares.values())


def _measured_of(events: list[dict[str, Any]], times: list[int]) -> list[Measured]:
    shapes: dict[tuple[Any, ...], Measured] = {}
    for event, time in zip(events, times, strict=True):
        data: dict[str, Any] = event["data"]
        metrics, epoch, step = data["metrics"], data.get("epoch"), data.get("step")
        shape = (epoch is None, step is None, *metrics)
        measured = shapes.get(shape)
        if measured is None:
            measured = Measured(tuple(metrics), None if epoch is None else [], None if step is None else [], [], [], [])
            shapes[shape] = measured
        if measured.epochs is not None:
            measured.epochs.append(epoch)
        if measured.steps is not None:
            measured.steps.append(step)
        measured.times.append(time)
        measured.ids.append(event["event_id"])
        measured.metrics.append(metrics)
    return list(shapes.values())

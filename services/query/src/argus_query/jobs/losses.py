"""The loss of a job: which metric it is, its newest value, and a small curve. Pure; order does not matter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import lt
from typing import Any

MAX_BUCKETS = 63
"""One less than a sparkline's 64 points: the newest point is added when it is shown."""
_FIRST_CHOICES = ("val_loss", "train_loss", "loss")
Order = tuple[int, int, str]
"""(attempt, occurred_at in microseconds, step and event_id as one text that sorts)."""


@dataclass(slots=True)
class Track:
    """A metric, thinned evenly over its steps.

    The first step of each bucket of `stride` steps is kept; `stride` is the smallest power of two that leaves at most 63
    buckets. A later attempt's value for the same step counts.
    """

    stride: int = 1
    points: dict[int, list[Any]] = field(default_factory=dict)
    """bucket -> [step, attempt, at, value]"""
    newest: Order | None = None
    """Of the newest event, with its step and value beside it."""
    last_step: int | None = None
    last_value: float | str | None = None

    def add_all(
        self,
        attempt: int,
        steps: Sequence[int] | None,
        times: Sequence[int],
        values: Sequence[float | str],
        newest: tuple[Order, int | None, float | str],
    ) -> None:
        """Points of one attempt are known. newest: the order, step and value of the last of them by its order."""
        if self.newest is None or newest[0] > self.newest:
            self.newest, self.last_step, self.last_value = newest
        if steps is None:
            return
        for place in self._places(steps):
            step = steps[place]
            known = self.points.get(step // self.stride)
            if known is None or known[0] >= step:
                self._keep([step, attempt, times[place], values[place]])
                self._thin()

    def _places(self, steps: Sequence[int]) -> Iterable[int]:
        """Where the points are that may be kept: while steps ascend, only the first of each bucket."""
        if not all(map(lt, steps, islice(steps, 1, None))):
            return range(len(steps))
        stride = self.stride
        firsts: dict[int, int] = {}
        for place, step in enumerate(steps):
            firsts.setdefault(step // stride, place)
        return firsts.values()

    def _thin(self) -> None:
        while len(self.points) > MAX_BUCKETS:
            self.stride *= 2
            points, self.points = self.points, {}
            for point in points.values():
                self._keep(point)

    def _keep(self, point: list[Any]) -> None:
        bucket = point[0] // self.stride
        known = self.points.get(bucket)
        if known is None or point[0] < known[0] or (point[0] == known[0] and _later(point, known)):
            self.points[bucket] = point

    def curve(self) -> tuple[list[int], list[float | None]]:
        """Steps and values, ascending; the newest point closes it. None where a value is not finite."""
        points = {point[0]: point[3] for point in self.points.values()}
        if self.last_step is not None:
            points[self.last_step] = self.last_value
        steps = sorted(points)
        return steps, [None if isinstance(points[step], str) else points[step] for step in steps]

    def to_json(self) -> list[Any]:
        points = [self.points[bucket] for bucket in sorted(self.points)]
        return [self.stride, points, self.newest, self.last_step, self.last_value]

    @classmethod
    def from_json(cls, raw: list[Any]) -> Track:
        stride, points, newest, last_step, last_value = raw
        kept = {point[0] // stride: point for point in points}
        return cls(stride, kept, None if newest is None else (newest[0], newest[1], newest[2]), last_step, last_value)


def _later(point: list[Any], known: list[Any]) -> bool:
    """`point` restates the step of `known`. The value settles a tie, so that arrival never does."""
    return (point[1], point[2], str(point[3])) > (known[1], known[2], str(known[3]))


@dataclass(slots=True)
class Losses:
    """`val_loss`, `train_loss`, `loss`, and of all other metrics with `loss` in the name the alphabetically first."""

    tracks: dict[str, Track] = field(default_factory=dict)

    def track(self, key: str) -> Track | None:
        """Where the values of metric `key` go. None: it is no loss that could ever be shown."""
        if "loss" not in key:
            return None
        track = self.tracks.get(key)
        if track is None:
            if key not in _FIRST_CHOICES and not self._is_first_other(key):
                return None
            track = self.tracks[key] = Track()
        return track

    def _is_first_other(self, key: str) -> bool:
        """`key` stands before the other metric kept so far, which then is forgotten: it can never be chosen again."""
        known = next((name for name in self.tracks if name not in _FIRST_CHOICES), None)
        if known is not None and known <= key:
            return False
        if known is not None:
            del self.tracks[known]
        return True

    @property
    def key(self) -> str | None:
        for key in _FIRST_CHOICES:
            if key in self.tracks:
                return key
        return next(iter(self.tracks), None)

    def newest(self, key: str | None) -> float | str | None:
        track = self.tracks.get(key) if key is not None else None
        return None if track is None else track.last_value

    def to_json(self) -> dict[str, Any]:
        return {key: self.tracks[key].to_json() for key in sorted(self.tracks)}

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Losses:
        return cls({key: Track.from_json(track) for key, track in raw.items()})

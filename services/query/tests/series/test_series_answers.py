"""Answers from packed curves, in a real PostgreSQL: they are those of the points, and stay small and cheap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from psycopg import AsyncConnection

from argus_query.series import SeriesReadModel
from argus_query.series.reads import SHARED_POINTS
from argus_query.series.thinning import thin

pytestmark = pytest.mark.service


def test_answers_are_those_of_the_points(in_fresh_tables: Callable[..., Any], kit: Any) -> None:
    """3,000 points by hand: x is the step, or else the epoch; ranges include their ends; words stand for what is no number."""
    events = [kit.event(n, n, {"loss": n / 2}, time_us=n * 1_000_000) for n in range(3_000)]
    events[1_500] = kit.event(1_500, 1_500, {"loss": "NaN"}, time_us=1_500_000_000)
    events += [kit.event(4_000 + n, None, {"val_loss": float(n)}, data={"epoch": n}) for n in range(3)]

    async def inside(connection: AsyncConnection[Any]) -> None:
        await kit.fold(connection, SeriesReadModel(), kit.record(events))
        (val, loss) = await kit.drawn(connection, kit.ask(max_points=1000))
        assert (val.key, val.step, val.value, val.bucketed) == ("val_loss", [0, 1, 2], [0.0, 1.0, 2.0], False)
        assert loss.bucketed and loss.n_points == 3_000 and len(loss.step) == 750  # 4 steps in each
        assert (loss.step[1], loss.value[1], loss.min[1], loss.max[1], loss.last[1]) == (7, 2.75, 2.0, 3.5, 3.5)
        assert [(odd.step, odd.value) for odd in loss.not_finite] == [(1_500, "NaN")]
        assert loss.value[375] == (750.5 + 751 + 751.5) / 3 and loss.time_ms[0] == 1767225600000 + 3_000
        (by_step,) = await kit.drawn(connection, kit.ask(keys=["loss"], first=1_499.5, last=1_502))
        assert (by_step.step, by_step.value) == ([1_500, 1_501, 1_502], [None, 750.5, 751.0])
        (by_time,) = await kit.drawn(
            connection, kit.ask(keys=["loss"], x="time", first=1767225600000 + 1_000, last=1767225600000 + 2_000)
        )
        assert by_time.step == [1, 2]
        assert await kit.drawn(connection, kit.ask(keys=["unheard of"])) == []

    in_fresh_tables(inside)


def test_few_points_of_a_long_curve_come_at_the_first_look(in_fresh_tables: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, kit: Any) -> None:  # fmt: skip
    """A whole history is read exactly, in pieces or at once: blocks with few enough points are not asked for their tiers first."""
    n_looks = 0

    def counted(*arguments: Any) -> Any:
        nonlocal n_looks
        n_looks += 1
        return thin(*arguments)

    async def inside(connection: AsyncConnection[Any]) -> None:
        nonlocal n_looks
        model = SeriesReadModel()
        for first in range(0, 20_000, 2_500):
            await kit.fold(
                connection, model, kit.record([kit.event(n, n, {"loss": n / 3}) for n in range(first, first + 2_500)])
            )
        await kit.maintain(connection, model)
        monkeypatch.setattr("argus_query.series.reads.thin", counted)
        for first in range(0, 20_000, 5_000):
            (curve,) = await kit.drawn(connection, kit.ask(first=first, last=first + 4_999, max_points=5_000))
            assert curve.value == [n / 3 for n in range(first, first + 5_000)]
        assert n_looks == 4
        (half,) = await kit.drawn(connection, kit.ask(first=5_000, last=14_999, max_points=10_000))
        assert n_looks == 5
        assert half.value == [n / 3 for n in range(5_000, 15_000)]
        assert len(half.model_dump_json()) < 50 * 10_000
        (whole,) = await kit.drawn(connection, kit.ask(max_points=10_000))
        assert (whole.bucketed, whole.n_points, len(whole.step)) == (True, 20_000, 5_000)

    in_fresh_tables(inside)


def test_without_a_loss_the_first_metric_is_shown_and_losses_come_first(
    in_fresh_tables: Callable[..., Any], kit: Any
) -> None:
    async def inside(connection: AsyncConnection[Any]) -> None:
        model = SeriesReadModel()
        await kit.fold(connection, model, kit.record([kit.event(1, 1, {"recall": 1, "accuracy": 1})]))
        assert [s.key for s in await kit.drawn(connection, kit.ask())] == ["accuracy"]
        keys = dict.fromkeys(["loss", "val_loss", "train_loss", "aux_Loss", "z_loss"], 1.0)
        await kit.fold(connection, model, kit.record([kit.event(2, 1, keys)]))
        assert [s.key for s in await kit.drawn(connection, kit.ask())] == [
            "val_loss",
            "train_loss",
            "loss",
            "aux_Loss",
        ]

    in_fresh_tables(inside)


def test_an_answer_of_many_curves_stays_small(in_fresh_tables: Callable[..., Any], kit: Any) -> None:
    """20 metrics of 12,000 steps: they share what an answer holds, read from few buckets, with two statements each at most."""
    keys = [f"metric-{n}" for n in range(20)]
    events = [kit.event(n, n, dict.fromkeys(keys, n / 7), time_us=n * 1_000) for n in range(12_000)]

    async def inside(connection: AsyncConnection[Any]) -> None:
        model = SeriesReadModel()
        await kit.fold(connection, model, kit.record(events))
        await kit.maintain(connection, model)
        counted = Counted(connection)
        for bounds in ({}, {"first": 3_000, "last": 9_000}, {"first": 500, "last": 1_400}):
            counted.statements = 0
            curves = await kit.drawn(counted, kit.ask(keys=keys, max_points=1000, **bounds))  # type: ignore[arg-type]
            assert [curve.key for curve in curves] == keys
            assert sum(len(curve.step) for curve in curves) <= SHARED_POINTS
            assert sum(len(curve.model_dump_json()) for curve in curves) <= 200_000
            assert counted.statements <= 1 + 3 * len(keys)
        (alone,) = await kit.drawn(connection, kit.ask(keys=keys[:1], max_points=5_000, first=1_000, last=5_999))
        assert alone.step == list(range(1_000, 6_000))

    in_fresh_tables(inside)


class Counted:
    """A connection that counts what is asked through it."""

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self._connection = connection
        self.statements = 0

    def __getattr__(self, name: str) -> Any:
        if name in ("execute", "cursor"):
            self.statements += 1
        return getattr(self._connection, name)

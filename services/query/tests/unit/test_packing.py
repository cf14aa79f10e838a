"""What query sends: an envelope, or its answer packed; either way an answer of the contract."""

from __future__ import annotations

import numpy as np
import orjson
import zstandard

from argus_contracts.queries.common import CONTENT_ENCODING, ZSTD
from argus_contracts.queries.live import Positions
from argus_contracts.queries.series import SeriesAnswer
from argus_query.packing import envelope_of, reply_of

N = 2_000


def curve(values: np.ndarray) -> dict[str, object]:
    numbers = np.arange(len(values))
    series = {
        "key": "loss", "family": "metric", "n_points": len(values), "bucketed": False, "attempt": np.ones_like(numbers),
        "step": numbers, "time_ms": numbers + 2**41, "value": values, "not_finite": [],
    }  # fmt: skip
    return {"position": 2**53, "batch_id": "b", "job_id": 'j"é', "series": [series]}


def test_a_curve_of_arrays_is_the_answer_that_its_model_would_give() -> None:
    values = np.random.default_rng(7).normal(size=N) * 10.0 ** np.linspace(-300, 300, N)
    values[:5] = [np.nan, np.inf, -np.inf, 5e-324, -0.0]
    said = envelope_of(curve(values))
    answer = SeriesAnswer.model_validate(orjson.loads(said)["answer"], strict=True)
    assert answer.series[0].value == [float(v) if np.isfinite(v) else None for v in values]
    assert answer.model_dump(mode="json", exclude_unset=True) == orjson.loads(said)["answer"]


def test_a_long_answer_is_packed_for_who_takes_it_and_is_the_same() -> None:
    envelope = envelope_of(curve(np.linspace(0, 1, N)))
    body, headers = reply_of(envelope, ZSTD)
    assert headers == {CONTENT_ENCODING: ZSTD} and len(body) < len(envelope) / 2
    assert orjson.loads(zstandard.decompress(body)) == orjson.loads(envelope)["answer"]
    assert reply_of(envelope, "") == (envelope, None)


def test_short_answers_and_problems_travel_in_their_envelope() -> None:
    short = envelope_of(Positions(log=1, projected=1, lag_events=0, lag_seconds=0.0))
    problem = orjson.dumps({"answer": None, "problem": {"code": "not_found", "detail": "x" * 5_000}})
    for envelope in (short, problem):
        assert reply_of(envelope, ZSTD) == (envelope, None)

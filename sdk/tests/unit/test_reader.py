"""How a long history is cut into answers that hold every point."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

import argus
from argus.reader import MOST_POINTS, _cuts

STEPS = st.integers(0, 10**6)


@given(st.lists(STEPS, min_size=1, max_size=400), st.integers(MOST_POINTS + 1, 10**6), STEPS, STEPS)
def test_the_pieces_follow_each_other_from_end_to_end_and_each_is_smaller(
    steps: list[int], n_points: int, a: int, b: int
) -> None:
    for first, last in ((None, None), (min(a, b), max(a, b))):
        inside = sorted(step for step in steps if first is None or last is None or first <= step <= last)
        if not inside:
            continue
        pieces = list(_cuts(inside, n_points, first, last))
        assert (pieces[0][0], pieces[-1][1]) == (first, last)
        for (_, end), (start, _) in pairwise(pieces):
            assert end is not None
            assert start == end + 1
        assert all(start is None or end is None or start <= end for start, end in pieces)
        if first != last:
            assert (first, last) not in pieces


def test_to_train_does_not_wait_for_what_only_reading_needs() -> None:
    told = subprocess.run(
        [sys.executable, "-c", "import argus, sys; print('httpx' in sys.modules); print(argus.Reader.__module__)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout.split() == ["False", "argus.reader"]


def test_without_an_address_or_key_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("ARGUS_URL", "ARGUS_PUBLIC_URL", "ARGUS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(argus.ReadError, match="argus login"):
        argus.Reader()
    monkeypatch.setenv("ARGUS_PUBLIC_URL", "http://127.0.0.1:1")
    for nowhere in ("argus.example.com", "nats://other:4222", ""):
        with pytest.raises(argus.ReadError, match="http"):
            argus.Reader(nowhere, "ak_a_b")  # and not the one from the environment, which would hear of the key
    with argus.Reader("http://u:secret@127.0.0.1:1", "ak_a_b") as reader, pytest.raises(argus.ReadError) as refused:
        reader.run("b")
    assert "secret" not in str(refused.value)
    with pytest.raises(argus.ReadError, match="ARGUS_TOKEN"):
        argus.Reader("http://127.0.0.1:1")
    with argus.Reader("http://127.0.0.1:1", "ak_a_b") as reader, pytest.raises(argus.ReadError, match="cannot reach"):
        reader.run("b")

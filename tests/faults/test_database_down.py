"""Postgres is stopped in the middle of everything."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from argus_testkit import LocalStack, eventually
from argus_testkit.faults import Trial, pick
from argus_testkit.faults.observe import redeliveries

DOWN_S = pick(5.0, 60.0)


def test_d1_postgres_is_stopped_under_load(trial: Callable[..., Trial], faulty_stack: LocalStack) -> None:
    """D1: stopped at once (`immediate`), away for a while, started: nothing is lost, dead-lettered or given up by the broker,
    what is redelivered is bounded, pages say that Argus is away, and all is well again without anybody's hand."""
    with trial() as fault:
        before = redeliveries(faulty_stack)
        faulty_stack.put_down("postgres", signal.SIGQUIT)
        began = time.monotonic()
        eventually(fault.is_away, what="the gateway says that it cannot answer")
        while time.monotonic() - began < DOWN_S:
            assert fault.is_away(), "no page tells something old as if it were new"
            time.sleep(0.5)
        capture = fault.capture
        assert capture is not None
        eventually(lambda: "unavailable" in capture.states, what="the badge of an open page says so")
        spent = time.monotonic() - began
        again = redeliveries(faulty_stack) - before
        faulty_stack.put_up("postgres")
        print(f"the log grows {fault.wait_for_growth():.1f} s after the start of Postgres")
        print(f"{again / spent:.1f} messages a second were delivered again")
        assert again / spent <= 5
        fault.verdict()
        assert not fault.is_away("/api/facets")

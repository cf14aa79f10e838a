"""A deletion waits for its neighbours for ever, and for nothing else."""

from __future__ import annotations

from typing import Any, cast

import pytest

from argus_deleter.errors import NotNow, Overtaken, Stopping, StoreAway, StoreMisbehaves, StoreRefuses, Unavailable
from argus_deleter.measures import Measures
from argus_deleter.worker import FAILURES, LONGEST_WAIT_S, Worker


class Row:
    """The deletion's row, as the statements leave it."""

    def __init__(self) -> None:
        self.failures = self.tries = 0
        self.waits: list[tuple[float, str]] = []

    def rows(self, name: str, **_: Any) -> list[tuple[int]]:
        if name == "failed":
            self.failures += 1
            return [(self.failures,)]
        return [(self.tries,)]

    def write(self, name: str, *, seconds: float, why: str, **_: Any) -> int:
        assert name == "postpone_deletion"
        why.encode()
        self.tries += 1
        self.waits.append((seconds, why))
        return 1


class Deletes:
    is_stopping = False

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.given_up: list[str] = []

    def run(self, *_: Any) -> None:
        raise self.errors.pop(0)

    def give_up(self, batch_id: str, deletion_id: str, why: str) -> None:
        self.given_up.append(why)


def tried(*errors: Exception) -> tuple[Row, Deletes]:
    """Each time by another process."""
    row, deletes = Row(), Deletes(*errors)
    for _ in errors:
        Worker(cast("Any", row), cast("Any", deletes), Measures(), 1)._run_locked("d1", "b1", lambda: None)
    return row, deletes


@pytest.mark.parametrize(
    "error", [ValueError("odd"), StoreMisbehaves("damaged \ud800 \0"), StoreRefuses("list", "AccessDenied", "no")]
)
def test_what_does_not_pass_ends_it_in_words(error: Exception) -> None:
    row, deletes = tried(*[error] * FAILURES)
    (why,) = deletes.given_up
    assert why.startswith("given up after 5 tries: ")
    assert "\0" not in why
    assert [seconds for seconds, _ in row.waits] == [2, 8, 32, 128]


def test_neighbours_are_waited_for_and_not_counted() -> None:
    passing = [StoreAway("away"), Unavailable("query"), NotNow("it speaks", 3), Overtaken("somebody else")] * 20
    row, deletes = tried(*passing, *[ValueError("damaged")] * (FAILURES - 1))
    assert (deletes.given_up, row.failures) == ([], FAILURES - 1)
    assert max(seconds for seconds, _ in row.waits) == LONGEST_WAIT_S


def test_the_end_of_the_process_is_no_failure() -> None:
    row, deletes = Row(), Deletes(RuntimeError("cannot schedule new futures after shutdown"))
    deletes.is_stopping = True
    with pytest.raises(Stopping):
        Worker(cast("Any", row), cast("Any", deletes), Measures(), 1)._run_locked("d1", "b1", lambda: None)
    assert (row.failures, row.waits) == (0, [])

"""The checker finds what is planted: a checker that finds nothing proves nothing."""

from __future__ import annotations

import copy
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import orjson
import pytest
import zstandard

from argus_query.logs.chunks import Line, decode_lines, encode_lines
from argus_query.series.points import decode_points, encode_points
from argus_testkit import LocalStack
from argus_testkit.faults import LiveCapture, Said, Verdict, Watch, Workload, check, seeded, settle

N_JOBS = 2
N_SAID = 1_000
"""At least, by each sender."""
Spoilt = Callable[[list[Any]], list[Any]]


def _drop(things: list[Any]) -> list[Any]:
    return [*things[:3], *things[4:]]


def _double(things: list[Any]) -> list[Any]:
    return [*things[:4], things[3], *things[4:]]


def _swap(things: list[Any]) -> list[Any]:
    return [*things[:3], things[4], things[3], *things[5:]]


class Recorded:
    """A small workload that nothing has gone wrong with."""

    def __init__(self, stack: LocalStack, said: Said, capture: LiveCapture, watch: Watch) -> None:
        self.stack, self.said, self.capture, self.watch = stack, said, capture, watch

    def check(self, rebuild: bool = False, capture: LiveCapture | None = None) -> Verdict:
        return check(self.stack, self.said, captures=[capture or self.capture], watch=self.watch, rebuild=rebuild)


@pytest.fixture(scope="module")
def recorded(faulty_stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    work = Workload(faulty_stack, tmp_path_factory.mktemp("work"), seeded("checker"), n_jobs=N_JOBS, events_per_s=2_000)
    try:
        with LiveCapture(faulty_stack, work.topics(4)) as capture, Watch(faulty_stack) as watch:
            # Frozen meanwhile, so that it folds all of it at once: a row must have enough in it for something to be swapped.
            faulty_stack.send_signal("query", signal.SIGSTOP)
            try:
                work.start()
                work.start_raw("http")
                work.start_raw("http", numbered=False)
                work.start_raw("nats")
                work.wait_until_talking(N_SAID)
            finally:
                faulty_stack.send_signal("query", signal.SIGCONT)
            yield _settled(faulty_stack, work, capture, watch)
    finally:
        work.kill()


def _settled(stack: LocalStack, work: Workload, capture: LiveCapture, watch: Watch) -> Recorded:
    said = work.finish()
    settle(stack)
    return Recorded(stack, said, capture, watch)


def test_without_a_fault_everything_is_everywhere_once(recorded: Recorded) -> None:
    """Section 1.3: the same events in ledger, log, pages, live stream and rebuilt read models."""
    verdict = recorded.check(rebuild=True).require()
    assert verdict.n_ok >= 4 * N_SAID
    assert verdict.n_unknown == 0
    assert {place: tally.is_clean for place, tally in verdict.places.items()} == dict.fromkeys(
        ("log", "points of value", "points of checksum", "lines", "live stream"), True
    )
    assert recorded.watch.largest[1] > 10_000_000, "somebody was measured"


@contextmanager
def _changed_row(
    stack: LocalStack, table: str, where: str, column: str, spoil: Callable[[bytes], bytes]
) -> Iterator[None]:
    """Meanwhile `column` of the first row that has enough in it is another one."""
    with stack.database() as database:
        select: Any = f"SELECT tableoid::regclass::text, ctid::text, {column} FROM {table} WHERE {where} LIMIT 1"
        ((partition, place, before),) = database.execute(select).fetchall()
        update: Any = f"UPDATE {partition} SET {column} = %s WHERE ctid = %s::tid RETURNING ctid::text"
        ((place,),) = database.execute(update, [spoil(before), place]).fetchall()
        try:
            yield
        finally:
            database.execute(update, [before, place])


def _spoil_record(spoil: Spoilt) -> Callable[[bytes], bytes]:
    def spoilt(payload: bytes) -> bytes:
        events = orjson.loads(zstandard.decompress(payload))["events"]
        return zstandard.compress(orjson.dumps({"events": spoil(events)}))

    return spoilt


def _change_event(events: list[Any]) -> list[Any]:
    changed = copy.deepcopy(events)
    changed[3]["data"]["metrics"]["value"] += 2.0**-50
    return changed


def _plant_in_the_log(recorded: Recorded, how: str) -> Verdict:
    """In the record itself: it holds another number of events than it says, or other ones."""
    spoil = {"drop": _drop, "double": _double, "change": _change_event, "swap": _swap}[how]
    ours = f"batch_id = '{recorded.said.batch_ids[0]}' AND class = 'metrics' AND n_events > 8"
    with _changed_row(recorded.stack, "log.record_batches", ours, "payload", _spoil_record(_keeping_jobs(spoil))):
        return recorded.check()


def _keeping_jobs(spoil: Spoilt) -> Spoilt:
    """Neighbours are of different jobs: spoils the events of one job, so that a swap is one."""

    def spoilt(events: list[Any]) -> list[Any]:
        first = [event for event in events if event["job_id"] == events[0]["job_id"]]
        others = [event for event in events if event["job_id"] != events[0]["job_id"]]
        return [*spoil([*first, *others])]

    return spoilt


def _plant_in_points(recorded: Recorded, how: str) -> Verdict:
    def spoilt(packed: bytes) -> bytes:
        points = decode_points(packed).copy()
        if how == "change":
            points["value"][3] = np.nextafter(points["value"][3], 2.0)
            return encode_points(points)
        if how == "swap":
            points["value"][[3, 4]] = points["value"][[4, 3]]
            return encode_points(points)
        chosen = {"drop": _drop, "double": _double}[how](list(range(len(points))))
        return encode_points(points[chosen])

    ours = _ours_in(recorded.stack, recorded.said.batch_ids[0])
    with _changed_row(recorded.stack, "read.series_blocks", f"series_id = '{ours}' AND n > 8", "points", spoilt):
        return recorded.check()


def _ours_in(stack: LocalStack, batch_id: str) -> str:
    with stack.database() as database:
        found = database.execute(
            "SELECT series_id FROM read.series WHERE batch_id = %s AND job_id = 'job-0' AND key = 'value'", [batch_id]
        )
        return str(found.fetchall()[0][0])


def _plant_in_lines(recorded: Recorded, how: str) -> Verdict:
    def spoilt(packed: bytes) -> bytes:
        lines = decode_lines(packed)
        if how == "change":
            lines[3] = lines[3]._replace(text=_other_byte(lines[3].text))
        elif how == "swap":
            lines[3], lines[4] = lines[3]._replace(text=lines[4].text), lines[4]._replace(text=lines[3].text)
        else:
            lines = {"drop": _drop, "double": _double_line}[how](lines)
        return encode_lines(lines)

    ours = f"batch_id = '{recorded.said.batch_ids[0]}' AND job_id = 'job-0' AND n > 8"
    with _changed_row(recorded.stack, "read.log_chunks", ours, "lines", spoilt):
        return recorded.check()


def _double_line(lines: list[Line]) -> list[Line]:
    return [*lines[:4], lines[3]._replace(event_id="f" * 32), *lines[4:]]


def _other_byte(text: str) -> str:
    return text[:12] + chr(ord(text[12]) ^ 1) + text[13:]


def _plant_in_the_stream(recorded: Recorded, how: str) -> Verdict:
    spoil = {"drop": _drop, "double": _double, "change": _change_heard, "swap": _swap}[how]
    heard = copy.copy(recorded.capture)
    heard.heard = spoil(recorded.capture.heard)
    return recorded.check(capture=heard)


def _change_heard(heard: list[Any]) -> list[Any]:
    return [*heard[:3], heard[3]._replace(crc=heard[3].crc ^ 1), *heard[4:]]


PLACES = {
    "log": _plant_in_the_log,
    "points of value": _plant_in_points,
    "lines": _plant_in_lines,
    "live stream": _plant_in_the_stream,
}
WORDS = {"drop": {"lost"}, "double": {"doubled"}, "change": {"checksum", "phantom"}, "swap": {"reordered", "checksum"}}


@pytest.mark.parametrize("how", WORDS)
@pytest.mark.parametrize("place", PLACES)
def test_what_is_planted_is_found(recorded: Recorded, place: str, how: str) -> None:
    """Section 1.3: one event deleted, doubled, changed by a byte or swapped with its neighbour, in each place."""
    verdict = PLACES[place](recorded, how)
    tally = verdict.places[place]
    found = {word for word in ("lost", "doubled", "phantom", "reordered", "checksum") if getattr(tally, word)}
    assert found & WORDS[how], str(verdict)
    others = {name: known for name, known in verdict.places.items() if name != place}
    assert all(known.is_clean for known in others.values()), str(verdict)


def test_what_was_planted_is_gone_again(recorded: Recorded) -> None:
    """Section 1.3: the tests above tell of what they planted, not of something that stayed."""
    recorded.check(rebuild=True).require()


def test_read_models_that_say_something_else_than_the_log_are_found(recorded: Recorded) -> None:
    """Section 1.3: the rebuilt read model is compared with the live one; counts on a page are compared with its points."""
    ours = f"batch_id = '{recorded.said.batch_ids[0]}' AND job_id = 'job-1' AND key = 'checksum'"
    with recorded.stack.database() as database:
        change: Any = f"UPDATE read.series SET n_points = n_points + %s WHERE {ours}"
        database.execute(change, [1])
        try:
            troubles = " ".join(recorded.check(rebuild=True).troubles)
        finally:
            database.execute(change, [-1])
    assert "counts (value, checksum, lines)" in troubles
    assert "series differs from what the log says" in troubles


def test_what_a_sender_does_not_know_may_be_there_or_not(recorded: Recorded) -> None:
    """Section 1.3: `unknown` is neither lost nor invented; `fail` must not be there."""
    said, key = copy.deepcopy(recorded.said), next(iter(recorded.said.ok))
    said.unknown[key] = said.ok.pop(key)
    said.unknown[key._replace(seq=10**6)] = 1
    assert Recorded(recorded.stack, said, recorded.capture, recorded.watch).check().is_clean
    said.failed[key] = said.unknown.pop(key)
    verdict = Recorded(recorded.stack, said, recorded.capture, recorded.watch).check()
    assert verdict.places["log"].phantom == verdict.places["live stream"].phantom == 1

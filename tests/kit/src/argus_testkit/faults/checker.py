"""The comparison: what the senders said, against the log, the read models, a live stream and read models built anew.

Everything must be 0:

- lost: the sender was told `ok`, and it is not there.
- doubled: it is there more than once.
- phantom: it is there and nobody said it, or its sender was told `fail`.
- reordered: it comes behind one that was said later. In the log: within one record (records of one sender may be appended in
  another order than they were said: a re-send is late, and `late` counts that); on pages and in streams: at all.
- checksum: its content is not what was said.

What a sender does not know (`unknown`) may be there or not, but once, and then everywhere.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from argus_testkit.faults.capture import LiveCapture, wait_for_cursor
from argus_testkit.faults.ledger import Said
from argus_testkit.faults.observe import (
    dead_letters,
    in_the_log,
    lines_of,
    points_of,
    projection_failures,
)
from argus_testkit.faults.payloads import LINE, POINT, Key, Seen
from argus_testkit.faults.watch import Watch
from argus_testkit.pages import counts_of
from argus_testkit.stack import LocalStack

MAX_RSS_BYTES = 400_000_000
MAX_BEHIND = 200_000
"""Who is further behind than that may be told to fetch the page anew instead of hearing it all; nobody else."""
_EXAMPLES = 5
_CAPTURE_SECONDS = 120.0


@dataclass(slots=True)
class Tally:
    """One place, compared."""

    lost: int = 0
    doubled: int = 0
    phantom: int = 0
    reordered: int = 0
    checksum: int = 0
    examples: list[str] = field(default_factory=list[str])

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.phantom or self.reordered or self.checksum)

    def note(self, what: str, key: Key) -> None:
        setattr(self, what, getattr(self, what) + 1)
        if len(self.examples) < _EXAMPLES:
            self.examples.append(f"{what}: {key.batch_id}/{key.job_id} {key.stream} {key.seq}")


@dataclass(slots=True)
class Verdict:
    """What `check` has found."""

    n_ok: int = 0
    n_unknown: int = 0
    late: int = 0
    """Events in the log behind one of the same job that was said later: re-sends. Not a fault."""
    places: dict[str, Tally] = field(default_factory=dict[str, Tally])
    """`log`, `points of value`, `points of checksum`, `lines`, `live stream`."""
    troubles: list[str] = field(default_factory=list[str])
    """Whatever else must not be, in sentences."""

    @property
    def is_clean(self) -> bool:
        return not self.troubles and all(tally.is_clean for tally in self.places.values())

    def require(self) -> Verdict:
        """Nothing was lost, doubled, invented, reordered or damaged anywhere; AssertionError says what was, and where."""
        if not self.is_clean:
            raise AssertionError(str(self))
        print(self)
        return self

    def __str__(self) -> str:
        lines = [f"{self.n_ok} events ok, {self.n_unknown} unknown; {self.late} stand late in the log"]
        for place, t in self.places.items():
            counts = f"lost {t.lost}, doubled {t.doubled}, phantom {t.phantom}, reordered {t.reordered}, checksum {t.checksum}"
            lines.append(f"  {place}: {counts}" + "".join(f"\n    {example}" for example in t.examples))
        return "\n".join([*lines, *(f"  {trouble}" for trouble in self.troubles)])


def check(
    stack: LocalStack,
    said: Said,
    *,
    captures: Iterable[LiveCapture] = (),
    watch: Watch | None = None,
    dead_letters_before: int | None = 0,
    rebuild: bool = True,
) -> Verdict:
    """Compare everything. Call it when all is at rest (`settle`).

    watch: also no process was larger than 400 MB, and no message was given up. dead_letters_before: their number before the test,
    None where some are expected. rebuild: also compare the read models with ones built anew from the log (a second).
    """
    log = in_the_log(stack, said.batch_ids)
    stored = Counter(seen.key for seen in log)
    verdict = Verdict(len(said.ok), len(said.unknown), _late(log))
    verdict.places["log"] = compare(said, log, said.ok, _by_row)
    everywhere = [key for key in stored if said.crc_of(key) is not None]
    wanted = {**said.ok, **{key: said.unknown[key] for key in everywhere if key in said.unknown}}
    _check_pages(stack, said, wanted, verdict)
    for n, capture in enumerate(captures):
        end = max((seen.position for seen in log), default=0)
        wait_for_cursor(capture, end, _CAPTURE_SECONDS)
        name = "live stream" if n == 0 else f"live stream {n + 1}"
        gone_by = {seen.key for seen in log if any(a < seen.position <= b for a, b in capture.passed_over)}
        due = {key: crc for key, crc in wanted.items() if key not in gone_by}
        verdict.places[name] = compare(said, list(capture.heard), due, _by_arrival)
        for before, after in capture.passed_over:
            if after - before <= MAX_BEHIND:
                verdict.troubles.append(f"the {name} was reset though it was only {after - before} events behind")
    _check_the_rest(stack, watch, dead_letters_before, verdict)
    if rebuild and (different := differences(stack)):
        verdict.troubles.append(f"read models differ from ones built anew: {different}")
    return verdict


def compare(
    said: Said, found: Sequence[Seen], wanted: dict[Key, int], disorder: Callable[[Sequence[Seen]], Iterable[Key]]
) -> Tally:
    """One place. wanted: what must be there (with `said.unknown`, what may). disorder: which of `found` stand wrongly."""
    tally = Tally()
    counts = Counter(seen.key for seen in found)
    for key in wanted:
        if key not in counts:
            tally.note("lost", key)
    for seen in found:
        crc = said.crc_of(seen.key)
        if crc is None:
            tally.note("phantom", seen.key)
        elif seen.crc != crc:
            tally.note("checksum", seen.key)
    for key, count in counts.items():
        for _ in range(count - 1):
            tally.note("doubled", key)
    for key in disorder(found):
        tally.note("reordered", key)
    return tally


def differences(stack: LocalStack) -> str:
    """What `argus-query check` says where the live read models differ from ones built anew; '' where they do not."""
    program = Path(sys.executable).with_name("argus-query")
    environment = stack.environment_of("query")
    done = subprocess.run([program, "check"], env=environment, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode not in (0, 1):
        raise AssertionError(f"argus-query check ended with {done.returncode}: {done.stderr[-2_000:]}")
    return "; ".join(done.stdout.strip().splitlines()) if done.returncode else ""


def _check_pages(stack: LocalStack, said: Said, wanted: dict[Key, int], verdict: Verdict) -> None:
    values, sums, lines = list[Seen](), list[Seen](), list[Seen]()
    by_job = Counter((key.batch_id, key.job_id, key.stream) for key in wanted)
    with stack.client() as client:
        for batch_id, job_id in said.jobs():
            n_points, n_lines = by_job[batch_id, job_id, POINT], by_job[batch_id, job_id, LINE]
            values += points_of(client, batch_id, job_id, "value", n_points)
            sums += points_of(client, batch_id, job_id, "checksum", n_points)
            lines += lines_of(client, batch_id, job_id)
            _check_counts(client, batch_id, job_id, (n_points, n_points, n_lines), verdict)
    points = {key: crc for key, crc in wanted.items() if key.stream == POINT}
    verdict.places["points of value"] = compare(said, values, points, _by_seq)
    verdict.places["points of checksum"] = compare(said, sums, points, _by_seq)
    of_lines = {key: crc for key, crc in wanted.items() if key.stream == LINE}
    verdict.places["lines"] = compare(said, lines, of_lines, _by_seq)


def _check_counts(
    client: httpx.Client, batch_id: str, job_id: str, wanted: tuple[int, int, int], verdict: Verdict
) -> None:
    counted = counts_of(client, batch_id, job_id)
    counts = counted.points.get("value", 0), counted.points.get("checksum", 0), counted.lines
    if counts != wanted:
        words = f"the page of {batch_id}/{job_id} counts (value, checksum, lines) {counts}, not {wanted}"
        verdict.troubles.append(words)


def _check_the_rest(stack: LocalStack, watch: Watch | None, letters_before: int | None, verdict: Verdict) -> None:
    if letters_before is not None and (letters := dead_letters(stack) - letters_before):
        verdict.troubles.append(f"{letters} dead letters")
    if failures := projection_failures(stack):
        verdict.troubles.append(f"{failures} events could not be folded")
    if watch is None:
        return
    name, size = watch.largest
    if size > MAX_RSS_BYTES:
        verdict.troubles.append(f"{name} took {size / 1e6:.0f} MB")
    if watch.given_up:
        verdict.troubles.append(f"the broker gave up {len(watch.given_up)} messages: {watch.given_up[0]}")


def _late(log: Sequence[Seen]) -> int:
    return sum(1 for _ in _by_seq(log))


def _by_seq(found: Sequence[Seen]) -> Iterable[Key]:
    """Those behind a later one of the same job and stream."""
    highest: dict[tuple[str, str, str], int] = {}
    for seen in found:
        of = seen.key[:3]
        if seen.key.seq < highest.get(of, -1):
            yield seen.key
        highest[of] = max(highest.get(of, -1), seen.key.seq)


def _by_row(found: Sequence[Seen]) -> Iterable[Key]:
    """Those that stand behind a later one in the same record of the log."""
    highest: dict[tuple[str, str, str, int], int] = {}
    for seen in found:
        of = (*seen.key[:3], seen.row)
        if seen.key.seq < highest.get(of, -1):
            yield seen.key
        highest[of] = max(highest.get(of, -1), seen.key.seq)


def _by_arrival(found: Sequence[Seen]) -> Iterable[Key]:
    """Those that came behind one of a higher log position."""
    highest = 0
    for seen in found:
        if seen.position < highest:
            yield seen.key
        highest = max(highest, seen.position)

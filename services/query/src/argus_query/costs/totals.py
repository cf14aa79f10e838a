"""What a run has cost: bills where there are any, else what its attempts have used. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple


class Recorded(NamedTuple):
    """What somebody who knows the bill has said. job_id '': of the whole run; attempt None: of all attempts of the job."""

    event_id: str
    job_id: str
    attempt: int | None
    at: int
    received: int
    position: int
    nano_usd: int
    basis: str | None


class Part(NamedTuple):
    """What an attempt of a job has used. nano_usd: None where it is not known. in_vain: it failed, or was aborted, in the end."""

    job_id: str
    attempt: int
    nano_usd: int | None
    wasted: int
    in_vain: bool


class Total(NamedTuple):
    """nano_usd: None where nothing is known. wasted: the part of it that attempts have cost that failed or were aborted."""

    nano_usd: int | None
    wasted: int | None


NOTHING = Total(None, None)


def newest(recorded: Iterable[Recorded]) -> dict[tuple[str, int | None], Recorded]:
    """The ones that count: a later word about the same replaces an earlier one."""
    return {(one.job_id, one.attempt): one for one in sorted(recorded, key=lambda one: (one.at, one.event_id))}


def bill_of(
    job_id: str, attempt: int, bills: Mapping[tuple[str, int | None], Recorded]
) -> tuple[Literal["run", "job", "attempt"], Recorded] | None:
    """The one that counts for this attempt: the widest that there is. bills: as `newest` says."""
    if (of_run := bills.get(("", None))) is not None:
        return "run", of_run
    if (of_job := bills.get((job_id, None))) is not None:
        return "job", of_job
    own = bills.get((job_id, attempt))
    return None if own is None else ("attempt", own)


def total_of(parts: Sequence[Part], recorded: Iterable[Recorded], in_vain: bool) -> Total:
    """Every attempt once: by the bill of the run, else of its job, else its own, else by what it has used.

    in_vain: the run itself has failed, or was aborted.
    """
    bills = newest(recorded)
    by_job: dict[str, list[Part]] = {job_id: [] for job_id, _ in bills if job_id}
    for part in parts:
        by_job.setdefault(part.job_id, []).append(part)
    total = _sum(_job_total(job_id, of_job, bills, in_vain) for job_id, of_job in by_job.items())
    bill = bills.get(("", None))
    if bill is None:
        return total
    return _billed(bill.nano_usd, total, in_vain)


def _job_total(
    job_id: str, parts: list[Part], bills: dict[tuple[str, int | None], Recorded], run_in_vain: bool
) -> Total:
    """run_in_vain: holds for a job, or an attempt, that has said nothing itself."""
    by_attempt = {part.attempt: part for part in parts}
    billed = {attempt for job, attempt in bills if job == job_id and attempt is not None}
    totals: list[Total] = []
    for attempt in sorted({*by_attempt, *billed}):
        part = by_attempt.get(attempt)
        used = NOTHING if part is None else Total(part.nano_usd, None if part.nano_usd is None else part.wasted)
        bill = bills.get((job_id, attempt)) if job_id else None
        totals.append(
            used if bill is None else _billed(bill.nano_usd, used, run_in_vain if part is None else part.in_vain)
        )
    bill = bills.get((job_id, None)) if job_id else None
    if bill is None:
        return _sum(totals)
    in_vain = by_attempt[max(by_attempt)].in_vain if by_attempt else run_in_vain
    return _billed(bill.nano_usd, _sum(totals), in_vain)


def _billed(nano_usd: int, used: Total, in_vain: bool) -> Total:
    """A bill does not say what was in vain: as large a part of it as of what was used; else all or nothing of it."""
    if used.nano_usd and used.wasted is not None:
        return Total(nano_usd, nano_usd * used.wasted // used.nano_usd)
    return Total(nano_usd, nano_usd if in_vain else 0)


def _sum(totals: Iterable[Total]) -> Total:
    known = [total for total in totals if total.nano_usd is not None]
    if not known:
        return NOTHING
    return Total(sum(total.nano_usd or 0 for total in known), sum(total.wasted or 0 for total in known))

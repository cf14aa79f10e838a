"""May the outputs of this run be deleted? By what the log knows of it, and by where they are. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from argus_contracts.commands import OwnedRun, Skipped
from argus_contracts.locations import Location, StrangeLocation
from argus_contracts.queries.common import RunStatus
from argus_contracts.queries.outputs import Outputs, OutputsThere
from argus_deleter.roots import Roots

TERMINAL: frozenset[RunStatus] = frozenset({"succeeded", "failed", "aborted"})


@dataclass(frozen=True, slots=True)
class No:
    """Why not."""

    skipped: Skipped
    detail: str | None = None


def located(run: OwnedRun, found: Outputs | None, roots: Roots) -> Location | No:
    """Where the outputs of `run` are, as far as it is who it is said to be and has any there."""
    if found is None or (found.workspace, found.user) != (run.workspace, run.user):
        return No("not_found")
    if not found.output_dir:
        return No("no_output_dir")
    try:
        return roots.locate(found.workspace, found.user, found.output_dir)
    except StrangeLocation as error:
        return No("refused", str(error)[:2_000])


def deletable(run: OwnedRun, found: Outputs | None, roots: Roots) -> Location | No:
    """As `located`; but for who else may have something there, which is asked next: see `shared`."""
    where = located(run, found, roots)
    if found is None or (isinstance(where, No) and where.skipped == "not_found"):
        return where
    if found.status not in TERMINAL:
        return No("not_terminal")
    if found.is_active:
        return No("not_terminal", "the run, or a job of it, has begun again since it ended")
    if isinstance(where, No):
        return where
    if found.deleted_at is not None:
        return No("already_deleted")
    return where


def shared(sharers: Sequence[OutputsThere], where: Location) -> No | None:
    """Something there may be another run's: then nothing of it is ours to delete.

    The answer names none of these runs: who asks may not be the one to see them.
    """
    if not sharers:
        return None
    return No(
        "refused",
        f"other runs have outputs or a work folder there, too: `argus outputs info {where}` names those that you may see",
    )


def quiet_in_s(found: Outputs, quiet_s: float, now: datetime) -> float:
    """How long to wait until the run has said nothing for `quiet_s`; 0: it has."""
    return max(0.0, quiet_s - (now - found.last_seen_at).total_seconds())

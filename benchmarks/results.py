"""RESULTS.md, and the results.json from which it is written: a run of some benchmarks changes their sections only."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks import BENCHMARKS, ON_DEMAND
from benchmarks.figures import HEADINGS, Figure

HERE = Path(__file__).parent
DATA = HERE / "results.json"
PAGE = HERE / "RESULTS.md"
_WRITTEN = (f"benchmarks/{DATA.name}", f"benchmarks/{PAGE.name}")


@dataclass(frozen=True)
class Circumstances:
    """Under which a benchmark was started."""

    measured_at: str
    commit: str
    machine: str
    load: float
    """Mean number of processes that wanted to run in the minute before."""

    @classmethod
    def now(cls) -> Circumstances:
        return cls(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", _commit(), machine(), round(os.getloadavg()[0], 1))


def machine() -> str:
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{os.cpu_count()} cores ({_cpu_model()}), {memory:.0f} GiB of memory, "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    )


def keep(
    name: str,
    figures: Sequence[Figure],
    *,
    about: str,
    profile: str,
    command: str,
    began: Circumstances,
    seconds: float,
    problem: str | None,
) -> None:
    """The section of the benchmark `name` is new in results.json and RESULTS.md; the others stay. `problem`: why it
    could not measure (its last figures are gone then: they would be taken for today's)."""
    sections = _load()
    sections[name] = {
        "about": about, "profile": profile, "command": command, **asdict(began), "seconds": round(seconds),
        "problem": problem, "figures": [asdict(figure) for figure in figures],
    }  # fmt: skip
    order = (*BENCHMARKS, *ON_DEMAND)
    sections = {known: sections[known] for known in order if known in sections}
    DATA.write_text(json.dumps(sections, indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(as_page(sections))


def as_page(sections: dict[str, dict[str, Any]]) -> str:
    """The page: misses first, then each benchmark."""
    missed = [
        (name, figure) for name, section in sections.items() for figure in _figures(section) if figure.reached is False
    ]
    unfinished = [(name, section["problem"]) for name, section in sections.items() if section["problem"]]
    lines = [
        "# Figures beside their goals",
        "",
        f"Written by `make bench` and `make bench-peers` from {DATA.name}.",
        "",
    ]
    lines += [f"Machine: {known}." for known in dict.fromkeys(section["machine"] for section in sections.values())]
    lines += ["", "## Missed", ""]
    lines += [f"- {name} did not finish: {problem}" for name, problem in unfinished]
    lines += _rows(("benchmark", *HEADINGS[:3]), [(name, *figure.cells()[:3]) for name, figure in missed])
    if not missed and not unfinished:
        lines += ["Nothing."]
    for name, section in sections.items():
        lines += ["", f"## {name}: {section['about']}", ""]
        lines += [
            f"`{section['command']}`, {section['measured_at']}, commit {section['commit']}, "
            f"load {section['load']:.1f} at the start, {section['seconds']} s.",
            "",
        ]
        lines += _rows(HEADINGS, [figure.cells() for figure in _figures(section)])
        if section["profile"]:
            lines += ["", section["profile"]]
    return "\n".join(lines) + "\n"


def _rows(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    return [f"| {' | '.join(cells)} |" for cells in (headings, ["---"] * len(headings), *rows)]


def _load() -> dict[str, dict[str, Any]]:
    return json.loads(DATA.read_text()) if DATA.exists() else {}


def _figures(section: dict[str, Any]) -> list[Figure]:
    return [Figure(**figure) for figure in section["figures"]]


def _commit() -> str:
    """Short name of the commit, with a + where files differ from it."""
    try:
        commit = _git("rev-parse", "--short", "HEAD").strip()
        changed = {line[3:] for line in _git("status", "--porcelain").splitlines()} - set(_WRITTEN)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+" if changed else "")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=HERE, capture_output=True, text=True, check=True).stdout


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown processor"

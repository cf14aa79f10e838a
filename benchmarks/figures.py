"""A goal, and what was measured.

A benchmark is a module of this folder with

- a docstring whose first line says what is measured (the heading in RESULTS.md),
- `measure() -> list[Figure]`: starts what it needs, and leaves nothing behind, also when it is interrupted,
- `PROFILE: str` (Markdown): what the profile says about the figures, and what is the next idea where a goal is missed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True)
class Figure:
    """One measured number beside its goal (None: only told). `better` says on which side of the goal it should lie."""

    name: str
    value: float
    goal: float | None
    unit: str
    better: Literal["lower", "higher"] = "lower"

    @property
    def reached(self) -> bool | None:
        """None where no goal is set."""
        if self.goal is None:
            return None
        return self.value <= self.goal if self.better == "lower" else self.value >= self.goal

    def cells(self) -> tuple[str, str, str, str]:
        """What, figure, goal, reached: as text."""
        sign = "≤" if self.better == "lower" else "≥"
        goal = "" if self.goal is None else f"{sign} {_number(self.goal)} {self.unit}"
        reached = {True: "yes", False: "NO", None: ""}[self.reached]
        return self.name, f"{_number(self.value)} {self.unit}", goal, reached


class Benchmark(Protocol):
    """A module that measures. `PROFILE` may be missing while nobody has profiled it."""

    __doc__: str | None
    PROFILE: str

    def measure(self) -> list[Figure]: ...


HEADINGS = ("what", "figure", "goal", "reached")


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the values lie; nearest rank. `values`: not empty, any order."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def as_table(figures: Sequence[Figure]) -> str:
    """The figures as an aligned table."""
    rows = [HEADINGS, *(figure.cells() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"

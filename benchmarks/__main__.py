"""`python -m benchmarks [name …]`: measures, one benchmark after the other, prints the tables and writes RESULTS.md."""

from __future__ import annotations

import importlib
import signal
import sys
import time
import traceback
from typing import cast

from benchmarks import BENCHMARKS, ON_DEMAND
from benchmarks.figures import Benchmark, Figure, as_table
from benchmarks.results import PAGE, Circumstances, keep


def main(names: list[str]) -> int:
    known = (*BENCHMARKS, *ON_DEMAND)
    unknown = set(names) - set(known)
    if unknown:
        sys.stderr.write(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(known)}\n")
        return 2
    signal.signal(signal.SIGTERM, _interrupt)
    finished = [_measure(name) for name in names or BENCHMARKS]
    sys.stderr.write(f"written: {PAGE}\n")
    return 0 if all(finished) else 1


def _measure(name: str) -> bool:
    """The benchmark `name` was run, printed and kept. False: it could not measure."""
    benchmark = cast("Benchmark", importlib.import_module(f"benchmarks.{name}"))
    about = (benchmark.__doc__ or name).strip().splitlines()[0].rstrip(".")
    profile = getattr(benchmark, "PROFILE", "").strip()
    sys.stderr.write(f"measuring {name} …\n")
    circumstances, began = Circumstances.now(), time.monotonic()
    figures: list[Figure] = []
    problem = None
    try:
        figures = benchmark.measure()
    except Exception as error:  # the others are measured all the same; Ctrl-C is no Exception
        traceback.print_exc()
        problem = f"{type(error).__name__}: {error}".splitlines()[0][:300]
    seconds = time.monotonic() - began
    command = "make bench-peers" if name in ON_DEMAND else f"make bench BENCH={name}"
    keep(
        name, figures, about=about, profile=profile, command=command, began=circumstances, seconds=seconds, problem=problem
    )  # fmt: skip
    print(f"\n{name}: {about} ({seconds:.0f} s, load {circumstances.load} at the start)")
    print(as_table(figures) if problem is None else f"did not finish: {problem}", flush=True)
    return problem is None


def _interrupt(*_: object) -> None:
    """Ends as Ctrl-C does: what was started is stopped."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)

"""The work through trackio, into its local SQLite (TRACKIO_DIR): `trackio_work.py`. It is stored when `finish` returns."""

from __future__ import annotations

import sys
from pathlib import Path

import trackio  # pyright: ignore[reportMissingImports]
from trackio.sqlite_storage import SQLiteStorage  # pyright: ignore[reportMissingImports]

sys.path.insert(0, str(Path(__file__).parent))
import work


def main() -> None:
    def begin(project: str, name: str):
        return trackio.init(project=project, name=name, embed=False, auto_log_gpu=False, auto_log_cpu=False)

    begin("points", "warm")  # the first one starts its dashboard; that is not counted
    trackio.finish()
    begin("points", "points")

    def points() -> None:
        for step in range(work.N_STEPS):
            trackio.log(work.values(step), step=step)
        trackio.finish()

    def one_run(number: int) -> None:
        trackio.init(
            project="runs", name=f"run {number}", config={"lr": 0.1, "seed": 7}, embed=False, auto_log_gpu=False,
            auto_log_cpu=False,
        )  # fmt: skip
        trackio.log({"loss": 0.5}, step=0)
        trackio.finish()

    def history() -> int:
        return len([row for row in SQLiteStorage.get_logs("points", "points") if work.KEYS[0] in row])

    found = {"points_s": work.timed(points)}
    found["history_s"] = work.median_of_reads(history)
    n_runs = work.N_RUNS // 4
    one_run(-1)
    found["runs_s"] = work.timed(lambda: work.all_runs(one_run, 0, n_runs, 1)) * work.N_RUNS / n_runs
    work.answer(found)


main()

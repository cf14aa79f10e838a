"""The work through MLflow's client and server: `mlflow_work.py TRACKING_URI`. A call returns after the server's commit."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from mlflow import MlflowClient  # pyright: ignore[reportMissingImports]
from mlflow.entities import Metric, Param  # pyright: ignore[reportMissingImports]

sys.path.insert(0, str(Path(__file__).parent))
import work

STEPS_PER_CALL = 1000 // len(work.KEYS)
"""`log_batch` takes at most 1,000 metrics."""


def main() -> None:
    client = MlflowClient(tracking_uri=sys.argv[1])
    experiment = client.create_experiment("bench")
    run_id = client.create_run(experiment, run_name="points").info.run_id

    def points_s() -> float:
        """Of the median call, times their number: a call that hung (the client repeats it after 120 s) is not its rate."""
        now = int(time.time() * 1000)
        spent: list[float] = []
        for first in range(0, work.N_STEPS, STEPS_PER_CALL):
            metrics = [
                Metric(key, value, now + step, step)
                for step in range(first, first + STEPS_PER_CALL)
                for key, value in work.values(step).items()
            ]
            spent.append(work.timed(lambda metrics=metrics: client.log_batch(run_id, metrics=metrics)))
        return sorted(spent)[len(spent) // 2] * len(spent)

    def one_run(number: int) -> None:
        begun = client.create_run(experiment, run_name=f"run {number}").info.run_id
        now = int(time.time() * 1000)
        client.log_batch(begun, metrics=[Metric("loss", 0.5, now, 0)], params=[Param("lr", "0.1"), Param("seed", "7")])
        client.set_terminated(begun)

    one_run(-1)  # what the first of all takes longer is not counted
    found = {"points_s": points_s()}
    found["history_s"] = work.median_of_reads(lambda: len(client.get_metric_history(run_id, work.KEYS[0])))
    found["runs_s"] = work.timed(lambda: work.all_runs(one_run, 0, work.N_RUNS, 1))
    found["runs_at_once_s"] = work.timed(
        lambda: work.all_runs(one_run, work.N_RUNS, work.N_RUNS * 2, work.RUNS_AT_ONCE)
    )
    work.answer(found)


main()

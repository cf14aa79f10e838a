"""Stock argus-reporter 0.1.3 from PyPI, unchanged, produces a correct job page."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from argus_testkit import eventually
from argus_testkit.stack import LocalStack

SCRIPT = """
    from argus import Reporter
    with Reporter(batch_prefix="bench", experiment_type="sweep", source_project="legacy", n_total=2) as r:
        print(r.batch_id)
        for j in range(2):
            with r.job(f"mlp__digits{j}", model="mlp", dataset=f"digits{j}") as job:
                for epoch in range(30):
                    job.epoch(epoch, train_loss=1 / (epoch + 1), val_loss=2 / (epoch + 1), lr=0.1, batch_time_ms=3.5, accuracy=epoch / 30)
                    job.log(f"line {epoch}")
                job.metrics({"final_accuracy": 0.97})
"""


def test_its_run_and_jobs_are_complete(stack: LocalStack, argus_reporter: Path, tmp_path: Path) -> None:
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(argus_reporter),
        "ARGUS_URL": stack.url, "ARGUS_TOKEN": stack.credentials.token,
    }  # fmt: skip
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT)]
    done = subprocess.run(command, env=environment, check=True, timeout=170, cwd=tmp_path, stdout=subprocess.PIPE)
    batch_id = done.stdout.decode().strip()
    with stack.client() as client:

        def succeeded() -> bool:
            answer = client.get(f"/api/batches/{batch_id}")
            return answer.status_code == 200 and answer.json()["run"]["status"] == "succeeded"

        eventually(succeeded)
        run = client.get(f"/api/batches/{batch_id}").json()["run"]
        assert run["project"] == "legacy"
        assert (run["jobs"]["succeeded"], run["jobs"]["total"]) == (2, 2)
        answer = client.get(f"/api/batches/{batch_id}/jobs/mlp__digits0").json()
        job = answer["job"]
        assert (job["status"], job["model"], job["dataset"], job["epoch"]) == ("succeeded", "mlp", "digits0", 29)
        points = {series["key"]: series["n_points"] for series in job["series"] if series["family"] == "metric"}
        assert points == {"train_loss": 30, "val_loss": 30, "lr": 30, "batch_time_ms": 30, "accuracy": 30}
        curves = client.get(f"/api/batches/{batch_id}/jobs/mlp__digits0/series", params={"keys": "train_loss"}).json()[
            "series"
        ]
        assert curves[0]["value"] == [1 / (epoch + 1) for epoch in range(30)]
        lines = client.get(f"/api/batches/{batch_id}/log-lines", params={"job_id": "mlp__digits0"}).json()["lines"]
        assert [line["line"] for line in lines] == [f"line {epoch}" for epoch in range(30)]

"""Argus: say what a training run does, and see it live.

import argus

with argus.init(project="digits", params={"lr": 0.1}) as run, run.job("lr=0.1", epochs=10) as job:
    for epoch in range(10):
        job.epoch(epoch, train_loss=…, val_loss=…)
"""

from __future__ import annotations

from argus.job import Job
from argus.reporter import flush, init
from argus.run import Run

__all__ = ["Job", "Run", "flush", "init"]

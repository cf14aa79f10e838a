"""Argus: say what a training run does, and see it live.

import argus

with argus.init(project="digits", params={"lr": 0.1}) as run, run.job("lr=0.1", epochs=10) as job:
    for epoch in range(10):
        job.epoch(epoch, train_loss=…, val_loss=…)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from argus.job import Job
from argus.reporter import flush, init
from argus.run import Run

if TYPE_CHECKING:
    from argus.reader import History, Reader, ReadError

__all__ = ["History", "Job", "ReadError", "Reader", "Run", "flush", "init"]


def __getattr__(name: str) -> Any:
    """Reading needs an HTTP library, which takes longer to import than all else: a training script should not wait for it."""
    if name in ("History", "ReadError", "Reader"):
        from argus import reader

        return getattr(reader, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

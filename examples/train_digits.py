"""Six small neural networks learn to read handwritten digits, each with another learning rate, and Argus shows how.

    ARGUS_URL=http://127.0.0.1:8000 ARGUS_TOKEN=ak_… python examples/train_digits.py

Real training on the 1,797 digits that come with scikit-learn: half a minute on two cores. The last two learning rates are too high
on purpose: one forgets what it had learned, the other explodes, which is what a job page is for.
"""

from __future__ import annotations

import time
import warnings

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

import argus

LEARNING_RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1e5)
EPOCHS = 40
HIDDEN_UNITS = (256, 128)
BATCH_SIZE = 32
DIGITS = np.arange(10)


def load() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Images of 8x8 pixels scaled to 0..1 (n, 64) and labels 0..9 (n,): for training (moved copies included) and for validation."""
    digits = load_digits()
    train_x, val_x, train_y, val_y = train_test_split(digits.data / 16.0, digits.target, test_size=0.25, random_state=0)
    return shifted(train_x), np.tile(train_y, 5), val_x, val_y


def shifted(images: np.ndarray) -> np.ndarray:
    """(5 n, 64): the images, and each moved by one pixel up, down, left and right."""
    squares = images.reshape(-1, 8, 8)
    moves = [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)]
    return np.concatenate([np.roll(squares, move, axis=(1, 2)) for move in moves]).reshape(-1, 64)


def train(run: argus.Run, learning_rate: float) -> None:
    """One job: a multi-layer perceptron, one `job.epoch` per pass over the data."""
    train_x, train_y, val_x, val_y = load()
    params = {
        "learning_rate": learning_rate,
        "hidden_units": list(HIDDEN_UNITS),
        "batch_size": BATCH_SIZE,
        "momentum": 0.9,
    }
    with run.job(f"lr={learning_rate:g}", model="mlp", dataset="digits", params=params, epochs=EPOCHS) as job:
        model = MLPClassifier(
            HIDDEN_UNITS,
            solver="sgd",
            learning_rate_init=learning_rate,
            batch_size=BATCH_SIZE,
            momentum=0.9,
            random_state=0,
        )
        job.log(f"training on {len(train_x)} digits, validating on {len(val_x)}, learning rate {learning_rate:g}")
        best = 0.0
        for epoch in range(1, EPOCHS + 1):
            if run.stopped:
                job.log("asked to stop", level="warning")
                break
            began = time.perf_counter()
            try:
                model.partial_fit(train_x, train_y, classes=DIGITS)
            except ValueError:  # scikit-learn gives up when weights are no longer finite
                job.epoch(epoch, train_loss=float("nan"), val_loss=float("nan"))
                raise
            seconds = time.perf_counter() - began
            probabilities = model.predict_proba(val_x)
            val_loss = float(log_loss(val_y, probabilities, labels=DIGITS))
            accuracy = float(accuracy_score(val_y, probabilities.argmax(axis=1)))
            job.epoch(epoch, train_loss=float(model.loss_), val_loss=val_loss, accuracy=accuracy, epoch_seconds=seconds)
            if accuracy > best:
                best = accuracy
                job.log(f"epoch {epoch}: best accuracy so far {accuracy:.2%}, val_loss {val_loss:.4f}")
        job.log(f"done: best accuracy {best:.2%}")


def main() -> None:
    warnings.simplefilter("ignore", RuntimeWarning)  # numpy reports the overflows of the last job, and so do we
    params = {"learning_rates": list(LEARNING_RATES), "epochs": EPOCHS, "optimizer": "sgd"}
    with argus.init(project="digits", name="learning rates", params=params) as run:
        print("run", run.batch_id, flush=True)
        for learning_rate in LEARNING_RATES:
            if run.stopped:
                break
            try:
                train(run, learning_rate)
            except ValueError as error:
                print(f"learning rate {learning_rate:g} failed: {error}", flush=True)


if __name__ == "__main__":
    main()

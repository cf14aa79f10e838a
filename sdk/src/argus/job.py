"""One job of a run: its points, its log, its end."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any

import orjson

from argus import values
from argus.given import status_of
from argus.interrupts import no_interrupt_meanwhile
from argus.outcome import OutcomeStatus, outcome_of
from argus.trouble import complain, warn

if TYPE_CHECKING:
    from argus.run import Run

_now = datetime.now
_dumps = orjson.dumps
_Z = orjson.OPT_UTC_Z
_INF = math.inf


class Job:
    """A job of a run. Use it in a `with` block: leaving it ends the job, an exception makes it failed.

    No method blocks on the network or raises because of Argus. What a call said is on disk when it returns.
    """

    def __init__(self, run: Run, job_id: str) -> None:
        self._run = run
        self.id = job_id
        """The job's id within its run."""
        self._line_no = 0
        self._points = 0
        self._known: set[Any] = set()
        """Metric names that were seen to be fit for the wire."""
        self._result: dict[str, float | str] = {}
        self._started = time.monotonic()
        self._owner_pid = os.getpid()
        self._ending = threading.RLock()
        """Reentrant: a signal may end the process in the middle of `_end`."""
        self.ended = False
        """True once the end of the job was said."""

    def epoch(self, epoch: int | None = None, step: int | None = None, **metrics: float) -> None:
        """The values of `metrics` at this epoch (and step) are recorded.

        epoch: counts from what you like; without epoch and step the calls are counted from 1.
        metrics: anything that `float()` takes; NaN and infinity are data.
        """
        if epoch is None and step is None:
            epoch = self._points + 1
        self._point(epoch, step, metrics)

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """The values at this step are recorded. Without `step` the calls are counted from 0."""
        if step is None:
            step = self._points
        self._point(None, step, values)

    def log(self, msg: str, level: str = "INFO") -> None:
        """A line of the job's log; a text with line breaks becomes several. Lines over 16 KiB are cut."""
        if not self._run.live:
            return self._run.hear_nothing()
        if type(level) is not str or len(level) > 64:
            level = values.text(level, 64)
        if type(msg) is str and len(msg) < 4096 and "\n" not in msg and "\x00" not in msg:
            self._line(msg, "log", level)
        else:
            for part in values.text(msg).splitlines() or [""]:
                self._line(values.line(part), "log", level)
        return None

    def result(self, **metrics: float) -> None:
        """Final values of the job: they travel with its end, beside (not in) the curves."""
        kept, complaints = values.metrics(metrics)
        self._complain(complaints)
        self._result.update(kept)

    def cost(self, amount_usd: float, basis: str | None = None) -> None:
        """This attempt of the job has cost so much, by somebody who knows the bill: see `Run.cost`."""
        self._run.say_cost(self.id, amount_usd, basis)

    @property
    def stopped(self) -> bool:
        """True when somebody asked this run to stop. Costs nothing; asked for in the background every 10 s."""
        return self._run.stopped

    def finish(self, status: OutcomeStatus = "done", *, reason: str | None = None, **metrics: float) -> None:
        """The job ended so, with these final values. A second call changes nothing."""
        if metrics:
            self.result(**metrics)
        self._end(status_of(status), reason=reason)

    def __enter__(self) -> Job:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        outcome = outcome_of(error)
        self._end(outcome.status, reason=outcome.reason, traceback=outcome.traceback, exit_code=outcome.exit_code)

    # -- inside --------------------------------------------------------------------------------------------------

    def _point(self, epoch: Any, step: Any, metrics: Mapping[Any, Any]) -> None:
        self._points += 1
        run = self._run
        if not run.live:
            return run.hear_nothing()
        try:
            if not (
                (epoch is None or (type(epoch) is int and 0 <= epoch <= values.MAX_INT))
                and (step is None or (type(step) is int and 0 <= step <= values.MAX_INT))
                and 0 < len(metrics) <= 100
            ):
                return self._odd_point(epoch, step, metrics)
            known = self._known
            for key, value in metrics.items():
                if key not in known or type(value) is not float or not -_INF < value < _INF:
                    return self._odd_point(epoch, step, metrics)
            data: dict[str, Any] = {"metrics": metrics}
            if epoch is not None:
                data["epoch"] = epoch
            if step is not None:
                data["step"] = step
            payload = _dumps(
                {
                    "kind": "job_epoch", "version": 1, "batch_id": run.batch_id, "job_id": self.id,
                    "attempt": run.attempt, "occurred_at": _now(UTC), "data": data,
                },
                option=_Z,
            )  # fmt: skip
        except Exception:  # no dict, names that are no plain text, another thread that writes into it
            return self._odd_point(epoch, step, metrics)
        if len(payload) > values.MAX_EVENT_BYTES:
            return self._odd_point(epoch, step, metrics)
        run.metrics_lane.append(payload)
        return None

    def _odd_point(self, epoch: Any, step: Any, metrics: Mapping[Any, Any]) -> None:
        """The same for values that are not plain floats, for NaN, for long names and for very many metrics: in several
        events where one would be too large."""
        try:
            given = dict(metrics)  # in one step: another thread may write into it
            kept, complaints = values.metrics(given)
            if len(self._known) < 10_000:
                self._known.update(kept.keys() & given.keys())
            epoch, complaint = values.count(epoch, "epoch")
            step, other = values.count(step, "step")
            self._complain([*complaints, *filter(None, (complaint, other))])
            place = {key: value for key, value in (("epoch", epoch), ("step", step)) if value is not None}
            for part in values.in_parts(kept):
                self._run.say("job_epoch", self.id, {"metrics": part, **place})
        except Exception as error:
            warn("metrics", f"metrics were left out: {error!r:.200}")

    def _line(self, line: str, stream: str, level: str | None) -> None:
        run = self._run
        if not run.live:
            return
        number = self._line_no
        self._line_no = number + 1
        try:
            payload = _dumps(
                {
                    "kind": "log_line", "version": 1, "batch_id": run.batch_id, "job_id": self.id,
                    "attempt": run.attempt, "occurred_at": _now(UTC),
                    "data": {"line_no": number, "stream": stream, "level": level, "line": line},
                },
                option=_Z,
            )  # fmt: skip
        except TypeError:  # lone surrogates
            payload = b""
        if 0 < len(payload) <= values.MAX_EVENT_BYTES:
            run.lines_lane.append(payload)
        else:  # `say` makes it fit: control characters are six bytes each
            said = {"line_no": number, "stream": stream, "level": level and values.text(level, 64)}
            run.say("log_line", self.id, {**said, "line": values.text(line)})

    def _end(
        self,
        status: OutcomeStatus,
        *,
        reason: str | None = None,
        traceback: str | None = None,
        exit_code: int | None = None,
    ) -> None:
        if os.getpid() != self._owner_pid:
            return
        with self._ending:
            if self.ended:
                return
            data: dict[str, Any] = {"elapsed_s": round(time.monotonic() - self._started, 6)}
            if self._result:
                data["metrics"] = self._result
            if reason is not None:
                data["reason"] = values.text(reason, 8_000)
            if traceback is not None:
                data["traceback"] = values.tail(traceback, 24_000)
            if exit_code is not None:
                data["exit_code"] = exit_code
            with no_interrupt_meanwhile():
                self._run.say(f"job_{status}", self.id, data)
                self.ended = True
        self._run.forget_job(self)

    def _complain(self, complaints: list[str]) -> None:
        for complaint in complaints:
            complain(complaint)

"""The run that `argus.init` begins: what it says, and how it ends."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Literal
from urllib.parse import quote

import orjson

from argus import endings, sampler, senders, values
from argus.clock import SteadyClock
from argus.console import Capture
from argus.given import settings_of, status_of, whole
from argus.host import host
from argus.interrupts import no_interrupt_meanwhile
from argus.job import Job
from argus.machine import amount, machine
from argus.outcome import Outcome, OutcomeStatus, outcome_of
from argus.producer import Producer, lane_of
from argus.settings import Settings
from argus.trouble import warn

ENVIRONMENT_WAIT_S = 1.5
"""How long the end of a run waits for the description of the machine, where that is not known yet."""


class Run:
    """A run: one training batch. `argus.init` makes it.

    No method blocks on the network or raises because of Argus.
    """

    def __init__(self, batch_id: str, attempt: int, where: Settings | None) -> None:
        self.batch_id = batch_id
        """The run's id, unique in all of Argus."""
        self.attempt = attempt
        self.live = where is not None
        """False: nothing is recorded (any more)."""
        self.said = 0
        """Lifecycle facts and odd values so far; only ever compared with itself."""
        self._where = where
        self._owner_pid = os.getpid()
        self._jobs: list[Job] = []
        self._job_ids: set[str] = set()
        self._line_no = 0
        self._started = time.monotonic()
        self._signal: str | None = None
        self._saw_stop = self._ended = self._beginning = self._told_end = False
        self._outcome: Outcome | None = None
        """How the run ends, from the moment on at which somebody began to say so: whoever interrupts that changes nothing."""
        self._ending = threading.RLock()
        """Reentrant: a signal may end the process in the middle of `end`."""
        self._clock = SteadyClock()
        self._capture: Capture | None = None
        self._watch: sampler.Watch | None = None
        self._producer: Producer | None = None
        self._skipped_lines = 0
        self._machine: dict[str, Any] | None = None
        """On what all of it runs, where somebody has said so."""
        if where is not None:
            self._become_producer(where, beats=True)

    # -- what a script says ----------------------------------------------------------------------------------------

    def job(
        self,
        job_id: str | None = None,
        model: str | None = None,
        dataset: str | None = None,
        params: Mapping[str, Any] | None = None,
        *,
        epochs: int | None = None,
        steps: int | None = None,
        instance_type: str | None = None,
        capacity: Literal["spot", "on-demand"] | None = None,
        cpus: float | None = None,
    ) -> Job:
        """A job of this run has started. Use it in a `with` block, or call `job.finish()`.

        job_id: its name, unique in the run (a second one of the same name becomes `name-2`); a run of one job needs
        none. epochs, steps: how many are expected, for progress and the time that is left. instance_type, capacity, cpus: the
        machine, and how much of it is the job's, where that is not what `argus.init` was told.
        """
        wanted = values.name(job_id if job_id is not None else "main") or "main"
        chosen, number = wanted, 1
        while chosen in self._job_ids or chosen in values.NO_NAME_IN_AN_ADDRESS:
            number += 1
            chosen = f"{wanted[:240]}-{number}"
        self._job_ids.add(chosen)
        job = Job(self, chosen)
        if not self.live:
            self.hear_nothing()
            return job
        self._jobs.append(job)
        try:
            data: dict[str, Any] = {
                "name": wanted if job_id is not None else None,
                "model": values.text(model, values.MAX_SHORT) if model is not None else None,
                "dataset": values.text(dataset, values.MAX_SHORT) if dataset is not None else None,
                "params": settings_of(params),
                "host": host(),
                "pid": os.getpid(),
                "gpu_indexes": self._watch.gpu_indexes() if self._watch is not None else [],
                "n_epochs_expected": whole(epochs, "epochs"),
                "n_steps_expected": whole(steps, "steps"),
                **machine(instance_type, capacity, cpus, self._machine),
            }
            self.say("job_start", chosen, {key: value for key, value in data.items() if value is not None})
        except Exception as error:
            warn("job", f"trouble at the start of job {chosen!r}: {error!r:.200}")
        return job

    def log(self, msg: str, level: str = "INFO") -> None:
        """A line of the run's own log; a text with line breaks becomes several."""
        if not self.live:
            return self.hear_nothing()
        for part in values.text(msg).splitlines() or [""]:
            self._line(values.line(part), "log", values.text(level, 64))
        return None

    def cost(self, amount_usd: float, basis: str | None = None) -> None:
        """All of the run has cost so much, by somebody who knows the bill. It replaces what Argus works out from the machines
        and their prices, and what was said before. basis: what it is from, such as `invoice 2026-11`."""
        self.say_cost(None, amount_usd, basis)

    @property
    def stopped(self) -> bool:
        """True when somebody asked this run to stop. Costs nothing; asked for in the background every 10 s (HTTPS)."""
        asked = self._producer is not None and self._producer.stop_requested
        self._saw_stop = self._saw_stop or asked
        return asked

    @property
    def url(self) -> str | None:
        """The run's page, or None where the address of the pages is not known here."""
        if self._where is None or self._where.public_url is None:
            return None
        return f"{self._where.public_url}/runs/{quote(self.batch_id, safe='')}"

    def finish(
        self, status: OutcomeStatus = "done", *, reason: str | None = None, exit_code: int | None = None
    ) -> None:
        """The run has ended so; open jobs end likewise. All of it is on disk on return (where the disk takes it: else it waits
        up to 3 s for being sent).

        Nobody waits for the network: what is not sent yet goes on in the background, and the end of the process waits for
        it, for 3 s at most (`argus.flush` waits at once). What is left then stays in the spool.
        """
        self.end(Outcome(status_of(status), reason, exit_code=exit_code))

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(outcome_of(error))

    @property
    def producer_id(self) -> str:
        """Names this process' part of the run; "" where nothing is recorded."""
        return self._producer.id if self._producer is not None else ""

    # -- for the other modules -------------------------------------------------------------------------------------

    def begin(self, start: dict[str, Any], capture_output: bool, interval_s: float, folder: str | None) -> None:
        """`batch_start` is said, the threads run, the end of the process is watched."""
        assert self._producer is not None
        assert self._where is not None
        self._machine = {
            name: start[name] for name in ("instance_type", "capacity", "cpus") if start.get(name) is not None
        }
        self._beginning = True
        try:
            with no_interrupt_meanwhile():
                self.say("batch_start", None, {key: value for key, value in start.items() if value is not None})
                endings.watch(self)  # first of all: Ctrl-C in what follows is an end as well
            senders.carry(self._producer, self._where)
            self._watch = sampler.watch(interval_s, folder, self._say_environment, self._say_snapshot)
        finally:
            self._beginning = False
        if capture_output:
            self._capture = Capture(self._say_output)

    def say_cost(self, job_id: str | None, amount_usd: Any, basis: Any) -> None:
        if not self.live:
            return self.hear_nothing()
        known = amount(amount_usd)
        if known is not None:
            data = {"amount_usd": known, "basis": values.text(basis, values.MAX_SHORT) if basis is not None else None}
            self.say("cost_recorded", job_id, {name: value for name, value in data.items() if value is not None})
        return None

    def say(self, kind: str, job_id: str | None, data: dict[str, Any]) -> None:
        """The event is on disk (or in memory where the disk refuses it). Too large ones are shortened first."""
        if not self.live:
            return
        self.said += 1
        event: dict[str, Any] = {
            "kind": kind, "version": 1, "batch_id": self.batch_id, "job_id": job_id, "attempt": self.attempt,
            "occurred_at": self._clock.now(), "data": data,
        }  # fmt: skip
        try:
            payload = orjson.dumps(event, option=orjson.OPT_UTC_Z)
        except TypeError as error:
            warn(f"encode:{kind}", f"parts of a {kind} were left out: {str(error)[:100]}")
            event["data"] = data = values.as_json(data)
            payload = orjson.dumps(event, option=orjson.OPT_UTC_Z)
        if len(payload) > values.MAX_EVENT_BYTES:
            warn(f"large:{kind}", f"{kind} is larger than 60 KiB; its longest parts were cut")
            event["data"] = values.shortened(data)
            payload = orjson.dumps(event, option=orjson.OPT_UTC_Z)
        self._lanes[lane_of(kind)].append(payload)

    def end(self, outcome: Outcome, deadline: float | None = None) -> None:
        """Open jobs and the run are ended so, on disk; what no disk takes is sent, for 3 s. A second call changes nothing.

        deadline: monotonic; the end of the process cannot wait longer.
        """
        if self._ended or self._where is None:
            return
        with self._ending:
            if self._ended:
                return
            until = time.monotonic() + senders.FINISH_S if deadline is None else deadline
            try:
                self._say_end(outcome, until)
            except Exception as error:
                warn("end", f"trouble at the end of the run: {error!r:.200}")
            except BaseException:
                # Ctrl-C in the middle of it: nobody waits any longer, and the run has ended all the same.
                self._say_end(outcome, 0.0)
                self._let_go()
                raise
            self._let_go()
        if deadline is None and self._where.url is not None and self._producer is not None:
            self._producer.wait_for_memory(senders.FINISH_S)

    def _let_go(self) -> None:
        """Nothing is recorded any more; what was said is sent."""
        self.live = False
        if self._producer is not None and self._where is not None:
            try:
                senders.end(self._producer, self._where)
            except Exception as error:
                warn("end", f"trouble at the end of the run: {error!r:.200}")
        self._ended = True
        endings.forget(self)

    def _say_end(self, outcome: Outcome, deadline: float) -> None:
        """Open jobs and the run have ended so, unless that was said already. What an interrupt left out is said by the next call."""
        if self._told_end:
            return
        if os.getpid() != self._owner_pid:
            if self._producer is not None:
                self._producer.tell_drops(final=True)
            return
        if self._capture is not None:
            self._capture.stop()
        if self._outcome is None:
            self._outcome = self._judged(outcome)
        ended = self._outcome
        for job in list(self._jobs):
            job._end(ended.status, reason=ended.reason, traceback=ended.traceback, exit_code=ended.exit_code)  # pyright: ignore[reportPrivateUsage]
        if self._watch is not None:
            self._watch.stop(max(min(ENVIRONMENT_WAIT_S, deadline - time.monotonic()), 0.0))
        data: dict[str, Any] = {
            "elapsed_s": round(time.monotonic() - self._started, 6),
            "reason": values.text(ended.reason, 8_000) if ended.reason is not None else None,
            "error_report": values.tail(ended.traceback, 24_000) if ended.traceback else None,
            "exit_code": ended.exit_code,
            "dropped": (self._producer.final_drops() if self._producer is not None else None) or None,
        }
        with no_interrupt_meanwhile():
            self.say(f"batch_{ended.status}", None, {key: value for key, value in data.items() if value is not None})
            self._told_end = True

    def _judged(self, outcome: Outcome) -> Outcome:
        """`outcome`, or that a signal or somebody's request has ended the run."""
        if self._signal is not None and not (outcome.status == "failed" and outcome.traceback):
            return Outcome("aborted", self._signal, outcome.traceback, 143)
        if outcome.status == "done" and self._saw_stop:
            return Outcome("aborted", "stopped on request", outcome.traceback, outcome.exit_code)
        return outcome

    def note_signal(self, name: str) -> None:
        self._signal = name

    def is_writing(self) -> bool:
        """Whether the calling thread may be inside of a write of ours right now, or hold a lock that the end needs."""
        if self._beginning:
            return True
        lanes = self._producer.spool.lanes.values() if self._producer is not None else ()
        return any(lane.lock._is_owned() for lane in lanes)  # type: ignore[attr-defined]

    def hear_nothing(self) -> None:
        """Somebody speaks to a run that has ended (or to none, where nothing is to be recorded at all)."""
        if self._ended:
            warn("ended", f"{self.batch_id} has ended: what is said to it afterwards is not recorded")

    def forget_job(self, job: Job) -> None:
        with contextlib.suppress(ValueError):
            self._jobs.remove(job)

    def become_child(self) -> None:
        """After a fork: this process is a producer of its own, that never ends the run or the parent's jobs."""
        where = self._where
        if where is None or not self.live:
            return
        self._ending = threading.RLock()
        if self._capture is not None:
            self._capture.forget_after_fork()
        if self._producer is not None:
            self._producer.abandon()
        self._watch = None
        producer = self._become_producer(where, beats=False)
        producer.spool.on_first_event = self._begin_in_child

    # -- inside ----------------------------------------------------------------------------------------------------

    def _become_producer(self, where: Settings, *, beats: bool) -> Producer:
        self._skipped_lines = 0
        producer = Producer(where, self.batch_id, self.attempt, self._beat, lambda: self._skipped_lines, beats=beats)
        self._lanes = producer.spool.lanes
        self.metrics_lane, self.lines_lane = self._lanes["metrics"], self._lanes["log_lines"]
        self._producer = producer
        return producer

    def _begin_in_child(self) -> None:
        """The child has something to say: it is carried, and a multiprocessing child waits for that at its end."""
        if self._producer is not None and self._where is not None:
            senders.carry(self._producer, self._where)
        endings.watch_child()

    def _beat(self, dropped: dict[str, int]) -> None:
        self.say("batch_heartbeat", None, {"dropped": dropped} if dropped else {})

    def _say_environment(self, data: dict[str, Any]) -> None:
        self.say("env_snapshot", None, data)

    def _say_snapshot(self, data: dict[str, Any]) -> None:
        if self._outcome is None:
            self.say("resource_snapshot", self._only_job_id(), data)

    def _only_job_id(self) -> str | None:
        jobs = list(self._jobs)
        return jobs[0].id if len(jobs) == 1 else None

    def _say_output(self, stream: str, line: str | None, skipped: int) -> None:
        jobs = list(self._jobs)
        target: Job | Run = jobs[0] if len(jobs) == 1 else self
        if skipped:
            self._skipped_lines += skipped
            target._line(f"[argus: {skipped} lines skipped]", stream, "WARNING")
        if line is not None:
            target._line(line, stream, None)

    def _line(self, line: str, stream: str, level: str | None) -> None:
        if self.live:
            number, self._line_no = self._line_no, self._line_no + 1
            self.say("log_line", None, {"line_no": number, "stream": stream, "level": level, "line": line})

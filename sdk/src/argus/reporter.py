"""`argus.init`: a run begins."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from argus import redact, senders, values
from argus.given import settings_of, whole
from argus.host import host
from argus.machine import machine
from argus.producer import HEARTBEAT_S
from argus.run import Run
from argus.settings import disabled, settings
from argus.trouble import warn

Found = TypeVar("Found")


def init(
    project: str | None = None,
    name: str | None = None,
    params: Mapping[str, Any] | None = None,
    *,
    labels: Sequence[str] = (),
    tags: Mapping[str, str] | None = None,
    type: Literal["training", "workflow"] = "training",
    n_jobs_expected: int | None = None,
    output_dir: str | os.PathLike[str] | None = None,
    batch_id: str | None = None,
    resume: int | bool | None = None,
    capture_output: bool = False,
    config: Mapping[str, Any] | None = None,
    url: str | None = None,
    token: str | None = None,
    spool_dir: str | os.PathLike[str] | None = None,
    resource_interval_s: float = 15,
    instance_type: str | None = None,
    capacity: Literal["spot", "on-demand"] | None = None,
    cpus: float | None = None,
) -> Run:
    """A run has begun. Use it in a `with` block, or call `finish` at the end; the end of the script does it too.

    batch_id: the id of the run; made up where you give none. resume: the attempt (2, 3, …) of a `batch_id` that you
    start again; True means 2. capture_output: what the script prints becomes log lines as well.
    url, token: where to send and as whom; else ARGUS_URL and ARGUS_TOKEN, else what `argus login` kept. `nats://`,
    `tls://` and `ws://` speak to the broker, `http://` and `https://` to the gateway. spool_dir: where everything is
    kept until Argus has stored it. resource_interval_s: how often the machine is looked at; 0 for never.
    instance_type, capacity, cpus: what the machine is called in the price list, how it is paid for, and how much of it is this
    run's, for what the run costs; else ARGUS_INSTANCE_TYPE, ARGUS_CAPACITY, ARGUS_CPUS, and all CPUs that the script may use.

    Never blocks on the network and never raises because of Argus. ARGUS_DISABLE=1: nothing is recorded at all.
    """
    chosen_id = _batch_id(batch_id, project)
    if disabled():
        return Run(chosen_id, 1, None)
    where = _kindly("the settings", lambda: settings(url, token, spool_dir))
    attempt = _kindly("resume", lambda: 2 if resume is True else max(int(resume or 1), 1)) or 1
    run = _kindly("the start of the run", lambda: Run(chosen_id, attempt, where)) or Run(chosen_id, attempt, None)
    if where is None:
        return run
    if where.url is None:
        warn("url", f"ARGUS_URL is not set: this run is kept in {where.spool_dir}; `argus sync` sends it later")
    short = values.MAX_SHORT
    facts: dict[str, Callable[[], Any]] = {
        "name": lambda: values.name(name, short) if name else None,
        "type": lambda: type if type in ("training", "workflow") else "training",
        "project": lambda: values.name(project, short) if project else None,
        "labels": lambda: [values.name(label, short) for label in list(labels)[:100]],
        "tags": lambda: {values.text(key, 256): values.text(item, short) for key, item in dict(tags or {}).items()},
        "n_jobs_expected": lambda: whole(n_jobs_expected, "n_jobs_expected"),
        "params": lambda: settings_of(params),
        "config": lambda: settings_of(config),
        "output_dir": lambda: values.text(redact.text(os.fspath(output_dir)), short) if output_dir else None,
        "work_dir": lambda: values.text(Path.cwd(), short),
    }
    start = {field: _kindly(field, find) for field, find in facts.items()}
    interval_s = _kindly("resource_interval_s", lambda: max(float(resource_interval_s), 0.0))
    folder = _kindly("output_dir", lambda: os.fspath(output_dir or "."))
    on = _kindly("the machine", lambda: machine(instance_type, capacity, cpus)) or {}
    start |= {**on, "host": host()} if on else {}
    start |= {"runner": "argus-sdk", "heartbeat_interval_s": HEARTBEAT_S, "session_id": run.producer_id}
    _kindly(
        "the start of the run",
        lambda: run.begin(start, capture_output, 15.0 if interval_s is None else interval_s, folder),
    )
    return run


def flush(timeout_s: float = 3.0) -> bool:
    """Everything that this process has said so far is stored in Argus: True. Or `timeout_s` have passed: False.

    Not needed at the end of a script, which waits for that by itself. False also where there is no address to send to.
    Not waited for is what another process has taken over to send, and what was deleted from the spool's folder by hand.
    """
    return bool(_kindly("flush", lambda: senders.flush(max(float(timeout_s), 0.0))))


def _kindly(what: str, find: Callable[[], Found]) -> Found | None:
    """What `find` finds, or None and a warning: training never ends because of us."""
    try:
        return find()
    except Exception as error:
        warn(f"init:{what}", f"trouble with {what}: {error!r:.200}")
        return None


def _batch_id(given: str | None, project: str | None) -> str:
    if given is not None:
        fitting = re.sub(r"[^A-Za-z0-9._:\-]", "-", str(given))[:128]
        if fitting in ("", *values.NO_NAME_IN_AN_ADDRESS):
            fitting = "run"
        if fitting == str(given):
            return fitting
        warn("batch_id", f"batch_id {given!r:.60} is nothing that an id can be; {fitting!r} is used")
        return fitting
    head = re.sub(r"[^A-Za-z0-9]+", "-", project or "run").strip("-").lower()[:40] or "run"
    return f"{head}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.urandom(5).hex()}"

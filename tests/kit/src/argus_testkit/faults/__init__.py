"""Days that go wrong: senders with a ledger, and the checker that asks afterwards what became of every single event.

A test of `tests/faults/` reads: begin a `Trial` on a whole stack, break something, mend it, ask for the verdict. The parts:

    scale.py      how large the short and the full form are; the seed
    payloads.py   what an event says, so that anybody can tell whether it is the one that was said
    ledger.py     what a sender meant to say and what came of it, on disk before and after each call
    sender.py     a training process with the real SDK; raw_sender.py: one that speaks HTTPS or NATS itself
    workload.py   both as processes
    capture.py    a client of the live stream that reconnects like a browser
    watch.py      memory of every process, and messages that the broker gave up
    observe.py    what the log, the read models and the live stream say
    checker.py    the comparison
    trial.py      all of it together, for one fault
"""

from __future__ import annotations

from argus_testkit.faults.capture import LiveCapture
from argus_testkit.faults.checker import Verdict, check
from argus_testkit.faults.ledger import Key, Said, read_ledgers
from argus_testkit.faults.observe import settle
from argus_testkit.faults.scale import SOON_AGAIN, is_full, pick, seeded
from argus_testkit.faults.trial import Trial
from argus_testkit.faults.watch import Watch
from argus_testkit.faults.workload import Workload

__all__ = [
    "SOON_AGAIN",
    "Key",
    "LiveCapture",
    "Said",
    "Trial",
    "Verdict",
    "Watch",
    "Workload",
    "check",
    "is_full",
    "pick",
    "read_ledgers",
    "seeded",
    "settle",
]

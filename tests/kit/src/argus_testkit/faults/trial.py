"""One fault from its beginning to the verdict: a workload, a client of the live stream, a watch over the processes."""

from __future__ import annotations

import random
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import psycopg

from argus_testkit.faults.capture import LiveCapture
from argus_testkit.faults.checker import Verdict, check
from argus_testkit.faults.ledger import Said
from argus_testkit.faults.observe import dead_letters, log_end, settle
from argus_testkit.faults.watch import Watch
from argus_testkit.faults.workload import Workload
from argus_testkit.stack import LocalStack
from argus_testkit.waiting import eventually


class Trial:
    """Use it in a `with` block: senders talk, a page listens; break something, mend it, and ask for the `verdict`.

    sdk, http: how many senders with the real SDK by NATS and by HTTPS; raw: also one that posts events without numbers.
    asked: see `Workload`.
    """

    def __init__(
        self, stack: LocalStack, folder: Path, dice: random.Random, *, sdk: int = 1, http: int = 0, raw: bool = True,
        **asked: Any,
    ) -> None:  # fmt: skip
        self.stack, self.dice = stack, dice
        self.work = Workload(stack, folder, dice, **asked)
        self._wanted = (sdk, http, raw)
        self._letters_before = dead_letters(stack)
        self.capture: LiveCapture | None = None
        self.watch = Watch(stack)

    def __enter__(self) -> Trial:
        sdk, http, raw = self._wanted
        self.capture = LiveCapture(self.stack, self.work.topics(sdk + http + raw))
        self.capture.__enter__()
        self.watch.__enter__()
        self.work.start(sdk)
        if http:
            self.work.start(http, url=self.stack.url)
        if raw:
            self.work.start_raw("http", numbered=False)
        self.work.wait_until_talking()
        self.wait_for_growth()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.capture is not None
        self.work.kill()
        self.capture.__exit__(kind, error, trace)
        self.watch.__exit__(kind, error, trace)

    def wait_for_growth(self, within: float = 180.0, n_events: int = 20) -> float:
        """The log has grown by so many events from now on; answers after how many seconds."""
        began = time.monotonic()
        start = eventually(lambda: (self._log_end(),), within, "the log can be asked")[0]
        eventually(lambda: self._log_end() >= start + n_events, within, "the log grows")
        return time.monotonic() - began

    def _log_end(self) -> int:
        try:
            return log_end(self.stack)
        except psycopg.Error as error:
            raise OSError(str(error)) from error

    def is_away(self, path: str = "/api/batches") -> bool:
        """Whether the gateway says so: 503 with Retry-After. Any other answer than that and 200 is an AssertionError."""
        with self.stack.client() as client:
            answer = client.get(path)
        assert answer.status_code in (200, 503), answer.text
        if answer.status_code == 503:
            assert answer.json()["code"] == "unavailable"
            assert 1 <= int(answer.headers["retry-after"]) <= 5
        return answer.status_code == 503

    def verdict(self, *, rest_within: float = 180.0, given_up: bool = True, **checked: Any) -> Verdict:
        """Everybody has finished, all is at rest, and nothing is lost, doubled, invented, reordered or damaged anywhere.

        given_up: whether messages that the broker gave up count. checked: see `check`.
        """
        return self.compare(self.finish(rest_within), given_up=given_up, **checked).require()

    def finish(self, rest_within: float = 180.0) -> Said:
        """Everybody has finished, and all is at rest."""
        said = self.work.finish()
        print(f"at rest {settle(self.stack, rest_within):.1f} s after the senders had finished")
        return said

    def compare(self, said: Said, *, given_up: bool = True, **checked: Any) -> Verdict:
        """The verdict, whatever it is."""
        assert self.capture is not None
        if not given_up:
            self.watch.given_up.clear()
        before = {"dead_letters_before": self._letters_before}
        return check(self.stack, said, captures=[self.capture], watch=self.watch, **{**before, **checked})


def metric(url: str, name: str) -> float:
    """The value of a Prometheus metric without labels; OSError while nobody answers."""
    try:
        page = httpx.get(f"{url}/metrics", timeout=30).text
    except httpx.HTTPError as error:
        raise OSError(str(error)) from error
    return sum(float(line.split()[1]) for line in page.splitlines() if line.split(" ")[0] == name)

"""The folder of a test sets its mark; fixtures come from argus_testkit."""

from __future__ import annotations

import signal
from pathlib import PurePath

import pytest

_MARKS = {"service": "service", "e2e": "e2e", "faults": "e2e", "harm": "e2e", "browser": "browser"}


def pytest_configure() -> None:
    """Ctrl-C is heard, by the tests and by what they start: whoever runs them in the background may have had it ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for folder in PurePath(item.path).parts:
            if mark := _MARKS.get(folder):
                item.add_marker(mark)

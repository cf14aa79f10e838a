"""Ctrl-C waits until what belongs together is done, and is never lost."""

from __future__ import annotations

import signal

import pytest

from argus.interrupts import are_held, no_interrupt_meanwhile


def test_it_comes_behind_the_block() -> None:
    before, done = signal.getsignal(signal.SIGINT), []
    with pytest.raises(KeyboardInterrupt), no_interrupt_meanwhile():
        signal.raise_signal(signal.SIGINT)
        done.append(are_held())
    assert done == [True]
    assert signal.getsignal(signal.SIGINT) is before
    assert not are_held()


def test_it_comes_also_where_the_block_fails() -> None:
    with pytest.raises(KeyboardInterrupt) as came, no_interrupt_meanwhile():
        signal.raise_signal(signal.SIGINT)
        raise ValueError
    assert isinstance(came.value.__context__, ValueError)

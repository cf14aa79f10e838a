"""When ingest takes itself for stuck: by what it saw, and not by how long it did not look."""

from __future__ import annotations

from argus_ingest.health import CHECK_EVERY_S, SILENT_S, Silence


def test_silence_is_as_long_as_the_looks_that_found_it() -> None:
    silence = Silence()
    assert [silence.seconds(7.0) for _ in range(4)] == [0.0, CHECK_EVERY_S, 2 * CHECK_EVERY_S, 3 * CHECK_EVERY_S]
    assert silence.seconds(8.0) == 0.0


def test_whoever_was_frozen_himself_has_looked_but_once() -> None:
    """Else an ingest that is woken up behind a full queue would end before it could touch it."""
    silence = Silence()
    silence.seconds(7.0)
    frozen_meanwhile = silence.seconds(7.0)
    assert frozen_meanwhile < SILENT_S


def test_what_was_seen_before_a_pause_in_the_work_does_not_count() -> None:
    silence = Silence()
    for _ in range(10):
        silence.seconds(7.0)
    silence.forget()
    assert silence.seconds(7.0) == 0.0

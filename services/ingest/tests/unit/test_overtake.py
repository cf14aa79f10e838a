"""Who is quiet: he waits for somebody else's flood, not for his own."""

from __future__ import annotations

from argus_contracts.subjects import event_subject
from argus_ingest.overtake import quiet_senders


def waiting(**messages: int) -> dict[str, int]:
    """By user; each has two runs, which lie in different partitions."""
    return {event_subject("lab", user, batch): n for user, n in messages.items() for batch in ("run-1", "run-2")}


def test_beside_a_flood_everybody_else_is_quiet_and_the_quietest_is_served_first() -> None:
    assert quiet_senders(waiting(noisy=1000, ada=3, bob=1)) == ["argus.events.lab.bob", "argus.events.lab.ada"]


def test_nobody_overtakes_his_equals_or_himself() -> None:
    assert quiet_senders(waiting(ada=500, bob=400, eve=450)) == []
    assert quiet_senders(waiting(ada=500)) == []
    assert quiet_senders({}) == []


def test_a_subject_of_nobody_is_nobodys() -> None:
    assert quiet_senders({"argus.events.a=zz.b.1": 5, **waiting(noisy=100, ada=1)}) == ["argus.events.lab.ada"]

"""What a machine costs an hour, and from when on. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple


class Price(NamedTuple):
    """One fact. Times in microseconds since 1970; `received` and `position` are where it stands in the log."""

    workspace: str
    instance_type: str
    capacity: str
    effective_from: int
    recorded_at: int
    event_id: str
    received: int
    position: int
    nano_usd_per_hour: int
    recorded_by: str


class Prices:
    """Of one workspace. Of several facts about the same moment the one recorded last counts."""

    def __init__(self, prices: Iterable[Price] = ()) -> None:
        self._of: dict[tuple[str, str], tuple[list[int], list[int]]] = {}
        of: dict[tuple[str, str], dict[int, int]] = {}
        for price in sorted(prices, key=lambda price: (price.recorded_at, price.event_id)):
            of.setdefault((price.instance_type, price.capacity), {})[price.effective_from] = price.nano_usd_per_hour
        for kind, by_moment in of.items():
            moments = sorted(by_moment)
            self._of[kind] = (moments, [by_moment[moment] for moment in moments])

    def at(self, instance_type: str | None, capacity: str, moment: int) -> int | None:
        """Nano-dollars an hour. None: nobody has said."""
        known = self._of.get((instance_type or "", capacity))
        if known is None:
            return None
        place = bisect_right(known[0], moment)
        return known[1][place - 1] if place else None

    def next_change(self, instance_type: str, capacity: str, moment: int) -> int | None:
        """The first moment behind `moment` from which another price holds."""
        moments = self._of.get((instance_type, capacity), ([], []))[0]
        place = bisect_right(moments, moment)
        return moments[place] if place < len(moments) else None

    def changes(self, instance_types: Iterable[str | None]) -> set[int]:
        """The moments at which the price of one of them changes."""
        return {
            moment
            for instance_type in set(instance_types)
            for capacity in ("spot", "on-demand")
            for moment in self._of.get((instance_type or "", capacity), ([], []))[0]
        }

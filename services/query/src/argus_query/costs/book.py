"""A run's costs by what was known at some moment, worked out from the facts themselves. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from argus_query.costs.division import ON_DEMAND, Amount, TryKey, divided
from argus_query.costs.prices import Price, Prices
from argus_query.costs.totals import Part, Recorded, Total, total_of
from argus_query.costs.usage import WASTED, Key, Try, Usage, in_vain, tries_of


class Known(NamedTuple):
    """tries: of the run, by their start; amounts: of those that are over."""

    tries: list[Try]
    amounts: dict[TryKey, Amount]
    bills: list[Recorded]
    total: Total


@dataclass(slots=True)
class Book:
    """What a run has said, what everybody has who ran beside it, the prices of all their machines, and its bills."""

    batch_id: str
    usages: dict[Key, Usage]
    prices: list[Price]
    bills: list[Recorded]
    _of_batches: dict[str, dict[int, Usage]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        for usage in self.usages.values():
            if not usage.job_id:
                self._of_batches.setdefault(usage.batch_id, {})[usage.attempt] = usage

    def at(self, until: int | None = None) -> Known:
        """By what Argus had heard at that moment (microseconds since 1970); None: by all."""
        tries = [
            one
            for usage in self.usages.values()
            for one in tries_of(usage, self._of_batches.get(usage.batch_id, {}), until)
        ]
        own = sorted((one for one in tries if one.batch_id == self.batch_id), key=lambda one: (one.start, one.key))
        over = [one for one in tries if one.end is not None]
        amounts = divided(over, {one.workspace: Prices(self._prices(until)) for one in own})
        bills = [bill for bill in self.bills if until is None or bill.received <= until]
        is_in_vain = in_vain(self._of_batches.get(self.batch_id, {}), until)
        return Known(own, amounts, bills, total_of(parts_of(own, amounts), bills, is_in_vain))

    def touching(self, until: int | None, most: int) -> list[Price]:
        """The newest prices that changed what was known of the run when Argus heard of them, the newest first."""
        now = [one for one in self._own_tries(until) if one.end is not None]
        ends: dict[tuple[str | None, str], int] = {}
        for one in now:
            kind = (one.instance_type, one.capacity or ON_DEMAND)
            ends[kind] = max(ends.get(kind, 0), one.end or 0)
        found: list[Price] = []
        for price in sorted(self._prices(until), key=lambda price: -price.position):
            if price.effective_from < ends.get((price.instance_type, price.capacity), 0) and self._touches(price):
                found.append(price)
                if len(found) == most:
                    break
        return found

    def _prices(self, until: int | None) -> list[Price]:
        return [price for price in self.prices if until is None or price.received <= until]

    def _own_tries(self, until: int | None) -> list[Try]:
        own = [usage for usage in self.usages.values() if usage.batch_id == self.batch_id]
        return [one for usage in own for one in tries_of(usage, self._of_batches.get(usage.batch_id, {}), until)]

    def _touches(self, price: Price) -> bool:
        first = min((said.received for usage in self.usages.values() for said in usage.facts), default=0)
        if price.received < first:  # nobody had heard of the run
            return False
        then = Prices(self._prices(price.received))
        if then.at(price.instance_type, price.capacity, price.effective_from) != price.nano_usd_per_hour:
            return False  # it had been restated before it came
        last = then.next_change(price.instance_type, price.capacity, price.effective_from)
        return any(
            one.end is not None
            and (one.instance_type, one.capacity or ON_DEMAND) == (price.instance_type, price.capacity)
            and one.end > price.effective_from
            and (last is None or one.start < last)
            for one in self._own_tries(price.received)
        )


def parts_of(tries: Iterable[Try], amounts: dict[TryKey, Amount]) -> list[Part]:
    """tries: of one run, all of them."""
    by_attempt: dict[tuple[str, int], list[Try]] = {}
    for one in tries:
        by_attempt.setdefault((one.job_id, one.attempt), []).append(one)
    return [_part(job_id, attempt, of_attempt, amounts) for (job_id, attempt), of_attempt in by_attempt.items()]


def _part(job_id: str, attempt: int, tries: Sequence[Try], amounts: dict[TryKey, Amount]) -> Part:
    paid = [(one, amounts[one.key].nano_usd) for one in tries if one.key in amounts]
    known = [(one, nano) for one, nano in paid if nano is not None]
    wasted = sum(nano for one, nano in known if one.outcome in WASTED)
    last = max(tries, key=lambda one: one.number)
    return Part(job_id, attempt, sum(nano for _, nano in known) if known else None, wasted, last.outcome in WASTED)

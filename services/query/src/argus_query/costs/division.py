"""The price of a host, divided among the attempts that run on it at the same time. Pure, and exact.

The time of a host is cut wherever an attempt starts or ends or a price changes. In each piece an attempt has the share of the
host that its CPUs are of the CPUs of all that run there, and pays that share of its machine's price. No figure is ever
rounded up, so what the attempts pay in a piece of time, of whatever length, never exceeds the price of the host.

What one CPU has paid since the beginning is summed up once, piece by piece; an attempt pays its CPUs times the difference between
its end and its start. So ten thousand attempts at once cost what they are, not what they are times the pieces of each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from argus_query.costs.money import MOST
from argus_query.costs.prices import Prices
from argus_query.costs.usage import Try

ONE_CPU = 1_000
ON_DEMAND = "on-demand"
"""What a machine is taken for where nobody says that it is a spot instance."""
CAPACITIES = ("spot", ON_DEMAND)
_FEMTO = 10**6  # within a nano-dollar
_FINE = 10**12
TryKey = tuple[str, str, int, int]


class Amount(NamedTuple):
    """share_us: the microseconds of the host that were the attempt's. nano_usd: None where no part of it has a price.

    spot_nano_usd: what it would be if all of it had been spot. partly: a part of it has no price.
    """

    share_us: int
    nano_usd: int | None
    spot_nano_usd: int | None
    partly: bool


class _Sums(NamedTuple):
    """Of one thousandth of a CPU, from the first moment of the host up to one moment; in parts of `_FINE`, cut piece by piece."""

    host_us: int
    """Its part of the host's time."""
    paid: dict[str, int]
    """By capacity: femto-dollars."""
    priced_us: dict[str, int]
    """By capacity: in how much of the time there was a price; not in parts."""


def weight(one: Try) -> int:
    """Thousandths of a CPU; an attempt that does not say counts as one CPU."""
    return one.milli_cpus or ONE_CPU


def divide(tries: Sequence[Try], prices: Prices) -> dict[TryKey, Amount]:
    """What each of these attempts on one host pays, where they are all that ever ran beside any of them.

    Attempts that name different types of machine were on different ones, whatever they call their host: they do not share. Those
    that name none share with all.
    """
    over = [one for one in tries if one.end is not None and one.end > one.start]
    amounts: dict[TryKey, Amount] = {}
    for kind in {one.instance_type for one in tries}:
        beside = over if kind is None else [one for one in over if one.instance_type in (kind, None)]
        sums = _summed(beside, kind, prices)
        for one in tries:
            if one.instance_type == kind and one.end is not None:
                amounts[one.key] = _amount(one, sums, prices)
    return {one.key: amounts[one.key] for one in tries if one.end is not None}


def _summed(tries: Sequence[Try], kind: str | None, prices: Prices) -> dict[int, _Sums]:
    """By moment at which anything changes."""
    moves: dict[int, int] = defaultdict(int)
    for one in tries:
        moves[one.start] += weight(one)
        moves[one.end or 0] -= weight(one)
    moments = sorted({*moves, *prices.changes([kind])})
    found: dict[int, _Sums] = {}
    now = _Sums(0, dict.fromkeys(CAPACITIES, 0), dict.fromkeys(CAPACITIES, 0))
    running, last = 0, 0
    for moment in moments:
        if running:
            took = moment - last
            paid, priced = dict(now.paid), dict(now.priced_us)
            for capacity in CAPACITIES:
                rate = prices.at(kind, capacity, last)
                if rate is not None:  # microseconds times nano-dollars an hour, in femto-dollars
                    paid[capacity] += took * rate * _FINE // (running * 3600)
                    priced[capacity] += took
            now = _Sums(now.host_us + took * _FINE // running, paid, priced)
        found[moment] = now
        running += moves.get(moment, 0)
        last = moment
    return found


def _amount(one: Try, sums: dict[int, _Sums], prices: Prices) -> Amount:
    assert one.end is not None
    if one.end <= one.start:
        nano, spot = (_of_no_time(one, capacity, prices) for capacity in (one.capacity or ON_DEMAND, "spot"))
        return Amount(0, nano, spot, partly=False)
    before, after, took = sums[one.start], sums[one.end], one.end - one.start

    def paid(capacity: str) -> tuple[int | None, int]:
        """Nano-dollars, where any of the time has a price; and in how much it has none."""
        priced = after.priced_us[capacity] - before.priced_us[capacity]
        femto = weight(one) * (after.paid[capacity] - before.paid[capacity]) // _FINE
        return (min(MOST, femto // _FEMTO) if priced else None), took - priced

    (nano, without), (spot, without_spot) = paid(one.capacity or ON_DEMAND), paid("spot")
    share_us = weight(one) * (after.host_us - before.host_us) // _FINE
    return Amount(share_us, nano, None if without_spot else spot, partly=bool(without) and nano is not None)


def _of_no_time(one: Try, capacity: str, prices: Prices) -> int | None:
    """Nothing, where it is known of what."""
    return None if prices.at(one.instance_type, capacity, one.start) is None else 0


def divided(tries: Iterable[Try], prices: dict[str, Prices]) -> dict[TryKey, Amount]:
    """What each pays. Who does not say on which host he ran shares it with nobody."""
    hosts: dict[tuple[str | int, ...], list[Try]] = {}
    for one in tries:
        hosts.setdefault((one.workspace, one.host) if one.host is not None else one.key, []).append(one)
    found: dict[TryKey, Amount] = {}
    for of_host in hosts.values():
        found |= divide(of_host, prices.get(of_host[0].workspace) or Prices())
    return found

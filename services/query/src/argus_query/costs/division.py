"""The price of a host, divided among the attempts that run on it at the same time. Pure, and exact.

The time of a host is cut wherever an attempt starts or ends or a price changes. In each piece an attempt has the share of the
host that its CPUs are of the CPUs of all that run there, and pays that share of its machine's price. No figure is ever
rounded up, so what the attempts pay in a piece of time, of whatever length, never exceeds the price of the host.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from argus_query.costs.money import MOST
from argus_query.costs.prices import Prices
from argus_query.costs.usage import Try

ONE_CPU = 1_000
ON_DEMAND = "on-demand"
"""What a machine is taken for where nobody says that it is a spot instance."""
_FEMTO = 10**6  # within a nano-dollar
TryKey = tuple[str, str, int, int]


class Amount(NamedTuple):
    """share_us: the microseconds of the host that were the attempt's. nano_usd: None where no part of it has a price.

    spot_nano_usd: what it would be if all of it had been spot. partly: a part of it has no price.
    """

    share_us: int
    nano_usd: int | None
    spot_nano_usd: int | None
    partly: bool


class Piece(NamedTuple):
    """From `start` to `end` (microseconds) these and no others run on the host. cpus: of all of them, in thousandths."""

    start: int
    end: int
    running: list[Try]
    milli_cpus: int


def weight(one: Try) -> int:
    """Thousandths of a CPU; an attempt that does not say counts as one CPU."""
    return one.milli_cpus or ONE_CPU


def pieces(tries: Iterable[Try], cuts: Iterable[int] = ()) -> Iterator[Piece]:
    """tries: of one host; those that are not over do not count. cuts: further moments to cut at."""
    over = [one for one in tries if one.end is not None and one.end > one.start]
    begin: dict[int, list[Try]] = defaultdict(list)
    end: dict[int, list[Try]] = defaultdict(list)
    for one in over:
        begin[one.start].append(one)
        end[one.end or 0].append(one)
    running: dict[TryKey, Try] = {}
    milli_cpus, last = 0, 0
    for moment in sorted({*begin, *end, *cuts}):
        if running:
            yield Piece(last, moment, list(running.values()), milli_cpus)
        for one in end[moment]:
            del running[one.key]
            milli_cpus -= weight(one)
        for one in begin[moment]:
            running[one.key] = one
            milli_cpus += weight(one)
        last = moment


def divide(tries: Sequence[Try], prices: Prices) -> dict[TryKey, Amount]:
    """What each of these attempts on one host pays, where they are all that ever ran beside any of them."""
    cuts = prices.changes(one.instance_type for one in tries)
    shares: dict[TryKey, int] = defaultdict(int)
    paid: dict[TryKey, int] = defaultdict(int)
    as_spot: dict[TryKey, int] = defaultdict(int)
    unpriced: set[TryKey] = set()
    no_spot: set[TryKey] = set()
    for piece in pieces(tries, cuts):
        took, divisor = piece.end - piece.start, piece.milli_cpus
        rates: dict[tuple[str | None, str], int | None] = {}
        for one in piece.running:
            key, share = one.key, took * weight(one)
            shares[key] += share // divisor
            for capacity, sums, without in (
                (one.capacity or ON_DEMAND, paid, unpriced), ("spot", as_spot, no_spot),
            ):  # fmt: skip
                kind = (one.instance_type, capacity)
                if kind not in rates:
                    rates[kind] = prices.at(*kind, piece.start)
                rate = rates[kind]
                if rate is None:
                    without.add(key)
                else:  # microseconds times nano-dollars an hour, in femto-dollars
                    sums[key] += share * rate // (divisor * 3600)
    return {
        one.key: Amount(
            shares[one.key],
            _nano(one, paid, unpriced, one.capacity or ON_DEMAND, prices),
            None if one.key in no_spot else _nano(one, as_spot, no_spot, "spot", prices),
            one.key in unpriced and one.key in paid,
        )
        for one in tries
        if one.end is not None
    }


def divided(tries: Iterable[Try], prices: dict[str, Prices]) -> dict[TryKey, Amount]:
    """What each pays. Who does not say on which host he ran shares it with nobody."""
    hosts: dict[tuple[str | int, ...], list[Try]] = {}
    for one in tries:
        hosts.setdefault((one.workspace, one.host) if one.host is not None else one.key, []).append(one)
    found: dict[TryKey, Amount] = {}
    for of_host in hosts.values():
        found |= divide(of_host, prices.get(of_host[0].workspace) or Prices())
    return found


def _nano(one: Try, sums: dict[TryKey, int], without: set[TryKey], capacity: str, prices: Prices) -> int | None:
    if one.key in sums:
        return min(MOST, sums[one.key] // _FEMTO)
    # Without any time: nothing, where it is known of what.
    return None if one.key in without or prices.at(one.instance_type, capacity, one.start) is None else 0

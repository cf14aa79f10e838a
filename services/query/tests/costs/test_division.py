"""The division of a host's price is exact, and nobody pays for another's time."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from fractions import Fraction
from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argus_query.costs import division
from argus_query.costs.division import ON_DEMAND, divide, divided, weight
from argus_query.costs.money import MOST, nano_of
from argus_query.costs.prices import Price, Prices
from argus_query.costs.usage import Try

MINUTE = 60 * 10**6
HOUR = 60 * MINUTE


def a_try(n: int, start: int, end: int | None, cpus: int | None = 1, **more: Any) -> Try:
    said = {"host": "h1", "instance_type": "big", "capacity": "on-demand", **more}
    milli = None if cpus is None else cpus * 1000
    return Try(
        "b", f"j{n}", 1, 0, "lab", said["host"], said["instance_type"], said["capacity"], milli, start, end, "succeeded"
    )


def a_price(nano: int, since: int = 0, recorded: int = 0, capacity: str = "on-demand", kind: str = "big") -> Price:
    return Price("lab", kind, capacity, since, recorded, f"{recorded}{since}", recorded, recorded, nano, "ada")


@st.composite
def hosts(draw: st.DrawFn) -> list[Try]:
    """Attempts on one host, of seconds to hours, that share it in every way."""
    made: list[Try] = []
    for n in range(draw(st.integers(1, 12))):
        start = draw(st.integers(0, 4 * HOUR))
        length = draw(st.one_of(st.integers(0, 100), st.integers(0, 3 * HOUR)))
        capacity = draw(st.sampled_from(["spot", "on-demand", None]))
        end = draw(st.sampled_from([start + length, start + length, None]))
        made.append(a_try(n, start, end, draw(st.sampled_from([None, 1, 3, 64])), capacity=capacity))
    return made


class Piece(NamedTuple):
    """From `start` to `end` these and no others run on the host."""

    start: int
    end: int
    running: list[Try]

    @property
    def milli_cpus(self) -> int:
        return sum(map(weight, self.running))


def pieces(tries: Iterable[Try], cuts: Iterable[int] = ()) -> Iterator[Piece]:
    """As plain as it can be."""
    over = [one for one in tries if one.end is not None and one.end > one.start]
    moments = sorted({moment for one in over for moment in (one.start, one.end or 0)} | set(cuts))
    for start, end in itertools.pairwise(moments):
        running = [one for one in over if one.start <= start and end <= (one.end or 0)]
        if running:
            yield Piece(start, end, running)


PRICES = st.lists(
    st.builds(
        a_price,
        st.integers(0, 10**11 + 7),
        st.integers(0, 5 * HOUR),
        st.integers(0, 5),
        st.sampled_from(["spot", "on-demand"]),
    ),
    max_size=6,
    unique_by=lambda price: (price.event_id, price.capacity),
)


@given(hosts(), PRICES)
@settings(max_examples=300, deadline=None)
def test_all_attempts_together_never_pay_more_than_the_host_costs(tries: list[Try], told: list[Price]) -> None:
    prices = Prices(told)
    most = Fraction(0)
    for piece in pieces(tries, prices.changes(["big"])):
        rates = [prices.at("big", one.capacity or "on-demand", piece.start) or 0 for one in piece.running]
        most += Fraction((piece.end - piece.start) * max(rates), HOUR)
    paid = sum(amount.nano_usd or 0 for amount in divide(tries, prices).values())
    assert paid <= most


@given(hosts(), PRICES)
@settings(max_examples=300, deadline=None)
def test_each_pays_its_share_of_every_piece(tries: list[Try], told: list[Price]) -> None:
    """Exactly, but for less than a nano-dollar that is cut."""
    prices = Prices(told)
    exact: dict[Any, Fraction] = {}
    for piece in pieces(tries, prices.changes(["big"])):
        for one in piece.running:
            rate = prices.at("big", one.capacity or ON_DEMAND, piece.start)
            if rate is not None:
                paid = Fraction((piece.end - piece.start) * rate * weight(one), piece.milli_cpus * HOUR)
                exact[one.key] = exact.get(one.key, Fraction(0)) + paid
    for key, amount in divide(tries, prices).items():
        if amount.nano_usd is None:
            assert key not in exact
        else:
            assert exact.get(key, Fraction(0)) - 1 - Fraction(1, 1000) < amount.nano_usd <= exact.get(key, Fraction(0))


@given(hosts(), st.integers(1, 10**11 + 7))
@settings(max_examples=200, deadline=None)
def test_what_is_paid_is_what_the_time_costs_in_which_somebody_ran(tries: list[Try], rate: int) -> None:
    tries = [one._replace(capacity="on-demand") for one in tries]
    busy = sum(piece.end - piece.start for piece in pieces(tries))
    amounts = divide(tries, Prices([a_price(rate)])).values()
    paid, exact = sum(amount.nano_usd or 0 for amount in amounts), Fraction(busy * rate, HOUR)
    # Each attempt's figure is cut to whole nano-dollars.
    assert exact - len(tries) - 1 <= paid <= exact
    assert sum(amount.share_us for amount in amounts) <= busy


@given(hosts(), st.integers(1, 10**9), st.integers(0, 400))
@settings(max_examples=200, deadline=None)
def test_in_no_minute_do_they_pay_more_than_a_sixtieth_of_the_hour(tries: list[Try], rate: int, minute: int) -> None:
    """Exactly, in fractions: the division that the figures are cut from."""
    first, last = minute * MINUTE, (minute + 1) * MINUTE
    paid = Fraction(0)
    for piece in pieces(tries, (first, last)):
        if first <= piece.start and piece.end <= last:
            shares = [Fraction(weight(one), piece.milli_cpus) for one in piece.running]
            assert sum(shares) == 1
            paid += sum(shares) * (piece.end - piece.start) * Fraction(rate, HOUR)
    assert paid <= Fraction(rate, 60)


@given(hosts(), PRICES, st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_order_does_not_matter_and_neither_do_other_hosts(tries: list[Try], told: list[Price], random: Random) -> None:
    elsewhere = [one._replace(host=random.choice(["h2", None]), batch_id="c") for one in tries]
    shuffled, prices = [*tries, *elsewhere], list(told)
    random.shuffle(shuffled)
    random.shuffle(prices)
    found = divided([one for one in shuffled if one.end is not None], {"lab": Prices(prices)})
    assert {key: amount for key, amount in found.items() if key[0] == "b"} == divide(tries, Prices(told))


@given(hosts(), PRICES)
@settings(max_examples=200, deadline=None)
def test_only_who_ran_beside_an_attempt_matters_to_it(tries: list[Try], told: list[Price]) -> None:
    """So it is enough to divide anew around what has changed."""
    whole = divide(tries, Prices(told))
    for one in tries:
        if one.end is not None:
            beside = [t for t in tries if t.end is not None and t.end > one.start and t.start < one.end]
            assert divide([one, *(t for t in beside if t.key != one.key)], Prices(told))[one.key] == whole[one.key]


@given(PRICES, st.integers(0, 5 * HOUR))
def test_a_restated_price_replaces_the_one_of_its_moment_and_no_other(told: list[Price], moment: int) -> None:
    before, after = Prices(told), Prices([*told, a_price(77, moment, recorded=9)])
    end = after.next_change("big", "on-demand", moment)
    for at in {moment, moment + 1, *before.changes(["big"]), *after.changes(["big"])}:
        if moment <= at and (end is None or at < end):
            assert after.at("big", "on-demand", at) == 77
        else:
            assert after.at("big", "on-demand", at) == before.at("big", "on-demand", at)
        assert after.at("big", "spot", at) == before.at("big", "spot", at)


def test_shares_go_by_cpus_and_who_does_not_say_counts_as_one() -> None:
    tries = [a_try(1, 0, HOUR, 3), a_try(2, 0, HOUR, None), a_try(3, 0, None, 64), a_try(4, HOUR, 2 * HOUR)]
    amounts = divide(tries, Prices([a_price(4_000)]))
    assert [amounts["b", f"j{n}", 1, 0].nano_usd for n in (1, 2, 4)] == [3_000, 1_000, 4_000]
    assert amounts["b", "j1", 1, 0].share_us == HOUR * 3 // 4
    assert ("b", "j3", 1, 0) not in amounts  # it is not over


def test_a_part_without_a_price_is_said_to_be_missing() -> None:
    tries = [a_try(1, 0, 2 * HOUR), a_try(2, 3 * HOUR, 4 * HOUR, host="h2", instance_type="odd")]
    early, late = divide(tries[:1], Prices([a_price(5_000, HOUR)])), divide(tries[1:], Prices([a_price(5_000)]))
    assert early["b", "j1", 1, 0][1:] == (5_000, None, True)
    assert late["b", "j2", 1, 0][1:] == (None, None, False)


def test_who_names_another_machine_shares_nothing_and_who_names_none_shares() -> None:
    """Nobody can make the price of a machine vanish by saying that he ran beside it on another."""
    prices = Prices([a_price(4_000)])
    mine, bogus, unnamed = (
        a_try(1, 0, HOUR),
        a_try(2, 0, HOUR, 64, instance_type="bogus"),
        a_try(3, 0, HOUR, 3, instance_type=None),
    )
    assert divide([mine, bogus], prices)[mine.key].nano_usd == 4_000
    found = divide([mine, bogus, unnamed], prices)
    assert [found[one.key].nano_usd for one in (mine, bogus, unnamed)] == [1_000, None, None]


def test_what_each_costs_to_divide_does_not_grow_with_how_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """As counted: how often the CPUs of an attempt are looked at."""
    asked = 0

    def counted(one: Try) -> int:
        nonlocal asked
        asked += 1
        return weight(one)

    monkeypatch.setattr(division, "weight", counted)
    for n_tries in (300, 3_000):
        asked = 0
        assert len(divide([a_try(n, n, HOUR + n) for n in range(n_tries)], Prices([a_price(10**9)]))) == n_tries
        assert 0 < asked <= 8 * n_tries


def test_if_all_had_been_spot() -> None:
    prices = Prices([a_price(9_000), a_price(3_000, capacity="spot")])
    amounts = divide([a_try(1, 0, HOUR), a_try(2, 0, HOUR, capacity="spot")], prices)
    assert [(amount.nano_usd, amount.spot_nano_usd) for amount in amounts.values()] == [(4_500, 1_500), (1_500, 1_500)]


def test_money_is_the_decimal_that_was_written() -> None:
    assert [nano_of(usd) for usd in (0.1, 1, 1e-9, 3.9e-10, 1e300)] == [100_000_000, 10**9, 1, 0, MOST]

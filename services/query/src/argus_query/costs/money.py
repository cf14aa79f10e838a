"""Amounts of money as whole billionths of a dollar (nano-dollars): sums of them are exact. Pure."""

from __future__ import annotations

from decimal import Decimal

_NANO = 10**9
MOST = 9 * 10**18
"""Nine billion dollars: what a bigint holds. Whatever is more is stored as this."""


def nano_of(usd: float) -> int:
    """The decimal number that `usd` was written as, so 0.1 is exactly a tenth of a dollar."""
    return min(MOST, round(Decimal(repr(usd)) * _NANO)) if usd < MOST else MOST


def usd_of(nano: int | None) -> float | None:
    return None if nano is None else nano / _NANO

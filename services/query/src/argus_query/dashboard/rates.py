"""What storage costs. Pure."""

from __future__ import annotations

from argus_contracts.queries.dashboard import GIB, StorageRates

DEFAULT_RATES = StorageRates(min_usd=0.048, infrequent_usd=0.15, max_usd=0.276)


def yearly_usd(n_bytes: int, usd_per_gb_year: float) -> float:
    return n_bytes / GIB * usd_per_gb_year

"""Curves: metric points and resource readings over steps, thinned on the way out."""

from __future__ import annotations

from argus_query.series.projection import SeriesReadModel
from argus_query.series.reads import read_metric_summaries, read_series

__all__ = ["SeriesReadModel", "read_metric_summaries", "read_series"]

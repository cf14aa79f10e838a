"""All read models, in the order in which a fold goes through them."""

from __future__ import annotations

from argus_query.deletions.projection import Deletions
from argus_query.hosts.projection import Hosts
from argus_query.jobs.projection import Jobs
from argus_query.logs import LogsReadModel
from argus_query.read_model import ReadModel
from argus_query.runs.projection import Runs
from argus_query.series.projection import SeriesReadModel


def all_models() -> list[ReadModel]:
    """New ones: their memories are empty and belong to the caller."""
    return [Runs(), Deletions(), Jobs(), Hosts(), SeriesReadModel(), LogsReadModel()]


def models_named(name: str) -> list[ReadModel]:
    """The read model `name`, or all. Errors: `KeyError`."""
    models = all_models()
    if name == "all":
        return models
    chosen = [model for model in models if model.name == name]
    if not chosen:
        raise KeyError(name)
    return chosen

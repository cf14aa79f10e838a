"""Name of each question on `argus.ask.<name>`, with the class that asks and the class that answers."""

from __future__ import annotations

from pydantic import BaseModel

from argus_contracts.queries.costs import GetCost, ListPrices, PriceList, RunCosts
from argus_contracts.queries.dashboard import (
    DashboardChoices,
    DashboardRuns,
    DashboardSpend,
    DashboardStorage,
    DashboardSummary,
    GetDashboardChoices,
    GetDashboardSpend,
    GetDashboardStorage,
    GetDashboardSummary,
    ListDashboardRuns,
)
from argus_contracts.queries.deletions import (
    DeletionAnswer,
    DeletionList,
    DeletionPreview,
    GetDeletion,
    ListDeletions,
    PreviewDeletion,
)
from argus_contracts.queries.jobs import GetJob, GetMatrix, JobAnswer, JobList, JobMatrix, ListJobs
from argus_contracts.queries.live import GetPosition, HostList, ListHosts, Positions, Replay, Replayed
from argus_contracts.queries.logs import ListLogLines, LogLines
from argus_contracts.queries.outputs import (
    FindOutputs,
    GetOutputs,
    ListUnmeasured,
    OutputsAnswer,
    OutputsThereAnswer,
    UnmeasuredList,
)
from argus_contracts.queries.runs import Facets, GetFacets, GetRun, ListRuns, RunAnswer, RunList
from argus_contracts.queries.series import GetSeries, SeriesAnswer

QUESTIONS: dict[str, tuple[type[BaseModel], type[BaseModel]]] = {
    "list_runs": (ListRuns, RunList),
    "get_run": (GetRun, RunAnswer),
    "get_facets": (GetFacets, Facets),
    "list_jobs": (ListJobs, JobList),
    "get_matrix": (GetMatrix, JobMatrix),
    "get_job": (GetJob, JobAnswer),
    "get_series": (GetSeries, SeriesAnswer),
    "list_log_lines": (ListLogLines, LogLines),
    "list_hosts": (ListHosts, HostList),
    "replay": (Replay, Replayed),
    "get_position": (GetPosition, Positions),
    "get_dashboard_summary": (GetDashboardSummary, DashboardSummary),
    "get_dashboard_spend": (GetDashboardSpend, DashboardSpend),
    "get_dashboard_storage": (GetDashboardStorage, DashboardStorage),
    "list_dashboard_runs": (ListDashboardRuns, DashboardRuns),
    "get_dashboard_choices": (GetDashboardChoices, DashboardChoices),
    "list_deletions": (ListDeletions, DeletionList),
    "get_deletion": (GetDeletion, DeletionAnswer),
    "get_outputs": (GetOutputs, OutputsAnswer),
    "find_outputs": (FindOutputs, OutputsThereAnswer),
    "list_unmeasured": (ListUnmeasured, UnmeasuredList),
    "get_cost": (GetCost, RunCosts),
    "list_prices": (ListPrices, PriceList),
}
"""For `query`."""

QUESTIONS_TO_DELETER: dict[str, tuple[type[BaseModel], type[BaseModel]]] = {
    "preview_deletion": (PreviewDeletion, DeletionPreview),
}

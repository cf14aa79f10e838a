"""Name of each question on `argus.ask.<name>`, with the class that asks and the class that answers."""

from __future__ import annotations

from pydantic import BaseModel

from argus_contracts.queries.jobs import GetJob, GetMatrix, JobAnswer, JobList, JobMatrix, ListJobs
from argus_contracts.queries.live import GetPosition, HostList, ListHosts, Positions, Replay, Replayed
from argus_contracts.queries.logs import ListLogLines, LogLines
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
}

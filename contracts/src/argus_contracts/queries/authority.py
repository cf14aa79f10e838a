"""Over whose runs somebody may decide, beside his own. Checked by the gateway, stated in every question that depends on it."""

from __future__ import annotations

from argus_contracts.queries.common import Question


class Authority(Question):
    """An admin of a workspace or cluster may act on its runs; a global admin on all. Nobody acts on what he may not see:
    a cluster's admin only within the workspaces that he is a member of."""

    everything: bool = False
    workspaces: list[str] = []
    clusters: list[str] = []

    @property
    def is_any(self) -> bool:
        return self.everything or bool(self.workspaces) or bool(self.clusters)

    def covers(self, workspace: str, cluster: str | None) -> bool:
        return self.everything or workspace in self.workspaces or (cluster is not None and cluster in self.clusters)

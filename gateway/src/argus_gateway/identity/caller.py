"""Who is asking, as checked, and what that person or machine may do."""

from __future__ import annotations

from dataclasses import dataclass, field

from argus_contracts.queries.authority import Authority
from argus_contracts.queries.common import Viewer


@dataclass(frozen=True, slots=True)
class Caller:
    """A signed-in person (session) or a machine (API key)."""

    user: str
    global_admin: bool
    memberships: dict[str, str]
    """Workspace -> role."""
    clusters: frozenset[str] = field(default=frozenset())
    """Clusters that the user administrates."""
    key_id: str | None = None
    key_workspace: str | None = None
    full_rights: bool = True
    """False for API keys that may only send events and read."""
    session_sha256: bytes | None = None
    csrf_token: str | None = None
    from_address: str | None = None
    command_line: bool = False
    """Somebody with the database's password, not over HTTP."""

    @property
    def viewer(self) -> Viewer:
        """What this caller may see: a key sees its workspace only, whoever owns it."""
        if self.key_workspace is not None:
            return Viewer(user=self.user, workspaces=[self.key_workspace])
        return Viewer(user=self.user, workspaces=sorted(self.memberships), all_workspaces=self.global_admin)

    @property
    def authority(self) -> Authority:
        """Over whose runs this caller may decide beside his own; `viewer` still limits it to what he may see."""
        if not self.full_rights:
            return Authority()
        administrated = sorted(workspace for workspace, role in self.memberships.items() if role == "admin")
        return Authority(everything=self.global_admin, workspaces=administrated, clusters=sorted(self.clusters))

    @property
    def via(self) -> str:
        return "command line" if self.command_line else f"key {self.key_id}" if self.key_id else "session"

    @property
    def is_administrator(self) -> bool:
        return self.global_admin and self.full_rights

    def administrates(self, workspace: str) -> bool:
        return self.is_administrator or (self.full_rights and self.memberships.get(workspace) == "admin")

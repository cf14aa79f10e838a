"""Shapes of the gateway's own requests and answers: signing in, keys, users, workspaces, posting events, outputs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, FutureDatetime, StringConstraints

from argus_contracts.commands import RunDecision
from argus_contracts.envelope import Stored
from argus_contracts.events.prices import Capacity, InstanceType, UsdPerHour
from argus_contracts.quantities import BatchId, Occurred
from argus_contracts.queries.deletions import DeletionPreview

Role = Literal["member", "admin"]
USER_NAME = r"^[A-Za-z0-9][A-Za-z0-9._@+\-]{0,63}$"
WORKSPACE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._\-]{0,63}$"
UserName = Annotated[str, StringConstraints(pattern=USER_NAME)]
WorkspaceName = Annotated[str, StringConstraints(pattern=WORKSPACE_NAME)]
Password = Annotated[str, StringConstraints(min_length=8, max_length=256)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Body(BaseModel):
    """What a caller sends. Unknown fields are refused, so that a typing error is not taken for a wish."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Login(Body):
    username: Annotated[str, StringConstraints(max_length=256)]
    password: Annotated[str, StringConstraints(max_length=1024)]


class Membership(BaseModel):
    workspace: str
    role: Role


class Me(BaseModel):
    """Who is asking."""

    username: str
    workspaces: list[Membership]
    global_admin: bool
    csrf_token: str | None = None
    """For sessions: goes into the header `X-Argus-CSRF` of everything that changes something."""
    key_id: str | None = None
    """For API keys, as the three below."""
    workspace: str | None = None
    """The key's workspace: what it sends belongs there, and it sees nothing else."""
    user: str | None = None
    nats_url: str | None = None
    """Where the SDK reaches NATS."""


class NewKey(Body):
    name: Label
    workspace: WorkspaceName | None = None
    """May be absent where the caller is in one workspace only."""
    full_rights: bool = False
    """False: may send events and read. True: may do whatever its user may, over HTTP."""
    expires_at: FutureDatetime | None = None


class ApiKey(BaseModel):
    id: str
    name: str
    user: str
    workspace: str
    full_rights: bool
    created_at: datetime
    last_used_at: datetime | None
    """To the minute."""
    expires_at: datetime | None


class CreatedKey(ApiKey):
    token: str
    """`ak_…`, shown this once."""


class KeyList(BaseModel):
    items: list[ApiKey]


class NewUser(Body):
    username: UserName
    password: Password | None = None
    """Absent: Argus makes one and shows it once."""
    global_admin: bool = False
    workspaces: Annotated[list[Membership], Field(max_length=100)] = []


class UserChange(Body):
    """What is absent stays. Users may change their own password only, and name the present one."""

    disabled: bool | None = None
    global_admin: bool | None = None
    password: Password | None = None
    current_password: Annotated[str, StringConstraints(max_length=1024)] | None = None


class User(BaseModel):
    username: str
    global_admin: bool
    disabled: bool
    created_at: datetime
    workspaces: list[Membership]


class CreatedUser(User):
    password: str | None = None
    """Only where Argus made it."""


class UserList(BaseModel):
    items: list[User]


class NewWorkspace(Body):
    name: WorkspaceName


class Member(BaseModel):
    user: str
    role: Role


class Workspace(BaseModel):
    name: str
    created_at: datetime
    role: Role | None
    """The caller's own."""
    members: list[Member]
    """For admins of the workspace; empty for everybody else."""


class WorkspaceList(BaseModel):
    items: list[Workspace]


class MemberRole(Body):
    role: Role = "member"


class NewPrice(Body):
    workspace: WorkspaceName
    instance_type: Annotated[InstanceType, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+$")]
    capacity: Capacity
    usd_per_hour: UsdPerHour
    effective_from: Occurred


class TakenPrice(BaseModel):
    event_id: str
    """Of the fact, as it stands in `GET /api/prices` and in the history of what runs cost."""


class EventResult(BaseModel):
    event_id: str | None
    status: Literal["accepted", "rejected"]
    error: str | None = None
    """`<code>: <what is wrong>`, where rejected."""


class EventAnswer(BaseModel):
    """`accepted`: durable in the stream. A repeat is accepted too."""

    event_id: str
    status: Literal["accepted"] = "accepted"


class BatchAnswer(BaseModel):
    accepted: int
    rejected: int
    results: list[EventResult]
    stored: Stored | None = None
    """For numbered messages: what the log already has of this producer and class, as far as this gateway has heard."""


class DocumentAnswer(BaseModel):
    """What became of one document of a bundle: what it would have been answered alone."""

    accepted: int = 0
    rejected: int = 0
    results: list[EventResult] = []
    """Of its events, those that are rejected."""
    refused: str | None = None
    """`<code>: <what is wrong>`, where the document as a whole was not taken."""


class BundleAnswer(BaseModel):
    documents: list[DocumentAnswer]
    """In the order of the lines."""
    stored: list[Stored]
    """What the log already has of the producers and classes of these documents, as far as this gateway has heard."""


class StopState(BaseModel):
    requested: bool
    stop_requested: bool
    """The same, under the name that `argus-reporter` reads."""
    requested_at: datetime | None
    requested_by: str | None


class RunsNamed(Body):
    """Runs whose outputs are meant. A name that stands twice counts once."""

    batch_ids: Annotated[list[BatchId], Field(min_length=1, max_length=1000)]
    as_user: UserName | None = None
    """For admins: whose runs they are; others among them are left out."""

    @property
    def wanted(self) -> list[str]:
        return list(dict.fromkeys(self.batch_ids))

    @property
    def phrase(self) -> str:
        """What a person types before these are deleted."""
        n = len(self.wanted)
        return f"delete {n} run{'' if n == 1 else 's'}"


class DeletionRequest(RunsNamed):
    confirm: Annotated[str, StringConstraints(max_length=100)]
    """`delete 1 run`, `delete 2 runs`, …: as many as are named."""
    command_id: UUID | None = None
    """The client's own: the same request again, under the same id, does nothing more."""
    asked_at: AwareDatetime | None = None
    """Where it is made again: what the first answer said. A run that has said something since is left alone."""


class DeletionResult(BaseModel):
    command_id: UUID
    outcome: Literal["accepted", "refused", "queued"]
    """`queued`: the deleter is away; it decides when it is back."""
    n_taken: int
    n_skipped: int
    results: list[RunDecision]
    """By run, in the order of the request: taken, or why not."""
    position: int | None
    asked_at: datetime | None = None
    """Argus' clock when it was first asked for: to be said by whoever makes the same request again."""


class PreviewResult(DeletionPreview):
    """Runs in the order of the request; sums over those that would not be skipped."""

    storage_usd_min: float
    """What keeping these bytes would cost a year, in the coldest tier that answers at once,"""
    storage_usd_max: float
    """and in the warmest."""
    phrase: str
    """What deleting asks as `confirm`."""


class Health(BaseModel):
    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    ready: bool
    checks: dict[str, str]
    """Per part: `ok`, or what is wrong."""

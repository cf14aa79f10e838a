"""What a read model is: tables of its own, and one function that folds records of the log into them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from psycopg import AsyncConnection

from argus_contracts.quantities import RetentionClass
from argus_query.facts import all_micros
from argus_query.shares import Share, shares_of


@dataclass(slots=True)
class Record:
    """One row of the log, decoded: events of one batch and one retention class from one sender. Nobody changes it.

    events: as their sender stated them (the wire form as plain dicts; unknown fields kept). The position of `events[i]`
    in the log is `first_position + i`.
    received_at: Argus' clock, UTC; never falls from one record to the next.
    times: `occurred_at` of `events[i]` in microseconds since 1970-01-01 UTC, parsed once for all read models.
    purges: one of them says that all traces of the batch were erased.
    No text in `events` has a NUL character (U+0000): PostgreSQL refuses it, so it was replaced by U+FFFD.
    """

    first_position: int
    workspace: str
    user: str
    batch_id: str
    retention_class: RetentionClass
    producer_id: str | None
    received_at: datetime
    events: list[dict[str, Any]]
    times: list[int] = field(default_factory=list)
    purges: bool = field(default=False, init=False)
    _shares: list[Share] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.times) != len(self.events):
            self.times = all_micros([event["occurred_at"] for event in self.events])
        if self.retention_class == "lifecycle":
            self.purges = any(event["kind"] == "run_purged" for event in self.events)

    def shares(self) -> list[Share]:
        """The events, put together by kind, job and attempt: for telemetry, where many are about the same. Made at the first
        call, for all read models."""
        if not self._shares:
            self._shares.extend(shares_of(self.events, self.times))
        return self._shares

    @property
    def last_position(self) -> int:
        return self.first_position + len(self.events) - 1


class ReadModel(Protocol):
    """One read model. The projector calls `fold` inside its transaction, with `search_path` set to the schema that holds
    the tables (the live one, or a shadow during a rebuild): SQL names tables without a schema.

    What must hold of `fold`, because the property tests and the rebuild check it:
    - any grouping and any order of the same set of events leads to the same answers (late and shuffled events);
    - a repeat never reaches it (ingest has refused it), but replaying from position 0 into empty tables gives the same;
    - it may keep nothing in memory that a rollback would make wrong: `forget()` is called after every rollback and swap.
    """

    @property
    def name(self) -> str:
        """Of the slice, as in `argus-query rebuild <name>`."""
        ...

    @property
    def version(self) -> int:
        """PROJECTION_VERSION: raised when the tables or their meaning change; a rebuild follows at the next start.

        Until it is done, this code reads the old tables: a column that means something else has another name (decision 0017).
        """
        ...

    @property
    def tables(self) -> Sequence[str]:
        """Its tables, so that a rebuild can swap them. Tables that these own (partitions) need not be named."""
        ...

    def schema(self) -> str:
        """The SQL that makes the tables, without schema names."""
        ...

    async def load(self, connection: AsyncConnection[Any], records: Sequence[Record]) -> None:
        """What the tables hold that `fold` must know for `records` is remembered."""
        ...

    async def fold(self, connection: AsyncConnection[Any], records: Sequence[Record]) -> None:
        """The tables now tell of `records` too. Records come in log order, thousands of events a call.

        Called after `load` with the same. Mostly in a pipeline: a statement that fails may say so after the call, and
        reading anything, or COPY, waits for (or is refused while) others are on their way.
        """
        ...

    async def maintain(self, connection: AsyncConnection[Any]) -> bool:
        """Did a bounded piece (under about 200 ms) of work that may wait, such as merging small rows. True: there is more.

        Called in a transaction of its own between folds, when the projector has caught up. Answers do not depend on it.
        """
        ...

    def forget(self) -> None:
        """Nothing read from the tables earlier is trusted any more."""
        ...


def purged_batches(records: Sequence[Record]) -> list[str]:
    """Runs of which all traces were erased: nothing of them stays, and nothing in these records makes them anew."""
    return sorted({record.batch_id for record in records if record.purges})

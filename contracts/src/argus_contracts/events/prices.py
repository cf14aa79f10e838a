"""Facts about what machines cost."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from argus_contracts.envelope import Data, Event
from argus_contracts.quantities import NonNegative, Occurred, Short

InstanceType = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Capacity = Literal["spot", "on-demand"]
UsdPerHour = Annotated[NonNegative, Field(le=1_000_000)]


class PriceRecordedData(Data):
    workspace: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    """In which machines of this type cost so much."""
    instance_type: InstanceType
    capacity: Capacity
    usd_per_hour: UsdPerHour
    effective_from: Occurred
    """Until the next price of the same workspace, type and capacity."""
    recorded_by: Short


class PriceRecorded(Event):
    """A machine costs so much from a moment on. Of several with the same workspace, type, capacity and moment the one that
    was recorded last (by `occurred_at`, then `event_id`) counts; what was reported before it was, stays known."""

    OF_ARGUS: ClassVar[bool] = True
    OF_WORKSPACE: ClassVar[bool] = True
    kind: Literal["price_recorded"]
    batch_id: Literal["argus:prices"]  # pyright: ignore[reportIncompatibleVariableOverride] (`quantities.PRICES`; frozen)
    job_id: None = None
    data: PriceRecordedData

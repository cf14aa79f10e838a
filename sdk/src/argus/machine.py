"""On what machine a run or job runs, for what it costs. Said by whoever started it: nobody is asked over the network, because
the addresses at which clouds tell it do not answer elsewhere, and hang."""

from __future__ import annotations

import math
import os
from typing import Any

from argus import values
from argus.trouble import complain

CAPACITIES = ("spot", "on-demand")


def machine(
    instance_type: Any = None, capacity: Any = None, cpus: Any = None, around: dict[str, Any] | None = None
) -> dict[str, Any]:
    """What is known, in the words of the wire: `instance_type`, `capacity`, `cpus`.

    What is not given here is as `around` has it; without `around` as ARGUS_INSTANCE_TYPE, ARGUS_CAPACITY and ARGUS_CPUS say.
    cpus: where nobody says, and the type of the machine is known, those that this process may use.
    """
    if around is None:
        around = _checked(*(os.environ.get(name) for name in ("ARGUS_INSTANCE_TYPE", "ARGUS_CAPACITY", "ARGUS_CPUS")))
    known = {**around, **_checked(instance_type, capacity, cpus)}
    if "instance_type" in known and "cpus" not in known:
        known["cpus"] = float(usable_cpus())
    return known


def usable_cpus() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # not on every system
        return os.cpu_count() or 1


def amount(usd: Any) -> float | None:
    """`usd` as the wire takes it; None, and a warning, where it is no amount of money."""
    found = _positive(usd, "an amount in USD", at_least=0.0)
    if found is None and usd is None:
        complain("an amount in USD is missing; it was left out")
    return found


def _checked(instance_type: Any, capacity: Any, cpus: Any) -> dict[str, Any]:
    if capacity and capacity not in CAPACITIES:
        complain(f"the capacity {values.shown(capacity)} is none of {', '.join(CAPACITIES)}; it was left out")
        capacity = None
    known = {
        "instance_type": values.text(instance_type, values.MAX_SHORT) if instance_type else None,
        "capacity": capacity or None,
        "cpus": _positive(cpus, "cpus", at_least=1e-3) if cpus not in (None, "") else None,
    }
    return {name: value for name, value in known.items() if value is not None}


def _positive(given: Any, what: str, *, at_least: float) -> float | None:
    if given is None:
        return None
    try:
        number = float(given)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if math.isfinite(number) and number >= at_least:
        return number
    complain(f"{what} cannot be {values.shown(given)}; it was left out")
    return None

"""Real servers, real processes and honest waiting for the tests of every room. Fixtures: see plugin.py."""

from __future__ import annotations

from argus_local.ports import free_port
from argus_testkit.databases import Database
from argus_testkit.services import ServiceProcess
from argus_testkit.stack import LocalStack
from argus_testkit.waiting import NeverHappened, eventually, eventually_async

__all__ = ["Database", "LocalStack", "NeverHappened", "ServiceProcess", "eventually", "eventually_async", "free_port"]

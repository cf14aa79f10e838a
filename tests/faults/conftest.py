"""One whole stack per module of fault tests (they break it and mend it), and workloads on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from argus_testkit import LocalStack
from argus_testkit.faults import Trial, Workload, pick, seeded


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long forms take minutes."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(pick(600, 3_600)))


@pytest.fixture(scope="module")
def stack_env() -> dict[str, str]:
    """What `faulty_stack` is told beside its folder and port. A module that wants something else has its own one."""
    return {}


@pytest.fixture(scope="module")
def faulty_stack(stack_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A whole Argus of this module's tests, to be broken; each of them leaves it mended."""
    with LocalStack(tmp_path_factory.mktemp("faults") / "home", stack_env) as stack:
        yield stack


@pytest.fixture
def trial(faulty_stack: LocalStack, tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Trial]:
    """`with trial(sdk=1, raw=True, …) as fault:` see `Trial`. Its accidents are seeded by the test's name."""

    def begin(**asked: Any) -> Trial:
        return Trial(faulty_stack, tmp_path / "work", seeded(request.node.name), **asked)

    return begin


@pytest.fixture
def workload(
    faulty_stack: LocalStack, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Workload]]:
    """`workload(n_jobs=…, …)`: senders alone, for a test that wants several kinds of them; see `Workload`. They end with the test."""
    made: list[Workload] = []

    def make(**asked: Any) -> Workload:
        work = Workload(faulty_stack, tmp_path / f"work-{len(made)}", seeded(request.node.name), **asked)
        made.append(work)
        return work

    yield make
    for work in made:
        work.kill()

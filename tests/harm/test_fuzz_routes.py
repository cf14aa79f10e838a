"""B2: every route of the gateway's own OpenAPI document, asked with what nobody would ask: no fault of ours, every answer as the
document says, and no memory that stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import psutil
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from argus_testkit import LocalStack
from argus_testkit.faults.scale import pick

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
NEVER_ASK = {
    ("GET", "/api/stream"),  # never ends; test_live.py has its odd questions
    ("POST", "/api/auth/logout"),
    ("GET", "/readyz"),  # says 503 whenever something is away
}
MAX_GROWTH_BYTES = 160 * 2**20
schemathesis.serializer.alias("application/x-ndjson", "text/plain")  # lines of anything


@pytest.fixture
def watched_memory(stack: LocalStack) -> Iterator[None]:
    """Afterwards gateway, query and ingest hold about what they held."""
    before = {name: memory(stack, name) for name in ("gateway", "query", "ingest")}
    yield
    for name, size in before.items():
        now = memory(stack, name)
        print(f"{name}: {size / 2**20:.0f} -> {now / 2**20:.0f} MiB")
        assert now - size < MAX_GROWTH_BYTES, name


def memory(stack: LocalStack, name: str) -> int:
    process = psutil.Process(stack.pid(name))
    return sum(one.memory_info().rss for one in [process, *process.children(recursive=True)])


@pytest.fixture
def tokens(client: httpx.Client) -> dict[str, str]:
    """By name, keys with all rights: the admin's, and that of somebody who is in one workspace only."""
    name, workspace = "fuzzy", "fuzzed"
    client.post("/api/workspaces", json={"name": workspace})
    made = client.post(
        "/api/users", json={"username": name, "workspaces": [{"workspace": workspace, "role": "member"}]}
    )
    assert made.status_code in (201, 409), made.text
    signed_in = httpx.Client(base_url=str(client.base_url), timeout=30)
    with signed_in:
        if made.status_code == 409:
            pytest.fail("this test runs once per stack")
        answer = signed_in.post("/api/auth/login", json={"username": name, "password": made.json()["password"]})
        headers = {"X-Argus-CSRF": answer.json()["csrf_token"]}
        key = signed_in.post("/api/keys", json={"name": "fuzz", "full_rights": True}, headers=headers)
    assert key.status_code == 201, key.text
    return {"admin": client.headers["Authorization"], "member": f"Bearer {key.json()['token']}", "nobody": "Bearer x"}


def test_no_question_makes_a_fault_and_every_answer_is_as_documented(
    stack: LocalStack, watched_memory: None, tokens: dict[str, str]
) -> None:
    api: Any = schemathesis.openapi.from_url(f"{stack.url}/api/openapi.json")
    seen: Counter[tuple[str, int]] = Counter()
    for operation in [one.ok() for one in api.get_all_operations()]:
        if (operation.method.upper(), operation.path) not in NEVER_ASK:
            for who, authorization in tokens.items():
                modes = [GenerationMode.POSITIVE, *([GenerationMode.NEGATIVE] if who != "nobody" else [])]
                for mode in modes:
                    ask(operation, mode, authorization, lambda status, who=who: seen.update([(who, status)]))
    print(dict(sorted(seen.items())))
    assert seen["admin", 200] > 20
    assert seen["member", 422] > 20
    assert {status for _, status in seen if status >= 500} <= {503}


def ask(operation: Any, mode: GenerationMode, authorization: str, count: Callable[[int], None]) -> None:
    @settings(
        max_examples=pick(3, 400), deadline=None, derandomize=pick(True, False), database=None,
        phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def one(case: Any) -> None:
        headers = {**(case.headers or {}), "Authorization": authorization}
        case.headers = {name: value for name, value in headers.items() if name.lower() != "x-argus-workspace"}
        answer = case.call(timeout=60)
        count(answer.status_code)
        if answer.status_code == 503:  # the database may be busy with the other tests of this machine
            assert int(answer.headers["retry-after"][0]) > 0
        else:
            case.validate_response(answer, checks=CHECKS)

    try:
        one()
    except Unsatisfiable:  # nothing can be wrong about a question without parameters
        assert mode is GenerationMode.NEGATIVE

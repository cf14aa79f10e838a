"""The contract holds what it promises: samples parse, schemas are frozen, subjects cannot be confused."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argus_contracts import freeze
from argus_contracts.alike import alike
from argus_contracts.envelope import EventMessage
from argus_contracts.errors import Malformed, NewerVersion, Refused, UnknownKind, WrongSubject
from argus_contracts.events import control
from argus_contracts.quantities import N_PARTITIONS
from argus_contracts.registry import EVENT_CLASSES, FACTS_OF_ARGUS, parse_event, retention_class
from argus_contracts.subjects import (
    EventSource,
    bundle_subject,
    decision_subject,
    event_subject,
    parse_event_subject,
    partition,
    token,
    untoken,
)

SAMPLES = freeze.golden_samples()


@pytest.mark.parametrize("name", SAMPLES)
def test_every_golden_sample_parses_into_its_class(name: str) -> None:
    event = parse_event(SAMPLES[name])
    assert type(event) is EVENT_CLASSES[SAMPLES[name]["kind"]]


def test_every_decision_of_argus_is_its_own_to_say() -> None:
    decisions = {kind for kind, cls in EVENT_CLASSES.items() if cls.__module__ == control.__name__}
    assert decisions <= FACTS_OF_ARGUS
    assert {"run_purged", "outputs_deletion_finished", "job_idle_flagged"} <= FACTS_OF_ARGUS
    assert not FACTS_OF_ARGUS & {"batch_start", "job_epoch", "log_line", "cost_recorded", "report_published"}


def test_schemas_and_samples_are_frozen_as_they_are() -> None:
    assert freeze.main(["--check"]) == 0


def test_the_freeze_refuses_a_field_that_disappears_and_takes_one_that_is_added() -> None:
    now = freeze.schema_of(EVENT_CLASSES["job_epoch"])
    added = copy.deepcopy(now)
    added["$defs"]["JobEpochData"]["properties"]["extra"] = {"type": "string"}
    assert freeze.breaking_changes(now, added) == []
    assert freeze.breaking_changes(added, now) == ["/$defs/JobEpochData/properties/extra is gone"]
    required = copy.deepcopy(now)
    required["$defs"]["JobEpochData"]["required"].append("epoch")
    assert freeze.breaking_changes(now, required)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"kind": "nobody_knows"}, UnknownKind),
        ({"version": 2}, NewerVersion),
        ({"version": True}, Malformed),
        ({"event_id": "no-uuid"}, Malformed),
        ({"batch_id": "a b"}, Malformed),
        ({"batch_id": "a\n"}, Malformed),
        ({"batch_id": "x" * 129}, Malformed),
        ({"job_id": None}, Malformed),
        ({"job_id": "a\u0000b"}, Malformed),
        ({"occurred_at": "9999-01-01T00:00:00Z"}, Malformed),
        ({"occurred_at": "2026-11-21T03:00:00"}, Malformed),
        ({"attempt": 0}, Malformed),
        ({"data": {"epoch": -1, "metrics": {}}}, Malformed),
        ({"data": {"epoch": 1, "metrics": {"a": float("inf")}}}, Malformed),
        ({"data": {"epoch": 1, "metrics": {"a": "0.5"}}}, Malformed),
        ({"data": {"epoch": 1, "metrics": {f"m{i}": 0.5 for i in range(1001)}}}, Malformed),
        ({"data": []}, Malformed),
    ],
)
def test_a_wrong_field_is_refused_with_its_name(change: dict[str, object], error: type[Refused]) -> None:
    with pytest.raises(error) as caught:
        parse_event({**SAMPLES["job_epoch.v1"], **change})
    assert len(caught.value.reason) <= 500


def outcome(event: object) -> tuple[frozenset[str], str] | None:
    """Kind and batch, where the event is taken for itself."""
    try:
        taken = parse_event(event)
    except Refused:
        return None
    return frozenset([event["kind"]]), taken.batch_id  # type: ignore[index]


@pytest.mark.parametrize("name", SAMPLES)
@given(data=st.data())
def test_events_are_taken_alike_as_they_are_one_by_one(name: str, data: st.DataObject) -> None:
    """One value anywhere in the sample is replaced by anything, is taken away, or comes in addition."""
    event = copy.deepcopy(SAMPLES[name])
    if data.draw(st.booleans()):
        place = data.draw(st.sampled_from(list(objects_in(event))))
        key = data.draw(st.sampled_from([*place, "further"]))
        if key in place and data.draw(st.booleans()):
            del place[key]
        else:
            place[key] = data.draw(VALUES)
    for events in ([event], [SAMPLES[name], event], [event, SAMPLES[name]]):
        each = {outcome(one) for one in events}
        assert alike(events) == (each.pop() if len(each) == 1 else None)


VALUES = st.sampled_from([
    None, True, 0, 1, -1, 2**53, 2**53 + 1, 0.5, "", "a", "a b", "a\u0000", "x" * 50_000, "NaN", "1",
    "2026-11-21T03:00:00Z", "2026-11-21T03:00:00", "1999-01-01T00:00:00Z", [], {}, [{}], {"a": {}}, {"a": "NaN"}, 1e300,
])  # fmt: skip


def objects_in(value: object) -> Iterator[dict[str, object]]:
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects_in(item)


def test_events_of_two_batches_are_not_alike() -> None:
    epoch, line = SAMPLES["job_epoch.v1"], {**SAMPLES["log_line.v1"], "batch_id": SAMPLES["job_epoch.v1"]["batch_id"]}
    assert alike([epoch, epoch]) == ({"job_epoch"}, epoch["batch_id"])
    assert alike([epoch, line, epoch]) == ({"job_epoch", "log_line"}, epoch["batch_id"])
    assert alike([epoch, {**epoch, "batch_id": "another"}]) is None
    assert alike([epoch, {**line, "batch_id": "another"}]) is None
    assert alike([epoch, {**line, "data": None}]) is None
    assert alike([]) is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_anything_at_all_is_an_event_or_refused(raw: object) -> None:
    with pytest.raises(Refused):
        parse_event(raw)


def test_nan_and_infinity_are_data() -> None:
    event = parse_event(SAMPLES["job_epoch.v1"])
    assert json.loads(event.model_dump_json())["data"]["metrics"]["val_loss"] == "NaN"


def test_an_unknown_extra_field_is_kept() -> None:
    sample = copy.deepcopy(SAMPLES["batch_start.v1"])
    sample["data"]["colour"] = "blue"
    assert json.loads(parse_event(sample).model_dump_json())["data"]["colour"] == "blue"


def test_a_message_says_its_class_and_bounds() -> None:
    message = EventMessage.model_validate(
        {"v": 2, "producer_id": "p-1", "class": "metrics", "first_seq": 4, "events": [SAMPLES["job_epoch.v1"]]}
    )
    assert (message.retention_class, message.first_seq) == ("metrics", 4)
    assert retention_class("log_line") == "log_lines"


@given(st.text(min_size=1))
def test_a_token_comes_back_and_cannot_break_out_of_its_place(text: str) -> None:
    encoded = token(text)
    assert untoken(encoded) == text
    assert not set(encoded) & set(".*> \t\r\n")


PRINTABLE = st.text(st.just(" ") | st.characters(exclude_categories=("C", "Z")), min_size=1)


@given(PRINTABLE, PRINTABLE, st.text(min_size=1))
def test_the_subject_says_who(workspace: str, user: str, batch_id: str) -> None:
    source = parse_event_subject(event_subject(workspace, user, batch_id))
    assert (source.workspace, source.user, source.partition) == (workspace, user, partition(batch_id))
    assert 0 <= source.partition < N_PARTITIONS
    assert parse_event_subject(bundle_subject(workspace, user)) == EventSource(workspace, user, None)
    decided = parse_event_subject(decision_subject(user, batch_id))
    assert decided == EventSource("", "", partition(batch_id), service=user)
    assert decision_subject(user, batch_id).split(".")[2] not in (token(workspace), token("argus"), token("=argus"))


def test_partitions_never_change() -> None:
    assert [partition(b) for b in ("run-1", "run-2", "digits-7")] == [16, 9, 29]


@pytest.mark.parametrize(
    "subject",
    [
        "argus.events.a.b",
        "argus.events.a.b.x",
        "argus.events.a.b.anything",
        "argus.events.a.b.",
        "argus.events.a.b.any.1",
        "argus.events.a=2.b.1",
        "argus.events.a=00.b.1",
        "x.events.a.b.1",
    ],
)
def test_a_strange_subject_is_refused(subject: str) -> None:
    with pytest.raises(WrongSubject):
        parse_event_subject(subject)

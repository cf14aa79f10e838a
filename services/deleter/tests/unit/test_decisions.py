"""The rules of a deletion, without anything around them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote_plus
from uuid import uuid4
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from argus_contracts.commands import DeleteOutputs, OwnedRun, deletion_id_of
from argus_contracts.locations import Location, StrangeLocation
from argus_contracts.queries.outputs import Outputs
from argus_contracts.registry import parse_event
from argus_deleter.decide import answer, decide_run
from argus_deleter.eligible import No
from argus_deleter.errors import StoreMisbehaves
from argus_deleter.facts import capped, documents, fact_of
from argus_deleter.object_store import Refusal, refusals_in
from argus_deleter.output_deletion import OutputDeletion
from argus_deleter.pages import Entry, by_parser, read_page
from argus_deleter.parts import Look, decide, result_of
from argus_deleter.roots import parse_roots

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)
RUN = OwnedRun(batch_id="b1", workspace="lab", user="ada")
FOUND = Outputs(
    batch_id="b1", name="b1", workspace="lab", user="ada", cluster=None, status="succeeded", ended_at=NOW, lifecycle_position=100, is_active=False,
    last_seen_at=NOW - timedelta(hours=1), output_dir="s3://outputs/lab/b1", bytes=None, objects=None, measured_at=None,
    deleted_at=None, deletion_id=None,
)  # fmt: skip
HERE = (Location("outputs", "lab/b1/"), FOUND)


def requested(
    known: Any = HERE, one: OutputDeletion | None = None, at: datetime = NOW
) -> tuple[Any, OutputDeletion | None]:
    command = DeleteOutputs(command_id=uuid4(), requested_by="ada", requested_at=at, runs=[RUN])
    return decide_run(command, RUN, known, one, now=NOW, grace_s=600)


def running() -> OutputDeletion:
    _, one = requested()
    assert one is not None
    one.plan("ab", 3, 30)
    one.start()
    return one


def test_the_same_command_names_the_same_deletion() -> None:
    command_id = uuid4()
    assert deletion_id_of(command_id, "b1") == deletion_id_of(command_id, "b1") != deletion_id_of(command_id, "b2")


def test_a_command_that_waited_while_the_run_went_on_deletes_nothing() -> None:
    spoken = FOUND.model_copy(update={"last_seen_at": NOW + timedelta(seconds=1)})
    decision, one = requested((HERE[0], spoken))
    assert (decision.skipped, decision.deletion_id, one) == ("not_terminal", None, None)
    assert requested((HERE[0], spoken), at=NOW + timedelta(seconds=2))[0].skipped is None


def test_one_at_a_time() -> None:
    first, one = requested()
    second, one = requested(one=one)
    assert (second.skipped, second.deletion_id, second.due_at) == (
        "in_flight",
        first.deletion_id,
        NOW + timedelta(minutes=10),
    )


@pytest.mark.parametrize(
    ("reason", "expected"), [("not_terminal", "in_flight"), ("not_found", "not_found"), ("refused", "in_flight")]
)
def test_who_may_not_know_of_it_does_not_hear_of_a_deletion(reason: Any, expected: str) -> None:
    _, one = requested()
    assert requested(No(reason), one)[0].skipped == expected


def test_what_was_deleted_is_deleted_until_the_run_says_something_again() -> None:
    one = running()
    one.end("deleted", {"objects_deleted": 3, "bytes_freed": 30})
    assert requested(one=one)[0].skipped == "already_deleted"
    spoken_at = datetime.now(UTC) + timedelta(minutes=1)
    later = (HERE[0], FOUND.model_copy(update={"last_seen_at": spoken_at}))
    assert requested(later, one, spoken_at)[0].deletion_id is not None


def test_what_is_left_may_be_asked_for_again() -> None:
    one = running()
    one.end("partial", {"reason": "some are locked"})
    assert requested(one=one)[0].skipped is None


def test_cancelling() -> None:
    decision, one = requested()
    assert one is not None and decision.deletion_id is not None
    assert one.cancel("another", "eve").skipped == "too_late"
    assert one.cancel(decision.deletion_id, "eve").skipped is None
    assert one.cancel(decision.deletion_id, "eve").skipped is None
    assert one.state == "cancelled"
    late = running()
    assert late.cancel(late.deletion_id or "", "eve").skipped == "too_late"


def test_every_decision_is_a_fact_of_the_contract() -> None:
    one = running()
    one.progress(1, 10)
    one.end(
        "partial",
        {"objects_deleted": 2, "bytes_freed": 20, "errors": [{"key": "k", "code": "AccessDenied"}], "reason": "x"},
    )
    one.measured(10, 1, {"STANDARD": 10}, 7)
    decision, _ = requested(one=one)
    one.cancel(decision.deletion_id, "eve")
    facts = [fact for event in one.pending_events if (fact := fact_of(event, "b1"))]
    assert [fact["kind"].removeprefix("outputs_deletion_") for fact in facts] == [
        "requested", "planned", "started", "progressed", "failed", "outputs_measured", "requested", "cancelled",
    ]  # fmt: skip
    for fact in facts:
        parse_event(fact)
    assert len({fact["event_id"] for fact in facts}) == len(facts)
    assert len(documents(facts)) == 1
    assert facts[4]["data"]["deletion_id"] == facts[0]["data"]["deletion_id"]


def test_errors_of_a_fact_are_few() -> None:
    errors = [{"key": "k" * 1000, "code": "AccessDenied", "message": ""} for _ in range(300)]
    assert len(capped(errors)) == 31
    assert len(capped([{"key": "k"}] * 300)) == 100


def test_a_decision_is_accepted_where_anything_was_taken() -> None:
    taken, refused = requested()[0], requested(No("not_found"))[0]
    assert answer(uuid4(), [taken, refused]).outcome == "accepted"
    assert answer(uuid4(), [refused]).reason == "not_found"


ENTRIES = [Entry(f"k{i}", "", 10, "e", "STANDARD") for i in range(5)]


def look(gone: set[int], changed: set[int]) -> Look:
    return Look(frozenset(gone), frozenset(changed))


def test_the_first_try_of_a_part() -> None:
    seen = look({0}, {1})
    todo = decide(5, seen, seen)
    assert (todo.delete, todo.deleted_before) == ([2, 3, 4], [])
    result = result_of(ENTRIES, todo, [Refusal(ENTRIES[4], "AccessDenied", "no")])
    assert (result.n_deleted, result.bytes_freed, result.n_changed, result.n_gone, result.n_refused) == (2, 20, 1, 1, 1)
    assert [error["code"] for error in result.errors] == ["AccessDenied", "Changed"]


def test_a_repeated_part_counts_what_only_we_can_have_deleted() -> None:
    todo = decide(5, look({0}, {1}), look({0, 1, 2}, {3}))
    assert (todo.delete, todo.deleted_before, todo.gone, todo.changed) == ([4], [2], {0}, {1, 3})
    assert result_of(ENTRIES, todo, []).bytes_freed == 20


VERSIONS = [
    Entry("a", "v1", 1, "e", "STANDARD"),
    Entry("a", "v2", 2, "e", "STANDARD"),
    Entry("b", "v3", 4, "e", "STANDARD"),
]


@pytest.mark.parametrize(
    ("said", "expected", "freed"),
    [
        ([{"Key": "a", "VersionId": "v2", "Code": "AccessDenied"}], {"v2": "AccessDenied"}, 5),
        ([{"Key": "a", "Code": "AccessDenied"}], {"v1": "AccessDenied", "v2": "AccessDenied"}, 4),
        ([{"Key": "a", "Code": "X"}, {"Key": "a", "VersionId": "v2", "Code": "Y"}], {"v1": "X", "v2": "Y"}, 4),
        ([{"Key": "a", "Code": "X"}, {"Key": "a", "Code": "X"}], {"v1": "X", "v2": "X"}, 4),
        ([{"Key": "b", "Code": "X"}], {"v3": "X"}, 3),
        ([], {}, 7),
    ],
)
def test_an_error_that_names_no_version_is_about_all_of_its_key(
    said: list[dict[str, str]], expected: dict[str, str], freed: int
) -> None:
    refusals = refusals_in(said, VERSIONS)
    assert {one.entry.version_id: one.code for one in refusals} == expected
    assert len(refusals) == len(expected)
    assert result_of(VERSIONS, decide(3, Look(), Look()), refusals).bytes_freed == freed


def test_an_error_about_a_key_that_nobody_has_named() -> None:
    with pytest.raises(StoreMisbehaves):
        refusals_in([{"Key": "c", "Code": "X"}], VERSIONS)


ROOTS = '{"*": ["s3://outputs/shared"], "lab": ["s3://outputs/lab/", "s3://labs"], "other": ["s3://outputs/lab/other/", "s3://others/"]}'


@pytest.mark.parametrize(
    "text", ["s3://outputs/lab/run-1", "s3://labs/x/", "s3://outputs/shared/a", "s3://outputs/lab/%2e%2e%2fx"]
)
def test_places_within_the_roots(text: str) -> None:
    assert str(parse_roots(ROOTS).locate("lab", "ada", text)) == text.rstrip("/") + "/"


@pytest.mark.parametrize(
    "text",
    [
        "", "/", ".", "s3://", "s3://outputs", "s3://outputs/", "s3://outputs/lab", "s3://outputs/lab/", "s3://labs/",
        "s3://others/run-1", "s3://outputs/lab/other/run-1", "s3://outputs/lab/other", "s3://outputs/lab/a/../b",
        "s3://outputs/lab//a", "s3://outputs/lab/ a", "s3://outputs/lab/a\\b", "s3://outputs/lab/..", "S3://outputs/lab/a",
        "s3://outputs/lab/a\u202eb", "s3://outputs/lab/a\x00", "/outputs/lab/a", "s3://Outputs/lab/a", "s3://outputs/" + "x" * 1100,
    ],
)  # fmt: skip
def test_places_outside_of_them(text: str) -> None:
    with pytest.raises(StrangeLocation):
        parse_roots(ROOTS).locate("lab", "ada", text)


PERSONAL = "s3://outputs/{workspace}/{user}/ s3://scratch/all/"


def test_a_root_of_everybodys_own() -> None:
    roots = parse_roots(PERSONAL)
    assert str(roots.locate("lab", "ada", "s3://outputs/lab/ada/run-1")) == "s3://outputs/lab/ada/run-1/"
    assert str(roots.locate("lab", "ada", "s3://scratch/all/x")) == "s3://scratch/all/x/"
    for strange in (
        "s3://outputs/lab/bob/run-1",
        "s3://outputs/office/ada/run-1",
        "s3://outputs/lab/ada",
        "s3://outputs/lab",
        "s3://outputs",
    ):
        with pytest.raises(StrangeLocation):
            roots.locate("lab", "ada", strange)
    for name in ("..", "a/b", ""):
        with pytest.raises(StrangeLocation):
            roots.locate("lab", name, f"s3://outputs/lab/{name}/run-1")
    assert not roots.are_personal
    assert parse_roots("s3://outputs/{workspace}/{user}").are_personal
    assert not parse_roots("s3://outputs/{workspace}").are_personal
    assert not parse_roots("").are_personal
    for wrong in ("s3://{user}/x", "s3://outputs/{who}", "s3://outputs/a-{user}"):
        with pytest.raises(ValueError):
            parse_roots(wrong)


def test_somebodys_own_root_within_one_of_everybodys() -> None:
    roots = parse_roots("s3://outputs/ s3://outputs/own/{user}/")
    assert str(roots.locate("lab", "ada", "s3://outputs/own/ada/x")) == "s3://outputs/own/ada/x/"
    assert str(roots.locate("lab", "ada", "s3://outputs/other")) == "s3://outputs/other/"
    for strange in ("s3://outputs/own/bob/x", "s3://outputs/own", "s3://outputs/own/ada", "s3://outputs/own/bob"):
        with pytest.raises(StrangeLocation):
            roots.locate("lab", "ada", strange)


def test_no_roots_no_places() -> None:
    with pytest.raises(StrangeLocation):
        parse_roots("").locate("lab", "ada", "s3://outputs/lab/a")
    assert parse_roots("s3://a/b, s3://c/ s3://d").buckets == ["a", "c", "d"]
    for wrong in ("outputs", '{"lab": "s3://a"}', "{", '{"lab": [1]}', "s3://a/../b"):
        with pytest.raises(ValueError):
            parse_roots(wrong)


def test_pages_are_read_as_botocore_reads_them() -> None:
    body = b"""<?xml version="1.0"?><ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
    <EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextKeyMarker>a%2Fb+c</NextKeyMarker>
    <NextVersionIdMarker>v9</NextVersionIdMarker><Name>b</Name>
    <Version><Key>a%2Fb+c%2B</Key><VersionId>v1</VersionId><Size>7</Size><ETag>&quot;e-1&quot;</ETag>
      <StorageClass>GLACIER_IR</StorageClass><Owner><ID>Key</ID></Owner></Version>
    <DeleteMarker><Key>z</Key><VersionId>null</VersionId></DeleteMarker>
    <CommonPrefixes><Prefix>a%2F</Prefix></CommonPrefixes></ListVersionsResult>"""
    page = read_page(body)
    assert page == by_parser(body) == read_page(body.replace(b"<Name>", b"<!-- odd --><Name>"))
    assert page.entries == [Entry("a/b c+", "v1", 7, "e-1", "GLACIER_IR"), Entry("z", "null", 0, "", "")]
    assert (page.folders, page.is_truncated, page.after) == (["a/"], True, ("a/b c", "v9"))


@pytest.mark.parametrize("odd", ["&#xD800;", "&#57343;", "&#1;", "&#xFFFE;", "&#x110000;", "\x01", "\uffff"])
def test_a_key_that_xml_cannot_hold_is_no_listing(odd: str) -> None:
    body = f"<ListBucketResult><Contents><Key>a{odd}</Key></Contents></ListBucketResult>".encode()
    for read in (read_page, by_parser):
        with pytest.raises(ElementTree.ParseError):
            read(body)


def test_a_fact_that_json_cannot_hold_is_said_all_the_same() -> None:
    one = running()
    error = {"key": "a\ud800b", "code": "AccessDenied", "size": 2**70, "where": (b"x",)}
    assert len(capped([error])) == 1
    one.end("failed", {"objects_deleted": 0, "bytes_freed": 0, "reason": "\udfff", "errors": [error]})
    facts = [fact for event in one.pending_events if (fact := fact_of(event, "b1"))]
    (document,) = documents(facts)
    said = orjson.loads(document)["events"]
    assert [fact["event_id"] for fact in said] == [fact["event_id"] for fact in facts]
    assert said[-1]["data"]["errors"] == [
        {"key": "a?b", "code": "AccessDenied", "size": str(2**70), "where": ["b'x'"]},
    ]  # fmt: skip
    for fact in said:
        parse_event(fact)


def test_entries_are_in_order_where_a_server_lists_all_markers_behind_all_versions() -> None:
    """Else a fresh look, which ends behind the last key of its page, would miss some."""
    written = [("Version", "a", "1"), ("Version", "c", "2"), ("DeleteMarker", "a", "3"), ("DeleteMarker", "b", "4")]
    entries = "".join(f"<{kind}><Key>{key}</Key><VersionId>{n}</VersionId></{kind}>" for kind, key, n in written)
    page = read_page(f"<ListVersionsResult>{entries}</ListVersionsResult>".encode())
    assert [(entry.key, entry.version_id) for entry in page.entries] == [("a", "1"), ("a", "3"), ("b", "4"), ("c", "2")]


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)


@given(st.lists(st.tuples(TEXT, st.integers(0, 10**15), st.booleans()), max_size=6), st.booleans())
def test_patterns_and_parser_read_the_same(said: list[tuple[str, int, bool]], is_url: bool) -> None:
    contents = "".join(
        f"<Contents><Key>{escape(quote_plus(key) if is_url else key)}</Key><Size>{size}</Size><ETag>&#34;{size}&#34;</ETag>"
        f"{'<Owner><ID>x</ID></Owner>' * owned}<StorageClass>STANDARD</StorageClass></Contents>"
        for key, size, owned in said
    )
    encoding = "<EncodingType>url</EncodingType>" * is_url
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://x/">{encoding}{contents}</ListBucketResult>'
    page = read_page(body.encode())
    assert page == by_parser(body.encode())
    assert [entry.key for entry in page.entries] == sorted(key for key, _, _ in said)

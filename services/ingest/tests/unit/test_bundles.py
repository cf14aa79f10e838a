"""Several documents in one message of the broker: each is dealt with as if it had come alone."""

from __future__ import annotations

import dataclasses
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from argus_contracts.envelope import documents_of
from argus_contracts.quantities import MAX_DOCUMENTS_PER_BUNDLE, MAX_MESSAGE_BYTES
from argus_contracts.subjects import bundle_subject, event_subject, partition
from argus_ingest.accept import Buried, Incoming, accept

ANY = bundle_subject("lab", "ada")


def an_epoch(batch_id: str = "b1", step: int = 0, note: str = "") -> dict[str, Any]:
    return {
        "event_id": str(UUID(int=step)), "kind": "job_epoch", "version": 1, "batch_id": batch_id, "job_id": "j1",
        "attempt": 1, "occurred_at": "2026-11-21T03:00:00.123456Z",
        "data": {"step": step, "metrics": {"loss": 0.5}, "note": note},
    }  # fmt: skip


def a_document(*events: Any, producer_id: str | None = "p1", first_seq: int | None = 0) -> bytes:
    return orjson.dumps(
        {"v": 2, "producer_id": producer_id, "class": "metrics", "first_seq": first_seq, "events": list(events)}
    )


def told(judged: list[Incoming | Buried]) -> list[Any]:
    """What can be compared: a refusal is an exception, and no two are equal."""

    def letter(buried: Buried) -> tuple[Any, ...]:
        return buried.refused.code, buried.refused.reason, buried.subject, buried.raw, buried.source

    return [
        letter(one)
        if isinstance(one, Buried)
        else {
            field.name: getattr(one, field.name)
            for field in dataclasses.fields(one)
            if field.name not in ("buried", "bundled")
        }
        | {"buried": [letter(buried) for buried in one.buried]}
        for one in judged
    ]


EVENTS = st.builds(
    an_epoch,
    batch_id=st.sampled_from(["b1", "b2"]),
    step=st.integers(0, 9),
    note=st.text() | st.sampled_from(["}\n{", '"}\n{"', "\\}\\n{", "}\r\n{", '\u2028{"v":2}']),
)
ODD = st.sampled_from([{}, [], None, 7, "}\n{", {"kind": "nobody_knows"}, {"kind": "job_epoch", "data": {}}])
DOCUMENTS = st.builds(
    lambda events, first_seq, producer: a_document(*events, first_seq=first_seq, producer_id=producer),
    st.lists(EVENTS | ODD, min_size=1, max_size=4),
    st.none() | st.integers(0, 50),
    st.sampled_from(["p1", "p2", "a b"]),
)


@given(st.lists(DOCUMENTS, min_size=1, max_size=12), st.sampled_from([ANY, event_subject("lab", "ada", "b1")]))
def test_a_bundle_is_taken_as_its_documents_one_by_one(documents: list[bytes], subject: str) -> None:
    bundle = b"\n".join(documents)
    assert documents_of(bundle) == documents
    assert told(accept(subject, bundle)) == told([one for document in documents for one in accept(subject, document)])


BAD_LINES = {
    "bad JSON": b'{"v":2,"class":"metrics","events":["}',
    "cut off": a_document(an_epoch())[:-7],
    "its front cut off": a_document(an_epoch())[9:],
    "words": b"bad words",
    "a number": b"7",
    "empty object": b"{}",
    "a list": b"[{}]",
    "no UTF-8": b'{"v":"\xff\xfe"}',
    "no JSON, not even UTF-8": b"\xff\xfe",
    "brackets": b"}{",
    "newer": b'{"v":3}',
}


@pytest.mark.parametrize("bad", BAD_LINES.values(), ids=BAD_LINES.keys())
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_bad_line_is_buried_alone_with_its_own_bytes(bad: bytes, place: int) -> None:
    good = [a_document(an_epoch(step=n), first_seq=n) for n in range(2)]
    lines = [*good[:place], bad, *good[place:]]
    judged = accept(ANY, b"\n".join(lines))
    assert [one.raw for one in judged] == lines
    assert [isinstance(one, Incoming) and one.n_events == 1 for one in judged] == [n != place for n in range(3)]


def test_bad_lines_beside_each_other_take_no_good_one_with_them() -> None:
    good = [a_document(an_epoch(step=n), first_seq=n) for n in range(3)]
    judged = accept(ANY, b"\n".join([good[0], b"bad", b"worse", good[1], b"{", good[2]]))
    assert [one.raw for one in judged if isinstance(one, Incoming)] == good
    assert [one.raw for one in judged if isinstance(one, Buried)] == [b"bad", b"worse", b"{"]


@pytest.mark.parametrize("end", [b"\n", b"\n\n", b"\r\n", b" \n \n"])
def test_a_line_break_at_the_end_is_no_document(end: bytes) -> None:
    document = a_document(an_epoch())
    judged = accept(ANY, document + b"\n" + document + end)
    assert [one.n_events for one in judged if isinstance(one, Incoming)] == [1, 1]
    assert len(judged) == 2


def test_one_document_over_several_lines_is_one() -> None:
    document = orjson.dumps(orjson.loads(a_document(an_epoch())), option=orjson.OPT_INDENT_2)
    assert document.count(b"\n") > 10
    [judged] = accept(ANY, document)
    assert isinstance(judged, Incoming)
    assert (judged.raw, judged.n_events) == (document, 1)
    [judged] = accept(ANY, document[:-3])
    assert isinstance(judged, Buried)
    assert judged.raw == document[:-3]


def test_on_the_subject_of_any_batch_there_is_no_partition() -> None:
    documents = [a_document(an_epoch(f"b{n}"), producer_id=f"p{n}") for n in range(20)]
    judged = accept(ANY, b"\n".join(documents))
    assert [one.batch_id for one in judged if isinstance(one, Incoming)] == [f"b{n}" for n in range(20)]
    assert all((one.source.workspace, one.source.user) == ("lab", "ada") for one in judged if one.source)


def test_on_a_numbered_partition_only_what_belongs_there_is_taken() -> None:
    elsewhere = next(f"b{n}" for n in range(2, 99) if partition(f"b{n}") != partition("b1"))
    bundle = a_document(an_epoch("b1")) + b"\n" + a_document(an_epoch(elsewhere), producer_id="p2")
    mine, other = accept(event_subject("lab", "ada", "b1"), bundle)
    assert isinstance(mine, Incoming)
    assert isinstance(other, Incoming)
    assert (mine.n_events, other.n_events) == (1, 0)
    assert [letter.refused.code for letter in other.buried] == ["wrong_subject"]


@pytest.mark.parametrize("line", [b"{}", b"[]", b"", b"{", b'{"v":2}', b"7", b'"}'])
def test_a_bundle_of_nothing_is_a_few_letters_at_most(line: bytes) -> None:
    """Else 256 KiB of empty lines would be tens of thousands of rows of a transaction, one message after the other."""
    raw = b"\n".join([line] * (MAX_MESSAGE_BYTES // (len(line) + 1)))
    judged = accept(ANY, raw)
    assert [(type(one), one.raw) for one in judged] == [(Buried, raw)]


@pytest.mark.parametrize("n", [MAX_DOCUMENTS_PER_BUNDLE, MAX_DOCUMENTS_PER_BUNDLE + 1])
def test_a_bundle_has_at_most_256_documents(n: int) -> None:
    bundle = b"\n".join(a_document(an_epoch(step=seq), first_seq=seq) for seq in range(n))
    judged = accept(ANY, bundle)
    if n == MAX_DOCUMENTS_PER_BUNDLE:
        assert len(judged) == n
        assert all(isinstance(one, Incoming) for one in judged)
    else:
        [letter] = judged
        assert isinstance(letter, Buried)
        assert (letter.refused.code, letter.raw) == ("too_large", bundle)


@given(st.lists(st.sampled_from([b"{}", b"{", b"}", b"bad", b"", a_document(an_epoch())]), min_size=200, max_size=400))
def test_however_poison_is_mixed_a_message_is_at_most_256_things(lines: list[bytes]) -> None:
    judged = accept(ANY, b"\n".join(lines))
    assert 1 <= len(judged) <= MAX_DOCUMENTS_PER_BUNDLE
    if len(lines) <= MAX_DOCUMENTS_PER_BUNDLE:
        assert sum(isinstance(one, Incoming) for one in judged) == lines.count(a_document(an_epoch()))


def test_an_oversized_bundle_is_buried_whole() -> None:
    document = a_document(an_epoch(note="x" * 60_000))
    bundle = b"\n".join([document] * 5)
    [letter] = accept(ANY, bundle)
    assert isinstance(letter, Buried)
    assert (letter.refused.code, letter.raw) == ("too_large", bundle)

"""Whose objects an output folder names: letter by letter, below a root, and never anybody else's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argus_contracts.locations import MAX_KEY_BYTES, Location, StrangeLocation, output_location, root

ROOTS = [root("s3://outputs"), root("s3://shared/argus/"), root("s3://shared/other")]
PART = st.text(
    st.characters(categories=("L", "N", "P", "S", "Zs"), exclude_characters="/\\"), min_size=1, max_size=12
).filter(lambda part: part == part.strip() and part not in (".", ".."))


@given(st.sampled_from(ROOTS), st.lists(PART, min_size=1, max_size=5), st.booleans())
def test_a_folder_below_a_root_means_itself(base: Location, parts: list[str], with_slash: bool) -> None:
    text = f"{base}{'/'.join(parts)}{'/' if with_slash else ''}"
    found = output_location(text, ROOTS)
    assert str(found) == text.removesuffix("/") + "/"
    assert base.holds(found)
    assert not found.holds(base)


@given(st.lists(PART, min_size=1, max_size=4), PART)
def test_look_alikes_have_nothing_in_common(parts: list[str], more: str) -> None:
    one = output_location("s3://outputs/" + "/".join(parts), ROOTS)
    longer = output_location("s3://outputs/" + "/".join(parts) + more, ROOTS)
    below = output_location("s3://outputs/" + "/".join([*parts, more]), ROOTS)
    assert not one.overlaps(longer)
    assert not longer.overlaps(one)
    assert one.holds(below)
    assert below.overlaps(one)
    assert not below.holds(one)
    assert not one.overlaps(Location("elsewhere", one.prefix))


@pytest.mark.parametrize(
    "text",
    [
        "", "/", ".", "..", "outputs/run-1", "/data/run-1", "file:///outputs/run-1", "S3://outputs/run-1", "s3:/outputs/run-1",
        "s3://", "s3:///run-1", "s3://outputs", "s3://outputs/", "s3://outputs//", "s3://outputs/a//b", "s3://outputs/./a",
        "s3://outputs/a/../b", "s3://outputs/..", "s3://outputs/a/..", "s3://outputs/..\\a", "s3://outputs/a\\b",
        "s3://outputs/ a", "s3://outputs/a ", "s3://outputs/a/ /b", "s3://outputs/a\n", "s3://outputs/a\0b", "s3://outputs/a\x85b",
        "s3://outputs/" + "a" * 500 + "/" + "a" * 510,
        "s3://outputs/a\u202eb", "s3://outputs/\ufeffa", "s3://outputs/a\ud800", "s3://outputs/" + "a" * MAX_KEY_BYTES,
        "s3://elsewhere/run-1", "s3://outputs-2/run-1", "s3://shared/run-1", "s3://shared", "s3://shared/argus", "s3://shared/argus/",
        "s3://shared/argus-2/run-1", "s3://shared/other", "s3://outputs@elsewhere/run-1 ", "s3://.../a",
    ],
)  # fmt: skip
def test_whatever_could_mean_more_or_something_else_is_refused(text: str) -> None:
    with pytest.raises(StrangeLocation):
        output_location(text, ROOTS)


@pytest.mark.parametrize(
    "text",
    [
        "a%2e%2e%2fb",
        "%252e%252e%252f",
        ";..",
        "a;..b",
        "a b",
        "%00",
        "run-1?x=1",
        "run-1#x",
        "ü",
        "...",
        "a.",
        ".a",
        "*",
        "~",
    ],
)
def test_what_others_would_decode_is_taken_letter_by_letter(text: str) -> None:
    assert output_location(f"s3://outputs/{text}", ROOTS) == Location("outputs", f"{text}/")


def test_without_roots_nothing_may_be_touched() -> None:
    with pytest.raises(StrangeLocation):
        output_location("s3://outputs/run-1", [])


@pytest.mark.parametrize("text", ["", "outputs", "s3://", "s3:///", "s3://a/../b", "s3://a//"])
def test_a_root_is_checked_too(text: str) -> None:
    with pytest.raises(StrangeLocation):
        root(text)

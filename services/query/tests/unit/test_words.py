"""Whatever is searched for, the words of the texts that have it match."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from argus_query.runs.words import folded, words_of, words_query


@given(text=st.text(max_size=30), start=st.integers(0, 29), length=st.integers(1, 10))
def test_a_text_has_the_words_of_each_of_its_parts(text: str, start: int, length: int) -> None:
    line = folded(text).replace("\n", " ")
    part = line[start : start + length]
    words = set(words_of(line, []))
    if len(part) >= 3:
        assert {part[at : at + 3] for at in range(len(part) - 2)} <= words
    elif part:
        assert any(word.startswith(part) for word in words)


def test_a_query_asks_for_all_of_it_with_its_signs_meaning_themselves() -> None:
    assert words_query(r"o'n\x", None, []) == r"""'''n\\' & 'n\\x' & 'o''n'"""
    assert words_query("Ab", ["lab", "it's"], [("label", "x y")]) == (
        "'\nlabel\nx y' & ('\nworkspace\nlab' | '\nworkspace\nit''s') & 'ab':*"
    )

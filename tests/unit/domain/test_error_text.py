from __future__ import annotations

import enum

import numpy as np
import pytest

from src.domain.error_text import MAX_QUOTED, FieldName, Template, Text, Written, quote, quote_all


def upper(field: str) -> str:
    return field.upper()


@pytest.mark.parametrize(
    ("template", "parts", "says"),
    [
        ("{@limit} is {got}.", {"got": 5}, "LIMIT is 5."),
        ("{field} and {others}.", {"field": FieldName("a"), "others": (FieldName("b"), "c", FieldName("d"))},
         "A and B, c, D."),
        ("{count:,} bars of {share:g}.", {"count": 1_000_000, "share": 0.5}, "1,000,000 bars of 0.5."),
        ("{{literal}} {got!r}.", {"got": "{@limit} {field} limit"}, "{literal} '{@limit} {field} limit'."),
        ("{cause} More.", {"cause": Template("{@limit} is bad.", {})}, "LIMIT is bad. More."),
        ("{words}", {"words": "limit {@limit}"}, "limit {@limit}"),
    ],
)  # fmt: skip
def test_template_spells_field_names_only(template: str, parts: dict[str, object], says: str) -> None:
    assert Template(template, parts).render(upper) == says


def test_text_for_logs_has_declared_names() -> None:
    text = Template("{@startDate} is {got!r}.", {"got": "x"})
    assert (str(text), repr(text)) == ("startDate is 'x'.", repr("startDate is 'x'."))


def test_part_that_is_not_given_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError):
        str(Template("{got}", {}))


def test_text_of_pieces_spells_its_fields() -> None:
    text = Written("Give ", FieldName("timezone"), " or {@limit}.")
    assert (text.render(upper), str(text)) == ("Give TIMEZONE or {@limit}.", "Give timezone or {@limit}.")


def test_text_itself_has_no_pieces() -> None:
    with pytest.raises(NotImplementedError):
        Text().pieces()


class Color(enum.StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("it's", '"it\'s"'),
        ("", "''"),
        (7, "7"),
        (None, "null"),
        (True, "true"),
        ({"a": [None, False], "b": 1.5}, "{'a': [null, false], 'b': 1.5}"),
        (
            {f"name{place}": place for place in range(1000)},
            "{" + ", ".join(f"'name{n}': {n}" for n in range(9))[:79] + "…",
        ),
        (np.float64(0.5), "0.5"),
        (Color.RED, "'red'"),
        (["a"], "['a']"),
        ("a\x1b[31m\n\u202eb\ud800\x00", r"'a\x1b[31m\n\u202eb\ud800\x00'"),
        ("x" * MAX_QUOTED, "'" + "x" * MAX_QUOTED + "'"),
        ("x" * (MAX_QUOTED + 1), "'" + "x" * MAX_QUOTED + "…'"),
        (list(range(1000)), str(list(range(1000)))[:MAX_QUOTED] + "…"),
    ],
)
def test_foreign_value_is_quoted_escaped_and_shortened(value: object, says: str) -> None:
    assert quote(value) == says


def test_deep_value_is_quoted_without_recursing_to_its_end() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert quote(deep) == "[" * 8 + "…" + "]" * 8


@pytest.mark.parametrize("letter", ["\x1b", "\u202e", "\ud800", "\U000e0001", "'", '"', "\\", "{", "界"])
def test_quotation_of_any_letter_is_short_and_printable(letter: str) -> None:
    written = quote(letter * 100_000)
    assert len(written) <= MAX_QUOTED + 3
    assert written.isprintable()
    written.encode()


def test_foreign_names_are_counted_beyond_the_first() -> None:
    assert quote_all(["a", "b"]) == "'a', 'b'"
    assert quote_all(str(number) for number in range(23)).endswith("'18', '19' and 3 more")
    assert len(quote_all(["x" * 100_000] * 1000)) < 1000

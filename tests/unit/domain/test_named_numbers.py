"""Numbers by name: immutable, equal by items, usable as keys and defaults."""

from __future__ import annotations

import pytest

from src.domain.named_numbers import NamedNumbers


def test_named_numbers_keep_names_values_and_order() -> None:
    numbers = NamedNumbers({"b": 2, "a": 1.5})
    assert list(numbers.items()) == [("b", 2), ("a", 1.5)]
    assert (len(numbers), numbers["a"], "c" in numbers, len(NamedNumbers())) == (2, 1.5, False, 0)


def test_named_numbers_do_not_follow_their_source() -> None:
    source = {"n": 14.0}
    numbers = NamedNumbers(source)
    source["n"] = 3.0
    assert numbers == {"n": 14.0}
    with pytest.raises(TypeError):
        numbers["n"] = 3.0  # type: ignore[index]


def test_equal_named_numbers_are_one_key() -> None:
    assert {NamedNumbers({"a": 1, "b": 2}), NamedNumbers({"b": 2.0, "a": 1.0})} == {NamedNumbers({"a": 1, "b": 2})}
    assert NamedNumbers({"a": 1}) != NamedNumbers({"a": 2})
    assert repr(NamedNumbers({"a": 1})) == "NamedNumbers({'a': 1})"

"""Whose things a caller may use."""

from __future__ import annotations

import pytest

from src.domain.errors import Forbidden
from src.domain.identity import ANYBODY, Caller

ANN = Caller(user_id="ann")


def test_caller_acts_as_itself_if_no_user_is_named() -> None:
    assert ANN.acts_as(None) == "ann"
    assert ANN.acts_as("ann") == "ann"


@pytest.mark.parametrize("other", ["bob", "", "ANN", "ann ", "ann\n"])
def test_caller_may_not_name_another_user(other: str) -> None:
    with pytest.raises(Forbidden) as refused:
        ANN.acts_as(other)
    assert refused.value.code == "FORBIDDEN"
    assert refused.value.field == "userId"
    assert refused.value.message == (
        f"userId is {other!r}, but the request comes from 'ann'. Allowed: 'ann', or leave it out."
    )


def test_anybody_acts_as_every_user() -> None:
    assert ANYBODY.acts_as("bob") == "bob"
    assert ANYBODY.acts_as(None) is None
    assert ANYBODY.may_read("bob")


def test_caller_reads_its_own_things_only() -> None:
    assert ANN.may_read("ann")
    assert not ANN.may_read("bob")
    assert not ANN.may_read("Ann")

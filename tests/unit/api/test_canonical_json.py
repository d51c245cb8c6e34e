"""The canonical form of receipts, by the examples of RFC 8785; the verifier's own copy must write the same."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.api.canonical_json import canonical_json
from tools import verify_receipt

WRITERS: list[Callable[[object], bytes]] = [canonical_json, lambda value: verify_receipt.canonical(value).encode()]
NUMBERS = {
    "0000000000000000": "0", "8000000000000000": "0", "0000000000000001": "5e-324", "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308", "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992", "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22", "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000", "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001", "41b3de4355555553": "333333333.3333332", "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333", "43143ff3c1cb0959": "1424953923781206.2",
}  # fmt: skip
"""RFC 8785, appendix B: IEEE 754 bits and how they are written."""


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize(("bits", "text"), NUMBERS.items())
def test_numbers_of_the_rfc(write: Callable[[object], bytes], bits: str, text: str) -> None:
    assert write(struct.unpack(">d", bytes.fromhex(bits))[0]) == text.encode()


@pytest.mark.parametrize("write", WRITERS)
def test_documents_of_the_rfc(write: Callable[[object], bytes]) -> None:
    """RFC 8785, sections 3.2.2 and 3.2.3."""
    document = json.loads(
        r"""{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}"""
    )
    assert (
        write(document)
        == (
            '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
            '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
        ).encode()
    )
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    assert list(json.loads(write(dict.fromkeys(names, 0)))) == [
        "\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33",
    ]  # fmt: skip


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53) + 1, 2**53 - 1))
def test_numbers_read_back_in_both_copies(number: float) -> None:
    written = canonical_json(number)
    assert float(written) == number
    assert verify_receipt.canonical(number).encode() == written
    assert verify_receipt.canonical(verify_receipt.read_json(written, "it")).encode() == written


def test_whole_floats_are_written_as_integers() -> None:
    assert canonical_json([1, 1.0, True]) == b"[1,1,true]"


def test_enum_is_its_text() -> None:
    assert canonical_json(StrEnum("Level", {"GOOD": "good"})["GOOD"]) == b'"good"'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53, -(2**53), "\ud800", b"a", {1: 2}, {"a"}])
def test_values_without_canonical_form_are_refused(value: object) -> None:
    with pytest.raises(ValueError):
        canonical_json(value)

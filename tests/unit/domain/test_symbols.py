"""Spellings of a symbol."""

from __future__ import annotations

import re
import sys
import unicodedata
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter, ValidationError

from src.domain.errors import InvalidInput
from src.domain.symbols import (
    MAX_SYMBOL_TEXT_LENGTH,
    NOT_IN_SYMBOLS_PATTERN,
    SYMBOL_PATTERN,
    is_symbol,
    normalize_symbol,
)

PUBLISHED: TypeAdapter[Any] = TypeAdapter(
    Annotated[str, Field(pattern=SYMBOL_PATTERN, max_length=MAX_SYMBOL_TEXT_LENGTH)]
)


def is_published(text: str) -> bool:
    try:
        PUBLISHED.validate_python(text)
    except ValidationError:
        return False
    return re.search(NOT_IN_SYMBOLS_PATTERN, text) is None


def is_allowed(text: str) -> bool:
    try:
        normalize_symbol(text)
    except InvalidInput:
        return False
    return True


@pytest.mark.parametrize("text", ["BTCUSDT", "btcusdt", "BTC/USDT", "BTC-USDT", "btc-UsDt", " BTCUSDT\n"])
def test_every_spelling_is_one_symbol(text: str) -> None:
    assert normalize_symbol(text) == "BTCUSDT"
    assert normalize_symbol(normalize_symbol(text)) == "BTCUSDT"


@pytest.mark.parametrize("text", ["币安人生usdt", "币安人生/USDT", "币安人生-usdt", "币安人生USDT"])
def test_letters_of_other_scripts_keep_their_case(text: str) -> None:
    assert normalize_symbol(text) == "币安人生USDT"
    assert normalize_symbol("ßéıusdt") == "ßéıUSDT"
    assert normalize_symbol("ＢＴＣ") != "BTC"


def test_composed_and_decomposed_spellings_are_one_symbol() -> None:
    korean = "한국USDT"
    decomposed = unicodedata.normalize("NFD", korean)
    assert len(decomposed) > len(korean)
    assert normalize_symbol(decomposed) == normalize_symbol(korean) == korean


def test_marks_belong_to_their_letters() -> None:
    assert normalize_symbol("हिन्दीusdt") == normalize_symbol("हिन्दी/USDT") == "हिन्दीUSDT"
    decomposed = unicodedata.normalize("NFD", "ÉTÉUSDT")
    assert len(decomposed) == 9
    assert normalize_symbol(decomposed) == normalize_symbol("ÉTÉ-usdt") == "ÉTÉUSDT"
    assert normalize_symbol("i\u0307") == normalize_symbol("\u0130") == "\u0130"
    assert is_published("हिन्दीUSDT") and is_published("हिन्दी/USDT")


@pytest.mark.parametrize("text", ["1000SATSUSDT", "A1", "B", "A" * 32, "人" * 32, "١٢٣", "ＢＴＣＵＳＤＴ"])
def test_digits_and_long_names_are_symbols(text: str) -> None:
    assert normalize_symbol(text) == text


@pytest.mark.parametrize(
    "text",
    ["", " ", "A" * 33, "人" * 33, "BTC//USDT", "/BTCUSDT", "BTCUSDT-", "B/T/C", "BTC_USDT", "BTC USDT", "../../etc",
     "BTC\0USDT", "BTCUSDT&limit=1", "BTC\u202eUSDT", "BTC\u200bUSDT", "BTC\u2066USDT", "BTC\u00adUSDT",
     "BTC\ufeffUSDT", "BTC\u3164USDT", "BTC\u115fUSDT",
     "\u0301USDT", "BTC/\u0301USDT", "BTC\u034fUSDT", "BTC\ufe0f", "BTC\U000e0100", "क\u200dषUSDT", "BTC1\u20e3",
     "\u0958" * 32, "BTC\ud800", "BTC\u2028USDT", "BTC\u2215USDT", "BTC²", "Ⅷ", "😀",
     "BTC\ue000", "x" * 100_000],
)  # fmt: skip
def test_other_symbol_is_rejected_with_allowed_form(text: str) -> None:
    with pytest.raises(InvalidInput, match="Allowed: 1 to 32 letters and digits") as caught:
        normalize_symbol(text)
    assert caught.value.field == "symbol"
    assert len(caught.value.message) < 300


@given(st.text(max_size=40))
def test_normal_spelling_is_stable_and_fits_a_file_name(text: str) -> None:
    if is_allowed(text):
        name = normalize_symbol(text)
        assert normalize_symbol(name) == name
        assert is_symbol(name)
        assert len(name.encode()) <= 128


@given(st.from_regex("[A-Za-z0-9é人ि्\u0301\ufe0f]{0,34}[-/]?[A-Za-z0-9é人ि_ ]{0,34}", fullmatch=True))
def test_published_pattern_agrees_with_the_check(text: str) -> None:
    assert is_published(text) == (is_allowed(text) and text == text.strip())


def test_published_pattern_agrees_on_every_known_character() -> None:
    # Rust knows younger versions of Unicode than Python does: characters that Python does not know are left out.
    codes = range(sys.maxunicode + 1)
    for before in ("", "A"):
        texts = (before + chr(code) for code in codes if unicodedata.category(chr(code)) not in ("Cn", "Cs"))
        assert [text for text in texts if chr(47) not in text and is_published(text) != is_symbol(text)] == []

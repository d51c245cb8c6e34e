"""Spellings of a symbol."""

from __future__ import annotations

import pytest

from src.domain.errors import InvalidInput
from src.domain.market import normalise_symbol


@pytest.mark.parametrize("text", ["BTCUSDT", "btcusdt", "BTC/USDT", "BTC-USDT", "btc-UsDt", " BTCUSDT\n"])
def test_every_spelling_is_one_symbol(text: str) -> None:
    assert normalise_symbol(text) == "BTCUSDT"
    assert normalise_symbol(normalise_symbol(text)) == "BTCUSDT"


@pytest.mark.parametrize("text", ["1000SATSUSDT", "A1", "A" * 20])
def test_digits_and_long_names_are_symbols(text: str) -> None:
    assert normalise_symbol(text) == text


@pytest.mark.parametrize(
    "text",
    ["", " ", "B", "A" * 21, "BTC//USDT", "/BTCUSDT", "BTCUSDT-", "B/T/C", "BTC_USDT", "BTC USDT", "../../etc",
     "BTC\0USDT", "BTCUSDT&limit=1", "ＢＴＣＵＳＤＴ", "ßtcusdt", "ıcpusdt", "币安人生USDT", "x" * 100_000],
)  # fmt: skip
def test_anything_else_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(InvalidInput, match="allowed: 2 to 20 letters and digits") as caught:
        normalise_symbol(text)
    assert caught.value.field == "symbol"
    assert len(caught.value.message) < 300

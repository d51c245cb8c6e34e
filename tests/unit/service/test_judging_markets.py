"""Which trials share a ledger."""

from __future__ import annotations

from src.domain.intervals import INTERVALS
from src.domain.market import origin_of_made
from src.service.judging import ledger_market


def test_bars_made_from_finer_ones_share_the_ledger_of_their_source() -> None:
    made = origin_of_made("Binance", INTERVALS["1w"], INTERVALS["1d"])
    assert made == "Binance (1w bars made from its 1d bars)"
    assert ledger_market("BTCUSDT", made) == ledger_market("BTCUSDT", "Binance") == "BTCUSDT (Binance)"
    assert ledger_market("BTCUSDT", "simulated (seed 3)") == "BTCUSDT (simulated (seed 3))"

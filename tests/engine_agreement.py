"""Compare the two engines on the same signals."""

from __future__ import annotations

import numpy as np

from src.domain.bars import Bars
from src.domain.signals import Signals
from src.domain.trading import FillTiming, TradingRules
from src.engines.event_driven import EventDrivenEngine
from src.engines.vectorized import VectorizedEngine


def assert_engines_agree(bars: Bars, signals: Signals) -> None:
    """Check that both engines trade, with the same fills and the same equity to 1e-9 at either time of a fill."""
    for fill in FillTiming:
        rules = TradingRules(fill=fill, fee_rate=0.001, slippage_rate=0.0005)
        vectorized, event_driven = (
            engine.run(bars, signals, rules) for engine in (VectorizedEngine(), EventDrivenEngine())
        )
        assert len(vectorized.fills) > 0
        for name in ("bar", "side"):
            np.testing.assert_array_equal(vectorized.fills[name], event_driven.fills[name])
        for name in ("quantity", "price", "fee"):
            np.testing.assert_allclose(vectorized.fills[name], event_driven.fills[name], rtol=1e-9)
        np.testing.assert_allclose(vectorized.equity, event_driven.equity, rtol=1e-9)

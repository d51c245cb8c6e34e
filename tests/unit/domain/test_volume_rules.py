"""The rules of volume refuse what would leave a sale without a price, and say what is allowed."""

from __future__ import annotations

import pytest

from src.domain.errors import InvalidInput
from src.domain.trading import FillTiming, TradingRules
from src.domain.volume_rules import VolumeRules


def rules(slippage: float, **volume: float) -> TradingRules:
    return TradingRules(fill=FillTiming.NEXT_OPEN, slippage_rate=slippage, volume=VolumeRules(**volume))


@pytest.mark.parametrize(
    ("slippage", "volume", "most"),
    [
        (0.0, {"impact": 1.0}, "1"),
        (0.25, {"impact": 0.75}, "0.75"),
        (0.25, {"impact": 12.0, "max_share": 0.25}, "12"),
        (0.0, {"impact": 5.0, "max_share": 0.5}, "4"),
    ],
)
def test_impact_that_takes_the_whole_price_is_refused(slippage: float, volume: dict[str, float], most: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        rules(slippage, **volume)
    assert caught.value.field == "volumeImpact"
    assert f"Allowed: less than (1 − slippage) ÷ limit² ({most};" in caught.value.message


@pytest.mark.parametrize(
    ("slippage", "volume"),
    [(0.0, {"impact": 0.999}), (0.25, {"impact": 11.9, "max_share": 0.25}), (0.9999, {"max_share": 1.0})],
)
def test_impact_that_leaves_a_price_is_taken(slippage: float, volume: dict[str, float]) -> None:
    assert rules(slippage, **volume).volume == VolumeRules(**volume)


@pytest.mark.parametrize("volume", [{"impact": -0.1}, {"max_share": 0.0}, {"max_share": 1.1}, {"max_share": -1.0}])
def test_numbers_out_of_bounds_are_refused(volume: dict[str, float]) -> None:
    with pytest.raises(InvalidInput, match="Allowed"):
        VolumeRules(**volume)


def test_vectorized_engine_knows_neither_setting() -> None:
    assert rules(0.0, impact=0.5, max_share=0.1).event_driven_settings() == ("volumeImpact", "maxVolumeShare")
    assert rules(0.0).event_driven_settings() == ()

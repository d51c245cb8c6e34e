"""Check that features and signals of the first k bars are the first k of all, to the bit: none reads the future."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from src.domain.bars import MAX_PRICE, MAX_VOLUME, MIN_PRICE, MIN_VOLUME, Bars
from src.domain.intervals import INTERVALS
from src.domain.signals import OutputKind, Predictions
from src.features.ohlcv import build_features
from src.strategies.model_signals import signals_from_predictions
from tests.candles import random_bars
from tests.thoroughness import examples

prices = st.floats(MIN_PRICE, MAX_PRICE)
candles = st.lists(
    st.tuples(prices, prices, prices, prices, st.one_of(st.just(0.0), st.floats(MIN_VOLUME, MAX_VOLUME))),
    min_size=1,
    max_size=60,
)


def bars_of(rows: list[tuple[float, ...]]) -> Bars:
    table = np.array(rows)
    ordered = np.sort(table[:, :4], axis=1)
    return Bars(
        symbol="X",
        interval=INTERVALS["1m"],
        open_time_ms=np.arange(len(rows), dtype=np.int64) * 60_000,
        open=ordered[:, 1],
        high=ordered[:, 3],
        low=ordered[:, 0],
        close=ordered[:, 2],
        volume=table[:, 4],
    )


@settings(max_examples=examples(150), deadline=None)
@given(rows=candles, share=st.floats(min_value=0, max_value=1))
def test_features_of_a_prefix_are_a_prefix(rows: list[tuple[float, ...]], share: float) -> None:
    bars = bars_of(rows)
    kept = int(len(bars) * share)
    whole, prefix = build_features(bars), build_features(bars.slice(0, kept))
    assert prefix.values.tobytes() == whole.values[:kept].tobytes()


def test_features_do_not_depend_on_history_length() -> None:
    bars = random_bars(5_000)
    whole = build_features(bars)
    for start in (1, 17, 4_000):
        # The longest window reads 20 bars, so from the 20th on a run that began later knows just as much.
        late = build_features(bars.slice(start, len(bars)))
        assert late.values[20:].tobytes() == whole.values[start + 20 :].tobytes()


@settings(max_examples=examples(150), deadline=None)
@given(
    values=st.lists(st.sampled_from([-1.0, 0.0, 1.0, float("nan")]), max_size=40),
    kept=st.integers(min_value=0, max_value=40),
    kind=st.sampled_from([OutputKind.SIGNED_LABEL, OutputKind.VALUE]),
)
def test_signals_of_a_prefix_are_a_prefix(values: list[float], kept: int, kind: OutputKind) -> None:
    whole = signals_from_predictions(Predictions(values=np.array(values), kind=kind))
    prefix = signals_from_predictions(Predictions(values=np.array(values[:kept]), kind=kind))
    assert prefix.action.tolist() == whole.action[:kept].tolist()
    # Buys and sells alternate, a buy first.
    words = [int(action) for action in whole.action if action]
    assert words == [1, -1] * (len(words) // 2) + [1] * (len(words) % 2)

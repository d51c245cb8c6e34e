"""Check that result → document → result is the identity to the last bit, and the same for summaries."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from src.domain.annualization import AnnualizationSettings
from src.domain.bar_quality import DataQuality, Gap, RejectedRow
from src.domain.instants import MAX_TIME_MS, MIN_TIME_MS
from src.domain.intervals import INTERVALS
from src.domain.market import MarketRequest
from src.domain.order_rules import MAX_AMOUNT, MIN_CASH, EntryOrder, EntryType, Exits, Sizing
from src.domain.parameters import MAX_COUNT
from src.domain.performance import Metrics
from src.domain.runs import BacktestRequest, BacktestResult, CrossCheck, FillDifference, Fingerprints, ResultSummary
from src.domain.signals import OutputKind, Signals, StrategyDescription
from src.domain.simulation import FILL_DTYPE, TRADE_DTYPE, Simulation
from src.domain.strategy import ModelParams
from src.domain.trading import Direction, EngineName, FillTiming, IntrabarPolicy, TradingRules
from src.stores.documents import ResultDocument, decode, decode_summary, encode
from src.strategies.crossover import CrossoverParams
from tests.equality import assert_identical
from tests.thoroughness import examples

text = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=8)
texts = st.lists(text, max_size=3).map(tuple)
count = st.integers(0, MAX_COUNT)
time = st.integers(MIN_TIME_MS, MAX_TIME_MS)
finite = st.floats(allow_nan=False, allow_infinity=False)
any_float = st.floats(allow_nan=True, allow_infinity=True)
rate = st.floats(min_value=1e-9, max_value=0.9)


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


markets = st.builds(
    MarketRequest,
    symbol=text,
    interval=st.sampled_from(list(INTERVALS.values())),
    limit=st.integers(1, 10**9),
    start_ms=optional(st.integers(-(2**40), 0)),
    end_ms=optional(st.integers(1, MAX_TIME_MS)),
    source=optional(text),
    seed=optional(st.integers(-(2**63), 2**63 - 1)),
)
sizings = st.one_of(
    st.just(Sizing()), st.builds(Sizing, fixed_units=rate), st.builds(Sizing, equity_fraction=rate)
)  # fmt: skip
rules = st.builds(
    TradingRules,
    fill=st.sampled_from(FillTiming),
    initial_cash=st.floats(min_value=MIN_CASH, max_value=MAX_AMOUNT) | st.integers(1, 10**6),
    fee_rate=rate,
    slippage_rate=rate,
    sizing=sizings,
    direction=st.sampled_from(Direction),
    entry=st.just(EntryOrder())
    | st.builds(EntryOrder, type=st.just(EntryType.STOP), offset_rate=rate, life_bars=st.integers(1, 9)),
    exits=st.builds(Exits, stop_loss_rate=optional(rate), max_bars=optional(st.integers(1, 10**6))),
    intrabar=st.sampled_from(IntrabarPolicy),
)
choices = st.one_of(
    st.builds(CrossoverParams, fast=st.integers(1, 5), slow=st.integers(6, 10**6)),
    st.builds(
        ModelParams,
        reference=optional(text),
        threshold=finite,
        feature_columns=optional(texts),
        output_kind=optional(st.sampled_from(OutputKind)),
        sha256=optional(text),
    ),
)
requests = st.builds(
    BacktestRequest,
    user_id=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,10}", fullmatch=True),
    market=markets,
    strategy=choices,
    rules=rules,
    engine=st.just(EngineName.EVENT_DRIVEN),
    period=optional(text),
    annualization=st.builds(
        AnnualizationSettings,
        bars_per_year=optional(st.floats(min_value=1, max_value=1e6) | st.integers(1, 1000)),
        risk_free_rate=st.floats(min_value=-0.1, max_value=0.5),
    ),
    use_fallback=st.booleans(),
    cross_check=st.booleans(),
)
by_annotation = {
    "str": text,
    "int": count,
    "int | None": optional(count),
    "float": finite | st.integers(0, 10),  # the domain does not turn whole numbers into floats
    "float | None": optional(finite),
    "str | None": optional(text),
}
metrics = st.builds(
    Metrics,
    **{item.name: by_annotation[str(item.type)] for item in dataclasses.fields(Metrics)}
    | {"start": time, "end": time, "average_trade_duration": optional(count)},
)
parameters = st.dictionaries(
    text, st.one_of(text, st.integers(-(2**70), 2**70), any_float, st.booleans(), texts, st.none()), max_size=4
)
qualities = st.builds(
    DataQuality,
    expected_bars=count,
    present_bars=count,
    gaps=st.lists(st.builds(Gap, after_ms=count, next_ms=count, missing_bars=count), max_size=3).map(tuple),
    rejected_rows=st.lists(st.builds(RejectedRow, open_time_ms=count, reason=text), max_size=3).map(tuple),
)
checks = st.builds(
    CrossCheck,
    differences=st.lists(
        st.builds(FillDifference, index=count, vectorized=optional(text), event_driven=optional(text)), max_size=2
    ).map(tuple),
    left_out=texts,
    largest_equity_difference=finite,
)


def column(bars: int, dtype: type[np.generic]) -> st.SearchStrategy[NDArray[Any]]:
    """Any bits at all, so that NaN payloads and signed zeros occur."""
    return arrays.arrays(np.uint8, bars * np.dtype(dtype).itemsize).map(lambda raw: raw.view(dtype))


def table(dtype: np.dtype[np.void]) -> st.SearchStrategy[NDArray[np.void]]:
    return st.integers(0, 3).flatmap(
        lambda rows: st.binary(min_size=rows * dtype.itemsize, max_size=rows * dtype.itemsize).map(
            lambda raw: np.frombuffer(raw, dtype=dtype)
        )
    )


@st.composite
def results(draw: st.DrawFn) -> BacktestResult:
    bars = draw(st.integers(0, 5))
    floats = column(bars, np.float64)
    return BacktestResult(
        id=draw(text),
        created_ms=draw(time),
        request=draw(requests),
        time_ms=draw(column(bars, np.int64)),
        close=draw(floats),
        signals=Signals(
            action=draw(arrays.arrays(np.int8, bars, elements=st.sampled_from([-2, -1, 0, 1, 2]))),
            strategy=StrategyDescription(name=draw(text), parameters=draw(parameters)),
            probability=draw(optional(floats)),
            warnings=draw(texts),
        ),
        simulation=Simulation(
            equity=draw(floats),
            cash=draw(floats),
            position=draw(floats),
            fills=draw(table(FILL_DTYPE)),
            trades=draw(table(TRADE_DTYPE)),
            ambiguous_bars=draw(count),
            is_liquidated=draw(st.booleans()),
            warnings=draw(texts),
        ),
        metrics=draw(metrics),
        quality=draw(qualities),
        origin=draw(text),
        fingerprints=Fingerprints(
            bars=draw(text), model=draw(optional(text)), versions=draw(st.dictionaries(text, text, max_size=3))
        ),
        warnings=draw(texts),
        timings_ms=draw(st.dictionaries(text, finite, max_size=3)),
        cross_check=draw(optional(checks)),
    )


@settings(max_examples=examples(100), deadline=None)
@given(results())
def test_result_survives_its_document(result: BacktestResult) -> None:
    document = encode(result)
    # Stores keep the summary as JSON: it must survive that too.
    summary = json.loads(json.dumps(document.summary, allow_nan=False))
    assert_identical(decode(ResultDocument(summary=summary, parts=document.parts)), result)
    kept = decode_summary(summary)
    for name in ResultSummary.__dataclass_fields__:
        assert_identical(getattr(kept, name), getattr(result, name))

"""Grids, lists and draws of a sweep: their values, what is excluded, and what is refused."""

from __future__ import annotations

import itertools
import re
import time
import tracemalloc
from typing import Any

import numpy as np
import pytest

from src.domain.errors import InvalidInput
from src.domain.order_rules import EntryOrder, EntryType, Sizing
from src.domain.runs import BacktestRequest
from src.domain.strategy import ModelParams
from src.domain.sweeps import Comparison, ParameterConstraint, Scale, SearchKind, SweepRequest
from src.domain.trading import Direction
from src.strategies.registry import PARAMS
from src.strategies.rules.strategy import RulesParams
from src.sweeps import combinations
from src.sweeps.combinations import apply_values, build_combinations, count_combinations, sweepable
from src.sweeps.exclusions import Exclusions
from src.sweeps.parameters import ValueKind
from tests.factories import make_request
from tests.unit.sweeps.requests import event_driven, preset, sweep, swept

MANY = 10**6


def rows_of(request: SweepRequest) -> list[dict[str, Any]]:
    found = build_combinations(request, max_combinations=MANY)
    return [found.plain(row) for row in range(len(found))]


def refused(request: SweepRequest, most: int = MANY) -> str:
    with pytest.raises(InvalidInput) as caught:
        build_combinations(request, max_combinations=most)
    return caught.value.message


def test_last_parameter_of_grid_changes_fastest() -> None:
    found = rows_of(sweep(swept("fast", 5, 3), swept("slow", start=10, end=14, step=2)))
    assert found == [{"fast": fast, "slow": slow} for fast in (5, 3) for slow in (10, 12, 14)]
    assert all(isinstance(value, int) for row in found for value in row.values())


def test_list_takes_values_side_by_side() -> None:
    found = rows_of(sweep(swept("fast", 5, 5, 9), swept("slow", 10, 20, 30), kind=SearchKind.LIST))
    assert [tuple(row.values()) for row in found] == [(5, 10), (5, 20), (9, 30)]
    message = refused(sweep(swept("fast", 5, 6), swept("slow", 10, 20, 30), kind=SearchKind.LIST))
    assert message == ("parameters differ in their number of values, and LIST takes them side by side: fast 2, slow 3.")


def test_list_says_what_was_left_out_and_why() -> None:
    pairs = (swept("fast", 5, 30, 6, 40), swept("slow", 10, 20, 30, 30))
    found = build_combinations(sweep(*pairs, kind=SearchKind.LIST), max_combinations=MANY)
    assert found.warnings == (
        "2 of 4 listed combinations are left out, and rows are numbered without them. The first of them is number 1 "
        "(fast 30, slow 20): fast (30) must be less than slow (20).",
    )
    # A constraint excludes the last one, and the order of the pair the one before: the reason is the first one's own.
    constrained = sweep(*pairs, kind=SearchKind.LIST, constraints=(less("fast", value=40),))
    [warning] = build_combinations(constrained, max_combinations=MANY).warnings
    assert warning.endswith("(fast 30, slow 20): fast (30) must be less than slow (20).")
    alone = sweep(*pairs, kind=SearchKind.LIST, constraints=(less("fast", value=6),))
    [warning] = build_combinations(alone, max_combinations=MANY).warnings
    assert warning.startswith("3 of 4")
    assert warning.endswith("(fast 30, slow 20): constraints.0 excludes it.")
    assert build_combinations(sweep(swept("fast", 5, 30), swept("slow", 20)), max_combinations=MANY).warnings == ()


def test_steps_give_the_decimal_numbers_themselves() -> None:
    found = rows_of(sweep(swept("multiplier", start=0.1, end=2.5, step=0.1), backtest=preset("bollinger")))
    assert [row["multiplier"] for row in found] == [float(f"{i / 10:.1f}") for i in range(1, 26)]


def test_logarithmic_range_multiplies_up_to_its_end() -> None:
    by_ten = swept("fees", start=0.0001, end=0.1, step=10, scale=Scale.LOGARITHMIC)
    assert [row["fees"] for row in rows_of(sweep(by_ten))] == [0.0001, 0.001, 0.01, 0.1]
    whole = swept("slow", start=51, end=60, step=1.01, scale=Scale.LOGARITHMIC)
    assert [row["slow"] for row in rows_of(sweep(whole))] == [51, 52, 53, 54, 55, 56, 57, 58, 59, 60]


@pytest.mark.parametrize(
    ("backtest", "parameters"),
    [
        (preset("ma_crossover"), (swept("fast", start=1, end=9), swept("slow", start=2, end=9))),
        (preset("ma_crossover"), (swept("fast", start=45, end=55),)),
        (preset("ma_crossover"), (swept("slow", start=15, end=25),)),
        (preset("ema_crossover"), (swept("slow", start=2, end=9), swept("fast", start=1, end=9))),
        (preset("macd"), (swept("fast", 5, 40), swept("slow", 4, 26, 41), swept("signal", 3, 9))),
        (preset("rsi"), (swept("low", 20, 50.5, 80), swept("high", 50.5, 60), swept("length", 2, 14))),
        (preset("donchian"), (swept("entry_length", 5, 10), swept("exit_length", 5, 10))),
        (
            event_driven(),
            (swept("entry", "MARKET", "limit", "STOP"), swept("entryOffset", 0, 0.01), swept("fill", "NEXT_OPEN")),
        ),
        (event_driven(), (swept("stopLoss", 0.01, 0.02), swept("direction", "LONG", "BOTH"))),
        (event_driven(entry=EntryOrder(type=EntryType.LIMIT)), (swept("entry_offset", 0, 0.01), swept("fast", 5, 60))),
        (
            event_driven(
                RulesParams(buy="close > sma({n})", short="rsi({m}) > {l}", parameters={"n": 3, "m": 5, "l": 70}),
                direction=Direction.BOTH,
            ),
            (swept("direction", "LONG", "SHORT", "BOTH"), swept("l", 60, 70.5)),
        ),
        (
            preset("rules", buy="macd({f}, {s}) > 0", parameters={"f": 12, "s": 26}),
            (swept("f", start=5, end=9), swept("s", start=4, end=9)),
        ),
        (
            preset("rules", buy="rsi({n} * 2) < {l} / {d}", parameters={"n": 7, "l": 30, "d": 1}),
            (swept("n", 1, 1.25, 1.5, 3), swept("d", -1, 0, 2)),
        ),
    ],
)
def test_grid_has_exactly_what_single_requests_allow(backtest: BacktestRequest, parameters: Any) -> None:
    request = sweep(*parameters, backtest=backtest)
    names = [item.name for item in parameters]
    known = sweepable(backtest)
    lists = [item.values or tuple(range(int(item.range.start), int(item.range.end) + 1)) for item in parameters if item]
    expected = []
    for values in itertools.product(*lists):
        try:
            changed = apply_values(backtest, dict(zip(names, values, strict=True)))
        except InvalidInput:
            continue
        expected.append(changed)
    found = build_combinations(request, max_combinations=MANY)
    assert [apply_values(backtest, found.plain(row)) for row in range(len(found))] == expected
    assert len(found) + found.excluded == np.prod([len(values) for values in lists])
    assert set(found.names) <= known.keys()


@pytest.mark.parametrize(
    ("comparison", "kept"),
    [
        (Comparison.LESS, [(1, 2)]),
        (Comparison.AT_MOST, [(1, 2), (2, 2)]),
        (Comparison.GREATER, [(3, 2)]),
        (Comparison.AT_LEAST, [(2, 2), (3, 2)]),
        (Comparison.EQUAL, [(2, 2)]),
        (Comparison.NOT_EQUAL, [(1, 2), (3, 2)]),
    ],
)
def test_constraint_keeps_rows_in_which_it_holds(comparison: Comparison, kept: list[tuple[int, int]]) -> None:
    names = swept("entry_length", 1, 2, 3), swept("exit_length", 2)
    backtest = preset("donchian")
    for constraint in (
        ParameterConstraint(left="entryLength", comparison=comparison, right="exit_length"),
        ParameterConstraint(left="entry_length", comparison=comparison, value=2),
    ):
        found = rows_of(sweep(*names, backtest=backtest, constraints=(constraint,)))
        assert [tuple(row.values()) for row in found] == kept


def test_draws_depend_on_seed_and_row_alone() -> None:
    def drawn(trials: int, seed: int = 5) -> list[dict[str, Any]]:
        names = swept("fast", start=1, end=60), swept("slow", 20, 30, 40), swept("fees", start=0, end=0.01)
        return rows_of(sweep(*names, kind=SearchKind.RANDOM, max_trials=trials, seed=seed))

    assert drawn(300)[:100] == drawn(100)
    assert drawn(100) != drawn(100, seed=6)
    assert all(row["fast"] < row["slow"] for row in drawn(300))


def test_draws_are_spread_evenly_over_their_ranges() -> None:
    names = (
        swept("fast", start=1, end=4), swept("slow", start=10, end=1000, scale=Scale.LOGARITHMIC),
        swept("fees", start=0.0001, end=0.01, scale=Scale.LOGARITHMIC), swept("slippage", start=0.2, end=0.6),
        swept("init_cash", 100, 300),
    )  # fmt: skip
    found = build_combinations(sweep(*names, kind=SearchKind.RANDOM, max_trials=20_000), max_combinations=MANY)
    fast, slow, fees, slippage, cash = found.values.T
    assert np.unique(fast).tolist() == [1, 2, 3, 4]
    # Three deviations of a share of 20,000 draws are 0.0106 at most.
    assert np.bincount(fast.astype(int))[1:] / 20_000 == pytest.approx([0.25] * 4, abs=0.011)
    assert (slow < 100).mean() == pytest.approx(np.log(100 / 10) / np.log(1001 / 10), abs=0.011)
    assert (slow.min(), slow.max()) == (10, 1000)
    assert (fees < 0.001).mean() == pytest.approx(0.5, abs=0.011)
    assert (slippage < 0.3).mean() == pytest.approx(0.25, abs=0.011)
    assert (cash == 300).mean() == pytest.approx(0.5, abs=0.011)
    correlations = np.corrcoef(found.values.T) - np.eye(5)
    assert np.abs(correlations).max() < 0.03
    assert all(value == float(f"{value:.12g}") for value in slippage.tolist())


def test_draws_that_are_always_excluded_are_refused() -> None:
    names = swept("fast", start=60, end=80), swept("slow", start=10, end=50)
    message = refused(sweep(*names, kind=SearchKind.RANDOM, max_trials=3))
    assert message.startswith("parameters leaves nothing to try: all 3 combinations are excluded. The first of them: ")
    assert "must be less than slow" in message


@pytest.mark.parametrize(("trials", "attempts"), [(3, 1_000), (1_000, 100), (300_000, 2)])
def test_vain_draws_end_after_a_sample(trials: int, attempts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    allow = Exclusions.allow

    def count(self: Exclusions, values: Any) -> Any:
        asked.append(len(values))
        return allow(self, values)

    monkeypatch.setattr(Exclusions, "allow", count)
    names = swept("fast", start=50, end=100), swept("slow", start=2, end=50)
    message = refused(sweep(*names, kind=SearchKind.RANDOM, max_trials=trials))
    assert f"all {trials:,} combinations are excluded" in message
    assert asked == [min(trials, combinations.ROWS_AT_ONCE)] * attempts


def test_too_many_draws_are_refused_with_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    names = swept("fast", start=1, end=100), swept("slow", start=2, end=3)
    request = sweep(*names, kind=SearchKind.RANDOM, max_trials=200)
    found = build_combinations(request, max_combinations=MANY).values  # some 1.5 % of the draws are allowed
    monkeypatch.setattr(combinations, "MAX_DRAWS", 20_000)
    assert np.array_equal(build_combinations(request, max_combinations=MANY).values, found)
    monkeypatch.setattr(combinations, "MAX_DRAWS", 5_000)
    message = refused(request)
    assert re.match(
        r"parameters: \d,\d{3} draws gave \d\d of 200 combinations; the others are excluded. Sweep ranges of which "
        r"more is allowed, or ask for fewer combinations \(search.maxTrials\).",
        message,
    )


def test_million_combinations_take_little_memory() -> None:
    names = swept("fast", start=1, end=1000), swept("slow", start=2, end=1001)
    for kind, count in ((SearchKind.GRID, 500_500), (SearchKind.RANDOM, MANY)):
        request = sweep(*names, kind=kind, max_trials=MANY)
        tracemalloc.start()
        found = build_combinations(request, max_combinations=MANY)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(found) == count
        assert peak < 100e6


def test_too_many_combinations_are_counted_without_building_them() -> None:
    names = [swept(name, start=0.0001, end=0.9, step=0.0001) for name in ("fees", "slippage")]
    request = sweep(*names, swept("slow", start=51, end=9000))
    begin = time.process_time()
    assert refused(request) == "parameters: 724,950,000,000 combinations are too many. Maximum: 1,000,000."
    assert time.process_time() - begin < 0.5
    assert count_combinations(sweep(names[0]), max_combinations=9000) == 9000
    few = sweep(swept("fast", 1, 2, 3), max_trials=2)
    assert refused(few) == "parameters give 3 combinations. Maximum: 2 (search.maxTrials)."
    drawn = sweep(swept("fast", 1, 2, 3), kind=SearchKind.RANDOM)
    assert refused(drawn, most=99) == "search.maxTrials: 100 combinations are too many. Maximum: 99."


def test_names_of_strategy_come_before_trading_rules() -> None:
    rules = RulesParams(buy="close > sma({n}) * (1 + {fees})", parameters={"n": 5, "fees": 0.01})
    known = sweepable(event_driven(rules))
    assert known["fees"].path == ("strategy", "parameters", "fees")
    assert known["n"].kind is ValueKind.WHOLE
    assert known["stop_loss"].path == ("rules", "exits", "stop_loss_rate")
    changed = apply_values(event_driven(rules), {"fees": 0.5, "n": 9, "stopLoss": 0.1, "direction": "both"})
    assert changed.strategy == RulesParams(buy=rules.buy, parameters={"n": 9, "fees": 0.5})
    assert changed.rules.fee_rate == 0.001
    assert (changed.rules.exits.stop_loss_rate, changed.rules.direction) == (0.1, Direction.BOTH)


def test_threshold_alone_of_a_model_is_swept() -> None:
    backtest = make_request(strategy=ModelParams(reference="m.onnx"))
    known = sweepable(backtest)
    assert known["threshold"].kind is ValueKind.NUMBER
    assert known.keys().isdisjoint({"model_path", "feature_columns", "output_kind", "trained_from"})
    found = build_combinations(sweep(swept("threshold", 0.4, 0.6), backtest=backtest), max_combinations=9)
    assert apply_values(backtest, found.plain(1)).strategy == ModelParams(reference="m.onnx", threshold=0.6)


@pytest.mark.parametrize("name", PARAMS)
def test_each_strategy_sweeps_its_numbers(name: str) -> None:
    values: dict[str, Any] = {"buy": "close > 1"} if name == "rules" else {}
    known = sweepable(preset(name, **values))
    assert {"fees", "init_cash", "stop_loss", "direction"} <= known.keys()
    assert known.keys().isdisjoint({"symbol", "interval", "buy", "parameters", "user_id", "engine"})


def less(left: str, **right: Any) -> ParameterConstraint:
    return ParameterConstraint(left=left, comparison=Comparison.LESS, **right)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (
            sweep(swept("symbol", "BTCUSDT")),
            "parameters.0.name is 'symbol'. Allowed: a number or a closed list of the backtest: fast, slow, fill,"
            " init_cash, fees, maker_fee, taker_fee, slippage, volume_impact, max_volume_share, fixed_size, "
            "percent_size, quote_size, "
            "risk_percent, volatility_target, direction, entry, entry_offset, entry_bars, limit_offset, stop_loss, "
            "take_profit, trailing_stop, stop_loss_atr, take_profit_atr, trailing_stop_atr, atr_bars, trailing_start, "
            "break_even_at, max_bars, exit, exit_offset, cooldown_bars, leverage, maintenance_margin, tick_size, "
            "step_size, min_notional, funding, funding_rate, intrabar.",
        ),
        (
            sweep(swept("slow", 60), swept("fast", 5, 0)),
            "parameters.1.values has 0 for fast. Allowed: a whole number, 1 ≤ x (bars).",
        ),
        (
            sweep(swept("fast", 5, 6.5)),
            "parameters.0.values has 6.5 for fast. Allowed: a whole number, 1 ≤ x (bars).",
        ),
        (sweep(swept("fast", 5, True)), "parameters.0.values has true for fast. Allowed: a whole number, 1 ≤ x"),
        (
            sweep(swept("fees", 0.1, float("nan"))),
            "parameters.0.values has nan for fees. Allowed: a finite number, 0 ≤ x < 1 (fraction of",
        ),
        (sweep(swept("fast", 5, 10**400)), "parameters.0.values has 1000"),
        (
            sweep(swept("fees", start=0.5, end=1.5, step=0.1)),
            "parameters.0.range.to has 1.5 for fees. Allowed: a finite number, 0 ≤ x < 1 (fraction of the traded "
            "value).",
        ),
        (
            sweep(swept("fees", start=0.1, end=0.2)),
            "parameters.0.range.step is required for fees with GRID: the distance of neighbors. Only RANDOM and TPE "
            "draw from a range without a step.",
        ),
        (
            sweep(swept("fast", start=1, end=9, scale=Scale.LOGARITHMIC)),
            "parameters.0.range.step is required for fast with GRID: the ratio, over 1, of neighbors. Only RANDOM and "
            "TPE draw from a range without a step.",
        ),
        (
            sweep(swept("fast", start=1, end=9, step=0.5)),
            "parameters.0.range.step is 0.5. Allowed: a whole number, as fast is one.",
        ),
        (
            sweep(swept("fees", start=0, end=0.5, step=1e-9)),
            "parameters.0.range has 500000000 values of fees. Maximum: 10000.",
        ),
        (sweep(swept("fill", start=0, end=1)), "parameters.0.range: fill is a closed list. Give values of it: SAME"),
        (
            sweep(swept("fill", "SAME_CLOSE", "LATER")),
            "parameters.0.values has 'LATER' for fill. Allowed: SAME_CLOSE, NEXT_OPEN.",
        ),
        (sweep(swept("fast", 5, 5.0)), "parameters.0.values has 5 twice for fast, to 12 significant digits."),
        (sweep(swept("stopLoss", 0.1), swept("stop_loss", 0.2)), "parameters names 'stop_loss' twice."),
        (
            sweep(swept("max_bars", 5), swept("stopLoss", 0.1)),
            "stopLoss, maxBars: known to the event-driven engine only. The vectorized engine allows market entries, "
            "LONG, exits by signal, one fee, and neither leverage nor funding.",
        ),
        (
            sweep(swept("fast", 5), constraints=(less("fast", right="slow"),)),
            "constraints.0.right is 'slow'. Allowed: a swept number: fast.",
        ),
        (
            sweep(swept("fast", 5), constraints=(less("fast", value=2),)),
            "parameters leaves nothing to try: all 1 combinations are excluded. The first of them: "
            "constraints.0 excludes it.",
        ),
        (
            sweep(swept("fixed_size", 1, 2), backtest=event_driven(sizing=Sizing(equity_fraction=0.5))),
            "parameters leaves nothing to try: all 2 combinations are excluded. The first of them: fixedSize and "
            "percentSize are both given. Allowed: one of them.",
        ),
        (
            sweep(swept("entry_offset", 0.1, 0.2), backtest=event_driven()),
            "parameters leaves nothing to try: all 2 combinations are excluded. The first of them: entryOffset is 0.1. "
            "A MARKET entry allows none.",
        ),
        (
            sweep(swept("n", 5.5), backtest=preset("rules", buy="close > close[{n}]", parameters={"n": 3})),
            "parameters.0.values has 5.5 for n. Allowed: a whole number, 0 ≤ x ≤ 5000 (bars back).",
        ),
    ],
)  # fmt: skip
def test_wrong_request_is_refused_by_name(request_: SweepRequest, message: str) -> None:
    assert refused(request_).startswith(message)


def test_settings_at_their_defaults_go_with_vectorized_engine() -> None:
    assert rows_of(sweep(swept("direction", "long"), swept("fast", 5))) == [{"direction": "LONG", "fast": 5}]


def test_tpe_is_not_built_at_once() -> None:
    with pytest.raises(ValueError, match="batch by batch"):
        build_combinations(sweep(swept("fast", 5), kind=SearchKind.TPE), max_combinations=9)

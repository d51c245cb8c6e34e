"""The sentences of the verdict that traders read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from src.domain.confidence import Interval
from src.domain.order_rules import Sizing
from src.domain.trading import Direction
from src.domain.volume_rules import VolumeRules
from src.judgement.evidence import format_figure
from src.judgement.verdict import reach_verdict
from tests.unit.judgement.evidence import (
    FREE,
    GAP,
    ROWS,
    RULES,
    SEEN,
    SHORT,
    band,
    before_training,
    choice,
    held,
    make_evidence,
    model,
    power,
    rows,
    signals,
    trained,
    without_best,
)


@pytest.mark.parametrize(
    ("value", "threshold", "text"),
    [
        (0.9499, 0.95, "0.9499"), (0.62, 0.95, "0.62"), (0.05004, 0.05, "0.05004"), (1234567.8, None, "1,234,568"),
        (0.95, 0.95, "0.95"), (0.0, None, "0"), (-12.345, 0.0, "-12.3"), (20.0, None, "20"), (1e-9, None, "1e-09"),
        (100.0, None, "100"),
    ],
)  # fmt: skip
def test_figure_is_told_from_its_threshold(value: float, threshold: float | None, text: str) -> None:
    assert format_figure(value, threshold) == text


TEXTS: list[tuple[dict[str, Any], str]] = [
    (
        rows(),
        "The prediction of a bar depends on the bars that are predicted with it: 7 of 1,000 rows differ "
        "among other rows, where 0 should. In live trading its signals may differ.",
    ),
    (
        rows(signals=signals(changed=11, differs_like_rounding=True)),
        "The prediction of a bar depends on the bars that are predicted with it: 7 of 1,000 rows differ "
        "among other rows, where 0 should. The differences look like rounding, small and without pattern, as in "
        "a dynamically quantized network. In live trading its signals may differ.",
    ),
    (
        rows(signals=signals(changed=3, differs_at_end_only=True)),
        "The model looks ahead: if the bars are cut off, its predictions for the last bars before the cut change, and "
        "no others do. In 8 such tries 30 predictions changed, where 0 should. 3 signals changed with them, the first "
        "at bar 70.",
    ),
    (
        rows(signals=signals(changed=0, differing=2, differs_at_end_only=True)),
        "The model looks ahead: if the bars are cut off, its predictions for the last bars before the cut change, and "
        "no others do. In 8 such tries 2 predictions changed, where 0 should. No signal changed in these tries, but "
        "each prediction of the backtest was made with bars that do not exist yet in live trading.",
    ),
    (
        rows(signals=signals(changed=0, differing=0, prefixes=20)),
        "The prediction of a bar depends on the bars before it, or on how many they are. It did not change in any of "
        "20 tries without the later bars, or with others in their place, so no later bar was read there. In live "
        "trading give the model the same earlier bars, from the same first one on.",
    ),
    (
        rows(signals=signals(changed=11)),
        "The model looks ahead: without the later bars 11 of 1,000 signals change (1.1 %; at most 1 % are"
        " allowed), the first at bar 70.",
    ),
    (
        rows(signals=signals(changed=1, changes_sign=True, first_bar=None)),
        "The model looks ahead: without the later bars 1 of 1,000 signals change (0.1 %; at most 1 % are "
        "allowed). The net return has another sign without the later bars.",
    ),
    (
        model(rows=replace(ROWS, differing=7, is_repeatable=False)),
        "The model predicts something else when it is asked for the same rows again, so this result "
        "cannot be repeated.",
    ),
    (
        model(training=trained(400)),
        "The model was trained on 400 of these 1,000 bars, where 0 should be: read the out-of-sample part"
        " instead, which trades only the bars after the training.",
    ),
    (
        model(training=trained(1_000)),
        "The model was trained on all of these bars (1,000 of 1,000): it knew how they end, and no bar is"
        " left to test it on.",
    ),
    (
        model(training=before_training(1_000)),
        "The model was trained on later bars, from 2024-01-01T00:00:00Z on. It did not exist at the time of these "
        "bars, and may know what came after them. Test it on bars after its training window.",
    ),
    (
        model(training=None),
        "It is not known which bars the model was trained on. If these are among them, the result proves "
        "nothing. Declare the training window, and the bars after it are tested on their own.",
    ),
    (
        model(overlap=replace(SEEN, has_wide_kuiper_range=False, has_high_lag_z=False)),
        "The next bar went the position's way in 61.3 % of 800 bars; over 59.9 % is rarely seen on so many bars "
        "that a model was not trained on.",
    ),
    (
        model(overlap=replace(SEEN, has_high_hit_rate=False, has_high_lag_z=False)),
        "The model is right far more often in one part of the bars than in the rest, as if it was trained"
        " on that part: the hits' unevenness is 2.41, the limit 2.",
    ),
    (
        model(overlap=replace(SEEN, has_high_hit_rate=False, has_wide_kuiper_range=False)),
        "The profit depends on acting at the very bar of the signal, as if the model knew the next one: "
        "one bar later the loss is 3.7 standard errors, the limit 3.",
    ),
    (
        {"total_trades": 1},
        "Too few trades to tell skill from luck: 1 closed, where 20 are needed.",
    ),
    (
        {"bars": 1},
        "Too short to tell skill from luck: 1 bar, where 250 are needed.",
    ),
    (
        {"trials": 90, "dsr": 0.621},
        "Luck may explain the Sharpe ratio: the probability that the true one is over what luck alone "
        "gives the best of 90 trials is 0.621, where at least 0.95 is needed.",
    ),
    (
        {"timing_deflated": 0.2618, "active_trials_effective": 24.31},
        "The chance that the best of about 24 such runs, traded at other times, would earn as much is 0.262; at "
        "most 0.05 is allowed. The Sharpe ratio is high enough even so: "
        "holding while the market rose can explain it, and that it matters when it bought is not shown.",
    ),
    (
        {"timing_deflated": 0.2618, "active_trials_effective": 1.0, "dsr": None, "dsr_dependent": None},
        "The same trades at other times would earn as much with a probability of 0.262; at most 0.05 is allowed.",
    ),
    (
        {"timing_deflated": 0.2, "choice": choice(None, None, 0.2618), "dsr": None, "dsr_dependent": None},
        "The chance that a row of its sweep, traded at other times, would stand out as much as this run is 0.262; at "
        "most 0.05 is allowed.",
    ),
    (
        {"timing_deflated": 0.3, "choice": choice(None, None, 0.2618), "dsr": None, "dsr_dependent": None},
        "The chance that the best of about 1.5 such runs, traded at other times, would earn as much is 0.3; at most "
        "0.05 is allowed.",
    ),
    (
        {"timing_deflated": 0.3, "buy_and_hold_return": -5.0},
        "The chance that the best of about 1.5 such runs, traded at other times, would earn as much is 0.3; "
        "at most 0.05 is allowed. The Sharpe ratio is high enough even so: holding "
        "positions at all can explain it, and that it matters when it bought and sold is not shown.",
    ),
    (
        {"timing_deflated": 0.3, "buy_and_hold_return": None},
        "The chance that the best of about 1.5 such runs, traded at other times, would earn as much is 0.3; "
        "at most 0.05 is allowed. The Sharpe ratio is high enough even so: holding "
        "positions at all can explain it, and that it matters when it bought and sold is not shown.",
    ),
    (
        {"timing_deflated": 0.3, "buy_and_hold_return": -5.0, "rules": replace(RULES, direction=Direction.SHORT)},
        "The chance that the best of about 1.5 such runs, traded at other times, would earn as much is 0.3; "
        "at most 0.05 is allowed. The Sharpe ratio is high enough even so: being "
        "short while the market fell can explain it, and that it matters when it sold is not shown.",
    ),
    (
        {"timing_deflated": 0.3, "buy_and_hold_return": 5.0, "rules": replace(RULES, direction=Direction.SHORT)},
        "The chance that the best of about 1.5 such runs, traded at other times, would earn as much is 0.3; "
        "at most 0.05 is allowed. The Sharpe ratio is high enough even so: holding "
        "positions at all can explain it, and that it matters when it bought and sold is not shown.",
    ),
    (
        {"timing_deflated": 0.3, "rules": replace(RULES, direction=Direction.BOTH)},
        "The chance that the best of about 1.5 such runs, traded at other times, would earn as much is 0.3; "
        "at most 0.05 is allowed. The Sharpe ratio is high enough even so: holding "
        "positions at all can explain it, and that it matters when it bought and sold is not shown.",
    ),
    (
        {"timing": None},
        "It cannot be tested whether it matters when the strategy is in the market. The test needs at "
        "least 10 positions one after another, times without a position, and enough bars to move them by "
        "100 different distances.",
    ),
    (
        {"choice": choice(0.82, None)},
        "Parameters that are best on one half of the bars are below the median on the other with a "
        "probability of 0.82; at most 0.7 is allowed.",
    ),
    (
        {"choice": choice(None, 0.85)},
        "The best parameters may beat buying and holding by luck only: with a probability of 0.85 luck "
        "gives as much, where at most 0.05 is allowed.",
    ),
    (
        {"break_even_fee": 0.00199},
        "Slightly higher costs take the profit: the return is 0 at a fee of 0.199 % a side, where at "
        "least 0.2 % is needed (2 times the fee charged).",
    ),
    (
        {"break_even_fee": 0.001},
        "Slightly higher costs take the profit: the return is 0 at a fee of 0.1 % a side, where at least "
        "0.2 % is needed (2 times the fee charged).",
    ),
    (
        {"break_even_fee": 0.0005},
        "It loses at the fee charged: the return is 0 at a fee of 0.05 % a side, where at least 0.2 % is "
        "needed (2 times the fee charged).",
    ),
    (
        {"break_even_fee": -0.001},
        "It earns nothing even without fees: the return is 0 at a fee of -0.1 % a side, where at least "
        "0.2 % is needed.",
    ),
    (
        {"rules": FREE, "break_even_fee": 0.0},
        "It earns nothing even without fees: the return is 0 at a fee of 0 % a side, where over 0 % is needed.",
    ),
    (
        {"fill_band": band(-38.2, 42.04, 7)},
        "Whether this earns depends on 7 bars that do not tell what was hit first: the total return is "
        "-38.2 % if it was the stop, 42 % if it was the target, one over 0 and the other not.",
    ),
    (
        {"fill_band": band(3.21, 4.5, 1)},
        "1 bar does not tell what was hit first: the total return is 3.21 % if it was the stop, 4.5 % if "
        "it was the target.",
    ),
    (
        {"fill_band": band(3.21, 4.5, 7)},
        "7 bars do not tell what was hit first: the total return is 3.21 % if it was the stop, 4.5 % if "
        "it was the target.",
    ),
    (
        {"gaps_traded": (GAP,)},
        "Trades were held through 1 long gap of 47 bars between 1970-01-01 and 1970-01-03. What stops and"
        " signals would have done there is not known; 0 such gaps are allowed.",
    ),
    (
        {"gaps_traded": (GAP, replace(GAP, missing_bars=50))},
        "Trades were held through 2 long gaps: 50 bars between 1970-01-01 and 1970-01-03, 47 bars between"
        " 1970-01-01 and 1970-01-03. What stops and signals would have done there is not known; 0 such "
        "gaps are allowed.",
    ),
    (
        {"gaps_traded": tuple(replace(GAP, missing_bars=n) for n in (11, 14, 12, 13))},
        "Trades were held through 4 long gaps; the longest: 14 bars between 1970-01-01 and 1970-01-03, 13"
        " bars between 1970-01-01 and 1970-01-03, 12 bars between 1970-01-01 and 1970-01-03. What stops "
        "and signals would have done there is not known; 0 such gaps are allowed.",
    ),
    (
        {"engines_differ": 1},
        "The two engines differ in 1 fill, where 0 should: one of them fills orders wrongly.",
    ),
    (
        {"engines_differ": 3},
        "The two engines differ in 3 fills, where 0 should: one of them fills orders wrongly.",
    ),
    (
        {"is_simulated": True},
        "The prices are simulated: these figures tell nothing about a real market.",
    ),
    (
        {"reduced_entries": 1, "rules": replace(RULES, sizing=Sizing(fixed_units=2.0))},
        "1 entry was cut to what the cash allowed: the fixed size of 2 costs more than there was.",
    ),
    (
        {"reduced_entries": 3},
        "3 entries were cut to what the cash allowed: the size asked for costs more than there was.",
    ),
    (
        {"reduced_entries": 3, "rules": replace(RULES, volume=VolumeRules(max_share=0.1))},
        "3 entries were cut to what the cash or the volume allowed: the size asked for is more than there was.",
    ),
    (
        {"dropped_entries": 2, "rules": replace(RULES, volume=VolumeRules(max_share=0.1))},
        "2 signals opened nothing: the entry would have been less than the exchange takes (stepSize, minNotional), or "
        "its exits are counted in ATR, or its size is a target of volatility, and there was none, or its bar had no "
        "volume.",
    ),
    (
        {"dropped_entries": 1},
        "1 signal opened nothing: the entry would have been less than the exchange takes (stepSize, minNotional), or "
        "its exits are counted in ATR, or its size is a target of volatility, and there was none.",
    ),
    (
        {"dropped_entries": 1_200},
        "1,200 signals opened nothing: the entry would have been less than the exchange takes (stepSize, minNotional), "
        "or its exits are counted in ATR, or its size is a target of volatility, and there was none.",
    ),
    (
        {"best_trades": without_best(-3.2)},
        "The profit comes from one trade: without the best one the total return is -3.2 % instead of 30 "
        "%, which is not over 0.",
    ),
    (
        {"buy_and_hold": held(812.44)},
        "Buying and holding returned more over the same bars: 812 % after costs, the run 30 %.",
    ),
    (
        {"buy_and_hold": held(30.01)},
        "Buying and holding returned more over the same bars: 30.01 % after costs, the run 30 %.",
    ),
    (
        {"buy_and_hold": held(-5.0), "total_return": -12.5, "rules": SHORT},
        "Buying and holding returned more over the same bars: -5 % after costs, the run -12.5 %.",
    ),
    (
        {"buy_and_hold": held(31.0), "rules": SHORT},
        "Buying and holding returned more over the same bars: 31 % after costs, the run 30 %. A run that is only short "
        "has to expect that in a rising market.",
    ),
    (
        {"are_trades_autocorrelated": True},
        "Profits of neighboring trades are related (autocorrelation 0.3): win rate and profit factor are "
        "less certain than their intervals say.",
    ),
    (
        {"confidence": replace(make_evidence().confidence, sharpe_ratio=Interval(low=-0.31, high=1.2))},
        "The true Sharpe ratio may be 0: with a certainty of 95 % it lies between -0.31 and 1.2.",
    ),
    (
        {"trials": 1},
        "The service has seen no other trial of yours on this market. If you tried others elsewhere and "
        "chose this one, its figures look better than they are.",
    ),
]


@pytest.mark.parametrize(("changes", "text"), TEXTS)
def test_reason_is_said_in_sentence(changes: dict[str, Any], text: str) -> None:
    assert [reason.text for reason in reach_verdict(make_evidence(**changes)).reasons] == [text]


@pytest.mark.parametrize(("bars", "end"), [(1_234, "About 1,234 bars would do."), (None, "More bars are needed.")])
@pytest.mark.parametrize(
    ("smallest", "trials", "seen"),
    [
        (41.72, 1.0, "the smallest edge that can be found on them is 41.7 % a year"),
        (41.72, 29.6, "the smallest edge that can be found on them among about 30 independent trials is 41.7 % a year"),
        (None, 29.6, "no edge can be found on them among about 30 independent trials"),
    ],
)
def test_underpowered_reason_says_how_many_bars_would_do(
    bars: int | None, end: str, smallest: float | None, trials: float, seen: str
) -> None:
    changes = power(20.34, smallest, bars) | {"active_trials_effective": trials}
    found = reach_verdict(make_evidence(dsr=0.9, **changes)).reasons[0]
    assert found.text == f"These bars are too few to tell: the timing earned 20.3 % a year, but {seen}. {end}"
    assert (found.value, found.threshold) == (20.34, smallest)


def first_text(**changes: Any) -> str:
    return reach_verdict(make_evidence(**changes)).reasons[0].text


def test_hurdle_of_only_trial_is_zero_in_sentence() -> None:
    assert "the true one is over 0 is 0.9," in first_text(trials=1, dsr=0.9)


def test_short_run_on_flat_market_names_no_fall() -> None:
    short = replace(RULES, direction=Direction.SHORT)
    assert "while the market fell" not in first_text(timing_deflated=0.3, buy_and_hold_return=0.0, rules=short)


def test_profit_is_not_explained_by_jump_of_market() -> None:
    """The metric has the jump of a relisted symbol, and buying and holding has not."""
    with_jump = {"timing_deflated": 0.3, "buy_and_hold_return": 2e6}
    assert "while the market rose" in first_text(**with_jump)
    assert "while the market rose" not in first_text(**with_jump, buy_and_hold=held(-99.0))


@pytest.mark.parametrize(("gaps", "is_cut"), [(3, False), (4, True)])
def test_longest_gaps_are_named_if_others_are_not(gaps: int, is_cut: bool) -> None:
    assert ("; the longest: " in first_text(gaps_traded=(GAP,) * gaps)) is is_cut

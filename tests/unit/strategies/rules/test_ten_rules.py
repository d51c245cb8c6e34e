"""Ten rules that traders know, against computations that share no code with ours, and on both engines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from src.domain.bars import Bars
from src.domain.strategy import StrategyInputs
from src.strategies.rules.evaluation import RuleInputs, evaluate
from src.strategies.rules.strategy import Rules, RulesParams
from tests.engine_agreement import assert_engines_agree
from tests.market import random_bars, read_klines
from tests.unit.strategies.rules.ten_rules import TEN_RULES, KnownRule, frame_of
from tests.unit.strategies.rules.test_strategy import follow

FIELDS = ("buy", "sell", "short", "cover")


def check(rule: KnownRule, bars: Bars) -> None:
    params = RulesParams(**rule.rules, parameters=rule.parameters)
    found = evaluate(params.program, RuleInputs(bars=bars))
    wanted = {name: np.asarray(one, dtype=bool) for name, one in rule.conditions(frame_of(bars)).items()}
    assert set(found) == set(wanted)
    for name, condition in wanted.items():
        np.testing.assert_array_equal(found[name], condition, err_msg=name)
    never = np.zeros(len(bars), dtype=bool)
    rules = {name: wanted.get(name, never).tolist() for name in FIELDS}
    action = Rules(params).signals(StrategyInputs(bars=bars)).action.tolist()
    assert action == follow(rules, can_short="short" in rule.rules)
    # The vectorized engine has no shorts: of rules with both sides, both engines trade the long one.
    longs = {name: text for name, text in rule.rules.items() if name in ("buy", "sell")}
    long_signals = Rules(RulesParams(**longs, parameters=rule.parameters)).signals(StrategyInputs(bars=bars))
    assert_engines_agree(bars, long_signals)


@pytest.mark.parametrize("name", TEN_RULES)
def test_known_rule_equals_its_computation_on_random_bars(name: str) -> None:
    interval = "1h" if name == "Opening range" else "1d"
    check(TEN_RULES[name], random_bars(3000, seed=17, interval=interval))


@pytest.mark.shared_data
@pytest.mark.parametrize("interval", ["1d", "1h"])
@pytest.mark.parametrize("name", TEN_RULES)
def test_known_rule_equals_its_computation_on_real_bars(name: str, interval: str, shared_data: Path) -> None:
    if name == "Opening range" and interval == "1d":
        pytest.skip("days have no hours")
    check(TEN_RULES[name], read_klines(shared_data / f"BTCUSDT-{interval}.csv.gz", interval=interval))

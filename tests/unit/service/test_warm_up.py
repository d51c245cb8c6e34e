"""The warm-ups: what the first rule, sweep, portfolio or run on finer bars in a process finds loaded and compiled."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.architecture.test_floors import ROOT

PROGRAM = """
import json, sys
from src.service.warm_up import warm_up_rules
from src.strategies.rules import kernels, targets
from src.strategies.rules.evaluation import RuleInputs
from src.strategies.rules.strategy import Rules, RulesParams
from src.domain.strategy import StrategyInputs
from tests.market import random_bars
from tests.unit.strategies.rules.ten_rules import TEN_RULES

def count():
    compiled = (kernels.compare, kernels.cross_above, kernels.calculate, targets.find_edges)
    is_loaded = "src.strategies.rules.grammar" in sys.modules
    return {"grammar": is_loaded, "signatures": [len(one.signatures) for one in compiled]}

before = count()
warm_up_rules()
after = count()
for rule in TEN_RULES.values():
    params = RulesParams(**rule.rules, parameters=rule.parameters)
    Rules(params).signals(StrategyInputs(bars=random_bars(300)))
print(json.dumps([before, after, count()]))
"""


def test_first_rule_finds_parser_and_compiled_functions() -> None:
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    before, warmed, used = json.loads(done.stdout)
    expected: dict[str, Any] = {"grammar": True, "signatures": [1, 1, 1, 1]}
    assert before == {"grammar": False, "signatures": [0, 0, 0, 0]}
    assert warmed == used == expected


DETAIL = """
import dataclasses, json
from src.service.warm_up import warm_up_detail
from src.domain.order_rules import Exits
from src.domain.trading import FillTiming, TradingRules
from src.domain.intervals import INTERVALS
from src.engines import event_driven, volatility
from tests.market import random_bars
from tests.simulations import random_signals

def count():
    return [len(one.signatures) for one in (event_driven._simulate_inside, volatility._deviations)]

warm_up_detail()
warmed = count()
bars = random_bars(300, interval="1d")
bars = dataclasses.replace(bars, inside=random_bars(24 * 300, interval="1h"))
rules = TradingRules(fill=FillTiming.NEXT_OPEN, detail=INTERVALS["1h"], exits=Exits(stop_loss_rate=0.1))
event_driven.EventDrivenEngine().run(bars, random_signals(300, 1), rules)
volatility.measure_volatility(bars)
print(json.dumps([warmed, count()]))
"""


def test_first_detail_finds_compiled_functions() -> None:
    command = [sys.executable, "-c", DETAIL]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[1, 1], [1, 1]]


FEW_FILLS = """
import json
import numpy as np
from src.domain.signals import Signals, StrategyDescription
from src.domain.trading import FillTiming, TradingRules
from src.engines import ledger
from src.engines.registry import ENGINES
from src.service.warm_up import warm_up
from tests.market import random_bars

warm_up(ENGINES)
warmed = len(ledger.cash_after_fills.signatures)
bars = random_bars(50)
for signals in (0, 1, 2):
    action = np.zeros(50, dtype=np.int8)
    action[:signals] = [1, -1][:signals]
    drawn = Signals(action=action, strategy=StrategyDescription(name="drawn"))
    for engine in ENGINES.values():
        engine.run(bars, drawn, TradingRules(fill=FillTiming.NEXT_OPEN))
print(json.dumps([warmed, len(ledger.cash_after_fills.signatures)]))
"""


def test_run_with_one_fill_or_none_compiles_nothing() -> None:
    command = [sys.executable, "-c", FEW_FILLS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [1, 1]


PORTFOLIO = """
import json
from src.service.warm_up import warm_up_portfolios
from src.domain.portfolio import Rank
from src.domain.trading import TradingRules, FillTiming
from src.engines import portfolio
from tests.market import random_bars
from tests.simulations import random_signals

warm_up_portfolios()
warmed = len(portfolio._simulate.signatures)
bars, signals = [random_bars(300), random_bars(200)], [random_signals(300, 1), random_signals(200, 2)]
rules = [TradingRules(fill=FillTiming.SAME_CLOSE)] * 2
portfolio.run_portfolio(bars, signals, rules, most_open=1, rank=Rank.VOLUME, rank_bars=5)
print(json.dumps([warmed, len(portfolio._simulate.signatures)]))
"""


def test_first_portfolio_finds_compiled_functions() -> None:
    command = [sys.executable, "-c", PORTFOLIO]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [1, 1]


SWEEPS = """
import json, sys
from pathlib import Path
from numba.core.dispatcher import Dispatcher
from src.runtime import warm_up
from tests.integration.conftest import service_settings
from tests.server import RunningService
from tests.sweeps_served import BACKTEST, SWEEP, start, wait

def count():
    modules = [module for name, module in sys.modules.items() if name.startswith("src.")]
    compiled = [one for module in modules for one in vars(module).values() if isinstance(one, Dispatcher)]
    return {f"{one.py_func.__module__}.{one.__name__}": len(one.signatures) for one in compiled}

warm_up.main()
warmed = count()
ranges = [{"name": "fast", "range": {"from": 3, "to": 20}}, {"name": "slow", "range": {"from": 22, "to": 60}}]
pairs = {"backtest": BACKTEST, "parameters": ranges}
with RunningService(service_settings("http://127.0.0.1:9", Path(sys.argv[1]))) as service:
    for body in (SWEEP, pairs, pairs | {"search": {"kind": "RANDOM", "max_trials": 40}}):
        wait(service.url, start(service.url, "/api/sweeps", body))
print(json.dumps([len(warmed), [name for name, number in count().items() if number > warmed.get(name, 0)]]))
"""


def test_first_sweeps_find_compiled_functions(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SWEEPS, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    warmed, compiled = json.loads(done.stdout.splitlines()[-1])
    assert warmed > 100
    assert compiled == []

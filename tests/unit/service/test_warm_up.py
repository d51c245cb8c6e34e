"""The warm-up of rules: what the first rule of a process finds loaded and compiled."""

from __future__ import annotations

import json
import subprocess
import sys
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

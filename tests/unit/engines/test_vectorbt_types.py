"""vectorbt is there in full for whoever wants it, and only then."""

from __future__ import annotations

import subprocess
import sys

from tests.architecture.test_floors import ROOT

RUN = """
import sys
import numpy as np
from src.domain.signals import Signals, StrategyDescription
from src.domain.trading import FillTiming, TradingRules
from src.engines.vectorized import VectorizedEngine
from tests.market import random_bars
bars = random_bars(50, seed=1)
action = np.zeros(50, dtype=np.int8)
action[[5, 20, 30]] = (1, -1, 1)
signals = Signals(action=action, strategy=StrategyDescription(name="by hand"))
def run():
    return VectorizedEngine().run(bars, signals, TradingRules(fill=FillTiming.SAME_CLOSE)).equity.tobytes()
"""


def python(script: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", RUN + script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


def test_the_engine_needs_the_types_only() -> None:
    python("""
run()
loaded = {name for name in sys.modules if name.split(".")[0] == "vectorbt"}
assert not any(hasattr(sys.modules["vectorbt"], name) for name in ("__file__", "__wrapped__", "__warningregistry__"))
assert loaded == {"vectorbt", "vectorbt._typing", "vectorbt.portfolio.enums", "vectorbt.utils.docs"}, loaded
""")


def test_the_whole_package_comes_when_it_is_wanted() -> None:
    python("""
before = run()
import vectorbt as vbt
assert vbt.__version__ and vbt.portfolio.enums.order_dt is vbt.portfolio.nb.order_dt
assert vbt.Portfolio.from_signals(bars.close, action > 0, action < 0).total_return() is not None
from vectorbt.portfolio.dispatch import simulate_from_signals
import vectorbt
assert vectorbt.Portfolio is vbt.Portfolio and vectorbt is not vbt
assert run() == before
""")


def test_a_package_that_is_there_already_is_left_alone() -> None:
    python("""
import vectorbt
from vectorbt.portfolio.enums import order_dt
run()
assert sys.modules["vectorbt"] is vectorbt and vectorbt.portfolio.enums.order_dt is order_dt
""")


def test_a_module_of_it_may_be_wanted_first() -> None:
    python("""
run()
from vectorbt.portfolio.base import Portfolio
import vectorbt as vbt
assert vbt.Portfolio.__name__ == Portfolio.__name__
""")

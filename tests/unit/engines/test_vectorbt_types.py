"""The engine loads vectorbt's record types alone, safely beside other threads, and vectorbt can still be imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.architecture.test_floors import ROOT
from tests.thoroughness import often

RUN = """
import sys
import numpy as np
from src.domain.signals import Signals, StrategyDescription
from src.domain.trading import FillTiming, TradingRules
from tests.market import random_bars
bars = random_bars(50, seed=1)
action = np.zeros(50, dtype=np.int8)
action[[5, 20, 30]] = (1, -1, 1)
signals = Signals(action=action, strategy=StrategyDescription(name="by hand"))
def run():
    from src.engines.vectorized import VectorizedEngine
    return VectorizedEngine().run(bars, signals, TradingRules(fill=FillTiming.SAME_CLOSE)).equity.tobytes()
"""

THREADS = """
import threading
from concurrent.futures import ThreadPoolExecutor
sys.setswitchinterval(1e-5)
start = threading.Barrier(8)
def run_at_once(_):
    start.wait()
    return run()
with ThreadPoolExecutor(8) as pool:
    results = set(pool.map(run_at_once, range(8)))
assert len(results) == 1
"""


def python(script: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", RUN + script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("repetition", range(often(1, 3)))
def test_first_calls_of_eight_threads_agree(repetition: int) -> None:
    python(THREADS)


def test_other_modules_stay_while_types_are_loaded() -> None:
    python("""
before = dict(sys.modules)
run()
assert {name for name, module in before.items() if sys.modules.get(name) is not module} == set()
held = {name: sys.modules[name] for name in sys.modules if name.split(".")[0] == "vectorbt"}
import vectorbt
assert vectorbt.Portfolio is not None
assert {name for name, module in held.items() if sys.modules.get(name) is not module} == set()
""")


def test_engine_loads_the_types_only_until_they_are_used() -> None:
    python("""
run()
loaded = {name for name in sys.modules if name.split(".")[0] == "vectorbt"}
assert not any(hasattr(sys.modules["vectorbt"], name) for name in ("__wrapped__", "__warningregistry__"))
assert loaded == {"vectorbt", "vectorbt._typing", "vectorbt.portfolio.enums", "vectorbt.utils.docs"}, loaded
from vectorbt import _typing as tp
import pandas, plotly.graph_objects
assert tp.Series is pandas.Series and tp.Figure is plotly.graph_objects.Figure
assert sys.modules["vectorbt._typing"] is tp
""")


def test_whole_package_is_imported_when_used() -> None:
    python("""
before = run()
import vectorbt as vbt
assert vbt.__version__ and vbt.portfolio.enums.order_dt is vbt.portfolio.nb.order_dt
assert vbt.Portfolio.from_signals(bars.close, action > 0, action < 0).total_return() is not None
from vectorbt.portfolio.dispatch import simulate_from_signals
import vectorbt
assert vectorbt.Portfolio is vbt.Portfolio and vectorbt is vbt
assert run() == before
""")


def test_package_imported_before_is_not_changed() -> None:
    python("""
import vectorbt
from vectorbt.portfolio.enums import order_dt
run()
assert sys.modules["vectorbt"] is vectorbt and vectorbt.portfolio.enums.order_dt is order_dt
""")


def test_submodule_imported_first_belongs_to_package() -> None:
    python("""
run()
from vectorbt.portfolio.base import Portfolio
import vectorbt as vbt
assert vbt.Portfolio.__name__ == Portfolio.__name__
""")


def test_types_kept_elsewhere_leave_the_numba_simulation() -> None:
    python("""
from src.engines import vectorbt_types
vectorbt_types._MODULES = ("vectorbt.moved.enums",)
from src.engines import vectorized
assert vectorized._VECTORBT[1] == {"engine": "numba"}
assert "vectorbt.moved.enums" not in sys.modules
""")

"""Attacks by the tools for agents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tests.foreign_things.attacks import FOREIGN_SOURCE, MARKET, PORTFOLIO, RSI, SWEPT

MCP: Final[Mapping[str, list[tuple[Mapping[str, Any], str]]]] = {
    "backtest_strategy": [
        ({**RSI, "user_id": "{user}"}, "FORBIDDEN"),
        ({**FOREIGN_SOURCE, "strategy": {"buy_and_hold": {}}}, "SOURCE_NOT_FOUND"),
    ],
    "backtest_model": [
        ({**MARKET, "model": "{model_path}"}, "MODEL_NOT_FOUND"),
        ({**MARKET, "model": "{model}", "user_id": "{user}"}, "FORBIDDEN"),
    ],
    "get_run": [({"run_id": "{result}"}, "RESULT_NOT_FOUND")],
    "compare": [({"run_ids": ["{result}"]}, "RESULT_NOT_FOUND")],
    "data_quality": [
        (FOREIGN_SOURCE, "SOURCE_NOT_FOUND"),
        ({**FOREIGN_SOURCE, "user_id": "{user}"}, "FORBIDDEN"),
    ],
    "start_sweep": [({"backtest": {**RSI, "user_id": "{user}"}, "parameters": SWEPT}, "FORBIDDEN")],
    "run_portfolio_backtest": [
        ({**PORTFOLIO, "backtest": {**PORTFOLIO["backtest"], "user_id": "{user}"}}, "FORBIDDEN"),
        ({"portfolio_id": "{portfolio}"}, "JOB_NOT_FOUND"),
    ],
    "get_sweep": [({"sweep_id": "{sweep}"}, "JOB_NOT_FOUND")],
}
"""Arguments of the tools for agents, and the code that the text begins with."""

"""Portfolios: one backtest over several symbols that share their cash, and its tables."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from backtesting_client.run import metrics_of
from backtesting_client.sweeps import Computed
from backtesting_client.verdict import Verdict


class Portfolio(Computed):
    """One backtest over several symbols that share their cash."""

    _folder = "portfolios"

    @property
    def metrics(self) -> pd.Series[float]:
        """Every metric of the portfolio as one run; shares are in per cent; NaN if a metric does not exist."""
        return metrics_of(self.conclusion, self.id)

    @property
    def verdict(self) -> Verdict:
        """Whether to believe it, with the reasons."""
        return Verdict.of(self.conclusion)

    @property
    def symbols(self) -> pd.DataFrame:
        """Each symbol's share, by symbol: what it gained, its trades, its refused entries."""
        return pd.DataFrame(self.conclusion["symbols"]).set_index("symbol")

    @property
    def correlations(self) -> pd.DataFrame:
        """Correlations of the symbols' profits, by symbol; NaN if one is not known."""
        found = self.conclusion["correlations"]
        names = pd.Index(found["symbols"], name="symbol")
        values = np.array(found["values"], dtype=float).reshape(len(names), len(names))
        return pd.DataFrame(values, index=names, columns=names)

    @property
    def deflation(self) -> dict[str, Any]:
        """Its Sharpe ratio after all portfolios that the user has tried."""
        found: dict[str, Any] = self.conclusion["deflation"]
        return found

    @cached_property
    def equity(self) -> pd.DataFrame:
        """Equity, cash, drawdown (per cent), the market held, and open positions, by time."""
        return self._table("equity", "time")

    @cached_property
    def fills(self) -> pd.DataFrame:
        """The executed orders of all symbols, by time."""
        return self._table("fills", "time")

    @cached_property
    def trades(self) -> pd.DataFrame:
        """The trades of all symbols, by time of entry."""
        return self._table("trades", "entry_time")

    def _table(self, name: str, index: str) -> pd.DataFrame:
        return self._transport.all_rows(f"{self._path}/{name}", index).rename_axis(index)

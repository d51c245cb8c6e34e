"""Portfolios from the client, on a real server."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtesting_client import Client, ClientError, InvalidRequest, Portfolio
from tests.sweeps_served import JOB_S

pytestmark = pytest.mark.timeout(2 * JOB_S)

SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
MARKET = {"source": "simulated", "seed": 9, "limit": 400}


@pytest.fixture(scope="module")
def portfolio(service: str) -> Iterator[Portfolio]:
    with Client(service, user="client-folio", progress=False, timeout_s=JOB_S) as client:
        yield client.run_portfolio(
            "MA_CROSSOVER", SYMBOLS, fast=5, slow=15, max_open=2, rank="VOLUME", rank_bars=5, stop_loss=0.1, **MARKET
        )


def test_figures_and_tables_of_a_portfolio_belong_together(portfolio: Portfolio) -> None:
    gained = portfolio.metrics["final_equity"] - 10_000
    assert portfolio.symbols.index.tolist() == SYMBOLS
    assert portfolio.symbols["profit"].sum() == pytest.approx(gained)
    assert portfolio.equity.index.name == "time"
    assert portfolio.equity["equity"].iloc[-1] == portfolio.metrics["final_equity"]
    assert portfolio.equity["open_positions"].max() == portfolio.conclusion["most_open"] <= 2
    closed = portfolio.trades[~portfolio.trades["is_open"]]
    assert len(closed) == portfolio.metrics["total_trades"] == portfolio.symbols["total_trades"].sum()
    assert portfolio.fills.index.is_monotonic_increasing
    assert set(portfolio.fills["symbol"]) <= set(SYMBOLS)


def test_correlations_are_a_symmetric_table(portfolio: Portfolio) -> None:
    found = portfolio.correlations
    pd.testing.assert_frame_equal(found, found.T, check_names=False)
    assert np.nanmax(found.to_numpy()) == 1.0
    assert portfolio.deflation["trials"] >= 1
    assert portfolio.verdict.level == portfolio.conclusion["verdict"]["level"]
    assert portfolio.warnings == portfolio.conclusion["warnings"]


def test_portfolio_is_read_again_by_its_id(service: str, portfolio: Portfolio) -> None:
    with Client(service, user="client-folio", progress=False) as client:
        again = client.get_portfolio(portfolio.id)
        assert again.conclusion == portfolio.conclusion
    assert again.settings["symbols"] == SYMBOLS
    assert repr(again) == f"Portfolio({portfolio.id!r}, SUCCEEDED)"


def test_equal_key_of_a_client_is_the_same_portfolio(bt: Client) -> None:
    key = uuid.uuid4().hex
    first = bt.run_portfolio("rsi", SYMBOLS[:2], length=5, idempotency_key=key, **MARKET)
    again = bt.run_portfolio("rsi", SYMBOLS[:2], length=5, idempotency_key=key, **MARKET)
    assert (again.id, again.conclusion) == (first.id, first.conclusion)


def test_portfolio_is_followed_by_its_job(bt: Client) -> None:
    started = bt.run_portfolio("rsi", SYMBOLS, wait=False, **MARKET)
    assert started.job.info["kind"] == "PORTFOLIO"
    assert started.job.wait(is_shown=False).state == "SUCCEEDED"
    assert started.metrics["bars"] == MARKET["limit"]


def test_canceled_portfolio_has_no_figures(own_service: Any) -> None:
    service, _ = own_service(job_workers=0)
    with Client(service, user="client-folio", progress=False) as client:
        waiting = client.run_portfolio("rsi", SYMBOLS, wait=False, **MARKET)
        assert waiting.job.cancel().state == "CANCELLED"
        with pytest.raises(ClientError, match="has not succeeded"):
            _ = waiting.metrics


def test_service_says_what_is_wrong_with_a_portfolio(bt: Client) -> None:
    with pytest.raises(InvalidRequest, match="symbols has 0 symbols"):
        bt.run_portfolio("rsi", [], **MARKET)
    with pytest.raises(InvalidRequest, match=r"backtest\.detail_interval is 1m"):
        bt.run_portfolio("rsi", SYMBOLS, detail_interval="1m", **MARKET)

"""Backtest models, strategies and rules on a backtesting service, and see whether to believe the results."""

from backtesting_client.client import Client
from backtesting_client.errors import (
    ClientError,
    InvalidRequest,
    NotFound,
    ServiceError,
    ServiceUnreachable,
    Unavailable,
)
from backtesting_client.jobs import Job, JobFailed
from backtesting_client.models import StoredModel
from backtesting_client.portfolios import Portfolio
from backtesting_client.run import Run, Sample
from backtesting_client.sweeps import Sweep, WalkForward
from backtesting_client.verdict import Reason, Verdict
from backtesting_client.warned import BacktestingWarning

__all__ = [
    "BacktestingWarning",
    "Client",
    "ClientError",
    "InvalidRequest",
    "Job",
    "JobFailed",
    "NotFound",
    "Portfolio",
    "Reason",
    "Run",
    "Sample",
    "ServiceError",
    "ServiceUnreachable",
    "StoredModel",
    "Sweep",
    "Unavailable",
    "Verdict",
    "WalkForward",
]

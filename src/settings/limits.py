"""How much requests may ask for, how often, and how long they may take."""

from __future__ import annotations

import math
from typing import Final

from pydantic import BaseModel, Field, ValidationInfo, field_validator

RESPONDING_S: Final = 5.0
"""Seconds after REQUEST_TIMEOUT_S to send the response to a request that used all of it."""


class LimitSettings(BaseModel):
    """Rows, rates, bars, times and the queue of backtests."""

    max_rows_per_answer: int = Field(
        100_000, ge=100, le=50_000_000, description="Rows of one table in one response; more are read page by page."
    )
    max_requests_per_minute: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="Requests of one user per minute, with AUTH=none of one client's address; 0 for no limit.",
    )
    max_uploads_per_hour: int = Field(
        0,
        ge=0,
        le=100_000,
        description="Uploaded files of one user per hour, with AUTH=none of one client's address; 0 for no limit.",
    )
    max_core_seconds_per_hour: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="Processor seconds of one user's backtests, models and jobs per hour; then new ones get 429; "
        "0 for no limit.",
    )
    max_failed_sign_ins_per_minute: int = Field(
        300,
        ge=0,
        le=1_000_000,
        description="Keys and tokens of one client's address that are refused per minute; then new ones are not looked "
        "at; 0 for no limit.",
    )
    max_bars: int = Field(
        3_000_000, ge=100, le=50_000_000, description="Maximum number of bars that one request may ask for."
    )
    request_timeout_s: float = Field(120.0, gt=0, le=3600, description="Seconds that one backtest may take.")
    drain_s: float = Field(
        5.0,
        ge=0,
        le=300,
        description="Seconds between SIGTERM and the end of new connections: /ready is 503, requests are still served.",
    )
    graceful_stop_s: float = Field(
        0.0,
        ge=0,
        le=7200,
        description="Seconds that requests in progress then get; at least REQUEST_TIMEOUT_S; 0 means 5 more than that.",
    )
    compute_threads: int = Field(2, ge=1, le=64, description="Backtests that one process computes at a time.")
    max_waiting_backtests: int = Field(
        64,
        ge=0,
        le=10_000,
        description="Backtests that may wait in the queue of one process; "
        "beyond that, the user with the most waiting gets 503.",
    )

    @field_validator("graceful_stop_s")
    @classmethod
    def _covers_a_request(cls, seconds: float, info: ValidationInfo) -> float:
        longest_s = info.data.get("request_timeout_s", 0.0)
        if 0 < seconds < longest_s:
            raise ValueError(f"at least REQUEST_TIMEOUT_S ({longest_s:g}), or 0")
        return seconds

    @property
    def longest_stop_s(self) -> int:
        """Seconds that requests in progress get at a stop."""
        return math.ceil(self.graceful_stop_s or self.request_timeout_s + RESPONDING_S)

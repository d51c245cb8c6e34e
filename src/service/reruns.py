"""Rerun a stored backtest: build the request for the same bars, and compare the two results."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from src.domain.errors import ModelNotFound
from src.domain.market import LimitOrigin, MarketRequest
from src.domain.runs import BacktestRequest, BacktestResult, Fingerprints
from src.domain.training import NO_TRAINING_WINDOW


def build_pinned_request(original: BacktestResult) -> BacktestRequest:
    """Return the request for exactly the bars of a result, even if bars have been added since.

    Raises ModelNotFound if the model came with the request, because it was not stored.
    """
    request = original.request
    model = request.strategy.model
    if model is not None and model.reference is None:
        raise ModelNotFound(
            "The model of backtest {id!r} came with its request and was not stored. Send it again with the file.",
            id=original.id,
        )
    strategy = request.strategy
    if model is not None and not model.training.is_declared:
        # Earlier versions accepted a label horizon without a window, and ignored it.
        strategy = strategy.with_model(replace(model, training=NO_TRAINING_WINDOW))
    return replace(
        request,
        strategy=strategy,
        rules=replace(request.rules, exchange=request.rules.exchange.pinned()),
        market=pin_market(original),
        pinned_warm_up_bars=original.warm_up_bars,
    )


def pin_market(original: BacktestResult) -> MarketRequest:
    """Return the request for exactly the bars of a result, without those that its strategy read before them."""
    return pin_range(original.request.market, int(original.time_ms[0]), int(original.time_ms[-1]))


def pin_range(market: MarketRequest, first_ms: int, last_ms: int) -> MarketRequest:
    """Return the request for exactly the bars that a request found from `first_ms` to `last_ms`."""
    # The limit exceeds the number of bars, because it also counts invalid bars, which are left out.
    most = market.interval.most_bars(first_ms, last_ms)
    return replace(market, start_ms=first_ms, end_ms=last_ms, limit=most, limit_origin=LimitOrigin.RANGE)


def differences(original: BacktestResult, again: BacktestResult) -> Iterator[str]:
    """Name the parts that differ in any bit, causes first (see `Rerun`)."""
    yield from _changed_inputs(original.fingerprints, again.fingerprints)
    before, after = original.simulation, again.simulation
    if not _is_same(original.signals.action, again.signals.action):
        yield "signals"
    if not (_is_same(before.fills, after.fills) and _is_same(before.trades, after.trades)):
        yield "fills"
    if not all(_is_same(getattr(before, name), getattr(after, name)) for name in ("equity", "cash", "position")):
        yield "equity"
    if original.metrics != again.metrics:
        yield "metrics"
    # A result of an earlier version has none.
    if original.judgement is not None and _judged(original) != _judged(again):
        yield "judgement"


def _changed_inputs(original: Fingerprints, again: Fingerprints) -> Iterator[str]:
    if original.bars != again.bars:
        yield "candles"
    if original.model != again.model:
        yield "model"
    if original.funding != again.funding:
        yield "funding"
    for name in sorted({*original.versions, *again.versions}):
        before, after = original.versions.get(name), again.versions.get(name)
        if before != after:
            yield f"{name} {before or 'absent'} → {after or 'absent'}"


def _judged(result: BacktestResult) -> tuple[object, ...]:
    return result.judgement, result.in_sample, result.out_of_sample


def _is_same(before: NDArray[np.generic], after: NDArray[np.generic]) -> bool:
    return before.dtype == after.dtype and before.tobytes() == after.tobytes()

"""A stored backtest run again: on its own bars, and what is said where it comes out differently."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from src.domain.annualization import AnnualizationSettings
from src.domain.bars import Bars
from src.domain.errors import ModelNotFound, ResultNotFound
from src.domain.intervals import DAY_MS
from src.domain.runs import BacktestResult
from src.domain.strategy import ModelParams
from src.domain.training import NO_TRAINING_WINDOW, TrainingWindow
from src.service.reruns import build_pinned_request, differences
from tests.factories import make_request, make_result
from tests.market import random_bars
from tests.unit.service.known_bars import KnownBars, crossover_request, make_service


def changed(bars: Bars, index: int) -> Bars:
    volume = bars.volume.copy()
    volume[index] += 1.0
    return replace(bars, volume=volume)


async def test_rerun_on_same_bars_gives_same_bits() -> None:
    service = make_service(KnownBars(random_bars(300, seed=4)))
    original = await service.run(crossover_request())
    again = await service.rerun(original.id)
    assert (again.original_id, again.differences) == (original.id, ())
    assert again.result.id != original.id
    assert await service.store.get(again.result.id) is again.result


async def test_rerun_keeps_how_figures_are_annualized() -> None:
    service = make_service(KnownBars(random_bars(300, seed=4)))
    settings = AnnualizationSettings(bars_per_year=252.0, risk_free_rate=0.05)
    original = await service.run(crossover_request(annualization=settings))
    plain = await service.run(crossover_request())
    again = await service.rerun(original.id)
    assert again.differences == ()
    assert again.result.request.annualization == settings
    assert (again.result.metrics.bars_per_year, again.result.metrics.annualisation) == (252.0, "requested")
    assert again.result.metrics.sharpe_ratio != plain.metrics.sharpe_ratio


async def test_changed_bars_are_the_first_difference() -> None:
    source = KnownBars(random_bars(300, seed=4))
    service = make_service(source)
    original = await service.run(crossover_request())
    source.bars = changed(source.bars, 7)
    assert (await service.rerun(original.id)).differences == ("candles",)
    source.bars = random_bars(300, seed=5)
    assert (await service.rerun(original.id)).differences == (
        "candles", "signals", "fills", "equity", "metrics", "judgement",
    )  # fmt: skip


async def test_rerun_of_unknown_result_is_not_found() -> None:
    with pytest.raises(ResultNotFound):
        await make_service(KnownBars(random_bars(30))).rerun("nowhere")


def test_pinned_request_has_range_of_its_bars() -> None:
    original = make_result(bars=20)
    market = build_pinned_request(original).market
    assert (market.start_ms, market.end_ms, market.limit) == (
        int(original.time_ms[0]), int(original.time_ms[-1]), 20,
    )  # fmt: skip


def test_pinned_request_limit_includes_rejected_bars() -> None:
    original = make_result(bars=20)
    times = original.time_ms + np.where(np.arange(20) < 10, 0, 2 * DAY_MS)
    market = build_pinned_request(replace(original, time_ms=times)).market
    assert market.limit == 22
    assert market.is_whole_range


def test_horizon_without_window_of_earlier_version_is_left_out() -> None:
    """It was taken, and not used: a rerun that repeated it would be refused."""
    window = TrainingWindow(trained_to_ms=1, label_horizon=3)
    for training, expected in ((TrainingWindow(label_horizon=3), NO_TRAINING_WINDOW), (window, window)):
        strategy = ModelParams(reference="m.pkl", training=training)
        original = make_result(request=make_request(strategy=strategy))
        again = build_pinned_request(original).strategy
        assert again == replace(strategy, training=expected)


def test_rerun_without_stored_model_is_not_found() -> None:
    original = make_result(request=make_request(strategy=ModelParams(sha256="0" * 64)))
    with pytest.raises(ModelNotFound, match="Send it again with the file"):
        build_pinned_request(original)
    kept = make_request(strategy=ModelParams(reference="/srv/storage/user1/user1_m.pkl", sha256="0" * 64))
    assert build_pinned_request(make_result(request=kept)).strategy == kept.strategy


@pytest.mark.parametrize(
    ("name", "expected"),
    [("model", ("model",)), ("versions", ("numpy 1 → 2", "torch 3 → absent"))],
)
def test_changed_versions_and_model_are_differences(name: str, expected: tuple[str, ...]) -> None:
    original = make_result()
    before = {"model": None, "versions": {"numpy": "1", "torch": "3"}}[name]
    after = {"model": "0" * 64, "versions": {"numpy": "2"}}[name]

    def with_prints(value: object) -> BacktestResult:
        return replace(original, fingerprints=replace(original.fingerprints, **{name: value}))

    assert tuple(differences(with_prints(before), with_prints(after))) == expected


def test_single_bit_is_a_difference() -> None:
    original = make_result(bars=20)
    equity = original.simulation.equity.copy()
    equity[3] = np.nextafter(equity[3], 0.0)
    again = replace(original, simulation=replace(original.simulation, equity=equity))
    assert tuple(differences(original, again)) == ("equity",)

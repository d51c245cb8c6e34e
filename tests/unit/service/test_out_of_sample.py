"""What a result says of the part after its model's training window."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from src.domain.errors import InvalidInput
from src.domain.judgement import LedgerSnapshot, SampleResult
from src.domain.runs import BacktestResult
from src.domain.strategy import ModelParams
from src.domain.training import NO_TRAINING_WINDOW, TrainingWindow
from src.service.judging import Judged, verdict_sentences
from tests.factories import make_metrics, make_request
from tests.judgements import make_judgement
from tests.market import random_bars
from tests.unit.service.known_bars import KnownBars, make_service, sent_model
from tests.unit.service.test_leak_audit import AskedModel

BARS = random_bars(600, seed=4)


async def run(window: TrainingWindow) -> BacktestResult:
    model = AskedModel(lambda returns: returns * 2)
    source = KnownBars(BARS, warnings=("a hole",))
    service = replace(make_service(source, timeout_s=300.0), runner=model)  # type: ignore[arg-type]
    return await service.run(make_request(strategy=ModelParams(threshold=0.0, training=window)), sent_model("m.pkl"))


def window_until(bar: int) -> TrainingWindow:
    return TrainingWindow(trained_to_ms=int(BARS.open_time_ms[bar]))


async def test_sentences_of_out_of_sample_part_come_first() -> None:
    result = await run(window_until(399))
    assert result.judgement is not None
    assert result.out_of_sample is not None
    assert result.out_of_sample.judgement is not None
    whole, after = result.judgement.verdict, result.out_of_sample.judgement.verdict
    assert (result.verdict_level, result.out_of_sample_level) == (whole.level, after.level)
    assert after.level == "TOO_LITTLE_DATA" != whole.level
    [shared] = {reason.text for reason in whole.reasons} & {reason.text for reason in after.reasons}
    assert shared == next(reason.text for reason in after.reasons if reason.code == "ONLY_TRIAL_SEEN")
    own = [f"Out of sample: {reason.text}" for reason in after.reasons if reason.text != shared]
    assert own[0].startswith("Out of sample: Too short to tell skill from luck: 199 bars")
    assert result.warnings == (*own, *(reason.text for reason in whole.reasons), "a hole")


def test_objection_of_both_parts_is_said_of_each() -> None:
    """Only notes are said once: the out-of-sample part must not look better than it is."""
    judgement = make_judgement()
    sample = SampleResult(metrics=make_metrics(), judgement=judgement)
    judged = Judged(judgement=judgement, in_sample=None, out_of_sample=sample, ledger=cast("LedgerSnapshot", None))
    reasons = judgement.verdict.reasons
    objections = [f"Out of sample: {reason.text}" for reason in reasons if reason.level is not None]
    assert 0 < len(objections) < len(reasons)
    assert verdict_sentences(judged) == (*objections, *(reason.text for reason in reasons))


async def test_horizon_is_used_with_window_and_refused_alone() -> None:
    result = await run(replace(window_until(399), label_horizon=50))
    assert result.out_of_sample is not None
    assert result.out_of_sample.metrics.bars == 150
    with pytest.raises(InvalidInput, match="is required if") as caught:
        await run(TrainingWindow(label_horizon=50))
    assert caught.value.field == "trainedTo"


@pytest.mark.parametrize("window", [NO_TRAINING_WINDOW, window_until(599), window_until(598)])
async def test_run_without_later_bars_has_one_level(window: TrainingWindow) -> None:
    result = await run(window)
    assert result.judgement is not None
    assert (result.out_of_sample, result.out_of_sample_level) == (None, None)
    assert result.warnings == (*(reason.text for reason in result.judgement.verdict.reasons), "a hole")

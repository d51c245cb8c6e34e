"""Texts about sweeps that have not ended, have failed, or could not be tested."""

from __future__ import annotations

from dataclasses import replace

import pytest

from src.api.mcp.sweep_texts import describe_sweep
from src.domain.jobs import Job, JobFailure, JobState
from src.domain.sweep_outcomes import (
    KeptRow,
    ParameterStability,
    SweepConclusion,
    SweepOverfitting,
    SweepSuperiority,
    SweepTiming,
)
from src.service.sweeps import Sweep
from tests.jobs import make_job, make_sweep

BEST = KeptRow(row=2, values={"fast": 4}, objective=1.5, result_id="r")
CONCLUSION = SweepConclusion(
    bars_fingerprint="", bars=600, combinations=4, best=(BEST,), overfitting=None, superiority=None, stability=None,
    trials=4,
)  # fmt: skip
SUPERIORITY = SweepSuperiority(p_value=0.05, lower=0.01, upper=0.1, superior_rows=1, rows=4, block_length=5)

TIMING = SweepTiming(p_value=0.01, row=1, p_value_of_best=0.05, rows=3, shifts=500)


def overfitting(pbo: float) -> SweepOverfitting:
    return SweepOverfitting(
        pbo=pbo, pbo_noise_low=0.3, pbo_noise_high=0.7, probability_of_loss=0.5, degradation_slope=None, rows=4,
        blocks=16,
    )  # fmt: skip


def text_of(conclusion: SweepConclusion | None, job: Job | None = None) -> str:
    job = job or make_job(state=JobState.SUCCEEDED, done=4, total=4)
    return describe_sweep(Sweep(job=job, request=make_sweep(), conclusion=conclusion), None)


def test_failed_sweep_says_why() -> None:
    failed = make_job(state=JobState.FAILED, failure=JobFailure(code="TIMED_OUT", message="Too slow."), done=1)
    text = text_of(None, failed)
    assert text.startswith("SWEEP: FAILED, 1 of ? rows\nTIMED_OUT: Too slow.\n")
    assert "Market: BTCUSDT 1d" in text


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (make_job(state=JobState.RUNNING, done=10, total=100, rate=4.5), "Not done: ask again in about 20 s."),
        (make_job(state=JobState.QUEUED), "Not done: ask again. Nothing"),
        (make_job(state=JobState.CANCELLED, best_so_far=9.75), "so nothing tests the best one."),
    ],
)
def test_unfinished_sweep_names_no_best_row(job: Job, words: str) -> None:
    text = text_of(None, job)
    assert words in text
    assert "BEST ROWS" not in text
    assert "9.75" not in text


def test_tests_that_were_not_made_are_named() -> None:
    text = text_of(CONCLUSION)
    for words in (
        "Not estimated: PBO",
        "Not tested: SPA",
        "Not tested: timing",
        "Not known: deflation",
        "No neighbors",
    ):
        assert f"\n- {words}" in text
    assert text.index("Not known: deflation") < text.index("row,run_id,objective,fast\n2,r,1.5,4")


@pytest.mark.parametrize(("pbo", "words"), [(0.3, "Objection: PBO 0.3,"), (0.29, "No objection: PBO 0.29,")])
def test_overfitting_is_an_objection_within_its_noise(pbo: float, words: str) -> None:
    assert f"\n- {words}" in text_of(replace(CONCLUSION, overfitting=overfitting(pbo)))


@pytest.mark.parametrize(("p_value", "words"), [(0.051, "Objection: SPA"), (0.05, "No objection: SPA p = 0.05:")])
def test_superiority_over_five_percent_is_an_objection(p_value: float, words: str) -> None:
    assert f"\n- {words}" in text_of(replace(CONCLUSION, superiority=replace(SUPERIORITY, p_value=p_value)))


@pytest.mark.parametrize(
    ("p_value", "words"),
    [
        (0.051, "Objection: timing p = 0.051: how likely one of 3 rows, "),
        (0.05, "No objection: timing p = 0.05"),
        (None, "Not tested: timing of the best row"),
    ],
)
def test_timing_over_five_percent_is_an_objection(p_value: float | None, words: str) -> None:
    assert f"\n- {words}" in text_of(replace(CONCLUSION, timing=replace(TIMING, p_value_of_best=p_value)))


def test_neighbors_stand_beside_the_best() -> None:
    found = ParameterStability(neighbors=3, best=1.5, neighbors_mean=0.25, neighbors_worst=-1.0)
    assert "objective is 1.5; of its 3 neighbors on average 0.25, at worst -1." in text_of(
        replace(CONCLUSION, stability=found)
    )


def test_sweep_without_a_best_row_says_so() -> None:
    text = text_of(replace(CONCLUSION, best=(), warnings=("w",)))
    assert "\n- No row can be the best: none has enough trades and meets the constraints.\nWarnings:\n- w\n" in text

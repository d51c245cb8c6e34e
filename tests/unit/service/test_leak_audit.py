"""The questions to a model whose predictions depend on other rows, and what its runs are then told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from src.domain.errors import ModelRejected
from src.domain.leaks import RowAudit, SignalChanges
from src.domain.model_files import ModelFile
from src.domain.runs import BacktestResult
from src.domain.signals import Features, OutputKind, Predictions
from src.domain.strategy import ModelParams
from src.features.ohlcv import build_features
from src.judgement.row_order import draw_parts
from tests.factories import make_request
from tests.market import random_bars
from tests.unit.service.known_bars import KnownBars, make_service, sent_model

Model = Callable[[NDArray[np.float64]], NDArray[np.float64]]
BARS = random_bars(300, seed=4)


class AskedModel:
    """A `ModelRunner` of one function of the returns, which counts how often it is asked for prefixes."""

    def __init__(self, model: Model, *, failure: Exception | str | None = None) -> None:
        self.model, self.failure = model, failure
        self.asked: list[tuple[int, ...]] = []
        self.futures: list[Features] = []

    def _predict(self, features: Features, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        column = features.values[:, features.names.index("Returns")]
        known = rows[~np.isnan(column[rows])]
        values = np.full(len(column), np.nan)
        if known.size:
            values[known] = self.model(column[known])
        return values

    async def predict(
        self, file: ModelFile, features: Features, *_: object, audit_seed: int | None = None
    ) -> Predictions:
        values = self._predict(features, np.arange(len(features.values)))
        if audit_seed is None:
            self.futures.append(features)
            return Predictions(values=values, kind=OutputKind.VALUE)
        known = np.flatnonzero(~np.isnan(values))
        again = np.full(len(values), np.nan)
        for part in draw_parts(values[known], audit_seed):
            again[known[part]] = self._predict(features, known[part])[known[part]]
        if isinstance(self.failure, str):
            return Predictions(values=values, kind=OutputKind.VALUE, audit_failure=self.failure)
        return Predictions(values=values, kind=OutputKind.VALUE, among_others=again)

    async def predict_prefixes(
        self, file: ModelFile, features: Features, *_: object, lengths: Sequence[int]
    ) -> Sequence[Predictions]:
        self.asked.append(tuple(lengths))
        if isinstance(self.failure, Exception):
            raise self.failure
        parts = (features.head(length) for length in lengths)
        return [
            Predictions(values=self._predict(part, np.arange(len(part.values))), kind=OutputKind.VALUE)
            for part in parts
        ]


async def run(
    model: AskedModel, *, threshold: float = 0.0, sha256: str | None = None
) -> tuple[BacktestResult, RowAudit | None]:
    service = replace(make_service(KnownBars(BARS)), runner=model)  # type: ignore[arg-type]
    request = make_request(strategy=ModelParams(threshold=threshold))
    file = sent_model("m.pkl")
    result = await service.run(request, file if sha256 is None else replace(file, sha256=sha256))
    assert result.judgement is not None
    assert result.judgement.leaks is not None
    return result, result.judgement.leaks.rows


def codes(result: BacktestResult) -> list[str]:
    assert result.judgement is not None
    return [reason.code for reason in result.judgement.verdict.reasons]


def not_checked(result: BacktestResult) -> dict[str, str]:
    assert result.judgement is not None
    return {item.code: item.why for item in result.judgement.verdict.not_checked}


async def test_model_of_one_row_is_asked_no_more() -> None:
    model = AskedModel(lambda returns: returns * 2)
    result, rows = await run(model)
    assert rows == RowAudit(rows=299, differing=0, largest_difference=0.0, is_repeatable=None, signals=None)
    assert model.asked == []
    assert "TRAINING_WINDOW_UNKNOWN" in codes(result)
    assert "LEAK_AUDIT" not in not_checked(result)


async def test_model_that_scales_by_later_bars_looks_ahead() -> None:
    model = AskedModel(lambda returns: returns - returns.mean() - returns.max() / 9)
    result, rows = await run(model)
    assert rows is not None
    assert rows.is_repeatable is True
    assert rows.signals is not None
    assert rows.signals.changed > 0.01 * rows.signals.compared
    assert rows.signals.differs_like_rounding is False
    assert result.verdict_level == "DISPROVED"
    assert codes(result)[0] == "LOOKS_AHEAD"
    repeated, ending_at_differing, others = model.asked
    assert repeated == (150, 300)
    assert rows.signals.prefixes == len(ending_at_differing) + len(others) <= 16
    assert len(ending_at_differing) == 8
    assert not {*ending_at_differing} & {*others}
    assert others[-1] == 299
    # The limit of changed signals is for prefixes that were not chosen for their difference.
    assert rows.signals.compared == sum(length - 1 for length in others)
    assert model.futures == []


async def test_model_that_differs_like_rounding_depends_on_rows() -> None:
    """Each row moves its own way by other rows, as in a quantized network: no limit of changed signals holds."""

    def jitter(returns: NDArray[np.float64]) -> NDArray[np.float64]:
        return returns + 0.3 * RETURNS.std() * np.sin(1e6 * returns * returns.size)

    result, rows = await run(AskedModel(jitter))
    assert rows is not None
    assert rows.signals is not None
    assert rows.signals.changed > 0.05 * rows.signals.compared
    assert rows.signals.differs_like_rounding is True
    assert "DEPENDS_ON_OTHER_ROWS" in codes(result)
    assert "LOOKS_AHEAD" not in codes(result)


async def test_rounding_is_judged_where_signals_are_counted() -> None:
    """Prefixes that were chosen for their difference do not decide: here they alone differ by much."""
    model = AskedModel(lambda returns: returns)

    def leap(returns: NDArray[np.float64]) -> NDArray[np.float64]:
        is_chosen = len(model.asked) == 2
        return returns + (9.0 if is_chosen else 0.3) * RETURNS.std() * np.sin(1e6 * returns * returns.size)

    model.model = leap
    _, rows = await run(model)
    assert rows is not None
    assert rows.signals is not None
    assert rows.signals.differs_like_rounding is True


def next_return(returns: NDArray[np.float64], bars: int = 1) -> NDArray[np.float64]:
    """Predict the return of some bars later, and the last one where there is none."""
    return np.concatenate((returns[bars:], np.repeat(returns[-1:], min(bars, returns.size))))[: returns.size]


def centered_mean(returns: NDArray[np.float64]) -> NDArray[np.float64]:
    padded = np.pad(returns, 1, mode="edge")
    return (padded[:-2] + padded[1:-1] + padded[2:]) / 3


def only_long_histories(returns: NDArray[np.float64]) -> NDArray[np.float64]:
    if returns.size < 60:
        raise ModelRejected("The model raised ValueError.")
    return next_return(returns)


@pytest.mark.parametrize(
    "model",
    [next_return, lambda returns: next_return(returns, 5), centered_mean, only_long_histories],
    ids=["next bar", "fifth next bar", "centered mean", "fails on few rows"],
)
async def test_model_that_reads_the_next_bars_looks_ahead(model: Model) -> None:
    """Few signals change, under 1 % of all: those at the ends."""
    result, rows = await run(AskedModel(model))
    assert rows is not None
    assert rows.signals is not None
    assert rows.signals.differs_at_end_only
    assert codes(result)[0] == "LOOKS_AHEAD"
    assert result.verdict_level == "DISPROVED"
    has_failed = model is only_long_histories
    assert ("PREFIX_AUDIT" in not_checked(result)) == has_failed
    assert not has_failed or "tries failed, one so: The model raised ValueError." in not_checked(result)["PREFIX_AUDIT"]


def avoid_falls(returns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Long unless the next return is among the worst: almost no bar shows that the next one is read."""
    return np.where(np.append(returns[1:], 0.0) < WORST[1], -1.0, 1.0)


def catch_rises(returns: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.append(returns[1:], 0.0) > BEST[1], 1.0, -1.0)


def mix_in(returns: NDArray[np.float64]) -> NDArray[np.float64]:
    """A hundredth of the next return, which turns hardly a signal."""
    return returns + 0.01 * np.append(returns[1:], 0.0)


def hug_threshold(returns: NDArray[np.float64]) -> NDArray[np.float64]:
    """A threshold of 0.5 decides by what is a millionth of the outputs."""
    return 0.5 + 1e-6 * np.append(returns[1:], 0.0)


RETURNS = np.sort(BARS.close[1:] / BARS.close[:-1] - 1)
WORST, BEST = (RETURNS[4], RETURNS[5]), (RETURNS[-6], RETURNS[-5] * 0.999)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("model", "threshold"), [(avoid_falls, 0.0), (catch_rises, 0.0), (mix_in, 0.0), (hug_threshold, 0.5)]
)
async def test_model_that_seldom_needs_the_next_bar_looks_ahead(model: Model, threshold: float, seed: int) -> None:
    result, rows = await run(AskedModel(model), threshold=threshold, sha256=f"{seed:064x}")
    assert rows is not None
    assert rows.signals is not None
    assert rows.signals.differs_at_end_only
    assert codes(result)[0] == "LOOKS_AHEAD"
    assert result.verdict_level == "DISPROVED"


async def test_first_prefixes_end_at_rows_that_differ() -> None:
    model = AskedModel(avoid_falls)
    _, rows = await run(model)
    assert rows is not None
    ends = [length - 1 for length in model.asked[1]]
    returns = BARS.close[1:] / BARS.close[:-1] - 1
    # returns[t] is that of bar t + 1, the one after bar t.
    assert np.count_nonzero(returns[ends] < WORST[1]) == min(4, np.count_nonzero(returns < WORST[1]))


def smooth(returns: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = 0.9 ** np.arange(returns.size)
    return np.convolve(returns, weights)[: returns.size]


async def test_model_of_earlier_rows_has_a_note() -> None:
    model = AskedModel(smooth)
    result, rows = await run(model)
    assert rows is not None
    assert rows.differing > 100
    assert rows.signals is not None
    assert (rows.signals.differing, rows.signals.failed) == (0, 0)
    assert "READS_EARLIER_ROWS" in codes(result)
    assert {"DEPENDS_ON_OTHER_ROWS", "LOOKS_AHEAD"}.isdisjoint(codes(result))
    assert rows.signals.prefixes == len(model.asked[1]) + len(model.asked[2]) + 4
    middle = (1 + 300) // 2
    for features in model.futures:
        assert len(features.values) == 300
        np.testing.assert_array_equal(features.values[:middle], build_features(BARS).values[:middle])
        assert len(np.unique(features.values[middle:, features.names.index("Returns")])) == 1


async def test_rule_that_prefixes_keep_on_is_no_model_of_earlier_rows() -> None:
    """Every prefix contains the first rows, so the rule is on in each; with other later bars it is not."""

    def only_calm(returns: NDArray[np.float64]) -> NDArray[np.float64]:
        return returns if returns.mean() < 0.004 else np.full(returns.size, -1.0)

    result, rows = await run(AskedModel(only_calm))
    assert rows is not None
    assert rows.signals is not None
    assert rows.signals.differing
    assert "READS_EARLIER_ROWS" not in codes(result)


async def test_failing_future_leaves_the_doubt() -> None:
    class Refusing(AskedModel):
        async def predict(self, file: ModelFile, features: Features, *args: object, **options: Any) -> Predictions:
            if options.get("audit_seed") is None and len(self.futures) == 1:
                raise ModelRejected("The model raised ValueError.")
            return await super().predict(file, features, *args, **options)

    result, rows = await run(Refusing(smooth))
    assert rows is not None
    assert rows.signals is not None
    assert (rows.signals.differing, rows.signals.failed) == (0, 3)
    assert "DEPENDS_ON_OTHER_ROWS" in codes(result)
    assert "3 of " in not_checked(result)["PREFIX_AUDIT"]


async def test_prefixes_until_the_deadline_are_compared() -> None:
    class Slow(AskedModel):
        async def predict_prefixes(self, *args: Any, lengths: Sequence[int], **options: Any) -> Sequence[Predictions]:
            if len(self.asked) == 2:
                raise TimeoutError
            return await super().predict_prefixes(*args, lengths=lengths, **options)

    result, rows = await run(Slow(next_return))
    assert rows is not None
    assert rows.signals is not None
    assert rows.signals.prefixes == 8
    assert rows.signals.failed == int(not_checked(result)["PREFIX_AUDIT"].split(" of ")[0].split()[-1])
    assert not_checked(result)["PREFIX_AUDIT"].endswith("tries failed, one so: It took too long.")
    assert codes(result)[0] == "LOOKS_AHEAD"


async def test_batch_statistics_that_fail_on_one_row_are_audited() -> None:
    def scale(returns: NDArray[np.float64]) -> NDArray[np.float64]:
        if returns.size < 2:
            raise ModelRejected("The prediction for row 0 is not a finite number.")
        return (returns - returns.mean()) / returns.std(ddof=1) - returns.max()

    _, rows = await run(AskedModel(scale))
    assert rows is not None
    assert rows.signals is not None
    assert not rows.signals.differs_at_end_only


async def test_model_with_memory_is_not_repeatable() -> None:
    calls = iter(range(99))
    model = AskedModel(lambda returns: returns + next(calls))
    result, rows = await run(model)
    assert model.asked == [(150, 300)]
    assert rows is not None
    assert (rows.is_repeatable, rows.signals) == (False, None)
    assert codes(result)[0] == "NOT_REPEATABLE"


async def test_model_that_starts_anew_in_each_child_is_not_repeatable() -> None:
    class Reborn(AskedModel):
        """As the sandbox's: each child starts with the same random numbers."""

        async def predict_prefixes(self, *args: Any, lengths: Sequence[int], **options: Any) -> Sequence[Predictions]:
            self.model = draw()
            return await super().predict_prefixes(*args, lengths=lengths, **options)

    def draw() -> Model:
        numbers = np.random.default_rng(7)
        return lambda returns: numbers.normal(size=returns.size)

    result, rows = await run(Reborn(draw()))
    assert rows is not None
    assert rows.is_repeatable is False
    assert codes(result)[0] == "NOT_REPEATABLE"


async def test_model_that_fails_on_first_bars_is_asked_for_all() -> None:
    def scale(returns: NDArray[np.float64]) -> NDArray[np.float64]:
        if returns.size == 149:
            raise ModelRejected("It does not like these rows.")
        return returns - returns.mean()

    model = AskedModel(scale)
    _, rows = await run(model)
    assert model.asked[:2] == [(150, 300), (300,)]
    assert rows is not None
    assert rows.is_repeatable is True


async def test_model_with_same_signals_only_depends_on_rows() -> None:
    result, rows = await run(AskedModel(lambda returns: returns * (1 + len(returns) / 1e4)))
    assert rows is not None
    assert rows.differing > 200
    assert rows.signals == replace(rows.signals or SignalChanges(), changed=0, first_bar=None, changes_sign=False)
    assert "DEPENDS_ON_OTHER_ROWS" in codes(result)


async def test_prefix_that_turns_the_net_return_looks_ahead() -> None:
    """Two signals of a prefix change, but they decide whether the run gains or loses."""

    def last_bar_decides(returns: NDArray[np.float64]) -> NDArray[np.float64]:
        values = np.full(len(returns), -1.0)
        start = int(np.argmax(BARS.close[:-2])) if len(returns) == 299 else int(np.argmin(BARS.close[:-2]))
        values[start:] = 1.0
        return values

    _, rows = await run(AskedModel(last_bar_decides))
    assert rows is not None
    assert rows.signals is not None
    assert rows.signals.changes_sign


@pytest.mark.parametrize("error", [ModelRejected("The model file was stopped: it crashed."), TimeoutError()])
async def test_failing_prefixes_leave_result_and_say_so(error: Exception) -> None:
    result, rows = await run(AskedModel(lambda returns: returns - returns.max() / 9, failure=error))
    assert rows is not None
    assert (rows.is_repeatable, rows.signals) == (None, None)
    assert "asking for the first rows alone failed" in not_checked(result)["PREFIX_AUDIT"]
    assert "DEPENDS_ON_OTHER_ROWS" in codes(result)


async def test_failed_audit_is_not_checked() -> None:
    result, rows = await run(AskedModel(lambda returns: returns, failure="The model took too long."))
    assert rows is None
    assert not_checked(result)["LEAK_AUDIT"] == "The model took too long."

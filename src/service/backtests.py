"""Run backtests, and run stored ones again."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from src.concurrency.single_flight import SingleFlight
from src.domain.errors import TimedOut
from src.domain.judgement import LedgerSnapshot, SweepChoice
from src.domain.market import MarketSeries
from src.domain.model_files import ModelFile
from src.domain.runs import BacktestRequest, BacktestResult, Fingerprints, Rerun
from src.domain.signals import Features, Predictions
from src.domain.strategy import ModelChoice
from src.domain.trading import EngineName
from src.features.ohlcv import build_features
from src.judgement.row_order import Rows
from src.ports.clock import Clock
from src.ports.computing import Engine, ModelRunner
from src.ports.stores import ResultStore, TrialLedger
from src.service.computing import ComputeQueue
from src.service.deadlines import deadline_after, until
from src.service.detail import DetailingEngine, fetch_with_detail
from src.service.feature_warnings import feature_warnings
from src.service.funding import cut_funding, read_funding
from src.service.history import fetch_with_history
from src.service.judging import (
    ExaminedRun,
    Judged,
    RunParts,
    conclude,
    examine_parts,
    ledger_market,
    split_run,
    take_snapshot,
    verdict_sentences,
)
from src.service.leak_audit import AuditedModel, LeakAudit, audit_leaks
from src.service.models import ModelService
from src.service.order_filters import read_order_filters
from src.service.periods import period_warnings
from src.service.pipeline import Computation, compute
from src.service.reruns import build_pinned_request, differences
from src.service.sources import SourceCatalog
from src.service.timing import Stopwatch

AUDIT_RESERVE: Final = 0.1
"""Share of a run's time that an audit of its model must leave."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Prediction:
    """What a model predicted, and from what."""

    model_file: ModelFile
    features: Features
    predictions: Predictions


class _Terms(NamedTuple):
    """How a run is judged and stored; see `BacktestService.run`."""

    judged_among: LedgerSnapshot | None
    choice: SweepChoice | None
    result_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestService:
    """Runs backtests and stores their results.

    `sources` finds the source that a request names. `versions` are those of this program and of the libraries that the
    numbers depend on. `timeout_s` is the longest time of one run, waiting included.
    """

    sources: SourceCatalog
    engines: Mapping[EngineName, Engine]
    detailing_engine: DetailingEngine
    store: ResultStore
    ledger: TrialLedger
    models: ModelService
    runner: ModelRunner
    clock: Clock
    versions: Mapping[str, str]
    computing: ComputeQueue
    timeout_s: float
    _runs: SingleFlight[tuple[BacktestRequest, str | None, _Terms], BacktestResult] = field(
        default_factory=SingleFlight, init=False
    )

    async def run(
        self,
        request: BacktestRequest,
        model_file: ModelFile | None = None,
        *,
        judged_among: LedgerSnapshot | None = None,
        choice: SweepChoice | None = None,
        result_id: str | None = None,
    ) -> BacktestResult:
        """Run a backtest and store its result; equal requests at the same time share one run and its result.

        Cancellation ends the run, unless another caller waits for it.

        Parameters
        ----------
        model_file
            The model that came with the request; None if `request.strategy` names a stored one, or needs none.
        judged_among
            The trials that another run was judged among, to judge this one in the same way; None counts this run in its
            user's ledger.
        choice
            What a sweep found about choosing this run from its rows; None outside of a sweep.
        result_id
            The id of the result, so that a job that runs twice stores one; None makes a new id.

        Raises any ServiceError: Busy if too many runs are queued, TimedOut after `timeout_s`.
        """
        request, model_file = await self._complete(request, model_file)
        terms = _Terms(judged_among=judged_among, choice=choice, result_id=result_id)
        # The extension decides which library opens the file, so equal bytes with another extension are another model.
        return await self._runs.run(
            (request, None if model_file is None else model_file.extension, terms),
            lambda: self._run_in_time(request, model_file, terms),
            needs_starter=model_file is not None and model_file.is_temporary,
        )

    async def prepare(
        self, request: BacktestRequest, *, warm_up_bars: int
    ) -> tuple[BacktestRequest, MarketSeries, Predictions | None]:
        """Return what many runs of a request share: the completed request, bars with their history, and predictions.

        Raises what `run` raises.
        """
        request, model_file = await self._complete(request, None)
        source = await self.sources.find(request.market.source, user_id=request.user_id)
        series = await fetch_with_history(source, request.market, warm_up_bars)
        request = cut_funding(request, series.bars.open_time_ms)
        prediction = await self._predict(request, series, model_file, Stopwatch())
        return request, series, None if prediction is None else prediction.predictions

    async def check_known(self, request: BacktestRequest) -> None:
        """Raise ModelNotFound or SourceNotFound if a request names a model or a dataset that is not stored."""
        await self._complete(request, None)
        await self.sources.find(request.market.source, user_id=request.user_id)

    async def _complete(
        self, request: BacktestRequest, model_file: ModelFile | None
    ) -> tuple[BacktestRequest, ModelFile | None]:
        """Return the request with all that it names (the model's file, rates of funding, filters), and that file."""
        request = await read_funding(self.sources, request)
        request = await read_order_filters(self.sources, request)
        return await self._complete_model(request, model_file)

    async def _complete_model(
        self, request: BacktestRequest, model_file: ModelFile | None
    ) -> tuple[BacktestRequest, ModelFile | None]:
        """Return the request with the hash and training window of its model file, and that file, found if stored."""
        model = request.strategy.model
        if model is None:
            return request, model_file
        if model_file is None:
            model_file = await self.models.get(request.user_id, model.reference or "")
        return replace(request, strategy=request.strategy.with_model(_complete(model, model_file))), model_file

    async def _run_in_time(
        self, request: BacktestRequest, model_file: ModelFile | None, terms: _Terms
    ) -> BacktestResult:
        deadline_s = deadline_after(self.timeout_s)
        async with self.computing.slot(request.user_id):
            return await self._run(request, model_file, terms, deadline_s)

    async def _run(
        self, request: BacktestRequest, model_file: ModelFile | None, terms: _Terms, deadline_s: float
    ) -> BacktestResult:
        stopwatch = Stopwatch()
        bar_warnings = period_warnings(request.period, request.market.interval)
        too_much = TimedOut(
            "The backtest took longer than the limit of {most:g} s. Ask for fewer bars ({@limit}).", most=self.timeout_s
        )
        async with until(deadline_s, too_much):
            source = await self.sources.find(request.market.source, user_id=request.user_id)
            with stopwatch.step("marketData"):
                series = await fetch_with_history(source, request.market, request.warm_up_bars)
                request = cut_funding(request, series.bars.open_time_ms)
        no_predictions = TimedOut(
            "After the limit of {most:g} s the model had not predicted, or was still queued. Try again later.",
            most=self.timeout_s,
        )
        async with until(deadline_s, no_predictions):
            prediction = await self._predict(request, series, model_file, stopwatch)
        async with until(deadline_s, too_much):
            predictions = None if prediction is None else prediction.predictions
            with stopwatch.step("marketData"):
                series = await fetch_with_detail(
                    source, request, series, predictions, self.detailing_engine, self.computing
                )
            computed, parts, fingerprint = await self.computing.run(
                self._compute, request, series, predictions, stopwatch
            )
            with stopwatch.step("judgement"):
                examined, ledger = await self._examine(request, series, parts, terms.judged_among)
            audit = await self._audit(request, series, computed, prediction, deadline_s)
            with stopwatch.step("judgement"):
                judged = conclude(examined, ledger, rows=audit.rows, not_checked=audit.not_checked, choice=terms.choice)
            result = self._result(
                request, series, computed, judged, fingerprint, bar_warnings, stopwatch, terms.result_id
            )
            await self.store.save(result)
        return result

    def _compute(
        self, request: BacktestRequest, series: MarketSeries, predictions: Predictions | None, stopwatch: Stopwatch
    ) -> tuple[Computation, RunParts, str]:
        computed = compute(request, series.bars, predictions, self.engines, stopwatch, series.history)
        fingerprint = series.fingerprint()
        with stopwatch.step("judgement"):
            parts = split_run(request, series, predictions, computed, self.engines, fingerprint)
        return computed, parts, fingerprint

    async def _predict(
        self, request: BacktestRequest, series: MarketSeries, model_file: ModelFile | None, stopwatch: Stopwatch
    ) -> _Prediction | None:
        model = request.strategy.model
        if model is None or model_file is None:
            return None
        with stopwatch.step("features"):
            features = await self.computing.run(build_features, series.bars)
        with stopwatch.step("model"):
            predictions = await self.runner.predict(
                model_file, features, model.feature_columns, model.output_kind, audit_seed=_seed_of(model_file)
            )
        found = await self.computing.run(feature_warnings, features, predictions)
        return _Prediction(
            model_file=model_file,
            features=features,
            predictions=replace(predictions, warnings=(*predictions.warnings, *found)),
        )

    async def _audit(
        self,
        request: BacktestRequest,
        series: MarketSeries,
        computed: Computation,
        prediction: _Prediction | None,
        deadline_s: float,
    ) -> LeakAudit:
        model = request.strategy.model
        if prediction is None or model is None:
            return LeakAudit()

        async def predict_prefixes(lengths: Sequence[int]) -> Sequence[Predictions]:
            return await self.runner.predict_prefixes(
                prediction.model_file, prediction.features, model.feature_columns, model.output_kind, lengths=lengths
            )

        async def predict_order(bars: Rows) -> Predictions:
            features = prediction.features.take(bars)
            return await self.runner.predict(prediction.model_file, features, model.feature_columns, model.output_kind)

        audited = AuditedModel(
            request=request,
            bars=series.bars,
            predictions=prediction.predictions,
            signals=computed.outcome.signals,
            predict_prefixes=predict_prefixes,
            predict_order=predict_order,
            simulate=self.engines[request.engine].run,
            seed=_seed_of(prediction.model_file),
            history=series.history,
        )
        # The reserve is for judging and storing, so that a slow audit does not cost the run its result.
        return await audit_leaks(audited, self.computing, deadline_s=deadline_s - AUDIT_RESERVE * self.timeout_s)

    async def _examine(
        self, request: BacktestRequest, series: MarketSeries, parts: RunParts, judged_among: LedgerSnapshot | None
    ) -> tuple[ExaminedRun, LedgerSnapshot]:
        """Examine a run and meanwhile count it in its user's ledger, unless it is judged among given trials."""

        async def count() -> LedgerSnapshot:
            if judged_among is not None:
                return judged_among
            market = ledger_market(series.bars.symbol, series.origin)
            update = await self.ledger.record(parts.entry, user_id=request.user_id, symbol=market)
            return await self.computing.run(take_snapshot, update)

        return await asyncio.gather(self.computing.run(examine_parts, parts, request, self.engines), count())

    def _result(
        self,
        request: BacktestRequest,
        series: MarketSeries,
        computed: Computation,
        judged: Judged,
        bars_fingerprint: str,
        bar_warnings: tuple[str, ...],
        stopwatch: Stopwatch,
        result_id: str | None,
    ) -> BacktestResult:
        model, outcome = request.strategy.model, computed.outcome
        return BacktestResult(
            id=result_id or str(uuid.uuid4()),
            created_ms=self.clock.now_ms(),
            request=request,
            time_ms=series.bars.open_time_ms,
            close=series.bars.close,
            signals=outcome.signals,
            simulation=outcome.simulation,
            metrics=outcome.metrics,
            quality=series.quality,
            origin=series.origin,
            fingerprints=Fingerprints(
                bars=bars_fingerprint,
                model=None if model is None else model.sha256,
                versions=self.versions,
                funding=request.rules.funding.fingerprint,
            ),
            warnings=(
                *verdict_sentences(judged),
                *series.warnings,
                *bar_warnings,
                *computed.warnings,
            ),
            timings_ms=stopwatch.elapsed_ms,
            cross_check=computed.cross_check,
            detail=computed.detail,
            verdict_level=judged.judgement.verdict.level,
            out_of_sample_level=judged.out_of_sample_level,
            judgement=judged.judgement,
            in_sample=judged.in_sample,
            out_of_sample=judged.out_of_sample,
            ledger=judged.ledger,
            warm_up_bars=series.history_bars,
        )

    async def rerun(self, result_id: str) -> Rerun:
        """Run a stored result's request again on the bars that it had; store the new result too.

        Raises ResultNotFound or ModelNotFound if the result, or its model, is not stored; ServiceError as `run` does.
        """
        original = await self.store.get(result_id)
        choice = None if original.judgement is None else original.judgement.choice
        result = await self.run(build_pinned_request(original), judged_among=original.ledger, choice=choice)
        found = await self.computing.run(lambda: tuple(differences(original, result)))
        return Rerun(original_id=original.id, result=result, differences=found)


def _complete(model: ModelChoice, file: ModelFile) -> ModelChoice:
    """Return the parameters with the hash of the file, and with the training window that was uploaded with it."""
    return replace(model, sha256=file.sha256, training=model.training.completed_by(file.training))


def _seed_of(file: ModelFile) -> int:
    return int(file.sha256[:16], 16)

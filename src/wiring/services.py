"""Construct the services of one process, and what runs at their start and stop."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from src.bar_cache.bar_store import BarStore
from src.concurrency.cores import available_cores
from src.domain.jobs import JobKind, JobQuota
from src.domain.user_usage import Quota
from src.engines.event_driven import EventDrivenEngine
from src.engines.registry import ENGINES
from src.jobs.runner import JobRunner
from src.observing.meters import UNMEASURED, Meters
from src.ports.jobs import JobTask
from src.ports.rates import UNLIMITED, CoreBudget, RateLimiter
from src.ports.stores import TrialLedger
from src.service.backtest_task import BacktestTask
from src.service.backtests import BacktestService
from src.service.datasets import DatasetService
from src.service.job_watch import JobWatch
from src.service.jobs import JobService
from src.service.later_checks import LaterChecks
from src.service.market_runs import MarketRuns
from src.service.markets import MarketService
from src.service.models import ModelService
from src.service.portfolio_task import PortfolioTask
from src.service.portfolios import PortfolioService
from src.service.results import ResultService
from src.service.retention import Cleaning, Retention
from src.service.services import Services, Steps
from src.service.sources import SourceCatalog
from src.service.sweep_task import SweepTask
from src.service.sweeps import SweepService
from src.service.tearsheets import TearSheets
from src.service.usage import UsageService
from src.service.walk_forward_task import WalkForwardTask
from src.service.warm_up import (
    settle_memory,
    warm_up,
    warm_up_detail,
    warm_up_portfolios,
    warm_up_rules,
    warm_up_sweeps,
)
from src.settings import Settings
from src.stores.documents import prepare_documents
from src.wiring.adapters import BARS_FOLDER, Adapters, build_adapters
from src.wiring.cluster import build_executor
from src.wiring.user_files import build_user_files
from src.wiring.versions import versions


def build_services(settings: Settings, meters: Meters = UNMEASURED, limiter: RateLimiter = UNLIMITED) -> Services:
    """Construct every adapter and service of one process; nothing is opened yet."""
    adapters = build_adapters(settings, meters, limiter)
    computing, timeout_s = adapters.computing, settings.request_timeout_s
    models, results = ModelService(adapters.files, adapters.runner), ResultService(store=adapters.store)
    sources = SourceCatalog(
        sources=adapters.sources,
        datasets=adapters.datasets,
        cached={"binance": adapters.binance},
        funding=adapters.funding,
    )
    backtests = _build_backtests(settings, adapters, sources, models)
    job_runner, job_watch = _build_runner(settings, adapters, backtests), JobWatch(adapters.job_store)
    jobs = JobService(
        store=adapters.job_store,
        workers=job_runner,
        watch=job_watch,
        clock=adapters.clock,
        quota=_build_job_quota(settings),
        budget=adapters.budget,
    )
    return Services(
        backtests=backtests,
        results=results,
        markets=MarketService(sources=sources, computing=computing, timeout_s=timeout_s),
        jobs=jobs,
        sweeps=SweepService(
            jobs=jobs,
            backtests=backtests,
            results=results,
            computing=computing,
            estimating=adapters.estimating,
            max_combinations=settings.max_sweep_combinations,
        ),
        portfolios=PortfolioService(jobs=jobs, backtests=backtests, computing=computing),
        later_checks=_build_later_checks(settings, adapters, sources, models),
        tearsheets=TearSheets(sources=sources, engines=ENGINES, computing=computing, timeout_s=timeout_s),
        models=models,
        datasets=DatasetService(adapters.datasets, reserved_names=tuple(adapters.sources)),
        usage=_build_usage(settings, adapters, limiter),
        downloads=adapters.binance.progress,
        signer=adapters.signer,
        steps=_build_steps(settings, adapters, job_runner, job_watch),
    )


def _build_backtests(
    settings: Settings, adapters: Adapters, sources: SourceCatalog, models: ModelService
) -> BacktestService:
    return BacktestService(
        detailing_engine=EventDrivenEngine(),
        sources=sources,
        engines=ENGINES,
        store=adapters.store,
        ledger=adapters.ledger,
        models=models,
        runner=adapters.runner,
        clock=adapters.clock,
        versions=versions(),
        computing=adapters.computing,
        timeout_s=settings.request_timeout_s,
    )


def _build_later_checks(
    settings: Settings, adapters: Adapters, sources: SourceCatalog, models: ModelService
) -> LaterChecks:
    return LaterChecks(
        store=adapters.store,
        sources=sources,
        engines=ENGINES,
        settling_engine=EventDrivenEngine(),
        ledger=adapters.ledger,
        computing=adapters.computing,
        timeout_s=settings.request_timeout_s,
        market_runs=MarketRuns(
            sources=sources,
            engines=ENGINES,
            computing=adapters.computing,
            models=models,
            runner=adapters.runner,
        ),
    )


def _build_runner(settings: Settings, adapters: Adapters, backtests: BacktestService) -> JobRunner:
    return JobRunner(
        adapters.job_store,
        adapters.clock,
        _build_tasks(settings, backtests, adapters.ledger, adapters.budget),
        workers=settings.job_workers,
        threads=settings.job_threads or available_cores(),
        budget=adapters.budget,
    )


def _build_tasks(
    settings: Settings, backtests: BacktestService, ledger: TrialLedger, budget: CoreBudget | None
) -> dict[JobKind, JobTask]:
    """Return the tasks of jobs by kind; one run inside a job may take longer than a request."""
    patient = replace(backtests, timeout_s=settings.job_run_timeout_s)
    executor, most = build_executor(settings, budget), settings.max_sweep_combinations
    tasks: tuple[JobTask, ...] = (
        SweepTask(backtests=patient, ledger=ledger, executor=executor, max_combinations=most),
        WalkForwardTask(backtests=patient, ledger=ledger, executor=executor, max_combinations=most),
        BacktestTask(backtests=patient),
        PortfolioTask(backtests=patient, ledger=ledger),
    )
    return {task.kind: task for task in tasks}


def _build_usage(settings: Settings, adapters: Adapters, limiter: RateLimiter) -> UsageService:
    of_jobs, files = _build_job_quota(settings), build_user_files(settings, adapters.objects)
    return UsageService(
        records=adapters.records,
        models=files.models,
        datasets=files.datasets,
        limiter=limiter,
        quotas={
            "results": Quota(max_count=settings.max_results_per_user, max_bytes=settings.max_result_bytes_per_user),
            "jobs": Quota(max_count=of_jobs.max_jobs, max_bytes=of_jobs.max_bytes),
            "trials": Quota(max_bytes=settings.max_ledger_bytes_per_user),
            "models": Quota(max_count=settings.max_models_per_user),
            "datasets": Quota(max_count=settings.max_datasets_per_user),
        },
    )


def _build_job_quota(settings: Settings) -> JobQuota:
    """Return the limits of one user's jobs."""
    return JobQuota(
        max_unfinished=settings.max_unfinished_jobs_per_user,
        max_jobs=settings.max_jobs_per_user,
        max_bytes=settings.max_job_bytes_per_user,
    )


def _build_steps(settings: Settings, adapters: Adapters, job_runner: JobRunner, job_watch: JobWatch) -> Steps:
    return Steps(
        opening=_opening_steps(settings, adapters),
        warming=[_on_thread(warm_up, ENGINES), _on_thread(prepare_documents), _on_thread(settle_memory)],
        # The libraries of all model formats take longer to load than everything else together.
        following=[
            job_runner.start,
            _on_thread(warm_up_rules),
            *((adapters.sandbox.warm_up,) if settings.preload_models else ()),
            _on_thread(warm_up_sweeps),
            _on_thread(warm_up_detail),
            _on_thread(warm_up_portfolios),
            adapters.job_store.remove_leftovers,
            functools.partial(
                _run_together,
                Retention(adapters.store, adapters.clock, keep_days=settings.results_keep_days).run,
                Retention(adapters.job_store, adapters.clock, keep_days=settings.jobs_keep_days, kept="jobs").run,
                *(() if adapters.objects is None else (Cleaning(adapters.objects).run,)),
            ),
        ],
        draining=[job_runner.start_draining],
        # Jobs are given back before the store closes.
        closing=[
            job_runner.close,
            job_watch.close,
            *(source.close for source in adapters.sources.values()),
            *(() if adapters.funding is None else (adapters.funding.close,)),
            adapters.store.close,
            adapters.runner.close,
            adapters.computing.close,
            adapters.estimating.close,
        ],
    )


def _opening_steps(settings: Settings, adapters: Adapters) -> Sequence[Callable[[], Awaitable[object]]]:
    """Return the steps that open the files, and remove leftovers of killed processes and earlier builds."""
    bars = BarStore(settings.storage_dir / BARS_FOLDER, max_bytes=settings.market_cache_bytes)
    return [
        adapters.files.open,
        _on_thread(adapters.signer.open),
        adapters.files.remove_leftovers,
        adapters.datasets.remove_leftovers,
        _on_thread(bars.remove_leftovers),
        *(() if adapters.objects is None else (adapters.objects.remove_leftovers,)),
    ]


def _on_thread(function: Callable[..., object], *arguments: object) -> Callable[[], Awaitable[object]]:
    """Return a step that calls a blocking function on a worker thread."""
    return functools.partial(asyncio.to_thread, function, *arguments)


async def _run_together(*parts: Callable[[], Awaitable[None]]) -> None:
    """Run parts that end only when they are cancelled."""
    await asyncio.gather(*(part() for part in parts))

"""Construct every adapter from the settings; the only file that does."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import logging
import platform
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Final

from src import __version__
from src.bar_cache.bar_store import BarStore
from src.bar_cache.cached_source import CachedSource
from src.bars.clock import SystemClock
from src.bars.simulated import SimulatedSource
from src.binance.archive import BinanceArchive
from src.binance.exchange_ban import ExchangeBan
from src.binance.source import BinanceSource
from src.concurrency.cores import available_cores
from src.datasets.reading.reader import BarFileReader
from src.datasets.store import DiskDatasets
from src.domain.errors import MissingLibrary
from src.domain.jobs import JobKind, JobQuota
from src.domain.market import SIMULATED
from src.domain.runs import ResultQuota
from src.engines.event_driven import EventDrivenEngine
from src.engines.registry import ENGINES
from src.jobs.cluster_access import Certificates, ClusterAccess
from src.jobs.runner import JobRunner
from src.ports.clock import Clock
from src.ports.jobs import JobStore, JobTask, RowExecutor
from src.ports.market import BarSource, DatasetStore
from src.ports.stores import ResultStore, TrialLedger
from src.sandbox.runner import SandboxedModelRunner
from src.service.backtest_task import BacktestTask
from src.service.backtests import BacktestService
from src.service.computing import ComputeQueue
from src.service.datasets import DatasetService
from src.service.job_watch import JobWatch
from src.service.jobs import JobService
from src.service.later_checks import LaterChecks
from src.service.market_runs import MarketRuns
from src.service.models import ModelService
from src.service.retention import Retention
from src.service.services import Services
from src.service.sources import SourceCatalogue
from src.service.sweep_task import SweepTask
from src.service.sweep_threads import ThreadExecutor
from src.service.sweeps import SweepService
from src.service.tearsheets import TearSheets
from src.service.walk_forward_task import WalkForwardTask
from src.service.warm_up import settle_memory, warm_up, warm_up_rules, warm_up_sweeps
from src.settings import Settings
from src.stores.documents import prepare_documents
from src.stores.model_files import TEMPORARY_FOLDER, DiskModelFiles
from src.stores.signing_key import KEYS_FOLDER, FileSigner
from src.stores.sqlite import SqliteStore
from src.stores.sqlite_database import SqliteDatabase
from src.stores.sqlite_jobs import SqliteJobs
from src.stores.sqlite_ledger import SqliteTrialLedger

RESULTS_FILE: Final = ".results/backtests.sqlite3"
"""Inside the storage folder; no user's folder begins with a dot."""

RESERVE_BYTES: Final = 8 * 1024 * 1024
"""Deleting a result of 3 million bars writes less than a mebibyte; returning its pages to the disk, two at a time."""

BARS_FOLDER: Final = ".bars"
"""The exchange's bars, fetched once for all users."""

DATASETS_FOLDER: Final = ".user_bars"
"""The users' datasets, beside their folders of models."""

NUMERIC_LIBRARIES: Final = ("numpy", "numba", "ta-lib", "vectorbt", "vectorbt-rust")
"""The libraries whose versions may decide the last bit of a result."""

RULES: Final = ("domain/annualization.py", "engines", "features", "indicators", "judgement", "metrics", "strategies")
"""The files and folders of this package whose text decides the figures of a backtest."""

CLUSTER_RULES: Final = (*RULES, "domain", "jobs/cluster_rows.py", "sweeps")
"""Those whose text decides what a worker of a cluster computes, and what it can read."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Adapters:
    """What the services of one process share."""

    clock: Clock
    binance: CachedSource
    sources: Mapping[str, BarSource]
    datasets: DatasetStore
    store: ResultStore
    ledger: TrialLedger
    job_store: JobStore
    files: DiskModelFiles
    runner: SandboxedModelRunner
    signer: FileSigner
    computing: ComputeQueue
    estimating: ComputeQueue


def build_services(settings: Settings) -> Services:
    """Construct every adapter and service of one process; nothing is opened yet."""
    adapters = _build_adapters(settings)
    models = ModelService(adapters.files, adapters.runner)
    catalogue = SourceCatalogue(
        sources=adapters.sources, datasets=adapters.datasets, cached={"binance": adapters.binance}
    )
    backtests = BacktestService(
        detailing_engine=EventDrivenEngine(),
        sources=catalogue,
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
    job_runner, job_watch = _build_runner(settings, adapters, backtests), JobWatch(adapters.job_store)
    jobs = JobService(
        store=adapters.job_store,
        workers=job_runner,
        watch=job_watch,
        clock=adapters.clock,
        quota=build_job_quota(settings),
    )
    return Services(
        backtests=backtests,
        jobs=jobs,
        sweeps=SweepService(
            jobs=jobs,
            backtests=backtests,
            computing=adapters.computing,
            estimating=adapters.estimating,
            max_combinations=settings.max_sweep_combinations,
        ),
        later_checks=_build_later_checks(settings, adapters, catalogue, models),
        tearsheets=TearSheets(
            sources=catalogue,
            engines=ENGINES,
            computing=adapters.computing,
            timeout_s=settings.request_timeout_s,
        ),
        models=models,
        datasets=DatasetService(adapters.datasets, reserved_names=tuple(adapters.sources)),
        downloads=adapters.binance.progress,
        store=adapters.store,
        signer=adapters.signer,
        opening=_opening_steps(settings, adapters),
        warming=[_on_thread(warm_up, ENGINES), _on_thread(prepare_documents), _on_thread(settle_memory)],
        # The libraries of all model formats take longer to load than everything else together.
        following=[
            job_runner.start,
            _on_thread(warm_up_rules),
            adapters.runner.warm_up,
            _on_thread(warm_up_sweeps),
            adapters.job_store.remove_leftovers,
            functools.partial(
                _run_together,
                Retention(adapters.store, adapters.clock, keep_days=settings.results_keep_days).run,
                Retention(adapters.job_store, adapters.clock, keep_days=settings.jobs_keep_days, kept="jobs").run,
            ),
        ],
        draining=[job_runner.start_draining],
        # Jobs are given back before the store closes.
        closing=[
            job_runner.close,
            job_watch.close,
            *(source.close for source in adapters.sources.values()),
            adapters.store.close,
            adapters.runner.close,
            adapters.computing.close,
            adapters.estimating.close,
        ],
    )


def _build_adapters(settings: Settings) -> _Adapters:
    clock = SystemClock()
    binance = build_binance(settings, clock)
    store, ledger, job_store = build_stores(settings)
    return _Adapters(
        clock=clock,
        binance=binance,
        sources={
            "binance": binance,
            SIMULATED: SimulatedSource(clock=clock),
        },
        datasets=build_datasets(settings, clock),
        store=store,
        ledger=ledger,
        job_store=job_store,
        files=DiskModelFiles(
            settings.storage_dir,
            max_bytes=settings.max_upload_bytes,
            max_models_per_user=settings.max_models_per_user,
        ),
        runner=SandboxedModelRunner(
            mode=settings.model_sandbox,
            max_children=settings.model_processes or None,
            deadline_s=settings.model_timeout_s,
            memory_bytes=settings.model_memory_mb * 1024 * 1024,
            storage=settings.storage_dir / TEMPORARY_FOLDER,
        ),
        signer=FileSigner(settings.storage_dir / KEYS_FOLDER),
        computing=ComputeQueue(
            threads=settings.compute_threads,
            max_waiting=settings.max_waiting_backtests,
            max_wait_s=settings.request_timeout_s,
        ),
        estimating=ComputeQueue(
            threads=1,
            max_waiting=settings.max_waiting_backtests,
            max_wait_s=settings.request_timeout_s,
            slots=1,
            work="estimate",
        ),
    )


def _build_later_checks(
    settings: Settings, adapters: _Adapters, catalogue: SourceCatalogue, models: ModelService
) -> LaterChecks:
    return LaterChecks(
        store=adapters.store,
        sources=catalogue,
        engines=ENGINES,
        settling_engine=EventDrivenEngine(),
        ledger=adapters.ledger,
        computing=adapters.computing,
        timeout_s=settings.request_timeout_s,
        market_runs=MarketRuns(
            sources=catalogue,
            engines=ENGINES,
            computing=adapters.computing,
            models=models,
            runner=adapters.runner,
        ),
    )


def _build_runner(settings: Settings, adapters: _Adapters, backtests: BacktestService) -> JobRunner:
    return JobRunner(
        adapters.job_store,
        adapters.clock,
        build_tasks(settings, backtests, adapters.ledger),
        workers=settings.job_workers,
        threads=settings.job_threads or available_cores(),
    )


def _opening_steps(settings: Settings, adapters: _Adapters) -> Sequence[Callable[[], Awaitable[object]]]:
    """Return what opens the files, and removes what killed processes and earlier builds left."""
    bars = BarStore(settings.storage_dir / BARS_FOLDER, max_bytes=settings.market_cache_bytes)
    return [
        adapters.files.open,
        _on_thread(adapters.signer.open),
        adapters.files.remove_leftovers,
        adapters.datasets.remove_leftovers,
        _on_thread(bars.remove_leftovers),
    ]


def _on_thread(function: Callable[..., object], *arguments: object) -> Callable[[], Awaitable[object]]:
    """Return a step that calls a blocking function on a worker thread."""
    return functools.partial(asyncio.to_thread, function, *arguments)


async def _run_together(*parts: Callable[[], Awaitable[None]]) -> None:
    """Run parts that end only when they are cancelled."""
    await asyncio.gather(*(part() for part in parts))


def build_binance(settings: Settings, clock: Clock) -> CachedSource:
    """Return the exchange as a source, behind the bar cache that all workers share."""
    folder = settings.storage_dir / BARS_FOLDER
    remote = BinanceSource(
        base_urls=[str(url) for url in (settings.binance_api_url, settings.binance_fallback_url) if url],
        timeout_s=settings.binance_timeout_s,
        deadline_s=settings.binance_deadline_s,
        weight_per_minute=settings.binance_weight_per_minute,
        clock=clock,
        shared_ban=ExchangeBan(folder / "rate-limit"),
    )
    archive = None
    if settings.binance_archive_url is not None:
        archive = BinanceArchive(
            base_url=str(settings.binance_archive_url),
            folder=folder / ".incoming",
            timeout_s=settings.binance_timeout_s,
        )
    store = BarStore(folder, max_bytes=settings.market_cache_bytes)
    return CachedSource(remote, store=store, archive=archive, clock=clock)


def build_datasets(settings: Settings, clock: Clock) -> DatasetStore:
    """Return the store of users' datasets, under the storage folder."""
    folder = settings.storage_dir / DATASETS_FOLDER
    return DiskDatasets(
        folder,
        reader=BarFileReader(max_rows=settings.max_bars, timeout_s=settings.request_timeout_s, folder=folder),
        clock=clock,
        max_bytes=settings.max_upload_bytes,
        max_datasets_per_user=settings.max_datasets_per_user,
    )


def build_stores(settings: Settings) -> tuple[ResultStore, TrialLedger, JobStore]:
    """Return where results, trials and jobs are kept: in MongoDB if the settings name one, else in SQLite.

    All three share a connection, which the result store closes.
    """
    quota = ResultQuota(max_results=settings.max_results_per_user, max_bytes=settings.max_result_bytes_per_user)
    if settings.mongodb_uri is not None:
        from src.stores.mongo import MongoStore  # noqa: PLC0415  (takes 1/8 s; only its users need it)
        from src.stores.mongo_connection import MongoDatabase  # noqa: PLC0415
        from src.stores.mongo_jobs import MongoJobs  # noqa: PLC0415
        from src.stores.mongo_ledger import MongoTrialLedger  # noqa: PLC0415

        mongo = MongoDatabase(settings.mongodb_uri.get_secret_value(), settings.mongodb_database)
        return MongoStore(mongo, quota=quota), MongoTrialLedger(mongo), MongoJobs(mongo)
    sqlite = SqliteDatabase(settings.storage_dir / RESULTS_FILE, reserve_bytes=RESERVE_BYTES)
    return SqliteStore(sqlite, quota=quota), SqliteTrialLedger(sqlite), SqliteJobs(sqlite)


def build_tasks(settings: Settings, backtests: BacktestService, ledger: TrialLedger) -> dict[JobKind, JobTask]:
    """Return what is done for jobs, by kind; one run inside a job may take longer than a request."""
    patient = replace(backtests, timeout_s=settings.job_run_timeout_s)
    executor, most = build_executor(settings), settings.max_sweep_combinations
    tasks: tuple[JobTask, ...] = (
        SweepTask(backtests=patient, ledger=ledger, executor=executor, max_combinations=most),
        WalkForwardTask(backtests=patient, ledger=ledger, executor=executor, max_combinations=most),
        BacktestTask(backtests=patient),
    )
    return {task.kind: task for task in tasks}


def build_executor(settings: Settings) -> RowExecutor:
    """Return what computes rows of sweeps: the job threads of this process, or the cluster that the settings name.

    Raises MissingLibrary if Dask is not installed; ClusterUnavailable if the certificates cannot be used.
    """
    access = build_cluster_access(settings)
    if access is None:
        return ThreadExecutor()
    try:
        from src.jobs.dask_cluster import DaskExecutor  # noqa: PLC0415  (takes 0.5 s; only its users need it)
    except ModuleNotFoundError as error:
        raise missing_dask(error) from error
    if access.certificates is None:
        logger.warning(
            "CLUSTER WITHOUT ENCRYPTION: whoever reaches its ports can execute code on all members: scheduler=%s",
            access.scheduler,
        )
    return DaskExecutor(access)


def build_cluster_access(settings: Settings) -> ClusterAccess | None:
    """Return how the cluster is reached; None if the settings name no scheduler."""
    if settings.dask_scheduler is None:
        return None
    authority, certificate, key = settings.dask_tls_ca, settings.dask_tls_cert, settings.dask_tls_key
    certificates = None
    if settings.dask_scheduler.startswith("tls:") and authority and certificate and key:
        certificates = Certificates(authority=authority, certificate=certificate, key=key)
    return ClusterAccess(
        scheduler=settings.dask_scheduler,
        certificates=certificates,
        version=cluster_version(),
        timeout_s=settings.dask_timeout_s,
    )


def missing_dask(error: ModuleNotFoundError) -> MissingLibrary:
    """Return what to say if Dask cannot be imported; raises the error itself if it is about another library."""
    if error.name not in {"dask", "distributed"}:
        raise error
    return MissingLibrary(
        "DASK_SCHEDULER is set, but Dask is not installed. Install it with: pip install '.[dask]' (or "
        "-r requirements-cluster.txt), or leave DASK_SCHEDULER empty to compute in this process.",
        library="distributed",
    )


def build_job_quota(settings: Settings) -> JobQuota:
    """Return what one user's jobs may be."""
    return JobQuota(
        max_unfinished=settings.max_unfinished_jobs_per_user,
        max_jobs=settings.max_jobs_per_user,
        max_bytes=settings.max_job_bytes_per_user,
    )


def build_ledger_reader(settings: Settings) -> tuple[TrialLedger, Callable[[], Awaitable[None]]]:
    """Return the ledger of trials for reading beside a running service, and what closes it."""
    if settings.mongodb_uri is not None:
        store, ledger, _ = build_stores(settings)
        return ledger, store.close
    sqlite = SqliteDatabase(settings.storage_dir / RESULTS_FILE, reader_count=1, is_read_only=True)
    return SqliteTrialLedger(sqlite), sqlite.close


def versions() -> dict[str, str]:
    """Return the versions of this service, of its rules, of Python and of the libraries that results depend on."""
    libraries = {name: metadata.version(name) for name in NUMERIC_LIBRARIES}
    rules = rules_version(Path(__file__).parent)
    return {"service": __version__, "rules": rules, "python": platform.python_version(), **libraries}


def cluster_version() -> str:
    """Return what members of a cluster must have in common, so that each row has the same bits on all of them."""
    parts = {
        **versions(),
        "machine": platform.machine(),
        "cluster_rules": rules_version(Path(__file__).parent, CLUSTER_RULES),
    }
    return hashlib.sha256(repr(sorted(parts.items())).encode()).hexdigest()[:12]


def rules_version(package: Path, names: Sequence[str] = RULES) -> str:
    """Return the first 12 hex digits of the SHA-256 of the rules' source text; it also changes between releases."""
    found = [path for name in names for path in (package.glob(name) if "." in name else (package / name).rglob("*.py"))]
    digest = hashlib.sha256()
    for path in sorted(set(found)):
        digest.update(f"{path.relative_to(package).as_posix()}\n{path.read_text(encoding='utf-8')}\0".encode())
    return digest.hexdigest()[:12]

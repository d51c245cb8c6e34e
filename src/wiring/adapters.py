"""Construct the adapters and queues that the services share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from src.bar_cache.bar_store import BarStore
from src.bar_cache.cached_source import CachedSource
from src.bars.clock import SystemClock
from src.bars.simulated import SimulatedSource
from src.binance.archive import BinanceArchive
from src.binance.exchange_ban import ExchangeBan
from src.binance.funding import BinanceFunding
from src.binance.source import BinanceSource
from src.datasets.object_store import ObjectDatasets
from src.datasets.reading.reader import BarFileReader
from src.datasets.store import DiskDatasets
from src.domain.market import SIMULATED
from src.observing.meters import UNMEASURED, Meters
from src.ports.clock import Clock
from src.ports.computing import ModelRunner
from src.ports.jobs import JobStore
from src.ports.market import BarSource, DatasetStore, FundingSource, SharedLimits
from src.ports.rates import UNLIMITED, CoreBudget, RateLimiter
from src.ports.stores import ResultStore, TrialLedger, UserRecords
from src.sandbox.runner import SandboxedModelRunner
from src.service.computing import ComputeQueue
from src.settings import Settings
from src.stores.measured import measure_store
from src.stores.model_files import TEMPORARY_FOLDER, DiskModelFiles
from src.stores.object_models import HeldModelRunner, ObjectModelFiles
from src.stores.signing_key import KEYS_FOLDER, FileSigner
from src.wiring.objects import Objects, build_objects
from src.wiring.rates import build_budget
from src.wiring.stores import build_mongo, build_stores

if TYPE_CHECKING:
    from src.stores.mongo_connection import MongoDatabase

BARS_FOLDER: Final = ".bars"
"""The exchange's bars, fetched once for all users."""

DATASETS_FOLDER: Final = ".user_bars"
"""The users' datasets, beside their folders of models."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapters:
    """The adapters and queues that the services of one process share."""

    clock: Clock
    binance: CachedSource
    funding: FundingSource | None
    sources: Mapping[str, BarSource]
    datasets: DatasetStore
    store: ResultStore
    ledger: TrialLedger
    job_store: JobStore
    records: UserRecords
    files: DiskModelFiles | ObjectModelFiles
    objects: Objects | None
    sandbox: SandboxedModelRunner
    runner: ModelRunner
    signer: FileSigner
    computing: ComputeQueue
    estimating: ComputeQueue
    budget: CoreBudget | None


def build_adapters(settings: Settings, meters: Meters = UNMEASURED, limiter: RateLimiter = UNLIMITED) -> Adapters:
    """Construct the adapters and queues of one process; nothing is opened yet."""
    budget = build_budget(limiter)
    clock = SystemClock()
    mongo = None if settings.mongodb_uri is None else build_mongo(settings.mongodb_uri, settings)
    binance = build_binance(settings, clock, mongo, meters)
    stores = build_stores(settings, mongo)
    objects = build_objects(settings, clock)
    files, sandbox = build_model_files(settings, objects), build_sandbox(settings, meters, budget)
    return Adapters(
        clock=clock,
        binance=binance,
        funding=build_funding(settings, clock, mongo),
        sources={
            "binance": binance,
            SIMULATED: SimulatedSource(clock=clock),
        },
        datasets=build_datasets(settings, clock, objects, meters),
        store=measure_store(stores.results, "results", meters.stores),
        ledger=measure_store(stores.ledger, "trials", meters.stores),
        job_store=measure_store(stores.jobs, "jobs", meters.stores),
        records=stores.records,
        files=files,
        objects=objects,
        sandbox=sandbox,
        runner=HeldModelRunner(sandbox, files) if isinstance(files, ObjectModelFiles) else sandbox,
        signer=FileSigner(settings.storage_dir / KEYS_FOLDER),
        computing=ComputeQueue(
            threads=settings.compute_threads,
            max_waiting=settings.max_waiting_backtests,
            max_wait_s=settings.request_timeout_s,
            meter=meters.queue("backtests"),
            budget=budget,
        ),
        estimating=ComputeQueue(
            threads=1,
            max_waiting=settings.max_waiting_backtests,
            max_wait_s=settings.request_timeout_s,
            slots=1,
            work="estimate",
            meter=meters.queue("estimates"),
            budget=budget,
        ),
        budget=budget,
    )


def build_binance(
    settings: Settings, clock: Clock, mongo: MongoDatabase | None = None, meters: Meters = UNMEASURED
) -> CachedSource:
    """Return the exchange as a source, behind the bar cache that all workers share."""
    folder = settings.storage_dir / BARS_FOLDER
    remote = BinanceSource(
        base_urls=[str(url) for url in (settings.binance_api_url, settings.binance_fallback_url) if url],
        timeout_s=settings.binance_timeout_s,
        deadline_s=settings.binance_deadline_s,
        weight_per_minute=settings.binance_weight_per_minute,
        clock=clock,
        shared_limits=build_limits(folder / "rate-limit", "spot", mongo),
        meter=meters.exchange,
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


def build_funding(settings: Settings, clock: Clock, mongo: MongoDatabase | None = None) -> FundingSource | None:
    """Return the source of the exchange's funding rates; None if the operator has switched it off."""
    if settings.binance_futures_url is None:
        return None
    return BinanceFunding(
        base_url=str(settings.binance_futures_url),
        timeout_s=settings.binance_timeout_s,
        deadline_s=settings.binance_deadline_s,
        clock=clock,
        shared_limits=build_limits(settings.storage_dir / BARS_FOLDER / "futures-rate-limit", "futures", mongo),
    )


def build_limits(file: Path, name: str, mongo: MongoDatabase | None) -> SharedLimits:
    """Return the exchange's limits that this host's processes share, and with MongoDB all hosts."""
    local = ExchangeBan(file)
    if mongo is None:
        return local
    from src.stores.mongo_limits import MongoLimits  # noqa: PLC0415  (only its users load the driver)

    return MongoLimits(local, mongo, name)


def build_model_files(settings: Settings, objects: Objects | None) -> DiskModelFiles | ObjectModelFiles:
    """Return the store of users' model files: under the storage folder, or as objects."""
    most = settings.max_models_per_user
    disk = DiskModelFiles(settings.storage_dir, max_bytes=settings.max_upload_bytes, max_models_per_user=most)
    return disk if objects is None else ObjectModelFiles(disk, objects.models, max_models_per_user=most)


def build_sandbox(settings: Settings, meters: Meters, budget: CoreBudget | None) -> SandboxedModelRunner:
    """Return the sandbox that opens model files."""
    return SandboxedModelRunner(
        mode=settings.model_sandbox,
        max_children=settings.model_processes or None,
        deadline_s=settings.model_timeout_s,
        memory_bytes=settings.model_memory_mb * 1024 * 1024,
        storage=settings.storage_dir / TEMPORARY_FOLDER,
        meters=meters,
        budget=budget,
    )


def build_datasets(
    settings: Settings, clock: Clock, objects: Objects | None = None, meters: Meters = UNMEASURED
) -> DatasetStore:
    """Return the store of users' datasets: under the storage folder, or as objects."""
    folder = settings.storage_dir / DATASETS_FOLDER
    reader = BarFileReader(
        max_rows=settings.max_bars,
        timeout_s=settings.request_timeout_s,
        folder=folder,
        meter=meters.queue("uploads"),
    )
    if objects is not None:
        return ObjectDatasets(
            objects.datasets,
            folder,
            reader=reader,
            clock=clock,
            max_bytes=settings.max_upload_bytes,
            max_datasets_per_user=settings.max_datasets_per_user,
        )
    return DiskDatasets(
        folder,
        reader=reader,
        clock=clock,
        max_bytes=settings.max_upload_bytes,
        max_datasets_per_user=settings.max_datasets_per_user,
    )

"""The REST edge over services that live in memory, for tests of the edge itself."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, cast

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from src.api.http.body_limit import BodyLimits
from src.api.http.linger import LingerLimits
from src.api.http.middleware import install_middleware
from src.api.observation import RequestMetrics
from src.api.rest.routes import install_rest
from src.domain.errors import ModelNotFound, SymbolNotFound, UnsupportedFormat, result_not_found
from src.domain.market import MarketRequest, MarketSeries
from src.domain.model_files import ModelDescription, ModelFile
from src.domain.runs import BacktestRequest, BacktestResult, Rerun, ResultPage, ResultSummary, StoreUsage
from src.engines.registry import ENGINES
from src.identity.anybody import AnybodyAuthenticator
from src.ports.identity import Authenticator
from src.ports.rates import UNLIMITED, RateLimiter
from src.ports.stores import ModelFileStore
from src.service.computing import ComputeQueue
from src.service.models import ModelService
from src.service.services import READY, Readiness, Services
from src.service.sources import SourceCatalog
from src.service.tearsheets import TearSheets
from src.ui.report import ReportFiles
from tests.factories import make_result

MIB = 1024 * 1024


class MemoryModelFiles:
    """A `ModelFileStore` that keeps nothing but names and sizes."""

    def __init__(self) -> None:
        self.files: dict[str, ModelFile] = {}

    async def receive(
        self,
        *,
        user_id: str,
        original_filename: str,
        model_name: str | None,
        chunks: AsyncIterator[bytes],
        is_for_keeping: bool = False,
    ) -> ModelFile:
        path = PurePosixPath(original_filename)
        if path.suffix != ".pkl":
            raise UnsupportedFormat(f"the file {original_filename!r} is no model file")
        content = b"".join([chunk async for chunk in chunks])
        name = f"{user_id}_{model_name or path.stem}_{len(self.files)}{path.suffix}"
        self.files[name] = ModelFile(
            path=Path("/srv/storage") / user_id / name,
            user_id=user_id,
            original_filename=original_filename,
            model_name=model_name or path.stem,
            extension=path.suffix,
            size_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            is_temporary=True,
        )
        return self.files[name]

    async def keep(self, file: ModelFile, description: ModelDescription | None = None) -> ModelFile:
        self.files[file.path.name] = replace(file, description=description, is_temporary=False)
        return self.files[file.path.name]

    async def list(self, user_id: str) -> Sequence[ModelFile]:
        return [file for file in self.files.values() if file.user_id == user_id and not file.is_temporary]

    async def get(self, user_id: str, reference: str) -> ModelFile:
        if reference not in self.files or self.files[reference].user_id != user_id:
            raise ModelNotFound(f"user {user_id!r} has no model {reference!r}")
        return self.files[reference]

    async def delete(self, file: ModelFile) -> None:
        del self.files[file.path.name]

    async def remove_leftovers(self) -> int:
        return 0


def summary_of(result: BacktestResult) -> ResultSummary:
    return ResultSummary(
        id=result.id,
        created_ms=result.created_ms,
        request=result.request,
        metrics=result.metrics,
        origin=result.origin,
        fingerprints=result.fingerprints,
        verdict_level=result.verdict_level,
        out_of_sample_level=result.out_of_sample_level,
        warm_up_bars=result.warm_up_bars,
    )


@dataclass
class MemoryBacktests:
    """A `BacktestService` and a `ResultService`: every run has the same curve; `failure` is raised instead if set."""

    failure: BaseException | None = None
    results: dict[str, BacktestResult] = field(default_factory=dict)
    asked: list[BacktestRequest] = field(default_factory=list)
    model_files: list[ModelFile | None] = field(default_factory=list)

    async def run(self, request: BacktestRequest, model_file: ModelFile | None = None) -> BacktestResult:
        self.asked.append(request)
        self.model_files.append(model_file)
        if self.failure is not None:
            raise self.failure
        result = make_result(id=f"result-{len(self.asked)}", request=request)
        self.results[result.id] = result
        return result

    async def rerun(self, result_id: str) -> Rerun:
        original = await self.get(result_id)
        return Rerun(original_id=original.id, result=await self.run(original.request), differences=("candles",))

    async def get(self, result_id: str) -> BacktestResult:
        if result_id not in self.results:
            raise result_not_found(result_id)
        return self.results[result_id]

    async def check_exists(self, result_id: str) -> None:
        if result_id not in self.results:
            raise result_not_found(result_id)

    async def delete(self, result_id: str, *, user_id: str) -> ResultSummary:
        result = await self.get(result_id)
        if result.request.user_id != user_id:
            raise result_not_found(result_id)
        return summary_of(self.results.pop(result_id))

    async def list(self, *, user_id: str, symbol: str | None, first: int, after: str | None) -> ResultPage:
        found = [
            summary_of(result)
            for result in self.results.values()
            if result.request.user_id == user_id and symbol in (None, result.request.market.symbol)
        ]
        start = int(after or 0)
        is_last = start + first >= len(found)
        return ResultPage(
            summaries=tuple(found[start : start + first]), next_cursor=None if is_last else str(start + first)
        )


class NoBars:
    """A source without bars."""

    async def fetch(self, market: MarketRequest) -> MarketSeries:
        raise SymbolNotFound(f"no bars of {market.symbol}")


@dataclass
class MemoryServices:
    """What endpoints ask for."""

    files: ModelFileStore = field(default_factory=MemoryModelFiles)
    backtests: MemoryBacktests = field(default_factory=MemoryBacktests)
    runner: Any = None
    parts: dict[str, str] = field(default_factory=lambda: {"warmUp": READY, "store": READY})
    sources: dict[str, Any] = field(default_factory=lambda: {"binance": NoBars()})

    @property
    def results(self) -> MemoryBacktests:
        return self.backtests

    @property
    def markets(self) -> MemoryBacktests:
        return self.backtests

    @property
    def models(self) -> ModelService:
        return ModelService(self.files, self.runner)

    @property
    def tearsheets(self) -> TearSheets:
        return TearSheets(
            sources=SourceCatalog(sources=self.sources),
            engines=ENGINES,
            computing=ComputeQueue(threads=1, max_waiting=8),
            timeout_s=30.0,
        )

    async def store_usage(self) -> StoreUsage | None:
        return StoreUsage(results=len(self.backtests.results), size_bytes=12_345)

    async def readiness(self) -> Readiness:
        return Readiness(parts=self.parts)


def make_rest_app(
    services: MemoryServices | None = None,
    *,
    limits: BodyLimits | None = None,
    cors_origins: Sequence[str] = (),
    allowed_hosts: Sequence[str] | None = ("*",),
    linger: LingerLimits | None = None,
    authenticator: Authenticator | None = None,
    limiter: RateLimiter = UNLIMITED,
) -> FastAPI:
    """Build the application: all REST endpoints, all layers around them."""
    app = FastAPI()
    metrics = RequestMetrics(CollectorRegistry())
    authenticator = authenticator or AnybodyAuthenticator()
    install_middleware(
        app,
        limits=limits or BodyLimits(max_upload_bytes=MIB, idle_s=5.0),
        cors_origins=cors_origins,
        allowed_hosts=allowed_hosts,
        linger=linger,
        metrics=metrics,
        authenticator=authenticator,
        is_page=lambda _: False,
        limiter=limiter,
    )
    install_rest(app, registry=metrics.registry)
    app.state.services = cast("Services", services or MemoryServices())
    app.state.authenticator = authenticator
    app.state.sessions = None
    app.state.report_writer = ReportFiles()
    app.state.max_bars = 100_000
    app.state.max_rows = 100
    return app

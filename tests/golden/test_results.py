"""Results that released versions stored: this build reads, lists, presents, compares, reruns and deletes them."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from src.api.graphql.results import result_of, summary_of
from src.api.rest.presenting import present_result, present_summary
from src.domain.errors import ResultNotFound
from src.domain.later_checks import Neighbors, OtherMarkets
from src.domain.performance import Metrics
from src.domain.runs import BacktestResult
from src.domain.verdict import Unchecked, UncheckedCode
from src.stores.documents import ResultDocument, decode, decode_summary
from src.stores.migrations import MIGRATIONS
from src.stores.sqlite import SqliteStore
from src.stores.sqlite_database import SqliteDatabase
from src.wiring.versions import versions
from tests.golden.runs import BARS, golden_checks, golden_requests, golden_service

RELEASES = sorted(path for path in Path(__file__).parent.iterdir() if (path / "results.sqlite3").exists())
DOCUMENTS = sorted(path for release in RELEASES for path in release.glob("*.json"))
IDS = tuple(golden_requests())


def read_document(path: Path) -> tuple[ResultDocument, dict[str, Any]]:
    stored = json.loads(path.read_text())
    parts = {name: base64.b64decode(content) for name, content in stored["parts"].items()}
    return ResultDocument(summary=stored["summary"], parts=parts), stored["values"]


@pytest.fixture(params=RELEASES, ids=lambda path: path.name)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqliteStore]:
    shutil.copy(request.param / "results.sqlite3", tmp_path)
    opened = SqliteStore(SqliteDatabase(tmp_path / "results.sqlite3"))
    yield opened
    await opened.close()


def check_values(result: BacktestResult, values: dict[str, Any]) -> None:
    simulation = result.simulation
    assert result.time_ms.tolist() == values["time_ms"]
    assert result.close.tolist() == values["close"]
    assert result.signals.action.tolist() == values["action"]
    assert simulation.equity.tolist() == values["equity"]
    assert [list(fill)[: len(values["fills"][0])] for fill in simulation.fills.tolist()] == values["fills"]
    assert [list(trade)[: len(values["trades"][0])] for trade in simulation.trades.tolist()] == values["trades"]
    assert list(result.warnings) == values["warnings"]
    assert (result.cross_check is not None) == values["cross_checked"]
    assert result.out_of_sample_level is None


def check_metrics(metrics: Metrics, stored: dict[str, Any]) -> None:
    for field in fields(Metrics):
        value = getattr(metrics, field.name)
        if field.name in stored:
            assert value == stored[field.name], field.name
        else:
            assert value is None or value == field.default, field.name


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_released_document_is_read_to_the_last_bit(path: Path) -> None:
    document, values = read_document(path)
    result = decode(document)
    check_values(result, values)
    check_metrics(result.metrics, dict(document.summary["metrics"]))
    check_metrics(decode_summary(document.summary).metrics, dict(document.summary["metrics"]))
    assert result.request == golden_requests()[result.id] or result.id == "golden-model"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_released_document_is_presented_by_both_apis(path: Path) -> None:
    document, _ = read_document(path)
    result, summary = decode(document), decode_summary(document.summary)
    assert present_result(result)["id"] == present_summary(summary)["id"] == result.id
    assert result_of(result).id == summary_of(summary).id == result.id


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_document_with_fewer_metrics_reads_them_as_null(path: Path) -> None:
    document, _ = read_document(path)
    optional = [field.name for field in fields(Metrics) if getattr(decode(document).metrics, field.name) is None]
    fewer = {name: value for name, value in document.summary["metrics"].items() if name not in {"cagr", *optional}}
    metrics = decode_summary({**document.summary, "metrics": fewer}).metrics
    assert metrics.cagr is None
    assert [field.name for field in fields(Metrics) if getattr(metrics, field.name) is None] == sorted(
        {"cagr", *optional}, key=[field.name for field in fields(Metrics)].index
    )


async def test_released_file_is_migrated_listed_and_emptied(store: SqliteStore) -> None:
    page = await store.list(user_id="golden", symbol="BTCUSDT", first=10, after=None)
    assert [summary.id for summary in page.summaries] == list(reversed(IDS))
    assert page.warnings == ()
    assert [summary.id for summary in await store.summaries(IDS)] == list(IDS)
    [[version]] = await store._database.read("PRAGMA user_version")
    assert version == len(MIGRATIONS)
    [[auto_vacuum]] = await store._database.read("PRAGMA auto_vacuum")
    assert auto_vacuum == 2  # incremental: the released file kept its free pages
    sizes = dict(await store._database.read("SELECT id, size_bytes FROM results"))
    for result_id in IDS:
        document, _ = read_document(RELEASES[0] / f"{result_id}.json")
        assert sizes[result_id] == len(json.dumps(document.summary)) + sum(map(len, document.parts.values()))
    for result_id in IDS:
        check_values(await store.get(result_id), read_document(RELEASES[0] / f"{result_id}.json")[1])
        await store.delete(result_id)
        with pytest.raises(ResultNotFound):
            await store.get(result_id)
    assert (await store.list(user_id=None, symbol=None, first=10, after=None)).summaries == ()


@pytest.mark.parametrize("result_id", IDS)
async def test_released_result_reruns_on_the_same_bars_and_signals(store: SqliteStore, result_id: str) -> None:
    service = golden_service(store)
    rerun = await service.rerun(result_id)
    await service.computing.close()
    # Fills and metrics follow rules that later versions changed; bars, model and signals did not.
    assert not {"candles", "model", "signals"} & set(rerun.differences)
    assert f"rules absent → {versions()['rules']}" in rerun.differences
    assert (await store.get(rerun.result.id)).request == rerun.result.request


@pytest.mark.parametrize("result_id", IDS)
async def test_released_result_is_checked_further(store: SqliteStore, result_id: str) -> None:
    is_model = result_id == "golden-model"
    checks, uncached = golden_checks(store, has_cache=True), golden_checks(store, has_cache=False)
    neighbors, others = await checks.neighbors(result_id), await checks.other_markets(result_id)
    fills, deflation = await checks.resolved_fills(result_id), await checks.deflation_now(result_id)
    without = await uncached.other_markets(result_id)
    for one in (checks, uncached):
        await one.computing.close()
    assert (neighbors == Unchecked.because(UncheckedCode.READS_MODEL)) == is_model
    assert is_model or isinstance(neighbors, Neighbors)
    assert isinstance(others, OtherMarkets)
    assert [(one.symbol, one.bars) for one in others.markets] == [("ETHUSDT", BARS)]
    assert fills == Unchecked.because(UncheckedCode.NO_AMBIGUOUS_BARS)
    assert deflation == Unchecked.because(UncheckedCode.NOT_JUDGED)
    assert without == Unchecked.because(UncheckedCode.NO_BAR_CACHE)

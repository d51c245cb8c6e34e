"""Coins of a source, and lists and deletion of stored results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from src.domain.errors import (
    InvalidInput,
    ResultNotFound,
    UnreadableResult,
)
from src.domain.runs import ResultSummary
from tests.factories import make_request
from tests.market import random_bars
from tests.unit.service.known_bars import KnownBars, MemoryStore, crossover_request, make_service


@pytest.mark.parametrize(
    ("quote", "is_trading_only", "expected"),
    [
        (None, True, ["TESTUSDT"]), (None, False, ["OLDBTC", "TESTUSDT"]), ("usdt", False, ["TESTUSDT"]),
        ("BTC", True, []), ("BTC", False, ["OLDBTC"]), ("EUR", False, []),
    ],
)  # fmt: skip
async def test_coins_are_filtered(quote: str | None, is_trading_only: bool, expected: list[str]) -> None:
    service = make_service(KnownBars(random_bars(10)))
    assert await service.coins(quote_asset=quote, is_trading_only=is_trading_only) == expected


@pytest.mark.parametrize("quote", ["", "US DT", "USDT;", "US/DT", "A" * 33])
async def test_invalid_asset_is_rejected(quote: str) -> None:
    with pytest.raises(InvalidInput, match="quoteAsset is ") as caught:
        await make_service(KnownBars(random_bars(10))).coins(quote_asset=quote)
    assert caught.value.field == "quoteAsset"


async def test_results_are_listed_by_any_spelling_of_a_symbol() -> None:
    service = make_service(KnownBars(random_bars(10)))
    await service.list(user_id="me", symbol="btc/usdt", first=1, after=None)
    with pytest.raises(InvalidInput, match="symbol is "):
        await service.list(user_id="me", symbol="btc usdt", first=1, after=None)


async def test_only_its_owner_deletes_a_result() -> None:
    service = make_service(KnownBars(random_bars(100)))
    kept = await service.run(crossover_request())
    owner = kept.request.user_id
    for result_id, user_id in ((kept.id, "somebody"), ("none", owner)):
        with pytest.raises(ResultNotFound):
            await service.delete(result_id, user_id=user_id)
    with pytest.raises(InvalidInput):
        await service.delete(kept.id, user_id="../etc")
    assert (await service.get(kept.id)).id == kept.id
    assert (await service.delete(kept.id, user_id=owner)).id == kept.id
    with pytest.raises(ResultNotFound):
        await service.get(kept.id)


async def test_unreadable_result_is_deleted_by_its_owner_only() -> None:
    class UnreadableStore(MemoryStore):
        async def summaries(self, result_ids: Sequence[str]) -> Sequence[ResultSummary]:
            raise UnreadableResult("its summary is damaged")

    service = replace(make_service(KnownBars(random_bars(60))), store=UnreadableStore())
    kept = await service.run(make_request())
    with pytest.raises(ResultNotFound):
        await service.delete(kept.id, user_id="stranger")
    assert await service.delete(kept.id, user_id=kept.request.user_id) is None
    with pytest.raises(ResultNotFound):
        await service.get(kept.id)

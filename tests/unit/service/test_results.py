"""Lists and deletion of stored results."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from src.domain.errors import InvalidInput, ResultNotFound, UnreadableResult
from src.domain.runs import ResultSummary
from src.service.results import ResultService
from tests.factories import make_result
from tests.unit.service.known_bars import MemoryStore


async def test_results_are_listed_by_any_spelling_of_a_symbol() -> None:
    service = ResultService(store=MemoryStore())
    await service.list(user_id="me", symbol="btc/usdt", first=1, after=None)
    with pytest.raises(InvalidInput, match="symbol is "):
        await service.list(user_id="me", symbol="btc usdt", first=1, after=None)


async def test_only_its_owner_deletes_a_result() -> None:
    service = ResultService(store=MemoryStore())
    kept = make_result()
    await service.store.save(kept)
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

    service = ResultService(store=UnreadableStore())
    kept = make_result()
    await service.store.save(kept)
    with pytest.raises(ResultNotFound):
        await service.delete(kept.id, user_id="stranger")
    assert await service.delete(kept.id, user_id=kept.request.user_id) is None
    with pytest.raises(ResultNotFound):
        await service.get(kept.id)

"""Sources by name: the service's own are everybody's, an upload is its user's alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import pytest

from src.domain.datasets import BarFileDeclaration, Dataset
from src.domain.errors import InvalidInput, SourceNotFound
from src.ports.market import BarSource, DatasetStore
from src.service.datasets import DatasetService
from src.service.sources import SourceCatalog

BINANCE, SIMULATED, MINE = (cast("BarSource", object()) for _ in range(3))


class OneDataset:
    """A store where `me` keeps `mine`."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []

    async def source(self, user_id: str, name: str) -> BarSource:
        if (user_id, name) != ("me", "mine"):
            raise SourceNotFound("none")
        return MINE

    async def receive(self, *, chunks: AsyncIterator[bytes], **given: Any) -> Dataset:
        self.received.append(given)
        return cast("Dataset", None)

    async def list(self, user_id: str) -> Sequence[Dataset]:
        return []


def catalog() -> SourceCatalog:
    return SourceCatalog(
        sources={"binance": BINANCE, "simulated": SIMULATED}, datasets=cast("DatasetStore", OneDataset())
    )


@pytest.mark.parametrize(
    ("name", "user", "expected"),
    [(None, None, BINANCE), (None, "me", BINANCE), ("simulated", None, SIMULATED), ("mine", "me", MINE)],
)
async def test_source_is_found_by_name(name: str | None, user: str | None, expected: BarSource) -> None:
    assert await catalog().find(name, user_id=user) is expected


@pytest.mark.parametrize(("name", "user"), [("mine", "you"), ("mine", None), ("other", "me"), ("", "me")])
async def test_dataset_of_another_user_is_not_found(name: str, user: str | None) -> None:
    with pytest.raises(SourceNotFound, match="Allowed: binance, simulated"):
        await catalog().find(name, user_id=user)


async def upload(store: OneDataset, name: str | None, filename: str = "My Bars.csv") -> None:
    async def nothing() -> AsyncIterator[bytes]:
        yield b""

    service = DatasetService(cast("DatasetStore", store), reserved_names=("binance", "simulated"))
    declared = BarFileDeclaration(symbol="BTCUSDT")
    await service.upload(user_id="me", name=name, original_filename=filename, declared=declared, chunks=nothing())


async def test_name_defaults_to_file_name() -> None:
    store = OneDataset()
    await upload(store, "Mine")
    await upload(store, None)
    assert [given["name"] for given in store.received] == ["mine", "my_bars"]


@pytest.mark.parametrize(("name", "filename"), [("Binance", "x.csv"), (None, "simulated.csv")])
async def test_reserved_name_is_rejected(name: str | None, filename: str) -> None:
    store = OneDataset()
    with pytest.raises(InvalidInput, match="which is a source of the service") as caught:
        await upload(store, name, filename)
    assert caught.value.field == "name"
    assert store.received == []

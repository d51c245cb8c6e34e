"""Find a source of bars by the name in a request: the service's own sources, and each user's datasets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from src.domain.datasets import Dataset
from src.domain.errors import InvalidInput, SourceNotFound
from src.domain.funding import OTHER_FUNDING, FundingKind
from src.domain.funding_rates import FundingRates
from src.ports.market import BarSource, CachedMarkets, DatasetStore, FundingSource


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCatalog:
    """Finds the source that a request names.

    `sources`, by name, are open to all users; the first one is the default. `datasets` are the users' uploads, if the
    service allows them; a dataset cannot have the name of one of `sources`. `cached` holds the stored markets
    of those sources that have a bar cache. `funding` has the exchange's rates, if the service reads them.
    """

    sources: Mapping[str, BarSource]
    datasets: DatasetStore | None = None
    cached: Mapping[str, CachedMarkets] = field(default_factory=dict)
    funding: FundingSource | None = None

    @property
    def default(self) -> BarSource:
        return next(iter(self.sources.values()))

    @property
    def names(self) -> Sequence[str]:
        return tuple(self.sources)

    def find_cached(self, name: str | None) -> CachedMarkets | None:
        """Return the stored markets of the source of that name, the default one for None; None without a cache."""
        return self.cached.get(next(iter(self.sources), "") if name is None else name)

    async def find(self, name: str | None, *, user_id: str | None) -> BarSource:
        """Return the source of that name, or the default one for None; with `user_id` also that user's datasets.

        Raises SourceNotFound if there is none, or only another user has one.
        """
        if name is None:
            return self.default
        if name in self.sources:
            return self.sources[name]
        known = tuple(self.sources)
        if self.datasets is not None and user_id is not None:
            try:
                return await self.datasets.source(user_id, name)
            except SourceNotFound as error:
                raise SourceNotFound(
                    "{@source} is {got!r}. Allowed: {known}, and the names of the user's datasets.",
                    got=name,
                    known=known,
                ) from error
        raise SourceNotFound("{@source} is {got!r}. Allowed: {known}.", got=name, known=known)

    async def find_dataset(self, name: str | None, *, user_id: str) -> Dataset | None:
        """Return the user's dataset of that name; None if the name is that of one of `sources`.

        Raises SourceNotFound if there is none, or only another user has it.
        """
        if name is None or name in self.sources or self.datasets is None:
            return None
        return await self.datasets.get(user_id, name)

    async def find_rates(self, name: str, *, user_id: str) -> tuple[Dataset, FundingRates]:
        """Return a user's dataset of funding rates.

        Raises SourceNotFound if there is none, or only another user has it; InvalidInput if it has bars.
        """
        try:
            if self.datasets is not None:
                return await self.datasets.rates(user_id, name)
        except SourceNotFound as error:
            raise _no_rates(name) from error
        raise _no_rates(name)

    async def read_exchange_rates(self, symbol: str) -> FundingRates:
        """Return all rates of funding that the exchange published of a symbol.

        Raises InvalidInput if the service reads none, SymbolNotFound, and any ExchangeError.
        """
        if self.funding is None:
            raise InvalidInput(
                "{field} is {got}, and this service reads no rates of the exchange (BINANCE_FUTURES_URL). {advice}",
                field="funding",
                got=FundingKind.HISTORY.value,
                advice=OTHER_FUNDING,
            )
        return await self.funding.rates(symbol)


def _no_rates(name: str) -> SourceNotFound:
    return SourceNotFound(
        "{@fundingHistory} is {got!r}. Allowed: the names of the user's datasets of funding rates.", got=name
    )

"""Where candles come from, by the names that requests give: the service's own sources, and each user's uploads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from src.domain.errors import SourceNotFound
from src.ports import BarSource, DatasetStore


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCatalogue:
    """Finds the source that a request names.

    `sources` by name, everybody's; the first one is the default. `datasets` are the users' own candles; None in a
    service without any. A user's upload cannot have the name of one of `sources`.
    """

    sources: Mapping[str, BarSource]
    datasets: DatasetStore | None = None

    @property
    def default(self) -> BarSource:
        return next(iter(self.sources.values()))

    @property
    def names(self) -> Sequence[str]:
        return tuple(self.sources)

    async def find(self, name: str | None, *, user_id: str | None) -> BarSource:
        """Return the source of that name, the default one for None.

        Parameters
        ----------
        user_id
            Whose uploads are looked through too; None: nobody's.

        Raises
        ------
        SourceNotFound
            Where there is none, and just so where only another user has one.
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

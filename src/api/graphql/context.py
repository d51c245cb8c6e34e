"""What resolvers are handed with each request."""

from __future__ import annotations

from starlette.requests import Request
from strawberry.fastapi import BaseContext

from src.api.access import max_bars_of, services_of
from src.ports import DownloadBoard
from src.service.backtests import BacktestService
from src.service.datasets import DatasetService
from src.service.models import ModelService


class GraphQLContext(BaseContext):
    """The services of the application that the request came to."""

    @property
    def backtests(self) -> BacktestService:
        return services_of(self._request).backtests

    @property
    def models(self) -> ModelService:
        return services_of(self._request).models

    @property
    def datasets(self) -> DatasetService:
        return services_of(self._request).datasets

    @property
    def downloads(self) -> DownloadBoard:
        return services_of(self._request).downloads

    @property
    def max_bars(self) -> int:
        """The most candles that one request may ask for."""
        return max_bars_of(self._request)

    @property
    def _request(self) -> Request:
        if not isinstance(self.request, Request):
            raise TypeError("resolvers run in HTTP requests only")
        return self.request

"""Send requests to the service and read its responses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from time import monotonic, sleep
from typing import Any, Final

import httpx
import pandas as pd

from backtesting_client.errors import ClientError, ServiceError, ServiceUnreachable, error_of

CONNECT_TIMEOUT_S: Final = 5.0
DEFAULT_WAIT_S: Final = 1.0
_PAGE_ROWS: Final = 1000
_UNAVAILABLE: Final = 503


class Transport:
    """A connection to one service.

    A 503 with Retry-After is sent again until `retry_s` seconds have passed: BUSY for every method, because the service
    refuses before it starts the work; other codes for GET only, because the work may have been done in part.
    """

    def __init__(self, url: str, *, timeout_s: float, retry_s: float, headers: Mapping[str, str]) -> None:
        self.retry_s = retry_s
        timeout = httpx.Timeout(timeout_s, connect=min(CONNECT_TIMEOUT_S, timeout_s))
        self._http = httpx.Client(base_url=url, timeout=timeout, headers=dict(headers))

    @property
    def url(self) -> str:
        """The service's address, without a final slash."""
        return str(self._http.base_url).rstrip("/")

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def data(self, method: str, path: str, **content: Any) -> Any:
        """Return `data` of the service's JSON response; errors as of `send`."""
        response = self.send(method, path, **content)
        try:
            return response.json()["data"]
        except (json.JSONDecodeError, UnicodeDecodeError, TypeError, KeyError) as error:
            raise ClientError(f"{response.request.url} did not respond as the service does") from error

    def rows(self, path: str) -> pd.DataFrame:
        """Return all rows of a table of a result."""
        items: list[dict[str, Any]] = []
        while True:
            page = self.data("GET", path, params={"first": _PAGE_ROWS, "offset": len(items)})
            items += page["items"]
            if not page["items"] or len(items) >= page["total"]:
                return pd.DataFrame(items)

    def send(self, method: str, path: str, **content: Any) -> httpx.Response:
        """Return a successful response.

        Raises
        ------
        ServiceError
            If the service reports an error.
        ServiceUnreachable
            If there is no response.
        """
        until = monotonic() + self.retry_s
        while True:
            response = self._send_once(method, path, content)
            if response.is_success:
                return response
            error = error_of(response)
            wait_s = error.retry_after_s or DEFAULT_WAIT_S
            if not _may_repeat(method, error) or monotonic() + wait_s > until:
                raise error
            sleep(wait_s)

    def _send_once(self, method: str, path: str, content: Mapping[str, Any]) -> httpx.Response:
        try:
            return self._http.request(method, path, **content)
        except httpx.TimeoutException as error:
            raise ServiceUnreachable(f"{self.url} gave no response in time to {method} {path}") from error
        except httpx.HTTPError as error:
            raise ServiceUnreachable(f"No service responds at {self.url}: {error}") from error


def _may_repeat(method: str, error: ServiceError) -> bool:
    if error.status != _UNAVAILABLE:
        return False
    return error.code == "BUSY" or (method == "GET" and error.retry_after_s is not None)

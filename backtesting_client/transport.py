"""Send requests to the service and read its responses."""

from __future__ import annotations

import json
import weakref
from collections.abc import Mapping
from time import monotonic, sleep
from typing import Any, Final

import httpx
import pandas as pd
import pyarrow as pa
import pyarrow.ipc

from backtesting_client.errors import ClientError, InvalidRequest, ServiceError, ServiceUnreachable, error_of
from backtesting_client.warned import warn

CONNECT_TIMEOUT_S: Final = 5.0
DEFAULT_WAIT_S: Final = 1.0
_PAGE_ROWS: Final = (100_000, 10_000, 1000)
"""The service's setting MAX_ROWS_PER_ANSWER bounds a page; its smallest value is 100."""
_MIN_PAGE_ROWS: Final = 100

_OPENAPI: Final = "/openapi.json"
_WARNINGS: Final = b"warnings"

_TOO_MANY: Final = 429
_UNAVAILABLE: Final = 503


class Transport:
    """A connection to one service.

    A 429 or 503 with Retry-After is sent again until `retry_s` seconds have passed: RATE_LIMITED and BUSY for every
    method, because the service refuses before it starts the work; other codes for GET only, because the work may have
    been done in part.
    """

    def __init__(self, url: str, *, timeout_s: float, retry_s: float, headers: Mapping[str, str]) -> None:
        self.retry_s = retry_s
        timeout = httpx.Timeout(timeout_s, connect=min(CONNECT_TIMEOUT_S, timeout_s))
        self._http = httpx.Client(base_url=url, timeout=timeout, headers=dict(headers))
        # Notebooks do not close their clients: the connections close with the last reference.
        weakref.finalize(self, self._http.close)

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
            raise _another_server(response) from error

    def rows(self, path: str, index: str, **query: str) -> pd.DataFrame:
        """Return a table indexed by one of its columns; `query` is the query string of the request.

        Warnings of the service are BacktestingWarnings.
        """
        frame, sentences = self._read(path, index, query)
        warn(sentences)
        return frame

    def all_rows(self, path: str, index: str, **query: str) -> pd.DataFrame:
        """Return a table as `rows` does, page by page if one response cannot hold it."""
        for size in (None, *_PAGE_ROWS):
            try:
                return self._pages(path, index, query, size)
            except InvalidRequest as error:
                if error.field != "first":
                    raise
        return self._pages(path, index, query, _MIN_PAGE_ROWS)

    def _pages(self, path: str, index: str, query: Mapping[str, str], size: int | None) -> pd.DataFrame:
        if size is None:
            return self.rows(path, index, **query)
        pages: list[pd.DataFrame] = []
        sentences: list[str] = []
        while not pages or len(pages[-1]) == size:
            part = {"first": str(size), "offset": str(size * len(pages))}
            page, said = self._read(path, index, {**query, **part})
            pages.append(page)
            sentences += said
        warn(sentences)
        return pd.concat(pages)

    def _read(self, path: str, index: str, query: Mapping[str, str]) -> tuple[pd.DataFrame, list[str]]:
        """Return a table and the service's warnings about it."""
        response = self.send("GET", path, params={**query, "format": "arrow"})
        try:
            with pa.ipc.open_file(response.content) as file:
                sentences = json.loads((file.schema.metadata or {}).get(_WARNINGS, b"[]"))
                frame: pd.DataFrame = file.read_pandas()
        except (pa.ArrowInvalid, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise _another_server(response) from error
        return frame.set_index(index).rename_axis("date"), sentences

    def maximum_of(self, path: str, parameter: str) -> int:
        """Return the largest value that the service allows for a parameter of a GET request: its own setting."""
        response = self.send("GET", _OPENAPI)
        try:
            parameters = response.json()["paths"][path]["get"]["parameters"]
            return next(int(item["schema"]["maximum"]) for item in parameters if item["name"] == parameter)
        except (json.JSONDecodeError, UnicodeDecodeError, TypeError, KeyError, StopIteration) as error:
            raise _another_server(response) from error

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


def _another_server(response: httpx.Response) -> ClientError:
    return ClientError(f"{response.request.url} did not respond as the service does")


def _may_repeat(method: str, error: ServiceError) -> bool:
    if error.status not in {_TOO_MANY, _UNAVAILABLE}:
        return False
    if error.code == "RATE_LIMITED":  # without Retry-After, the request exceeds a whole limit and never succeeds
        return error.retry_after_s is not None
    return error.code == "BUSY" or (method == "GET" and error.retry_after_s is not None)

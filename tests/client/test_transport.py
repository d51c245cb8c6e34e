"""Errors, repeats and time limits of the client, against servers that misbehave on purpose."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from backtesting_client import Client, ClientError, ServiceError, ServiceUnreachable, Unavailable
from backtesting_client.client import URL_VARIABLE
from tests.server import serving


class Scripted:
    """A service that gives the responses of a list, the last one for ever, and records the requests."""

    def __init__(self, *replies: Response) -> None:
        self.replies = iter((*replies[:-1], *itertools.repeat(replies[-1], 100)))
        self.requests: list[tuple[str, str]] = []
        self.headers: dict[str, str] = {}

    async def respond(self, request: Request) -> Response:
        await request.body()
        self.requests.append((request.method, request.url.path))
        self.headers = dict(request.headers)
        return next(self.replies)

    @property
    def app(self) -> Starlette:
        return Starlette(routes=[Route("/{path:path}", self.respond, methods=["GET", "POST", "DELETE"])])


def refusal(code: str, status: int = 503, retry_after: str | None = "2") -> Response:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return JSONResponse({"code": code, "message": "Later.", "hint": "Wait."}, status, headers)


def found(data: Any) -> Response:
    return JSONResponse({"success": True, "message": "", "data": data})


NOTHING = found({"items": [], "next_cursor": None})


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the client waited, which pass at once."""
    waits: list[float] = []
    monkeypatch.setattr("backtesting_client.transport.sleep", waits.append)
    return waits


def test_busy_service_is_asked_again_after_the_seconds_it_names(slept: list[float]) -> None:
    service = Scripted(refusal("BUSY"), refusal("BUSY", retry_after="5"), NOTHING)
    with serving(service.app) as url, Client(url) as bt:
        assert bt.runs().empty
    assert slept == [2, 5]


def test_busy_service_is_asked_again_for_changes_too(slept: list[float]) -> None:
    service = Scripted(refusal("BUSY"), found(None))
    with serving(service.app) as url, Client(url) as bt:
        bt.delete("1")
    assert service.requests == [("DELETE", "/api/backtests/1")] * 2


def test_limited_user_is_served_after_the_seconds_named(slept: list[float]) -> None:
    service = Scripted(refusal("RATE_LIMITED", 429, retry_after="41"), found(None))
    with serving(service.app) as url, Client(url) as bt:
        bt.delete("1")
    assert service.requests == [("DELETE", "/api/backtests/1")] * 2
    assert slept == [41]


def test_request_over_a_whole_limit_is_sent_once(slept: list[float]) -> None:
    service = Scripted(refusal("RATE_LIMITED", 429, retry_after=None), NOTHING)
    with serving(service.app) as url, Client(url) as bt, pytest.raises(Unavailable):
        bt.runs()
    assert (len(service.requests), slept) == (1, [])


def test_change_is_sent_once_if_it_may_have_happened(slept: list[float]) -> None:
    service = Scripted(refusal("STORE_UNAVAILABLE"), found(None))
    with serving(service.app) as url, Client(url) as bt, pytest.raises(Unavailable) as failed:
        bt.delete("1")
    assert (failed.value.code, failed.value.retry_after_s, len(service.requests)) == ("STORE_UNAVAILABLE", 2, 1)


@pytest.mark.parametrize(
    ("reply", "attempts"),
    [
        (refusal("EXCHANGE_UNAVAILABLE"), 2),
        (refusal("EXCHANGE_UNAVAILABLE", retry_after=None), 1),
        (refusal("TIMED_OUT", 504), 1),
        (refusal("EXCHANGE_ERROR", 502), 1),
        (refusal("SERVICE_ERROR", 500), 1),
        (refusal("INVALID_INPUT", 422), 1),
    ],
)
def test_reading_is_repeated_only_if_the_service_says_when(slept: list[float], reply: Response, attempts: int) -> None:
    service = Scripted(reply, NOTHING)
    with serving(service.app) as url, Client(url) as bt:
        if attempts == 1:
            with pytest.raises(ServiceError):
                bt.runs()
        else:
            bt.runs()
    assert len(service.requests) == attempts


def test_client_gives_up_when_waiting_takes_too_long(slept: list[float]) -> None:
    service = Scripted(refusal("BUSY", retry_after="61"))
    with serving(service.app) as url, Client(url, retry_s=60) as bt, pytest.raises(Unavailable, match="Later"):
        bt.runs()
    assert slept == []


def test_error_carries_all_that_the_service_says(slept: list[float]) -> None:
    problem = {"code": "INVALID_RULE", "message": "Bad.", "field": "buy", "line": 2, "column": 7, "hint": "Correct it."}
    with (
        serving(Scripted(JSONResponse(problem, 422)).app) as url,
        Client(url) as bt,
        pytest.raises(ServiceError) as got,
    ):
        bt.runs()
    error = got.value
    assert (error.code, error.status, error.field, error.line, error.column) == ("INVALID_RULE", 422, "buy", 2, 7)
    assert str(error) == "Bad. (INVALID_RULE, field buy, line 2, column 7)\nHint: Correct it."


@pytest.mark.parametrize("reply", [PlainTextResponse("<h1>Bad gateway</h1>", 502), JSONResponse([1], 502)])
def test_gateway_error_is_told_from_the_services(reply: Response) -> None:
    with serving(Scripted(reply).app) as url, Client(url) as bt, pytest.raises(Unavailable, match="HTTP_502"):
        bt.runs()


@pytest.mark.parametrize("reply", [PlainTextResponse("hello"), JSONResponse([]), JSONResponse({"items": []})])
def test_another_server_is_recognized(reply: Response) -> None:
    with serving(Scripted(reply).app) as url, Client(url) as bt, pytest.raises(ClientError, match="did not respond as"):
        bt.runs()


@pytest.mark.parametrize("reply", [PlainTextResponse("hello"), JSONResponse([]), JSONResponse({"paths": {}})])
def test_another_servers_bounds_are_recognized(reply: Response) -> None:
    service = Scripted(reply)
    with serving(service.app) as url, Client(url) as bt, pytest.raises(ClientError, match="did not respond as"):
        bt.candles("BTCUSDT", start="2020-01-01")
    assert service.requests == [("GET", "/openapi.json")]


def test_redirection_is_not_followed() -> None:
    moved = Response(status_code=307, headers={"Location": "http://192.0.2.1/"})
    with serving(Scripted(moved).app) as url, Client(url) as bt, pytest.raises(ServiceError, match="HTTP_307"):
        bt.runs()


def test_missing_service_is_named() -> None:
    with Client("http://127.0.0.1:1") as bt, pytest.raises(ServiceUnreachable, match=r"No service responds at .*:1"):
        bt.runs()


def test_silent_service_is_given_up() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Client(url, timeout_s=0.05) as bt, pytest.raises(ServiceUnreachable, match="no response in time"):
            bt.runs()


def test_headers_and_address_of_the_environment_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Scripted(NOTHING)
    with serving(service.app) as url:
        monkeypatch.setenv(URL_VARIABLE, url)
        with Client(headers={"Authorization": "Bearer abc"}) as bt:
            bt.runs()
    assert service.headers["authorization"] == "Bearer abc"


@pytest.fixture
def queue_of_none(own_service: Callable[..., tuple[str, Any]]) -> Iterator[str]:
    """The address of a real service that runs one backtest at a time and lets none wait."""
    yield own_service(compute_threads=1, max_waiting_backtests=0)[0]


def test_real_service_that_is_busy_runs_each_backtest_once(queue_of_none: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with Client(queue_of_none, progress=False) as bt:
        bt.strategies()
        settings = {"source": "simulated", "seed": 1, "limit": 3000}
        with ThreadPoolExecutor(4) as pool:
            runs = list(pool.map(lambda n: bt.run("rsi", "BTCUSDT", "1h", length=n, **settings), range(5, 9)))
        assert set(bt.runs().index) == {run.id for run in runs}
        assert len(runs) == 4

"""The client: one object for one service and one user."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import pandas as pd

from backtesting_client.access import authorization
from backtesting_client.errors import NotFound
from backtesting_client.models import StoredModel, read_model
from backtesting_client.progress import download_progress
from backtesting_client.run import Run, metrics_of
from backtesting_client.sweep_requests import SweepMethods
from backtesting_client.transport import Transport
from backtesting_client.values import Instant, json_values, path_part, text_values

DEFAULT_URL: Final = "http://localhost:5050"
URL_VARIABLE: Final = "BACKTESTING_URL"
DEFAULT_USER: Final = "me"
DEFAULT_TIMEOUT_S: Final = 150.0
DEFAULT_RETRY_S: Final = 60.0
_PAGE_RESULTS: Final = 100
_WITHOUT_ROWS: Final = {"rows": "false"}


class Client(SweepMethods):
    """A backtesting service, used as one user.

    `settings` of every method are the service's parameters by their names (`fees=0.001`, `stop_loss=0.05`, `limit`,
    `source`, `seed`, …); its page docs/reference/parameters.md has all of them with units and bounds. `start` and `end`
    are `start_date` and `end_date`.

    Every method raises ServiceError with the service's code, or ServiceUnreachable.

    Parameters
    ----------
    url
        The service's address; by default that of the variable BACKTESTING_URL, else http://localhost:5050.
    user
        The owner of results, models and datasets: the service's user_id. By default the user of the key or token, else
        `me`.
    api_key
        The key of a service with AUTH=keys; by default that of the variable BACKTESTING_API_KEY.
    token
        The token of a service with AUTH=jwt, in place of a key.
    timeout_s
        Seconds to wait for one response; a backtest may take REQUEST_TIMEOUT_S (120) of the service.
    retry_s
        Seconds in which a request is sent again if the service is too busy.
    headers
        Sent with each request, for a gateway in front of the service.
    progress
        Whether downloads of bars are shown, if tqdm is installed.
    """

    def __init__(
        self,
        url: str | None = None,
        user: str | None = None,
        *,
        api_key: str | None = None,
        token: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        retry_s: float = DEFAULT_RETRY_S,
        headers: Mapping[str, str] | None = None,
        progress: bool = True,
    ) -> None:
        self._user = user
        self._progress = progress
        key = authorization(api_key, token)
        self._is_known = bool(key)
        self._transport = Transport(
            url or os.environ.get(URL_VARIABLE) or DEFAULT_URL,
            timeout_s=timeout_s,
            retry_s=retry_s,
            headers={**(headers or {}), **key},
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self.url!r}, user={self._user!r})"

    @property
    def user(self) -> str:
        """The owner of results, models and datasets; the service is asked once if no user was given."""
        if self._user is None:
            self._user = (self._ask_user() if self._is_known else None) or DEFAULT_USER
        return self._user

    @user.setter
    def user(self, user: str) -> None:
        self._user = user

    def _ask_user(self) -> str | None:
        """Return the user that the service knows by this client's key or token; None if it knows none."""
        try:
            found = self._transport.data("GET", "/api/session")["user_id"]
        except NotFound:  # an older service has no identities
            return None
        return None if found is None else str(found)

    @property
    def url(self) -> str:
        """The service's address."""
        return self._transport.url

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    # Bars

    def candles(
        self, symbol: str, interval: str = "1d", *, start: Instant = None, end: Instant = None, **settings: Any
    ) -> pd.DataFrame:
        """Return bars: open, high, low, close, volume, by open time in UTC.

        Without `limit`: every bar from `start` to `end` (one may be left out), up to the service's MAX_BARS; without
        both, the last 1,000. Warnings of the service, such as missing bars or a cut range, become
        BacktestingWarnings.
        """
        return self._bars("/api/data/ohlcv", symbol, interval, start=start, end=end, **settings)

    def features(
        self, symbol: str, interval: str = "1d", *, start: Instant = None, end: Instant = None, **settings: Any
    ) -> pd.DataFrame:
        """Return the fourteen features that a model receives for these bars, to the bit, by open time in UTC.

        A feature is NaN if it reads more earlier bars than exist. Range and warnings are those of `candles`.
        """
        return self._bars("/api/data/features", symbol, interval, start=start, end=end, **settings)

    def quality(
        self, symbol: str, interval: str = "1d", *, start: Instant = None, end: Instant = None, **settings: Any
    ) -> dict[str, Any]:
        """Return the report on bars: how many, gaps, jumps, rejected rows, warnings."""
        query = self._market(symbol, interval, start=start, end=end, **settings)
        with download_progress(self._transport, is_shown=self._progress):
            return dict(self._transport.data("GET", "/api/data/quality", params=query))

    # Backtests

    def backtest(
        self,
        model: object,
        symbol: str,
        interval: str = "1d",
        *,
        trained_to: Instant = None,
        trained_from: Instant = None,
        start: Instant = None,
        end: Instant = None,
        **settings: Any,
    ) -> Run:
        """Backtest a model.

        Parameters
        ----------
        model
            A trained estimator, which is dumped with joblib; the path of a model file; or a `StoredModel`.
        trained_to
            Last instant of the bars that it was trained on; the bars after it are judged separately.

        Raises TypeError if `model` is none of these.
        """
        training = {"trained_to": trained_to, "trained_from": trained_from}
        given: dict[str, Any] = {
            "symbol": symbol,
            "interval": interval,
            "start": start,
            "end": end,
            **training,
            **settings,
        }
        if isinstance(model, StoredModel):
            return self.run("model", model_path=model.filename, **given)
        fields = text_values({"user_id": self.user, **given})
        return self._backtest("/api/models/backtest/ml", data=fields, files={"file": read_model(model)})

    def run(self, strategy: str, symbol: str, interval: str = "1d", **settings: Any) -> Run:
        """Backtest a strategy by its name: `run("rsi", "BTCUSDT", "1h", length=14, stop_loss=0.05)`.

        `settings` may hold the strategy's own parameters, which `strategies()` lists.
        """
        return self._backtest("/api/backtests", json=self._backtest_body(strategy, symbol, interval, settings))

    def rules(
        self,
        symbol: str,
        interval: str = "1d",
        *,
        buy: str | None = None,
        sell: str | None = None,
        short: str | None = None,
        cover: str | None = None,
        parameters: Mapping[str, float] | None = None,
        **settings: Any,
    ) -> Run:
        """Backtest rules as text: `rules("BTCUSDT", buy="rsi(14) < 30", sell="rsi(14) > 70")`."""
        texts = {"buy": buy, "sell": sell, "short": short, "cover": cover, "parameters": parameters}
        return self.run("rules", symbol, interval, **texts, **settings)

    def check_rules(self, **rules: Any) -> dict[str, Any]:
        """Return what rules read, how far they look back, and `faults`: what is wrong with each, without a backtest."""
        return dict(self._transport.data("POST", "/api/strategies/check", json=json_values(rules)))

    def strategies(self) -> dict[str, Any]:
        """Return the strategies and indicators that the service has, with their parameters."""
        return dict(self._transport.data("GET", "/api/strategies"))

    # Stored results

    def get(self, run_id: str) -> Run:
        """Return a stored result."""
        return Run(
            self._transport,
            self._transport.data("GET", f"/api/backtests/{path_part(run_id)}", params=_WITHOUT_ROWS),
        )

    def runs(self, symbol: str | None = None, *, most: int = 100) -> pd.DataFrame:
        """Return the user's newest results, at most `most`: what was run, the verdict's level, and the metrics."""
        items: list[dict[str, Any]] = []
        after: str | None = None
        while len(items) < most:
            first = min(_PAGE_RESULTS, most - len(items))
            query = text_values({"user_id": self.user, "symbol": symbol, "first": first, "after": after})
            page = self._transport.data("GET", "/api/backtests", params=query)
            items += page["items"]
            after = page["next_cursor"]
            if after is None:
                break
        return _table(items)

    def compare(self, *runs: Run | str) -> pd.DataFrame:
        """Return results side by side, one column each: what was run, the verdict's level, and the metrics."""
        return _table([(run if isinstance(run, Run) else self.get(run)).result for run in runs]).T

    def delete(self, run: Run | str) -> None:
        """Delete a stored result of the user."""
        run_id = path_part(run.id if isinstance(run, Run) else run)
        self._transport.data("DELETE", f"/api/backtests/{run_id}", params={"user_id": self.user})

    # Models and datasets

    def upload_model(
        self,
        model: object,
        name: str | None = None,
        *,
        trained_to: Instant = None,
        trained_from: Instant = None,
        label_horizon: int | None = None,
    ) -> StoredModel:
        """Store a model (an estimator or a path) for later backtests.

        Raises TypeError if `model` is neither.
        """
        given = {"trained_to": trained_to, "trained_from": trained_from, "label_horizon": label_horizon}
        fields = text_values({"user_id": self.user, "model_name": name, **given})
        info = self._transport.data("POST", "/api/models/upload", data=fields, files={"file": read_model(model)})
        return StoredModel(info["filename"], info)

    def models(self) -> list[StoredModel]:
        """Return the user's stored models."""
        found = self._transport.data("GET", f"/api/models/user/{path_part(self.user)}")
        return [StoredModel(info["filename"], info) for info in found]

    def delete_model(self, model: StoredModel | str) -> None:
        """Delete a stored model by itself or by its filename."""
        filename = path_part(model.filename if isinstance(model, StoredModel) else model)
        self._transport.data("DELETE", f"/api/models/user/{path_part(self.user)}/model/{filename}")

    def upload_data(
        self, bars: pd.DataFrame | str | os.PathLike[str], symbol: str, name: str | None = None, **declared: Any
    ) -> dict[str, Any]:
        """Store bars as a dataset, whose name is then a `source`; returns the service's report.

        Parameters
        ----------
        bars
            A DataFrame with Open, High, Low, Close, Volume and instants as its index, or the path of a file.
        declared
            `interval`, `timezone`, `unit`, `date_format`, `decimal`, if they cannot be detected from the file.
        """
        if isinstance(bars, pd.DataFrame):
            file = (f"{name or symbol}.parquet", _parquet(bars))
        else:
            file = (Path(bars).name, Path(bars).read_bytes())
        fields = text_values({"user_id": self.user, "symbol": symbol, "name": name, **declared})
        return dict(self._transport.data("POST", "/api/data/upload", data=fields, files={"file": file}))

    def datasets(self) -> pd.DataFrame:
        """Return the user's datasets, newest first."""
        return pd.DataFrame(self._transport.data("GET", f"/api/data/user/{path_part(self.user)}"))

    def usage(self) -> dict[str, Any]:
        """Return what the user has used of the limits per time (`limits`), and what is stored (`stored`)."""
        return dict(self._transport.data("GET", "/api/usage", params={"user_id": self.user}))

    def delete_dataset(self, name: str) -> None:
        """Delete a dataset."""
        self._transport.data("DELETE", f"/api/data/user/{path_part(self.user)}/{path_part(name)}")

    def _backtest(self, path: str, **content: Any) -> Run:
        with download_progress(self._transport, is_shown=self._progress):
            return Run(self._transport, self._transport.data("POST", path, params=_WITHOUT_ROWS, **content))

    def _backtest_body(self, strategy: str, symbol: str, interval: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the body of a backtest; `settings` may hold the strategy's own parameters."""
        own = self._strategy_parameters.get(strategy, ())
        params = json_values({name: value for name, value in settings.items() if name in own})
        others = {name: value for name, value in settings.items() if name not in own}
        body = json_values({"user_id": self.user, "symbol": symbol, "interval": interval, **others})
        return body | {"strategy": {strategy: params if own else True}}

    def _bars(self, path: str, symbol: str, interval: str, **given: Any) -> pd.DataFrame:
        query = self._market(symbol, interval, **given)
        if "limit" not in query and ("start_date" in query) != ("end_date" in query):
            # With one date the service means 1,000 bars; with both dates every bar.
            query["limit"] = str(self._max_bars)
        with download_progress(self._transport, is_shown=self._progress):
            return self._transport.all_rows(path, "date", **query)

    @cached_property
    def _max_bars(self) -> int:
        return self._transport.maximum_of("/api/data/ohlcv", "limit")

    def _market(self, symbol: str, interval: str, **given: Any) -> dict[str, str]:
        return text_values({"symbol": symbol, "interval": interval, "user_id": self.user, **given})

    @cached_property
    def _strategy_parameters(self) -> dict[str, tuple[str, ...]]:
        return {
            item["name"]: tuple(parameter["name"] for parameter in item["parameters"])
            for item in self.strategies()["strategies"]
        }


def _table(results: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return one row for each result: what was run, the verdict's level, and the metrics."""
    rows = {
        str(result["id"]): {
            "strategy": result["strategy"]["name"],
            **{name: result[name] for name in ("symbol", "interval", "engine", "created_at", "verdict_level")},
            **metrics_of(result),
        }
        for result in results
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def _parquet(bars: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    bars.rename_axis(str(bars.index.name or "Date")).reset_index().to_parquet(buffer)
    return buffer.getvalue()

"""Check a user's datasets in the running service: uploaded, traded, listed, deleted, hidden from other users."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.bar_files import csv_of, csv_of_bars, days, gzipped, simulated

BARS = simulated(600)
RUN = """mutation ($input: BacktestInput!) {
  runEventDrivenBacktest(input: $input) { origin dataFingerprint settings { source } metrics { bars } warnings } }"""
UPLOAD = """mutation ($file: Upload!, $input: UploadBarsInput!) {
  uploadBars(file: $file, input: $input) {
    name symbol interval bars dataFingerprint quality { presentBars } warnings } }"""


def upload(service: str, content: bytes | str, *, filename: str = "mine.csv", **fields: Any) -> httpx.Response:
    data = {"user_id": "me", "symbol": "BTCUSDT"} | fields
    return httpx.post(f"{service}/api/data/upload", data=data, files={"file": (filename, content)}, timeout=60)


def ask(service: str, query: str, **variables: Any) -> Any:
    return httpx.post(f"{service}/graphql", json={"query": query, "variables": variables}, timeout=60).json()


def backtest(service: str, source: str, *, user: str = "me", **fetch: Any) -> Any:
    market = {"symbol": "BTCUSDT", "interval": "1h", "limit": 500, "source": source} | fetch
    return ask(service, RUN, input={"userId": user, "symbol": market["symbol"], "fetchInput": market})


def test_rest_dataset_is_uploaded_traded_listed_and_deleted(service: str) -> None:
    user = "rester"
    sent = upload(service, gzipped(csv_of_bars(BARS)), filename="My Hours.csv.gz", user_id=user)
    assert sent.status_code == 200, sent.text
    kept = sent.json()["data"]
    assert (kept["name"], kept["symbol"], kept["interval"], kept["bars"]) == ("my_hours", "BTCUSDT", "1h", 600)
    assert kept["data_fingerprint"] == BARS.fingerprint()
    result = backtest(service, "My_Hours", user=user)["data"]["runEventDrivenBacktest"]
    assert result["origin"] == "dataset 'my_hours'"
    assert result["dataFingerprint"] == BARS.slice(100, 600).fingerprint()
    assert result["settings"]["source"] == "my_hours"
    by_rest = httpx.post(
        f"{service}/api/backtests",
        json={"user_id": user, "symbol": "btc/usdt", "interval": "1h", "limit": 500, "source": "my_hours"},
        timeout=60,
    ).json()
    assert by_rest["success"], by_rest
    by_rest = by_rest["data"]
    assert by_rest["data_fingerprint"] == result["dataFingerprint"]
    assert by_rest["data_quality"]["present_bars"] == 500
    listed = httpx.get(f"{service}/api/data/user/{user}").json()["data"]
    assert listed == [kept]
    assert httpx.delete(f"{service}/api/data/user/{user}/my_hours").json()["data"] == kept
    assert httpx.get(f"{service}/api/data/user/{user}").json()["data"] == []
    assert httpx.delete(f"{service}/api/data/user/{user}/my_hours").status_code == 404
    [error] = backtest(service, "my_hours", user=user)["errors"]
    assert error["extensions"]["code"] == "SOURCE_NOT_FOUND"


def test_graphql_dataset_is_uploaded_traded_and_listed(service: str) -> None:
    operations = {
        "query": UPLOAD,
        "variables": {"file": None, "input": {"userId": "grapher", "symbol": "btc-usdt", "name": "Hours"}},
    }
    form = {"operations": json.dumps(operations), "map": '{"0": ["variables.file"]}'}
    answer = httpx.post(
        f"{service}/graphql", data=form, files={"0": ("hours.csv", csv_of_bars(BARS))}, timeout=60
    ).json()  # fmt: skip
    assert answer["data"]["uploadBars"] == {
        "name": "hours", "symbol": "BTCUSDT", "interval": "1h", "bars": 600, "dataFingerprint": BARS.fingerprint(),
        "quality": {"presentBars": 600}, "warnings": [],
    }  # fmt: skip
    market = {"symbol": "BTCUSDT", "interval": "1h", "source": "hours", "limit": 300}
    query = """query ($input: OHLCVFetchInput!) {
      rows: fetchOhlcv(input: $input, userId: "grapher", first: 2, offset: 298) { Date Close }
      quality: marketDataQuality(input: $input, userId: "grapher") { expectedBars presentBars origin lastClose }
      uploadedBars(userId: "grapher") { name bars } }"""
    data = ask(service, query, input=market)["data"]
    assert [row["Close"] for row in data["rows"]] == BARS.close[-2:].tolist()
    assert data["quality"]["presentBars"] == data["quality"]["expectedBars"] == 300
    assert data["uploadedBars"] == [{"name": "hours", "bars": 600}]
    removed = ask(service, 'mutation { delete_bars(user_id: "grapher", name: "hours") { data_fingerprint } }')
    assert removed["data"]["delete_bars"] == {"data_fingerprint": BARS.fingerprint()}
    assert ask(service, '{ uploadedBars(userId: "grapher") { name } }')["data"]["uploadedBars"] == []


def test_dataset_of_another_user_is_not_found(service: str) -> None:
    assert upload(service, csv_of_bars(BARS), user_id="owner", name="secret").status_code == 200
    [error] = backtest(service, "secret", user="thief")["errors"]
    assert error["extensions"]["code"] == "SOURCE_NOT_FOUND"
    assert "own" not in error["message"].replace("known", "")
    url = f"{service}/api/data/quality?symbol=BTCUSDT&interval=1h&source=secret"
    assert httpx.get(url).json()["code"] == "SOURCE_NOT_FOUND"
    assert httpx.get(f"{url}&user_id=thief").json()["code"] == "SOURCE_NOT_FOUND"
    assert httpx.get(f"{url}&user_id=owner").status_code == 200
    for path in ("thief/secret", "thief/..%2Fowner%2Fsecret", "thief/%2e%2e%2fowner%2fsecret.bars"):
        assert httpx.delete(f"{service}/api/data/user/{path}").status_code == 404
    assert len(httpx.get(f"{service}/api/data/user/owner").json()["data"]) == 1


@pytest.mark.parametrize(
    ("fields", "content", "status", "code", "words"),
    [
        ({"user_id": "../x"}, "", 422, "INVALID_INPUT", "user_id"),
        ({"symbol": "../x"}, "", 422, "INVALID_INPUT", "symbol"),
        ({"symbol": ""}, "", 422, "INVALID_INPUT", "symbol is required."),
        ({"interval": "7m"}, "", 422, "INVALID_INPUT", "1s, 1m"),
        ({"timezone": "Mars/Base"}, csv_of(days(5)), 422, "INVALID_INPUT", "timezone is 'Mars/Base'"),
        ({"unit": "weeks"}, "", 422, "INVALID_INPUT", "unit is 'weeks'. Allowed: s, ms, us, ns."),
        ({"name": "../../x"}, csv_of(days(5)), 422, "INVALID_INPUT", "name is '../../x'"),
        ({"name": "binance"}, csv_of(days(5)), 422, "INVALID_INPUT", "a source of the service"),
        ({"color": "red"}, csv_of(days(5)), 422, "INVALID_INPUT", "color"),
        ({}, "", 422, "INVALID_INPUT", "The file is empty."),
        ({}, csv_of(days(5)) + "2021-01-09,1\n", 422, "INVALID_INPUT", "Line 7 has 2 columns"),
        ({}, b"PK\3\4", 415, "UNSUPPORTED_FORMAT", "zip or spreadsheet"),
    ],
)  # fmt: skip
def test_fault_of_an_upload_is_named(
    service: str, fields: dict[str, str], content: bytes | str, status: int, code: str, words: str
) -> None:
    answer = upload(service, content, **fields)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert words in answer.json()["message"]
    assert "Traceback" not in answer.text


def test_wrong_symbol_or_interval_lists_the_existing(service: str) -> None:
    assert upload(service, csv_of_bars(BARS), user_id="asker", name="hours").status_code == 200
    [error] = backtest(service, "hours", user="asker", symbol="ETHUSDT")["errors"]
    assert error["extensions"]["code"] == "SYMBOL_NOT_FOUND"
    assert "BTCUSDT only" in error["message"]
    [error] = backtest(service, "hours", user="asker", interval="1m")["errors"]
    assert "Allowed: 1h, 2h" in error["message"]
    daily = backtest(service, "hours", user="asker", interval="4h", limit=100)
    assert daily["data"]["runEventDrivenBacktest"]["metrics"]["bars"] == 100


def test_datasets_and_limits_survive_a_restart(own_service: Any, tmp_path: Path) -> None:
    url, _ = own_service(max_datasets_per_user=1, max_bars=700, max_upload_mb=1)
    assert upload(url, csv_of_bars(BARS), name="first").status_code == 200
    assert upload(url, csv_of_bars(BARS), name="first").json()["code"] == "CONFLICT"
    assert upload(url, csv_of_bars(BARS), name="second").json()["code"] == "CONFLICT"
    assert upload(url, csv_of_bars(simulated(701)), user_id="you").json()["code"] == "TOO_LARGE"
    assert upload(url, b"1" * 1_500_000, user_id="you").status_code == 413
    assert [path.name for path in (tmp_path / "storage/.user_bars").rglob("*") if path.is_file()] == ["first.bars"]
    again, _ = own_service(max_datasets_per_user=1, max_bars=700)
    result = backtest(again, "first")["data"]["runEventDrivenBacktest"]
    assert result["dataFingerprint"] == BARS.slice(100, 600).fingerprint()


def test_coins_are_filtered_and_bars_paged(service: str) -> None:
    query = """query ($input: OHLCVFetchInput!) {
      usdt: fetchCoinList(quoteAsset: "usdt") { coins }
      eur: fetchCoinList(quoteAsset: "EUR", tradingOnly: false) { coins }
      all: fetchOhlcv(input: $input) { Date }
      page: fetchOhlcv(input: $input, first: 3, offset: 2) { Date } }"""
    data = ask(service, query, input={"symbol": "btc/usdt", "limit": 10})["data"]
    assert data["usdt"] == {"coins": ["BTCUSDT"]}
    assert data["eur"] == {"coins": []}
    assert data["page"] == data["all"][2:5]
    wrong = ask(service, query.replace("first: 3", "first: -3"), input={"symbol": "BTCUSDT", "limit": 10})
    assert wrong["errors"][0]["message"].startswith("first is -3")


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "symbol", "interval", "missing", "words"),
    [
        ("LUNAUSDT-1d-12col.csv.gz", "LUNAUSDT", "1d", 17, "another coin under the same name"),
        ("BTCUSDT-1m-2018-02-01_2018-02-15_outage.csv.gz", "BTCUSDT", "1m", 2060, "2,011 between 2018-02-08T00:28Z"),
        ("BTCUSDT-1m-2024-12-30_2025-01-05_ms-to-us.csv.gz", "BTCUSDT", "1m", 0, "The times come in ms and us"),
        ("SOLUSDT-1h-listing.csv.gz", "SOLUSDT", "1h", 18, "has 9 gaps"),
    ],
)
def test_real_files_are_taken_as_they_are(
    service: str, shared_data: Path, name: str, symbol: str, interval: str, missing: int, words: str
) -> None:
    user = f"real-{symbol}-{missing}"
    kept = upload(service, (shared_data / name).read_bytes(), filename=name, symbol=symbol, user_id=user).json()["data"]
    assert kept["interval"] == interval
    assert kept["quality"]["missing_bars"] == missing
    assert words in " ".join(kept["warnings"])
    url = f"{service}/api/data/quality?symbol={symbol}&interval={interval}&limit=100000&source={kept['name']}"
    report = httpx.get(f"{url}&user_id={user}").json()["data"]
    assert report["missing_bars"] == missing
    assert report["gaps"] == kept["quality"]["gaps"]
    assert report["jumps"] == kept["quality"]["jumps"]


@pytest.mark.shared_data
def test_relisted_coin_under_one_name_is_warned(service: str, shared_data: Path) -> None:
    content = (shared_data / "LUNAUSDT-1d-12col.csv.gz").read_bytes()
    assert upload(service, content, user_id="holder", name="luna", symbol="LUNAUSDT").status_code == 200
    market = {"symbol": "LUNAUSDT", "interval": "1d", "limit": 1000, "source": "luna", "startDate": "2022-04-01"}
    input_ = {
        "userId": "holder",
        "symbol": "LUNAUSDT",
        "fetchInput": market,
        "maCrossoverParams": {"fast": 2, "slow": 3},
    }
    query = """mutation ($input: BacktestInput!) { runEventDrivenBacktest(input: $input) {
      warnings metrics { totalReturn buyAndHoldReturn } dataQuality { jumps { ratio } }
      judgement { benchmarks { jumpsLeftOut buyAndHold { totalReturn } } } } }"""
    result = ask(service, query, input=input_)["data"]["runEventDrivenBacktest"]
    assert any("another coin under the same name" in warning for warning in result["warnings"])
    benchmarks = result["judgement"]["benchmarks"]
    assert benchmarks["jumpsLeftOut"] == len(result["dataQuality"]["jumps"]) == 1
    assert benchmarks["buyAndHold"]["totalReturn"] < -99.9 < result["metrics"]["buyAndHoldReturn"]


DATES = [f"{day:02d}/02/2024" for day in range(1, 11)]
AMBIGUOUS = csv_of([[date, 10, 12, 9, 11, 100] for date in DATES])


def test_dates_of_unknown_order_need_a_declaration(service: str) -> None:
    refused = upload(service, AMBIGUOUS, user_id="dater").json()
    assert (refused["code"], refused["field"]) == ("INVALID_INPUT", "date_format")
    assert "Line 2: Date is '01/02/2024'" in refused["message"]
    assert "Give date_format: DMY or MDY" in refused["message"]
    wrong = upload(service, AMBIGUOUS, user_id="dater", date_format="YDM").json()
    assert (wrong["field"], wrong["message"][-14:]) == ("date_format", "YMD, DMY, MDY.")
    day_first = upload(service, AMBIGUOUS, user_id="dater", name="day_first", date_format="dmy").json()["data"]
    assert (day_first["interval"], day_first["quality"]["first_open"]) == ("1d", "2024-02-01T00:00:00Z")
    month_first = upload(service, AMBIGUOUS, user_id="dater", name="month_first", dateFormat="MDY").json()
    assert "bars of the file are 31 days apart, which is no interval" in month_first["message"]


def test_date_format_is_declared_in_graphql_too(service: str) -> None:
    body = {
        "operations": json.dumps(
            {"query": UPLOAD, "variables": {
                "file": None, "input": {"userId": "dater2", "symbol": "BTCUSDT", "dateFormat": "DMY"}}}
        ),
        "map": json.dumps({"0": ["variables.file"]}),
    }  # fmt: skip
    answer = httpx.post(f"{service}/graphql", data=body, files={"0": ("a.csv", AMBIGUOUS)}, timeout=60).json()
    assert answer["data"]["uploadBars"]["interval"] == "1d"


def test_numbers_of_unknown_mark_need_a_declaration(service: str) -> None:
    rows = [f"{day:02d}.04.2026;997;1.000;997;1.000;648" for day in range(1, 31)]
    text = "\n".join(["Date;Open;High;Low;Close;Volume", *rows])
    refused = upload(service, text, user_id="marker").json()
    assert (refused["code"], refused["field"]) == ("INVALID_INPUT", "decimal")
    assert refused["message"].startswith("Numbers are ambiguous: line 2: High is '1.000', and no number of the file")
    wrong = upload(service, text, user_id="marker", decimal="comma").json()
    assert (wrong["field"], wrong["message"]) == ("decimal", 'decimal is \'comma\'. Allowed: "." or ",".')
    assert upload(service, text, user_id="marker", name="marked", decimal=",").status_code == 200
    query = """query ($input: OHLCVFetchInput!) { fetchOhlcv(input: $input, userId: "marker") { High Close } }"""
    market = {"symbol": "BTCUSDT", "interval": "1d", "source": "marked", "limit": 1}
    assert ask(service, query, input=market)["data"]["fetchOhlcv"] == [{"High": 1000.0, "Close": 1000.0}]
    described = {"userId": "marker2", "symbol": "BTCUSDT", "decimal": ","}
    body = {
        "operations": json.dumps({"query": UPLOAD, "variables": {"file": None, "input": described}}),
        "map": json.dumps({"0": ["variables.file"]}),
    }
    answer = httpx.post(f"{service}/graphql", data=body, files={"0": ("a.csv", text)}, timeout=60).json()
    assert answer["data"]["uploadBars"]["interval"] == "1d"


def test_limit_that_cuts_a_dataset_range_is_named(service: str) -> None:
    assert upload(service, csv_of_bars(BARS), user_id="cutter", name="hours").status_code == 200
    first = "2020-09-13"
    cut = (
        "limit 500 cut the range: 500 bars from 2020-09-13T13:00Z to 2020-10-04T08:00Z of 600 up to 2020-10-08T12:00Z."
    )
    result = backtest(service, "hours", user="cutter", startDate=first)["data"]["runEventDrivenBacktest"]
    assert [warning for warning in result["warnings"] if warning.startswith(cut)]
    query = """query ($input: OHLCVFetchInput!) { candles: fetchOhlcv(input: $input, userId: "cutter") { Date } }"""
    fetch = {"symbol": "BTCUSDT", "interval": "1h", "source": "hours", "startDate": first}
    answer = ask(service, query, input={**fetch, "limit": 500})
    [warning] = [one for one in answer["extensions"]["warnings"] if one["message"].startswith(cut)]
    assert warning["path"] == ["candles"]
    whole = ask(service, query, input={**fetch, "endDate": "2030-01-01"})
    assert len(whole["data"]["candles"]) == 600
    assert not any("cut the range" in one["message"] for one in whole.get("extensions", {}).get("warnings", []))
    asked = {"symbol": "BTCUSDT", "interval": "1h", "source": "hours", "user_id": "cutter", "limit": "500"}
    report = httpx.get(f"{service}/api/data/quality", params={**asked, "start_date": first}).json()["data"]
    assert [warning for warning in report["warnings"] if warning.startswith(cut)]

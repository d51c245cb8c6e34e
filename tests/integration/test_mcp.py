"""Agents at /mcp: the official client against a running service."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import joblib
import numpy as np
import pandas as pd
import pytest
from mcp import Client
from mcp.client.client import ConnectMode
from mcp_types import CallToolResult
from sklearn.linear_model import LogisticRegression

from src.api.mcp.definitions import DEFINITIONS, MAX_COMPARED, MAX_ROWS
from src.backtest_API import MCP_PACKAGE, create_app
from src.domain.verdict import VerdictLevel
from src.settings import SettingsError
from tests.exchange import LoopbackExchange
from tests.integration.conftest import service_settings
from tests.server import RunningService

BARS = {"symbol": "BTCUSDT", "interval": "1h", "source": "simulated", "seed": 7, "limit": 600}
RSI = {**BARS, "strategy": {"rsi": {"length": 5}}}
MAX_TOOL_CHARACTERS = 12_500
MAX_TEXT_CHARACTERS = 8000
SWEEP_S = 240.0
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}
HEADERS = {"Accept": "application/json, text/event-stream"}


@pytest.fixture(scope="module")
def agents(exchange: LoopbackExchange, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a service that serves agents."""
    with RunningService(service_settings(exchange.url, tmp_path_factory.mktemp("agents"), mcp=True)) as running:
        yield running.url


@dataclass(frozen=True)
class Agent:
    """Connects for each call, because a connection must be closed by the task that opened it."""

    url: str
    mode: ConnectMode

    def connect(self) -> Client:
        return Client(self.url, mode=self.mode)

    async def call_tool(self, tool: str, arguments: dict[str, Any]) -> CallToolResult:
        async with self.connect() as client:
            return await client.call_tool(tool, arguments)


@pytest.fixture(params=["auto", "legacy"])
def agent(agents: str, request: pytest.FixtureRequest) -> Agent:
    """An agent, with today's protocol and with the one before."""
    return Agent(f"{agents}/mcp", request.param)


async def call(agent: Agent, tool: str, **arguments: Any) -> str:
    result = await agent.call_tool(tool, arguments)
    [content] = result.content
    assert not result.is_error, content
    return str(content.text)  # type: ignore[union-attr]


async def fail(agent: Agent, tool: str, **arguments: Any) -> list[str]:
    result = await agent.call_tool(tool, arguments)
    [content] = result.content
    assert result.is_error, content
    return str(content.text).splitlines()  # type: ignore[union-attr]


def run_id(text: str) -> str:
    [line] = [line for line in text.splitlines() if line.startswith("Run: ")]
    return line.removeprefix("Run: ")


async def test_agent_sees_eight_short_tools(agent: Agent) -> None:
    async with agent.connect() as client:
        tools = (await client.list_tools()).tools
    assert {tool.name for tool in tools} == {
        "backtest_strategy", "backtest_model", "get_run", "compare", "data_quality", "start_sweep", "get_sweep",
        "run_portfolio_backtest",
    }  # fmt: skip
    assert sum(len(tool.model_dump_json()) for tool in tools) < MAX_TOOL_CHARACTERS
    assert all(tool.input_schema["additionalProperties"] is False for tool in tools)


async def test_strategy_answer_begins_with_its_verdict(agent: Agent, agents: str) -> None:
    text = await call(agent, "backtest_strategy", **RSI, settings={"fees": 0.002, "engine": "EVENT_DRIVEN"})
    stored = httpx.get(f"{agents}/api/backtests/{run_id(text)}").json()["data"]
    verdict = stored["judgement"]["verdict"]
    level = VerdictLevel(verdict["level"])
    assert text.startswith(f"VERDICT: {level} ({level.meaning})\nObjections:\n- {verdict['reasons'][0]['text']}")
    assert all(reason["text"][:400] in text for reason in verdict["reasons"])
    assert text.index("VERDICT") < text.index("total return")
    assert (stored["user_id"], stored["settings"]["fees"], stored["engine"]) == ("agent", 0.002, "EVENT_DRIVEN")
    assert stored["settings"]["length"] == 5
    assert f"total return {stored['total_return']:.4g} %" in text
    assert len(text) < MAX_TEXT_CHARACTERS


async def test_strategy_without_parameters_is_an_empty_object(agent: Agent) -> None:
    text = await call(agent, "backtest_strategy", **BARS, strategy={"buy_and_hold": {}})
    assert "Strategy: Buy and Hold" in text


async def test_portfolio_answer_begins_with_its_verdict(agent: Agent, agents: str) -> None:
    backtest = {name: value for name, value in RSI.items() if name != "symbol"}
    asked = {"symbols": ["BTCUSDT", "ETHUSDT"], "backtest": backtest, "max_open": 1, "rank": "VOLUME"}
    text = await call(agent, "run_portfolio_backtest", **asked)
    [portfolio_id] = re.findall(r"^Portfolio: (\S+)$", text, re.MULTILINE)
    while "Not done" in text:
        text = await call(agent, "run_portfolio_backtest", portfolio_id=portfolio_id)
    stored = httpx.get(f"{agents}/api/portfolios/{portfolio_id}").json()["data"]
    conclusion, settings = stored["conclusion"], stored["settings"]
    level = VerdictLevel(conclusion["verdict"]["level"])
    assert text.startswith(f"VERDICT: {level} ({level.meaning})\n")
    assert all(reason["text"][:400] in text for reason in conclusion["verdict"]["reasons"])
    assert text.index("VERDICT") < text.index(f"total return {conclusion['metrics']['total_return']:.4g} %")
    for share in conclusion["symbols"]:
        assert f"\n{share['symbol']},{share['profit']:.4g},{share['contribution']:.4g}," in text
    assert (stored["job"]["user_id"], settings["max_open"], settings["rank"]) == ("agent", 1, "VOLUME")
    assert len(text) < MAX_TEXT_CHARACTERS
    assert await call(agent, "run_portfolio_backtest", portfolio_id=portfolio_id) == text


async def test_model_answer_has_the_verdict_after_training(agent: Agent, agents: str, tmp_path: Path) -> None:
    columns = ["Open", "High", "Low", "Close", "Volume"]
    rows = pd.DataFrame(np.random.default_rng(1).uniform(50, 150, (300, 5)), columns=columns)
    joblib.dump(LogisticRegression(max_iter=2000).fit(rows, rows["Close"] > rows["Open"]), tmp_path / "m.joblib")
    form = {"user_id": "agent"}
    with (tmp_path / "m.joblib").open("rb") as file:
        uploaded = httpx.post(f"{agents}/api/models/upload", data=form, files={"file": file}, timeout=60).json()
    bars = httpx.get(f"{agents}/api/data/ohlcv", params=BARS).json()["data"]["columns"]["date"]
    text = await call(
        agent, "backtest_model", **BARS, model=uploaded["data"]["filename"], trained_to=bars[299], threshold=0.4
    )
    assert text.startswith("VERDICT: ")
    assert text.index("VERDICT AFTER TRAINING: ") < text.index("Figures: ")
    assert "300 bars" in text.partition("While trained: ")[2]


async def test_rows_come_only_if_asked_for(agent: Agent) -> None:
    found = run_id(await call(agent, "backtest_strategy", **RSI))
    bare = await call(agent, "get_run", run_id=found)
    assert "rows" not in bare
    whole = await call(agent, "get_run", run_id=found, rows="bars", first=MAX_ROWS, offset=550)
    assert whole.startswith(bare)
    head, *rows = whole.removeprefix(bare).strip().splitlines()
    assert head == "bars: rows 550 to 599 of 600"
    assert rows[0].startswith("Date,")
    assert len(rows) == 51
    default = await call(agent, "get_run", run_id=found, rows="bars")
    assert len(default.removeprefix(bare).strip().splitlines()) == 2 + 20
    assert (await call(agent, "get_run", run_id=found, rows="fills", offset=10_000)).endswith("in all")
    [_, field, _] = await fail(agent, "get_run", run_id=found, rows="bars", first=MAX_ROWS + 1)
    assert field == "Field: first"


async def test_comparison_begins_with_all_verdicts(agent: Agent) -> None:
    ids = [run_id(await call(agent, "backtest_strategy", **RSI, settings={"fees": fees})) for fees in (0.001, 0.01)]
    lines = (await call(agent, "compare", run_ids=ids)).splitlines()
    assert lines[0] == "VERDICTS"
    assert [line.split(":")[0] for line in lines[1:3]] == [f"- {found}" for found in ids]
    assert [line.split(",")[0] for line in lines[-2:]] == ids
    [message, field, _] = await fail(agent, "compare", run_ids=ids * MAX_COMPARED)
    assert message.startswith("INVALID_INPUT")
    assert field == "Field: run_ids"


async def test_quality_is_told_in_sentences(agent: Agent) -> None:
    text = await call(agent, "data_quality", **BARS)
    assert text.startswith("600 of 600 bars are present: BTCUSDT 1h from simulated (seed 7).")


SWEEP: dict[str, Any] = {
    "backtest": RSI | {"settings": {"fees": 0.002, "engine": "EVENT_DRIVEN"}},
    "parameters": [
        {"name": "low", "range": {"from": 20, "to": 40, "step": 10}},
        {"name": "high", "values": [60, 70, 80]},
        {"name": "stop_loss", "values": [0.02, 0.1]},
    ],
    "constraints": [{"left": "low", "operator": "LESS", "right": 40}],
    "objective": {"metric": "profit_factor", "min_trades": 2},
}


async def finish(agent: Agent, started: str) -> str:
    """Read a sweep until it has ended."""
    deadline = time.monotonic() + SWEEP_S
    sweep_id = started.splitlines()[0].removeprefix("Sweep: ")
    while not (text := await call(agent, "get_sweep", sweep_id=sweep_id)).startswith("SWEEP: SUCCEEDED"):
        assert time.monotonic() < deadline, text
        assert "Nothing can be said about the best row before all rows are there." in text
        assert "BEST ROWS" not in text
        await asyncio.sleep(0.2)
    return text


@pytest.mark.timeout(SWEEP_S)
async def test_sweep_says_whether_its_best_is_luck(agent: Agent, agents: str) -> None:
    text = await finish(agent, await call(agent, "start_sweep", **SWEEP))
    [sweep_id] = [line.removeprefix("Sweep: ") for line in text.splitlines() if line.startswith("Sweep: ")]
    found = httpx.get(f"{agents}/api/sweeps/{sweep_id}").json()["data"]
    conclusion, deflation = found["conclusion"], found["deflation"]
    assert (found["job"]["user_id"], found["settings"]["backtest"]["fees"]) == ("agent", 0.002)
    assert text.startswith("SWEEP: SUCCEEDED, 12 of 12 rows\nIS THE BEST ROW LUCK?\n")
    overfitting = conclusion["overfitting"]
    objects = overfitting["pbo"] >= overfitting["pbo_noise_low"]
    assert f"\n- {'Objection' if objects else 'No objection'}: PBO {overfitting['pbo']:.4g}, without any edge" in text
    superiority = conclusion["superiority"]["p_value"]
    assert f"\n- {'Objection' if superiority > 0.05 else 'No objection'}: SPA p = {superiority:.4g}" in text
    timing = None if conclusion["timing"] is None else conclusion["timing"]["p_value_of_best"]
    said = "Not tested: timing" if timing is None else f"bjection: timing p = {timing:.4g}: how likely one of"
    assert said in text
    chance = min(deflation["dsr"], deflation["dsr_dependent"])
    assert f"deflated Sharpe ratio {chance:.4g}: " in text
    assert (
        text.index("deflated Sharpe") < text.index("BEST ROWS by profit_factor (MAXIMIZE)") < text.index("Not swept: ")
    )
    [head] = [at for at, line in enumerate(text.splitlines()) if line == "row,run_id,objective,low,high,stop_loss"]
    best = conclusion["best"][0]
    values = ",".join(str(best["values"][name]) for name in ("low", "high", "stop_loss"))
    expected = f"{best['row']},{best['result_id']},{best['objective']:.4g},{values}"
    assert text.splitlines()[head + 1] == expected
    assert (await call(agent, "get_run", run_id=best["result_id"])).startswith("VERDICT: ")
    assert len(text) < MAX_TEXT_CHARACTERS


@pytest.mark.timeout(SWEEP_S)
async def test_rows_of_sweep_come_only_if_asked_for(agent: Agent, agents: str) -> None:
    text = await finish(agent, await call(agent, "start_sweep", **SWEEP))
    [sweep_id] = [line.removeprefix("Sweep: ") for line in text.splitlines() if line.startswith("Sweep: ")]
    whole = await call(agent, "get_sweep", sweep_id=sweep_id, first=3, offset=1)
    assert whole.startswith(text)
    title, head, *rows = whole.removeprefix(text).strip().splitlines()
    ranked = httpx.get(f"{agents}/api/sweeps/{sweep_id}/rows", params={"offset": 1, "first": 3}).json()["data"]
    assert title == f"ranked rows: rows 1 to 3 of {ranked['total']}"
    names = head.split(",")
    assert {"row", "low", "high", "stop_loss", "profit_factor", "sharpe_ratio"} <= set(names)
    assert "sortino_ratio" not in names
    assert [row.split(",") for row in rows] == [[str(item[name]) for name in names] for item in ranked["items"]]


async def test_estimate_of_sweep_starts_nothing(agent: Agent, agents: str) -> None:
    user = f"estimator-{agent.mode}"
    text = await call(
        agent, "start_sweep", **(SWEEP | {"backtest": RSI | {"user_id": user}, "parameters": SWEEP["parameters"][:2]}),
        estimate_only=True,
    )  # fmt: skip
    assert text.startswith("6 combinations, 3 more are excluded.\nAbout ")
    assert text.endswith("Nothing was started.")
    assert httpx.get(f"{agents}/api/jobs", params={"user_id": user}).json()["data"]["items"] == []


@pytest.mark.parametrize(
    ("tool", "arguments", "code", "field"),
    [
        ("backtest_strategy", {**BARS, "strategy": {"rsi": {"length": 1}}}, "INVALID_INPUT", "length"),
        ("backtest_strategy", {**BARS, "strategy": {"nothing": {}}}, "INVALID_INPUT", "strategy.nothing"),
        ("backtest_strategy", {**BARS, "strategy": "rsi"}, "INVALID_INPUT", "strategy"),
        ("backtest_strategy", {**RSI, "settings": 5}, "INVALID_INPUT", "settings"),
        ("backtest_strategy", {**RSI, "settings": {"user_id": "other"}}, "INVALID_INPUT", "user_id"),
        ("backtest_strategy", {**RSI, "user_id": "../x"}, "INVALID_INPUT", "user_id"),
        ("backtest_strategy", {**RSI, "extra": 1}, "INVALID_INPUT", "extra"),
        ("backtest_strategy", {"symbol": "BTCUSDT"}, "INVALID_INPUT", "strategy"),
        ("data_quality", {"symbol": "BTCUSDT", "interval": "7m"}, "INVALID_INPUT", "interval"),
        ("get_run", {"run_id": 5}, "INVALID_INPUT", "run_id"),
        ("get_run", {"run_id": "none"}, "RESULT_NOT_FOUND", None),
        ("backtest_model", {**BARS, "model": "none.pkl"}, "MODEL_NOT_FOUND", None),
        ("no_such_tool", {}, "INVALID_INPUT", "tool"),
        ("start_sweep", {"backtest": RSI}, "INVALID_INPUT", "parameters"),
        ("run_portfolio_backtest", {"backtest": RSI}, "INVALID_INPUT", "symbols"),
        ("run_portfolio_backtest", {"symbols": ["A"]}, "INVALID_INPUT", "backtest"),
        ("run_portfolio_backtest", {"symbols": ["A"], "backtest": "rsi"}, "INVALID_INPUT", "backtest"),
        ("run_portfolio_backtest", {"symbols": ["A"], "backtest": RSI}, "INVALID_INPUT", "backtest.symbol"),
        ("run_portfolio_backtest", {"portfolio_id": "none"}, "JOB_NOT_FOUND", None),
        ("start_sweep", SWEEP | {"backtest": "rsi"}, "INVALID_INPUT", "backtest"),
        ("start_sweep", SWEEP | {"backtest": BARS}, "INVALID_INPUT", "backtest.strategy"),
        ("start_sweep", SWEEP | {"backtest": RSI | {"extra": 1}}, "INVALID_INPUT", "backtest.extra"),
        ("start_sweep", SWEEP | {"estimate_only": "yes"}, "INVALID_INPUT", "estimate_only"),
        ("start_sweep", SWEEP | {"parameters": "low"}, "INVALID_INPUT", "parameters"),
        (
            "start_sweep",
            SWEEP | {"parameters": [{"name": "low", "range": {"from": 40, "to": 20}}]},
            "INVALID_INPUT",
            "parameters.0.range.to",
        ),
        ("start_sweep", SWEEP | {"objective": {"metric": "luck"}}, "INVALID_INPUT", "objective.metric"),
        (
            "start_sweep",
            {"backtest": {**BARS, "model": "none.pkl"}, "parameters": [{"name": "threshold", "values": [0.4, 0.6]}]},
            "MODEL_NOT_FOUND",
            None,
        ),
        ("get_sweep", {"sweep_id": "none"}, "JOB_NOT_FOUND", None),
        ("get_sweep", {"sweep_id": "none", "first": MAX_ROWS + 1}, "INVALID_INPUT", "first"),
    ],
)
async def test_error_names_code_field_and_hint(
    agents: str, tool: str, arguments: dict[str, Any], code: str, field: str | None
) -> None:
    message, *more = await fail(Agent(f"{agents}/mcp", "legacy"), tool, **arguments)
    assert message.startswith(f"{code}: ")
    assert more[-1].startswith("Hint: ")
    assert [line for line in more if line.startswith("Field: ")] == ([f"Field: {field}"] if field else [])


async def test_wrong_rule_shows_its_place(agent: Agent) -> None:
    lines = await fail(agent, "backtest_strategy", **BARS, strategy={"rules": {"buy": "close >\n nothing"}})
    assert lines[0].startswith("INVALID_RULE: buy")
    assert "Line 2, column 2" in lines


def test_hosts_and_origins_are_checked_as_everywhere(agents: str) -> None:
    def post(**headers: str) -> httpx.Response:
        return httpx.post(f"{agents}/mcp", json=INITIALIZE, headers=HEADERS | headers)

    assert post().status_code == 200
    assert post(Host="attacker.example").json()["code"] == "HOST_NOT_ALLOWED"
    assert post(Origin="https://attacker.example").json()["code"] == "ORIGIN_NOT_ALLOWED"


def test_other_methods_and_large_bodies_are_refused(agents: str) -> None:
    assert httpx.get(f"{agents}/mcp", headers=HEADERS).status_code == 405
    assert httpx.delete(f"{agents}/mcp", headers=HEADERS).status_code == 405
    large = httpx.post(f"{agents}/mcp", content=b"[" * (2 * 1024 * 1024), headers=HEADERS)
    assert large.json()["code"] == "TOO_LARGE"


def test_agents_are_not_served_by_default(service: str) -> None:
    assert httpx.post(f"{service}/mcp", json=INITIALIZE, headers=HEADERS).status_code == 404


def test_missing_package_stops_the_start_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "src.api.mcp.endpoint", raising=False)
    monkeypatch.setitem(sys.modules, "mcp_types", None)
    with pytest.raises(SettingsError, match=r"MCP is true, but the package mcp is not installed") as refused:
        create_app(service_settings("http://127.0.0.1:1", tmp_path, mcp=True))
    assert MCP_PACKAGE in str(refused.value)


def test_descriptions_name_every_strategy() -> None:
    from src.strategies.registry import PARAMS

    told = str(DEFINITIONS[0].properties["strategy"]["description"])
    assert all(name in told for name in PARAMS if name != "model")

"""Send hostile rules to a running service: each is refused at its place by both APIs, and none is a fault of ours."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.graphql_app import without_hint

MUTATION = "mutation ($input: RunBacktestInput!) { runBacktest(input: $input) { id } }"
QUERY = "query ($input: RulesCheckInput!) { describeRules(input: $input) { faults { line column message } } }"
JSON = {"Content-Type": "application/json"}

RULES: dict[str, tuple[str, int, int, str]] = {
    "2,000 brackets": ("(" * 2000 + "close" + ")" * 2000, 1, 2001, "The rule has 4,005 characters. Maximum: 2,000."),
    "900 brackets": ("(" * 900 + "close > 1" + ")" * 900, 1, 33, "Brackets are nested more than 32 deep."),
    "450 times not": ("not " * 450 + "close > 1", 1, 129, "nested more than 32 deep."),
    "1,900 signs": ("-" * 1900 + "close > 1", 1, 32, "nested more than 32 deep."),
    "600 times [1]": ("close" + "[1]" * 600 + " > 1", 1, 1, "nested more than 32 deep."),
    "2,001 characters": ("close > 1" + " " * 1992, 1, 2001, "The rule has 2,001 characters. Maximum: 2,000."),
    "10⁶ characters": ("close > 1 or " * 80_000, 1, 2001, "The rule has 1,040,000 characters. Maximum: 2,000."),
    "1,999 digits": ("9" * 1999, 1, 1, "The number is too large."),
    "far back": ("close > 1 or\n close[999999999] > 1", 2, 8, "[n] is 999999999. Allowed: a constant whole number"),
    "import": ("__import__('os').system('x') == 1", 1, 12, "Rules have no text."),
    "import as a name": ("__import__ > 1", 1, 1, "Unknown name '__import__'."),
    "class": ("__class__ > 1", 1, 1, "Unknown name '__class__'."),
    "attribute": ("close.__class__ > 1", 1, 6, "'.' has no meaning here."),
    "lambda": ("(lambda: 1)() > 1", 1, 8, "':' (U+003A, COLON) is no character of rules."),
    "Cyrillic": ("сlose > 1", 1, 1, "(U+0441, CYRILLIC SMALL LETTER ES) is no character of rules. Did you mean c?"),
    "full width": ("ｃlose > 1", 1, 1, "LETTER C) is no character of rules. Did you mean c?"),
    "right to left": ("close > \u202e1", 1, 9, "'\\u202e' (U+202E, RIGHT-TO-LEFT OVERRIDE) is no character of rules."),
    "joiner": ("clo\u200dse > 1", 1, 4, "'\\u200d' (U+200D, ZERO WIDTH JOINER) is no character of rules."),
    "NUL": ("close > 1\0", 1, 10, "'\\x00' (U+0000, a control character) is no character of rules."),
    "emoji": ("close > 📈", 1, 9, "(U+1F4C8, CHART WITH UPWARDS TREND) is no character of rules."),
    "division by zero": ("close / (2 - 2) > 1", 1, 10, "Division by zero: '2 - 2' is 0 at each bar."),
    "remainder of zero": ("close % 0 > 1", 1, 9, "Division by zero: '0' is 0 at each bar."),
    "overflow": ("1e999 > close", 1, 1, "The number is too large."),
    "length 0": ("rsi(0) < 30", 1, 5, "rsi: length is 0. Allowed: a whole number, 2 ≤ x ≤ 5000 (bars)."),
    "length 10⁹": ("rsi(1e9) < 30", 1, 5, "rsi: length is 1000000000. Allowed: a whole number, 2 ≤ x ≤ 5000 (bars)."),
    "length 1.5": ("rsi(1.5) < 30", 1, 5, "rsi: length is 1.5. Allowed: a whole number, 2 ≤ x ≤ 5000 (bars)."),
    "length -1": ("rsi(-1) < 30", 1, 5, "rsi: length is -1. Allowed: a whole number, 2 ≤ x ≤ 5000 (bars)."),
    "length that changes": ("rsi(close, volume) < 30", 1, 12, "length of rsi is 'volume', which may change"),
    "blank": (" \n ", 1, 1, "The rule is empty."),
}  # fmt: skip


def backtest_of(**rules: Any) -> dict[str, Any]:
    return {"symbol": "BTCUSDT", "strategy": {"rules": rules}}


@pytest.mark.parametrize("name", RULES)
def test_hostile_rule_is_refused_at_its_place(service: str, name: str) -> None:
    text, line, column, message = RULES[name]
    rest = httpx.post(f"{service}/api/backtests", json={"user_id": "h", **backtest_of(buy=text)}, timeout=60)
    problem = rest.json()
    assert (rest.status_code, problem["code"], problem["field"]) == (422, "INVALID_RULE", "buy")
    variables = {"input": {"userId": "h", **backtest_of(buy=text)}}
    graphql = httpx.post(f"{service}/graphql", json={"query": MUTATION, "variables": variables}, timeout=60).json()
    [error] = graphql["errors"]
    assert without_hint(error["extensions"]) == {"code": "INVALID_RULE", "field": "buy", "line": line, "column": column}
    [checked] = httpx.post(f"{service}/api/strategies/check", json={"buy": text}, timeout=60).json()["data"]["faults"]
    asked = {"query": QUERY, "variables": {"input": {"buy": text}}}
    [described] = httpx.post(f"{service}/graphql", json=asked, timeout=60).json()["data"]["describeRules"]["faults"]
    for found in (problem, checked, described):
        assert (found["line"], found["column"]) == (line, column)
        assert found["message"] == error["message"]
    assert message in error["message"]
    assert len(error["message"]) < 1_500


NUMBERS: dict[str, tuple[str, int, str]] = {
    "3,000 deep": ('{"a":' * 3000 + "1" + "}" * 3000, 400, "MALFORMED_REQUEST"),
    "three deep": ('{"a": {"b": {"c": 1}}}', 422, "INVALID_INPUT"),
    "list": ("[1]", 422, "INVALID_INPUT"),
    "text": ('"x"', 422, "INVALID_INPUT"),
    "null in it": ('{"a": null}', 422, "INVALID_INPUT"),
    "boolean": ('{"a": true}', 422, "INVALID_INPUT"),
    "NaN": ('{"a": "NaN"}', 422, "INVALID_INPUT"),
    "1e999": ('{"a": 1e999}', 400, "MALFORMED_REQUEST"),
    "class": ('{"__class__": 1}', 422, "INVALID_RULE"),
    "class beside": ('{"a": 1, "__class__": 1}', 422, "INVALID_INPUT"),
    "NUL": ('{"a\\u0000": 1}', 422, "INVALID_INPUT"),
    "lone surrogate": ('{"\\ud800": 1}', 400, "MALFORMED_REQUEST"),
    "long name": (f'{{"{"a" * 100_000}": 1}}', 422, "INVALID_INPUT"),
    "5,000 names": (json.dumps({f"n{i}": i for i in range(5000)}), 422, "INVALID_INPUT"),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_hostile_parameters_are_refused_by_both(service: str, name: str) -> None:
    text, status, code = NUMBERS[name]
    backtest = json.dumps(backtest_of(buy="close > {a}", parameters="PARAMETERS")).replace('"PARAMETERS"', text)
    body = f'{{"user_id": "h", {backtest[1:]}'
    answer = httpx.post(f"{service}/api/backtests", content=body, headers=JSON, timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    variables = f'{{"input": {{"userId": "h", {backtest[1:]}}}'
    asked = f'{{"query": {json.dumps(MUTATION)}, "variables": {variables}}}'
    graphql = httpx.post(f"{service}/graphql", content=asked, headers=JSON, timeout=60)
    assert graphql.status_code == (400 if status == 400 else 200)
    assert [error["extensions"]["code"] for error in graphql.json()["errors"]] == [code]
    assert max(len(answer.text), len(graphql.text)) < 3_000


@pytest.mark.parametrize("path", ["/api/backtests", "/api/strategies/check", "/graphql"])
def test_lone_surrogate_in_a_rule_is_malformed(service: str, path: str) -> None:
    rule = '"close > \\ud800"'
    bodies = {
        "/api/backtests": f'{{"user_id": "h", "symbol": "BTCUSDT", "strategy": {{"rules": {{"buy": {rule}}}}}}}',
        "/api/strategies/check": f'{{"buy": {rule}}}',
        "/graphql": f'{{"query": {json.dumps(QUERY)}, "variables": {{"input": {{"buy": {rule}}}}}}}',
    }
    answer = httpx.post(f"{service}{path}", content=bodies[path], headers=JSON, timeout=60)
    assert answer.status_code == 400
    assert "MALFORMED_REQUEST" in answer.text


def test_lone_surrogate_in_a_document_is_refused(service: str) -> None:
    document = (
        'mutation { runBacktest(input: {userId: "h", symbol: "BTCUSDT", strategy: {rules: {buy: "\\ud800"}}}) { id } }'
    )
    answer = httpx.post(f"{service}/graphql", json={"query": document}, timeout=60)
    [error] = answer.json()["errors"]
    assert error["extensions"]["code"] == "GRAPHQL_PARSE_FAILED"

"""The report on rules, for forms."""

from __future__ import annotations

from src.domain.intervals import INTERVALS
from src.strategies.rules.report import describe_rules
from src.strategies.rules.strategy import RulesParams

DAY = INTERVALS["1d"]


def test_report_tells_what_good_rules_read() -> None:
    rules = {"buy": "(rsi( {n} )<30)and close>sma(200)", "sell": "rsi({n}) > {high}", "short": None}
    report = describe_rules(rules, {"n": 14, "high": 70}, DAY)
    assert [(rule.field, rule.text) for rule in report.rules] == [
        ("buy", "rsi({n}) < 30 and close > sma(200)"),
        ("sell", "rsi({n}) > {high}"),
    ]
    assert (report.lookback_bars, report.parameters, report.indicators) == (199, ("n", "high"), ("rsi", "sma"))
    params = RulesParams(buy=rules["buy"], sell=rules["sell"], parameters={"n": 14, "high": 70})
    assert report.warm_up_bars == params.warm_up_bars(DAY) > 199
    assert (report.faults, report.reads_model) == ((), False)


def test_report_has_the_first_fault_of_each_rule_with_its_place() -> None:
    rules = {"buy": "rsj(14) < 30 and foo > 1", "sell": "close >\n 1 +", "short": "close > 2", "cover": ""}
    report = describe_rules(rules, {}, DAY)
    assert [(fault.field, fault.line, fault.column) for fault in report.faults] == [
        ("buy", 1, 1), ("sell", 2, 5), ("cover", 1, 1)
    ]  # fmt: skip
    assert "Did you mean rsi?" in report.faults[0].message
    [rule] = report.rules
    assert (rule.field, rule.text) == ("short", "close > 2")


def test_tree_has_every_kind_of_part() -> None:
    text = "not close[1] < -3 or crosses_above(low * 2, {n})"
    [rule] = describe_rules({"buy": text}, {"n": 1}, DAY).rules

    def part(kind: str, value: object = None, *children: object) -> dict[str, object]:
        return {"kind": kind, "value": value, "children": list(children)}

    earlier = part("earlier", None, part("column", "close"), part("number", 1.0))
    compared = part("comparison", "<", earlier, part("negative", None, part("number", 3.0)))
    product = part("arithmetic", "*", part("column", "low"), part("number", 2.0))
    crossing = part("call", "crosses_above", product, part("parameter", "n"))
    assert rule.tree == part("logic", "or", part("not", None, compared), crossing)


def test_report_has_faults_of_the_rules_together() -> None:
    [fault] = describe_rules({"sell": "close > 1", "short": "close > 1"}, {}, DAY).faults
    assert (fault.field, fault.line, fault.column) == ("sell", None, None)
    [fault] = describe_rules({"buy": "close > 1"}, {"n": 1}, DAY).faults
    assert fault.field == "parameters"
    [fault] = describe_rules({"buy": "close > 1"}, {"n": float("nan")}, DAY).faults
    assert fault.field == "parameters"
    [fault] = describe_rules({}, {}, DAY).faults
    assert fault.field == "buy"


def test_unused_parameter_is_no_fault_while_a_rule_has_one() -> None:
    report = describe_rules({"buy": "rsi({n}) <"}, {"n": 1}, DAY)
    assert [fault.field for fault in report.faults] == ["buy"]


def test_report_tells_that_a_model_is_needed() -> None:
    report = describe_rules({"buy": "model() > 0.6"}, {}, DAY)
    assert (report.reads_model, report.faults) == (True, ())

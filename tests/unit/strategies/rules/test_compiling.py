"""Trees to programs: names, types, numbers, shared parts, lookback and warm-up."""

from __future__ import annotations

import pytest

from src.domain.errors import InvalidRule
from src.domain.intervals import INTERVALS
from src.domain.strategy import MAX_WARM_UP_BARS
from src.indicators.registry import INDICATORS
from src.strategies.rules.compiling import Compiler
from src.strategies.rules.program import Program
from src.strategies.rules.vocabulary import COLUMNS, FUNCTIONS, signature_of

DAY, MINUTE = INTERVALS["1d"], INTERVALS["1m"]


def compiled(*rules: str, **parameters: float) -> Program:
    compiler = Compiler(parameters)
    for number, rule in enumerate(rules):
        compiler.add_rule(rule, f"rule{number}")
    return compiler.build()


def fault_of(text: str, **parameters: float) -> InvalidRule:
    with pytest.raises(InvalidRule) as caught:
        compiled(text, **parameters)
    return caught.value


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("rsj(14) < 30", 1, "Unknown name 'rsj'. Did you mean rsi? Known columns: open, high, low"),
        ("1 < klose", 5, "Unknown name 'klose'. Did you mean close?"),
        ("RSI(14) < 30", 1, "Did you mean rsi?"),
        ("bollinger_upper(20) < 30", 1, "Unknown name 'bollinger_upper'. Did you mean bb_upper?"),
        ("price > 30", 1, "Unknown name 'price'. Did you mean close?"),
        ("__import__", 1, "Unknown name '__import__'. Known columns"),
        ("__import__(1) > 1", 1, "Unknown name '__import__'."),
        ("eval(close) > 1", 1, "Unknown name 'eval'."),
        ("True", 1, "Unknown name 'True'."),
        ("rsi < 30", 1, "rsi is a function. Write it with brackets: rsi(x = close, length = 14)."),
        ("abs > 1", 1, "abs is a function. Write it with brackets: abs(x)."),
        ("close(1) > 2", 1, "close is a column, not a function. Write close, or close[1] for the bar before."),
        ("close", 1, "A rule is a condition, and 'close' is a number. Compare it, as in rsi(14) < 30."),
        ("close > 1 and 1", 15, "and joins conditions, and '1' is a number."),
        ("rsi(14) or close > 1", 1, "or joins conditions, and 'rsi(14)' is a number."),
        ("not close", 5, "not takes a condition, and 'close' is a number."),
        ("(close > 1) + 2 > 1", 2, "+ takes numbers, and 'close > 1' is a condition."),
        ("1 < (2 < 3)", 6, "< takes numbers, and '2 < 3' is a condition."),
        ("-(2 < 3) > 1", 3, "- takes a number, and '2 < 3' is a condition."),
        ("crosses_above(close, close > 1)", 22, "crosses_above takes numbers, and 'close > 1' is a condition."),
        ("sma(close > 1, 3) > 1", 5, "sma takes numbers, and 'close > 1' is a condition."),
        ("close[close > 1] > 1", 7, "[n] takes a number, and 'close > 1' is a condition."),
        ("crosses_above(close) and 1 < 2", 1, "crosses_above has 1 argument. Write crosses_above(a, b)."),
        ("crosses_below(1, 2, 3)", 1, "crosses_below has 3 arguments."),
        ("abs(1, 2) > 1", 1, "abs has 2 arguments. Write abs(x)."),
        ("weekday == 0", 12, "weekday is compared with 0, which it never is. Allowed: 1 to 7."),
        ("24 <= hour", 1, "hour is compared with 24, which it never is. Allowed: 0 to 23."),
        ("vwap(20) > 1", 6, "vwap has too many arguments. Write vwap() or rolling_vwap(length = 20)."),
        ("rsi(q) < 3", 5, "Unknown name 'q'. A number of your own is written {q}."),
        ("{} > 1", 2, "Found '}', expected a name."),
        ("max(1) > 1", 1, "max has 1 argument. Write max(a, b, …)."),
        ("min() > 1", 1, "min has no arguments."),
        ("model(1) > 1", 1, "model has 1 argument. Write model()."),
        ("rsi(0) < 30", 5, "rsi: length is 0. Allowed: a whole number, 2 ≤ x ≤ 5000 (bars)."),
        ("rsi(-14) < 30", 5, "rsi: length is -14. Allowed"),
        ("rsi(1e9) < 30", 5, "rsi: length is 1000000000. Allowed"),
        ("rsi(1.5) < 30", 5, "rsi: length is 1.5. Allowed: a whole number"),
        ("rsi(29 / 2) < 30", 5, "rsi: length is 14.5. Allowed: a whole number"),
        ("bb_upper(20, 0) > 1", 14, "bb_upper: multiplier is 0. Allowed"),
        ("macd(26, 12) > 0", 1, "macd: fast (26) must be less than slow (12)."),
        ("macd(30) > 0", 1, "macd: fast (30) must be less than slow (26)."),
        ("rsi(close, 14, 3) > 0", 16, "rsi has too many arguments. Write rsi(x = close, length = 14)."),
        ("sma(5, 20) > 0", 8, "sma has too many arguments."),
        ("donchian_high(close) > 0", 15, "length of donchian_high is 'close', which may change from bar to bar."),
        ("sma(close, close) > 0", 12, "length of sma is 'close', which may change from bar to bar."),
        ("obv(3) > 0", 5, "obv has too many arguments. Write obv()."),
        ("close[-1] > 1", 7, "[n] is -1. Allowed: a constant whole number, 0 ≤ n ≤ 5000 (bars back)."),
        ("close[1.5] > 1", 7, "[n] is 1.5."),
        ("close[999999999] > 1", 7, "[n] is 999999999."),
        ("close[5001] > 1", 7, "[n] is 5001."),
        ("close[hour] > 1", 7, "[n] is hour."),
        ("5[1] > 1", 1, "'5' is the same at each bar: [n] needs a column, a function or a condition before it."),
        ("(1 + 2)[1] > 1", 2, "'1 + 2' is the same at each bar"),
        ("close / 0 > 1", 9, "Division by zero: '0' is 0 at each bar."),
        ("close % (1 - 1) > 1", 10, "Division by zero: '1 - 1' is 0 at each bar."),
        ("1e308 * 10 > 1", 1, "'1e+308 * 10' is too large a number."),
        ("close[3000][3000] > 1", 1, "'close[3000][3000]' looks back 6,000 bars. Maximum: 5,000."),
        ("adx(5000) > 1", 1, "'adx(5000)' looks back 9,999 bars. Maximum: 5,000."),
        ("rsi({n}) < 30", 5, "parameters has no 'n'. Given: length."),
        ("length > 1", 1, "Unknown name 'length'. Did you mean {length}, the parameter?"),
        ("sma({length}) > {lenght}", 17, "parameters has no 'lenght'. Given: length. Did you mean length?"),
    ],
)  # fmt: skip
def test_fault_names_its_place_and_what_is_allowed(text: str, column: int, message: str) -> None:
    fault = fault_of(text, length=14)
    assert message in fault.message
    assert (fault.line, fault.column, fault.field) == (1, column, "rule0")
    assert fault.message.endswith("\n    " + text + "\n    " + " " * (column - 1) + "^")


def test_fault_of_a_parameter_stands_at_its_use() -> None:
    fault = fault_of("close > 1 and\n rsi({n}) < 30", n=2.5)
    assert (fault.line, fault.column) == (2, 6)
    assert "rsi: length is 2.5. Allowed: a whole number, 2 ≤ x ≤ 5000 (bars)." in fault.message


def test_all_names_are_listed_if_one_is_unknown() -> None:
    message = fault_of("xyzzy > 1").message
    for name in (*COLUMNS, *FUNCTIONS, *INDICATORS):
        assert f"{name}," in message or f"{name}." in message


def test_columns_functions_and_indicators_have_names_of_their_own() -> None:
    assert len({*COLUMNS, *FUNCTIONS, *INDICATORS}) == len(COLUMNS) + len(FUNCTIONS) + len(INDICATORS)


@pytest.mark.parametrize("name", INDICATORS)
def test_every_indicator_can_be_called_without_arguments(name: str) -> None:
    program = compiled(f"{name}() > {name}()[1]")
    assert program.indicators == (name,)
    assert program.lookback_bars == INDICATORS[name].lookback() + 1


@pytest.mark.parametrize("name", [name for name, one in INDICATORS.items() if one.takes_series])
def test_every_indicator_of_a_series_takes_another_series(name: str) -> None:
    length = INDICATORS[name].lookback()
    assert compiled(f"{name}(volume[7]) > 0").lookback_bars == length + 7


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        ("rsi", "rsi(x = close, length = 14)"),
        ("atr", "atr(length = 14)"),
        ("bb_upper", "bb_upper(x = close, length = 20, multiplier = 2)"),
        ("vwap", "vwap()"),
        ("abs", "abs(x)"),
    ],
)
def test_signature_shows_series_and_defaults(name: str, signature: str) -> None:
    assert signature_of(name) == signature


@pytest.mark.parametrize(
    "equal",
    [
        "rsi() < rsi(14)", "rsi(14) < rsi(close, 14)", "rsi(14) < rsi(7 * 2)", "rsi({n}) < rsi(14)",
        "rsi(14)<(rsi(14))", "rsi(abs(-14)) < rsi(max(2, 14, 3))", "rsi(14) < rsi(28 / 2 + 0)",
    ],
)  # fmt: skip
def test_equal_parts_are_computed_once(equal: str) -> None:
    program = compiled(equal, n=14.0)
    assert [step.operation for step in program.steps if step.constant is None] == ["close", "rsi", "<"]


def test_rules_share_their_parts() -> None:
    program = compiled("rsi(14) < 30 and close > sma(20)", "rsi(14) > 70", "not rsi(14) < 30")
    operations = [step.operation for step in program.steps]
    assert operations.count("rsi") == operations.count("close") == operations.count("<") == 1
    assert set(program.outputs) == {"rule0", "rule1", "rule2"}


def test_every_value_is_freed_once_after_its_last_use() -> None:
    program = compiled("rsi(14) < 30 and close > sma(20)", "rsi(14) < 30", "close[1] > rsi(14)")
    freed = [source for sources in program.last_reads for source in sources]
    assert len(freed) == len(set(freed))
    arrays = {number for number, step in enumerate(program.steps) if step.constant is None}
    assert set(freed) >= arrays - set(program.outputs.values())
    assert not set(freed) & set(program.outputs.values())
    for number, sources in enumerate(program.last_reads):
        for source in sources:
            assert not any(source in step.inputs for step in program.steps[number + 1 :])


@pytest.mark.parametrize(
    ("text", "lookback"),
    [
        ("1 < 2", 0),
        ("close > open", 0),
        ("close[0] > close[3]", 3),
        ("close[1][2] > 1", 3),
        ("sma(20) > 1", 19),
        ("rsi(14) < 30", 14),
        ("ema(rsi(14), 9) < 30", 14 + 8),
        ("crosses_above(sma(20), sma(50))", 50),
        ("(close > sma(20))[5]", 24),
        ("rsi(14) < 30 and close > sma(200) or hour > 3", 199),
        ("-abs(mom(3)) < max(1, close[7], 2)", 7),
        ("vwap() > obv()", 0),
        ("close[5000] > 1", 5000),
    ],
)
def test_lookback_is_that_of_the_longest_path(text: str, lookback: int) -> None:
    assert compiled(text).lookback_bars == lookback


def test_lookback_of_several_rules_is_the_longest() -> None:
    assert compiled("sma(20) > 1", "sma(50) > 1", "hour == 1").lookback_bars == 49


@pytest.mark.parametrize("rule", ["rsi(14) < 30", "macd() > 0", "adx(14) > 20", "sma(50) > 1", "supertrend() < close"])
def test_warm_up_is_lookback_and_memory(rule: str) -> None:
    name, _, rest = rule.partition("(")
    values = [float(text) for text in rest.partition(")")[0].split(",") if text]
    wanted = INDICATORS[name].lookback(*values) + (INDICATORS[name].memory(*values) or 0)
    assert compiled(rule).warm_up_bars(DAY) == compiled(rule).warm_up_bars(MINUTE) == wanted


def test_warm_up_of_nested_indicators_adds_their_memories() -> None:
    rsi, ema = compiled("rsi(14) > 0").warm_up_bars(DAY), compiled("ema(9) > 0").warm_up_bars(DAY)
    assert compiled("ema(rsi(14), 9)[2] > 0").warm_up_bars(DAY) == rsi + ema + 2
    assert compiled("rsi(14) > ema(9)").warm_up_bars(DAY) == max(rsi, ema)


def test_warm_up_of_a_daily_average_depends_on_the_interval() -> None:
    assert compiled("close > vwap()").warm_up_bars(MINUTE) == 1440
    assert compiled("close > vwap()").warm_up_bars(INTERVALS["1h"]) == 24
    assert compiled("close > vwap()[10]").warm_up_bars(DAY) == 11


def test_endless_memory_takes_the_longest_warm_up() -> None:
    assert compiled("obv() > sma(obv(), 20)").warm_up_bars(DAY) == MAX_WARM_UP_BARS
    assert compiled("rsi(5000) > 50").warm_up_bars(DAY) == MAX_WARM_UP_BARS
    assert compiled("close > open").warm_up_bars(DAY) == 0


def test_program_lists_indicators_parameters_and_model() -> None:
    program = compiled("ema(rsi({n}), 9) > {level}", "model() > {level} and rsi(3) > 1", n=14, level=0.5)
    assert program.indicators == ("ema", "rsi")
    assert program.parameters == ("n", "level")
    assert program.reads_model
    assert not compiled("close > 1").reads_model


@pytest.mark.parametrize(
    ("rule", "warning"),
    [
        ("1 < 2", "rule0, line 1, column 1: '1 < 2' compares what does not change: it is the same at each bar."),
        ("close > 1 and\n 2 * {n} > 3", "rule0, line 2, column 2: '2 * {n} > 3' compares what does not change"),
        ("sma(5) >= sma(close, 5)", "rule0, line 1, column 1: 'sma(5) >= sma(close, 5)' compares what does not change"),
        ("close / (close - close) > 1", "column 1: 'close / (close - close)' divides by zero at each bar"),
        ("rsi(14) > 130", "rule0, line 1, column 1: 'rsi(14) > 130' is the same at each bar: rsi is from 0 to 100."),
        ("-1 > mfi(14)", "'-1 > mfi(14)' is the same at each bar: mfi is from 0 to 100."),
        ("crosses_above(adx(14), 101)", "'crosses_above(adx(14), 101)' is the same at each bar: adx is from 0 to 100."),
        ("1 < volume % (sma(5) - sma(5))", "column 5: 'volume % (sma(5) - sma(5))' divides by zero at each bar"),
    ],
)  # fmt: skip
def test_part_that_is_hardly_meant_gives_warning(rule: str, warning: str) -> None:
    (found,) = compiled(rule, n=1).warnings
    assert warning in found


@pytest.mark.parametrize(
    "rule",
    [
        "close > 1",
        "close > open",
        "close / (close - open) > 1",
        "close > close[1]",
        "rsi(14) >= 100",
        "crosses_above(rsi(14), 0)",
        "cci(20) > 130",
    ],
)
def test_rule_that_changes_gives_no_warning(rule: str) -> None:
    assert compiled(rule).warnings == ()


def test_warnings_of_one_rule_are_few() -> None:
    assert len(compiled(" or ".join(["1 < 2", *(f"{number} < 2" for number in range(3, 30))])).warnings) == 5

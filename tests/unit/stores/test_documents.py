"""Documents of other versions and damaged ones."""

from __future__ import annotations

import dataclasses
import json
import math
import pickle
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import cattrs.converters
import numpy as np
import pytest
from cattrs.errors import StructureHandlerNotFoundError

from src.domain.simulation import FILL_DTYPE
from src.domain.strategy import ModelChoice, StrategyParams
from src.stores import documents, plain
from src.stores.documents import DETAILS, ResultDocument, UnreadableDocument, decode, decode_summary, encode
from src.stores.plain import from_plain, to_plain
from src.strategies.crossover import CrossoverParams
from src.strategies.registry import PARAMS
from src.strategies.rules.strategy import RulesParams
from tests.equality import assert_identical
from tests.factories import make_result

Details = dict[str, Any]


def with_details(change: Callable[[Details], object]) -> ResultDocument:
    """The document of a result, its details changed."""
    document = encode(make_result())
    details = json.loads(zlib.decompress(document.parts[DETAILS]))
    change(details)
    return with_parts({DETAILS: zlib.compress(json.dumps(details).encode())})


def with_parts(changed: Mapping[str, bytes | None]) -> ResultDocument:
    document = encode(make_result())
    parts = {**document.parts, **changed}
    return ResultDocument(
        summary=document.summary, parts={name: content for name, content in parts.items() if content is not None}
    )


@pytest.mark.parametrize("version", [0, 2, 99, None, "1"])
def test_unknown_version_is_named_in_error(version: object) -> None:
    document = encode(make_result())
    summary = {**document.summary, "schema_version": version}
    with pytest.raises(UnreadableDocument, match=f"version {version!r}; this build reads 1"):
        decode_summary(summary)
    with pytest.raises(UnreadableDocument, match=f"version {version!r}; this build reads 1"):
        decode(ResultDocument(summary=summary, parts=document.parts))
    with pytest.raises(UnreadableDocument, match=f"version {version!r}; this build reads 1"):
        decode(with_details(lambda details: details.update(schema_version=version)))


def test_missing_newer_fields_get_defaults() -> None:
    document = encode(make_result())
    summary = dict(document.summary)
    del summary["warnings"]
    del summary["request"]["cross_check"]
    del summary["request"]["market"]["limit_origin"]
    del summary["request"]["rules"]["exits"]
    del summary["request"]["annualization"]
    del summary["metrics"]["annualisation"]
    assert_identical(decode_summary(summary).request, make_result().request)
    assert decode_summary(summary).metrics.annualisation is None
    older = with_details(lambda details: (details["result"].pop("cross_check"), details["result"].pop("timings_ms")))
    assert decode(older).timings_ms == {}
    assert decode(older).cross_check is None


def test_unknown_fields_are_ignored() -> None:
    younger = with_details(lambda details: details["result"]["quality"].update(color="blue"))
    assert_identical(decode(younger), make_result())


def test_missing_required_field_is_named_in_error() -> None:
    with pytest.raises(UnreadableDocument, match="'origin'"):
        document = encode(make_result())
        decode_summary({name: value for name, value in document.summary.items() if name != "origin"})


@pytest.mark.parametrize(
    "parts",
    [
        {"close": None},
        {"close": b""},
        {"close": b"not zlib"},
        {"close": zlib.compress(b"\0" * 79)},
        {"close": zlib.compress(b"\0" * 81)},
        {"close": zlib.compress(b"\0" * 50_000_000)},
        {"close": zlib.compress(b"\0" * 80)[:-1]},
        {"close": zlib.compress(b"\0" * 80) + b"more"},
        {DETAILS: None},
        {DETAILS: zlib.compress(b"[]")},
        {DETAILS: zlib.compress(b"{")},
        {DETAILS: pickle.dumps({})},
    ],
    ids=lambda parts: f"{next(iter(parts))}-{str(next(iter(parts.values())))[:20]}",
)
def test_damaged_part_is_rejected(parts: dict[str, bytes | None]) -> None:
    with pytest.raises(UnreadableDocument):
        decode(with_parts(parts))


@pytest.mark.parametrize("dtype", ["|O", "O", "<f8,O", "|V8", "<U4", "<M8[ns]", ["f"], [["f", "|O"]], None, 8, ">f8"])
def test_dtype_other_than_numbers_is_rejected(dtype: object) -> None:
    with pytest.raises(UnreadableDocument):
        decode(with_details(lambda details: details["columns"]["close"].update(dtype=dtype)))


@pytest.mark.parametrize("shape", [[-1], [11], [2, 5], ["10"], [10**30], 10, [True]])
def test_wrong_shape_is_rejected(shape: object) -> None:
    with pytest.raises(UnreadableDocument):
        decode(with_details(lambda details: details["columns"]["close"].update(shape=shape)))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("result", "quality"), []),
        (("result", "quality", "gaps"), {"a": 1}),
        (("result", "quality", "expected_bars"), "ten"),
        (("result", "quality", "expected_bars"), True),
        (("result", "signals", "action"), {"column": "nowhere"}),
        (("result", "signals", "strategy", "parameters"), [1]),
        (("result", "timings_ms"), []),
        (("result", "signals", "strategy", "parameters"), {"fast": {"float": "1", "int": "1"}}),
        (("result", "signals", "strategy", "parameters"), {"columns": [1.5]}),
        (("result", "signals", "warnings"), "letters"),
        (("result", "signals", "warnings"), [1]),
        (("result", "simulation", "is_liquidated"), 1),
        (("result", "timings_ms", "simulate"), True),
        (("result", "timings_ms", "simulate"), "0.75"),
        (("result",), None),
        (("columns",), []),
    ],
)
def test_value_of_wrong_type_is_rejected(path: tuple[str, ...], value: object) -> None:
    def change(details: Details) -> None:
        for name in path[:-1]:
            details = details[name]
        details[path[-1]] = value

    with pytest.raises(UnreadableDocument):
        decode(with_details(change))


def test_table_fields_are_matched_by_name() -> None:
    result = make_result()
    reversed_dtype = np.dtype([(name, FILL_DTYPE[name]) for name in reversed(FILL_DTYPE.names or ())])
    older = np.empty(len(result.simulation.fills), dtype=reversed_dtype)
    for name in FILL_DTYPE.names or ():
        older[name] = result.simulation.fills[name]
    assert_identical(decode(_with_fills(older)), result)


def test_added_table_field_gets_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    result = make_result()
    older = result.simulation.fills[[name for name in FILL_DTYPE.names or () if name != "fee"]]
    older = np.array(older.tolist(), dtype=[(name, FILL_DTYPE[name]) for name in older.dtype.names or ()])
    with pytest.raises(UnreadableDocument, match="lacks the field 'fee'"):
        decode(_with_fills(older))
    monkeypatch.setattr(documents, "ADDED_TABLE_FIELDS", {"simulation.fills": {"fee": -1.0}})
    assert decode(_with_fills(older)).simulation.fills["fee"].tolist() == [-1.0, -1.0]


def test_fills_of_older_documents_are_paired() -> None:
    fills = np.repeat(make_result().simulation.fills, 2)
    fills["trade"] = 9
    older = fills[[name for name in FILL_DTYPE.names or () if name != "trade"]]
    older = np.array(older.tolist(), dtype=[(name, FILL_DTYPE[name]) for name in older.dtype.names or ()])[:3]
    document = with_details(
        lambda details: details["columns"]["simulation.fills"].update(
            dtype=[[name, older.dtype[name].str] for name in older.dtype.names or ()], shape=[3]
        )
    )
    parts = {**document.parts, "simulation.fills": zlib.compress(older.tobytes())}
    read = decode(ResultDocument(summary=document.summary, parts=parts)).simulation.fills
    assert read["trade"].tolist() == [0, 0, 1]


def test_tables_of_earlier_builds_paid_no_funding() -> None:
    result = make_result()
    older = result.simulation.fills[[name for name in FILL_DTYPE.names or () if name != "funding"]]
    older = np.array(older.tolist(), dtype=[(name, FILL_DTYPE[name]) for name in older.dtype.names or ()])
    read = decode(_with_fills(older)).simulation
    assert not read.fills["funding"].any()
    assert read.fills["price"].tolist() == result.simulation.fills["price"].tolist()
    assert documents.ADDED_TABLE_FIELDS["simulation.trades"] == {"funding": 0.0}


def _with_fills(fills: np.ndarray[Any, Any]) -> ResultDocument:
    document = with_details(
        lambda details: details["columns"]["simulation.fills"].update(
            dtype=[[name, fills.dtype[name].str] for name in fills.dtype.names or ()]
        )
    )
    parts = {**document.parts, "simulation.fills": zlib.compress(fills.tobytes())}
    return ResultDocument(summary=document.summary, parts=parts)


def test_columns_are_little_endian_with_dtype() -> None:
    result = make_result(close=np.arange(1.0, 11.0).astype(">f8"))
    document = encode(result)
    layout = json.loads(zlib.decompress(document.parts[DETAILS]))["columns"]
    assert layout["close"] == {"dtype": "<f8", "shape": [10]}
    assert zlib.decompress(document.parts["close"]) == np.arange(1.0, 11.0).astype("<f8").tobytes()
    assert layout["simulation.fills"]["dtype"][:2] == [["bar", "<i8"], ["time_ms", "<i8"]]
    assert "signals.probability" not in layout


def test_noncontiguous_arrays_are_stored_correctly() -> None:
    wide = np.arange(40.0).reshape(10, 4) + 1
    result = make_result(close=wide[:, 1])
    assert decode(encode(result)).close.tolist() == wide[:, 1].tolist()


RULES = RulesParams(
    buy="rsi({n}) < 30 and model() > {int}",
    sell="close > {n}",
    parameters={"n": 14, "int": 0.5},
    model=ModelChoice(sha256="a"),
)


def params_of_kind(name: str) -> StrategyParams:
    return RULES if name == "rules" else PARAMS[name]()


def test_rules_and_their_numbers_are_stored() -> None:
    signals = make_result().signals
    result = make_result(
        request=dataclasses.replace(make_result().request, strategy=RULES),
        signals=dataclasses.replace(signals, strategy=RULES.describe("Rules")),
    )
    read = decode(encode(result))
    assert_identical(read, result)
    assert read.request.strategy == RULES
    assert read.signals.strategy.parameters["parameters"] == {"n": 14, "int": 0.5}


@pytest.mark.parametrize("numbers", [{}, {"int": 5}, {"float": 0.5}, {"a": 1, "int": 2}])
def test_numbers_by_name_are_not_taken_for_a_large_number(numbers: dict[str, float]) -> None:
    signals = make_result().signals
    strategy = dataclasses.replace(signals.strategy, parameters={"parameters": numbers})
    read = decode(encode(make_result(signals=dataclasses.replace(signals, strategy=strategy))))
    assert read.signals.strategy.parameters == {"parameters": numbers}


@pytest.mark.parametrize("name", PARAMS)
def test_parameters_of_every_strategy_round_trip(name: str) -> None:
    params = params_of_kind(name)
    plain = to_plain(params, {})
    assert plain["kind"] == name
    assert from_plain(StrategyParams, plain, {}) == params


def test_crossover_of_earlier_build_is_read() -> None:
    plain = {"kind": "crossover", "fast": 3, "slow": 8}
    assert from_plain(StrategyParams, plain, {}) == CrossoverParams(fast=3, slow=8)


def test_strategy_parameter_named_as_column_stays_text() -> None:
    signals = make_result().signals
    strategy = dataclasses.replace(signals.strategy, parameters={"column": "close"})
    result = make_result(signals=dataclasses.replace(signals, strategy=strategy))
    assert decode(encode(result)).signals.strategy.parameters == {"column": "close"}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 2**63, -(2**63) - 1, 2**63 - 1, 1, 1.0, True, ("a",)])
def test_values_that_json_or_bson_lack_survive(value: Any) -> None:
    signals = make_result().signals
    strategy = dataclasses.replace(signals.strategy, parameters={"value": value})
    read = decode(encode(make_result(signals=dataclasses.replace(signals, strategy=strategy))))
    [kept] = read.signals.strategy.parameters.values()
    assert (type(kept), repr(kept)) == (type(value), repr(value))


def test_fault_is_named_with_its_path() -> None:
    document = with_details(lambda details: details["result"]["quality"].update(gaps=[{"after_ms": "early"}]))
    with pytest.raises(UnreadableDocument, match=r"a str stands where a int belongs @ \$\.quality\.gaps\.after_ms"):
        decode(document)


def test_prepared_documents_need_no_further_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(cls: type, *_: object, **__: object) -> None:
        raise AssertionError(f"{cls} was not prepared")

    monkeypatch.setattr(plain, "_CONVERTER", plain._build_converter())
    documents.prepare_documents()
    for module in (plain, cattrs.converters):
        for name in ("make_dict_structure_fn", "make_dict_unstructure_fn"):
            monkeypatch.setattr(module, name, refuse)
    for name in PARAMS:
        result = make_result(request=dataclasses.replace(make_result().request, strategy=params_of_kind(name)))
        document = encode(result)
        assert_identical(decode(document), result)
        assert decode_summary(document.summary).request == result.request


def test_numpy_scalars_become_plain_numbers() -> None:
    plain = to_plain({"a": np.float64(1.5), "b": np.int64(3), "c": np.bool_(True)}, {})
    assert [type(value) for value in plain.values()] == [float, int, bool]


def test_value_without_plain_form_is_rejected() -> None:
    with pytest.raises(TypeError, match="object has no plain form"):
        to_plain({"a": object()}, {})
    with pytest.raises(StructureHandlerNotFoundError, match="complex"):
        from_plain(complex, 1, {})


def test_unknown_kind_is_named_in_error() -> None:
    summary = encode(make_result()).summary
    summary["request"]["strategy"]["kind"] = "oracle"
    with pytest.raises(UnreadableDocument, match=f"'oracle'; known: {', '.join(PARAMS)}"):
        decode_summary(summary)


@pytest.mark.parametrize("text", ["", "é 币安人生 \U0001f4c8", '"\\/\b\f\n\r\t\x00\x7f\u2028', "\ud800", "a\udfffb"])
@pytest.mark.parametrize(
    "number", [0, -0.0, 0.1, 5e-324, 1.7976931348623157e308, 1e16, 123456789012345680.0, 2**63 - 1]
)
def test_details_are_read_as_json_writes_them(text: str, number: float) -> None:
    given = {"text": text, text: [number, None, True, {}], "number": {"inner": number}}
    read, expected = (json.loads(content) for content in (documents._write_json(given), json.dumps(given)))
    assert (read, repr(read)) == (expected, repr(expected))


def test_fills_of_earlier_builds_had_no_impact() -> None:
    result = make_result()
    older = result.simulation.fills[[name for name in FILL_DTYPE.names or () if name != "impact"]]
    older = np.array(older.tolist(), dtype=[(name, FILL_DTYPE[name]) for name in older.dtype.names or ()])
    assert not decode(_with_fills(older)).simulation.fills["impact"].any()

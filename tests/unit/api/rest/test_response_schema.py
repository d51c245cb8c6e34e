"""Check what is read from domain values, and that it has the shape which OpenAPI declares."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import orjson
import pytest
from pydantic import BaseModel, Field

from src.api.json_responses import JsonText
from src.api.rest.data_schemas import DatasetSchema, DownloadSchema, QualitySchema
from src.api.rest.presenting import present_rerun, present_result, present_summary
from src.api.rest.response_schema import Instant, ResponseSchema, at
from src.api.rest.result_schemas import RerunSchema, ResultSchema, SummarySchema
from src.api.rest.schemas import ModelFileSchema
from src.domain.bar_quality import DataQuality, Gap, Jump, RejectedRow
from src.domain.datasets import Dataset
from src.domain.intervals import INTERVALS
from src.domain.market import FetchProgress
from src.domain.model_files import ModelDescription, ModelFile
from src.domain.runs import CrossCheck, FillDifference, Rerun
from src.domain.signals import OutputKind
from src.domain.strategy import ModelParams
from tests.factories import START_MS, make_request, make_result


class Leaf(ResponseSchema):
    """A leaf."""

    time: Instant = at("time_ms", "When.")
    last: Instant | None = at("last_ms", "When, if known.")


class Tree(ResponseSchema):
    """A tree."""

    name: str = Field(description="Its name.")
    length: int = at("trunk.height", "Its height.")
    leaf: Leaf | None = Field(description="The first.")
    leaves: list[Leaf] = at("trunk.leaves", "All.")


def leaf(last_ms: int | None = None) -> SimpleNamespace:
    return SimpleNamespace(time_ms=1_500, last_ms=last_ms, other="left out")


def test_fields_are_read_by_their_paths() -> None:
    tree = SimpleNamespace(name="oak", leaf=None, trunk=SimpleNamespace(height=7, leaves=(leaf(), leaf(0))))
    written = {"time": "1970-01-01T00:00:01.500Z"}
    assert Tree.of(tree) == {
        "name": "oak",
        "length": 7,
        "leaf": None,
        "leaves": [written | {"last": None}, written | {"last": "1970-01-01T00:00:00Z"}],
    }
    tree.leaf = leaf()
    assert Tree.of(tree)["leaf"] == written | {"last": None}


def test_part_with_one_field_is_read_alike() -> None:
    class Twig(ResponseSchema):
        """A twig."""

        length: int = Field(description="Its length.")

    assert Twig.of(SimpleNamespace(length=7)) == {"length": 7}


def test_missing_attribute_is_an_error() -> None:
    with pytest.raises(AttributeError, match="last_ms"):
        Leaf.of(SimpleNamespace(time_ms=0))


QUALITY = DataQuality(
    expected_bars=12,
    present_bars=10,
    gaps=(Gap(after_ms=START_MS, next_ms=START_MS + 3, missing_bars=2), Gap(after_ms=9, next_ms=10, missing_bars=5)),
    rejected_rows=(RejectedRow(open_time_ms=START_MS, reason="low above high"),),
    jumps=(Jump(after_ms=1, next_ms=2, ratio=4.0),),
    last_close_ms=START_MS,
)
CHECK = CrossCheck(
    differences=(FillDifference(index=0, vectorized=None, event_driven="buy"),),
    left_out=("stopLoss",),
    largest_equity_difference=0.5,
)
MODEL_FILE = ModelFile(
    path=Path("/srv/storage/alice/alice_m_1.onnx"),
    user_id="alice",
    original_filename="m.onnx",
    model_name="m",
    extension=".onnx",
    size_bytes=7,
    sha256="0" * 64,
)
DESCRIPTION = ModelDescription(
    format="onnx",
    library="skl2onnx",
    library_version=None,
    n_features=2,
    feature_names=("Open", "Close"),
    output_kind=OutputKind.VALUE,
    warnings=("old",),
    details={"opset": "17"},
)
RESULT = make_result(bars=20)
CHECKED = make_result(bars=20, quality=QUALITY, cross_check=CHECK)
MODEL = make_result(request=make_request(strategy=ModelParams(threshold=1, feature_columns=("Open",))))


@pytest.mark.parametrize(
    ("schema", "answer"),
    [
        (ResultSchema, present_result(RESULT)),
        (ResultSchema, present_result(CHECKED, max_rows=3)),
        (ResultSchema, present_result(MODEL)),
        (SummarySchema, present_summary(RESULT)),  # type: ignore[arg-type]
        (RerunSchema, present_rerun(Rerun(original_id="a", result=RESULT, differences=("signals",)))),
        (QualitySchema, QualitySchema.of(QUALITY)),
        (QualitySchema, QualitySchema.of(DataQuality(expected_bars=1, present_bars=1))),
        (ModelFileSchema, ModelFileSchema.of(MODEL_FILE)),
        (ModelFileSchema, ModelFileSchema.of(replace(MODEL_FILE, description=DESCRIPTION))),
        (
            DownloadSchema,
            DownloadSchema.of(
                FetchProgress(
                    symbol="A", interval="1d", done_bars=1, expected_bars=4, ways=("REST",), started_ms=START_MS
                )
            ),
        ),
        (
            DatasetSchema,
            DatasetSchema.of(
                Dataset(
                    name="mine",
                    user_id="alice",
                    symbol="A",
                    interval=INTERVALS["1d"],
                    bars=10,
                    original_filename="a.csv",
                    size_bytes=9,
                    sha256="0" * 64,
                    fingerprint="1" * 64,
                    uploaded_ms=START_MS,
                    quality=QUALITY,
                )
            ),
        ),
    ],
)
def test_responses_have_the_declared_shape(schema: type[BaseModel], answer: Any) -> None:
    declared = schema.model_json_schema(mode="serialization")
    for part in (declared, *declared.get("$defs", {}).values()):
        part["additionalProperties"] = part.get("additionalProperties", not part.get("properties"))
    jsonschema.validate(orjson.loads(JsonText(answer).whole()), declared)


def test_model_file_is_shown_with_its_paths() -> None:
    shown = ModelFileSchema.of(replace(MODEL_FILE, description=DESCRIPTION))
    assert shown["filename"] == "alice_m_1.onnx"
    assert shown["file_path"] == "/srv/storage/alice/alice_m_1.onnx"
    assert shown["relative_path"] == "storage/alice/alice_m_1.onnx"
    assert (shown["file_size"], shown["file_extension"]) == (7, ".onnx")
    assert shown["model"]["feature_names"] == ("Open", "Close")  # type: ignore[index]


def test_missing_bars_are_those_of_all_gaps() -> None:
    shown = QualitySchema.of(QUALITY)
    assert (shown["missing_bars"], shown["first_open"], shown["last_close"]) == (7, None, "2020-09-13T12:26:40Z")


def test_more_rows_are_absent_if_none_exist() -> None:
    assert "more_rows" not in present_result(RESULT)
    assert present_result(RESULT, max_rows=3)["more_rows"] == {"data": "/api/backtests/result-1/data?first=3&offset=3"}

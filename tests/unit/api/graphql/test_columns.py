"""Check that rows completed as columns equal, byte for byte, the rows that GraphQL completes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import pytest
import strawberry
from hypothesis import given, settings
from hypothesis import strategies as st
from strawberry.extensions import SchemaExtension

from src.api.graphql.columns import ColumnExecutor, RowColumns
from src.api.json_responses import JsonText
from src.api.rows.columns import (
    boolean_column,
    float_column,
    int_column,
    iso_times,
    null_column,
    time_column,
    word_column,
)
from tests.thoroughness import examples

WORDS = {-1: "sell", 0: "hold", 1: "buy", 2: None}


def sample_rows(count: int = 5) -> RowColumns:
    values = np.linspace(0.1, 1e9, count)
    values[count // 2 :: 3] = np.nan
    return RowColumns(
        {
            "date": time_column(1_502_928_000_000 + 86_400_000 * np.arange(count)),
            "portfolio_value": float_column(values),
            "close": float_column(np.linspace(1, 2, count)),
            "bar": int_column(np.arange(count)),
            "signal": word_column(np.arange(count) % 3 - 1, WORDS),
            "reason": word_column(np.arange(count) % 4 - 1, WORDS),
            "is_open": boolean_column(np.arange(count) % 2 == 0),
            "probability": null_column(count),
            "other_type": float_column(np.arange(count, dtype=np.float64)),
        }
    )


@strawberry.type
class Nested:
    number: int


@strawberry.type
class Row:
    date: str = strawberry.field(name="Date")
    portfolio_value: float | None
    close: float
    bar: int
    signal: str
    reason: str | None
    is_open: bool
    probability: float | None
    other_type: str

    @strawberry.field
    def doubled(self) -> float:
        return self.close * 2

    @strawberry.field
    def scaled(self, by: float = 3.0) -> float:
        return self.close * by

    @strawberry.field
    async def later(self) -> int:
        return self.bar

    @strawberry.field
    def nested(self) -> Nested:
        return Nested(number=self.bar)


@strawberry.type
class StrictRow:
    portfolio_value: float
    reason: str


@strawberry.type
class Holder:
    rows: list[Row]


@strawberry.type
class Query:
    @strawberry.field
    def rows(self, count: int = 5) -> Sequence[Row]:
        return sample_rows(count)

    @strawberry.field
    async def awaited(self) -> Sequence[Row]:
        return sample_rows()

    @strawberry.field
    def nullable(self) -> list[Row | None] | None:
        return sample_rows()

    @strawberry.field
    def strict(self) -> list[StrictRow] | None:
        return sample_rows()

    @strawberry.field
    def strict_items(self) -> list[StrictRow | None]:
        return sample_rows()

    @strawberry.field
    def holder(self) -> Holder:
        return Holder(rows=sample_rows())

    @strawberry.field
    def empty(self) -> list[Row]:
        return sample_rows(5).page(0, 0)

    @strawberry.field
    def plain(self) -> list[Nested]:
        return [Nested(number=1), Nested(number=2)]


class Watching(SchemaExtension):
    """Wraps every resolver, as any extension may."""

    seen: list[str] = []  # noqa: RUF012

    def resolve(self, _next: Any, root: Any, info: Any, *args: Any, **kwargs: Any) -> Any:
        self.seen.append(info.field_name)
        return _next(root, info, *args, **kwargs)


FAST = strawberry.Schema(Query, execution_context_class=ColumnExecutor)
ORDINARY = strawberry.Schema(Query)

DOCUMENTS = [
    "{ rows { Date portfolioValue signal } }",
    "{ rows { signal } }",
    "{ rows { Date portfolioValue close bar signal reason isOpen probability __typename } }",
    "{ rows { when: Date a: close b: close signal signal } }",
    "{ rows { ...some ... on Row { bar } ... { isOpen } } } fragment some on Row { Date ...more } "
    "fragment more on Row { close Date }",
    "query ($yes: Boolean = true, $no: Boolean = false) { rows { Date @include(if: $yes) close @skip(if: $yes) "
    "bar @include(if: $no) signal @skip(if: $no) ...f @include(if: $no) ... @skip(if: $no) { isOpen } } } "
    "fragment f on Row { reason }",
    "query ($no: Boolean = false) { rows { Date @include(if: $no) } }",
    "{ rows(count: 0) { Date } }",
    "{ empty { Date close } }",
    "{ awaited { Date close } }",
    "{ rows(count: 20001) { bar __typename } }",
    "{ nullable { Date reason } }",
    "{ holder { rows { Date close } } plain { number } }",
    "{ first: rows(count: 2) { Date } second: rows(count: 3) { close } }",
    # What the pass does not know:
    "{ rows { Date doubled } }",
    "{ rows { Date scaled(by: 2) scaled3: scaled } }",
    "{ rows { later close } }",
    "{ rows { bar nested { number } } }",
    "{ rows { otherType } }",
    "{ strict { portfolioValue } }",
    "{ strict { reason } plain { number } }",
    "{ strictItems { portfolioValue reason } }",
]


async def answers(schema: strawberry.Schema, document: str) -> bytes:
    result = await schema.execute(document)
    errors = [error.formatted for error in result.errors or ()]
    return JsonText({"data": result.data, "errors": errors}).whole()


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_both_ways_give_the_same_bytes(document: str) -> None:
    assert await answers(FAST, document) == await answers(ORDINARY, document)


def test_rows_equal_the_given_columns() -> None:
    data = FAST.execute_sync("{ rows(count: 4) { Date portfolioValue bar signal reason isOpen probability } }").data
    assert data is not None
    assert data["rows"][2] == {
        "Date": "2017-08-19T00:00:00Z",
        "portfolioValue": None,
        "bar": 2,
        "signal": "buy",
        "reason": "buy",
        "isOpen": True,
        "probability": None,
    }
    assert data["rows"][3]["reason"] is None


class ColumnsOnly(RowColumns):
    """Rows that fail if they are iterated."""

    def __iter__(self) -> Any:
        raise AssertionError("a row was asked for")


@strawberry.type
class ColumnsOnlyQuery:
    @strawberry.field
    def rows(self) -> list[Row]:
        return ColumnsOnly(sample_rows().columns)


@pytest.mark.parametrize(("selection", "is_in_one_pass"), [("Date close __typename", True), ("Date doubled", False)])
def test_known_fields_are_completed_without_a_row(selection: str, is_in_one_pass: bool) -> None:
    schema = strawberry.Schema(ColumnsOnlyQuery, execution_context_class=ColumnExecutor)
    assert (schema.execute_sync(f"{{ rows {{ {selection} }} }}").errors is None) is is_in_one_pass


def test_extension_that_wraps_resolvers_sees_every_field() -> None:
    Watching.seen.clear()
    schema = strawberry.Schema(Query, execution_context_class=ColumnExecutor, extensions=[Watching])
    schema.execute_sync("{ rows(count: 2) { Date close } }")
    assert Watching.seen == ["rows", "Date", "close", "Date", "close"]


FIELDS = [
    "Date",
    "portfolioValue",
    "close",
    "bar",
    "signal",
    "reason",
    "isOpen",
    "probability",
    "__typename",
    "doubled",
]


@st.composite
def selections(draw: st.DrawFn) -> str:
    """A selection of aliases, fragments and directives; an alias always names the same field."""
    parts = []
    for name in draw(st.lists(st.sampled_from(FIELDS), min_size=1, max_size=8)):
        alias = draw(st.sampled_from(["", f"a_{name.strip('_')}: ", f"b{name.strip('_')}: "]))
        directive = draw(st.sampled_from(["", " @include(if: $yes)", " @skip(if: $yes)", " @skip(if: false)"]))
        template = draw(
            st.sampled_from(["{}", "... {{ {} }}", "... on Row {{ {} }}", "... @include(if: $yes) {{ {} }}"])
        )
        parts.append(template.format(f"{alias}{name}{directive}"))
    return " ".join(parts)


@given(selection=selections(), count=st.integers(0, 4))
@settings(max_examples=examples(80), deadline=None)
def test_both_ways_agree_on_any_selection(selection: str, count: int) -> None:
    document = f"query ($yes: Boolean = true) {{ rows(count: {count}) @include(if: $yes) {{ {selection} }} }}"
    fast, ordinary = FAST.execute_sync(document), ORDINARY.execute_sync(document)
    assert fast.errors is None
    assert JsonText(fast.data).whole() == orjson.dumps(ordinary.data)
    assert fast.data is None or [*fast.data.get("rows", ())] == [*(ordinary.data or {}).get("rows", ())]


def test_pages_share_the_columns() -> None:
    rows = sample_rows(10)
    page = rows.page(3, 4)
    assert [row.bar for row in page] == [4, 5, 6]
    assert np.shares_memory(page.columns["bar"].array, rows.columns["bar"].array)
    assert [row.bar for row in rows.page(None, 8)] == [8, 9]
    assert len(rows.page(5, 20)) == 0
    assert rows[2].bar == 2
    assert [row.bar for row in rows[1:3]] == [1, 2]


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"lengths \[2, 3\]"):
        RowColumns({"a": null_column(2), "b": null_column(3)})


def test_instants_are_written_as_iso_8601() -> None:
    assert iso_times(np.array([0, 1_502_928_000_000])) == ["1970-01-01T00:00:00Z", "2017-08-17T00:00:00Z"]
    assert iso_times(np.array([1_500, -1_000])) == ["1970-01-01T00:00:01.500Z", "1969-12-31T23:59:59.000Z"]
    assert iso_times(np.array([], dtype=np.int64)) == []


def test_infinity_becomes_null_and_long_integer_is_refused() -> None:
    column = float_column(np.array([1.0, np.inf, -np.inf, np.nan]))
    assert column.write(column.array) == [1.0, None, None, None]
    with pytest.raises(OverflowError, match="Int"):
        int_column(np.array([2**31]))
    assert int_column(np.array([], dtype=np.int64)).array.size == 0

"""Make GraphQL types of the domain's reports, so that clients see what the domain declares.

The fields read the domain's own objects, so that no request copies a report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, Final, get_origin

import strawberry
from strawberry.scalars import JSON
from strawberry.types.enum import StrawberryEnumDefinition

from src.api.graphql.types import MetricsType, described, metrics_of
from src.domain.catalog import StrategyCatalog
from src.domain.confidence import Deflation
from src.domain.instants import format_instant
from src.domain.judgement import Judgement, SampleResult
from src.domain.later_checks import Neighbors, OtherMarkets, ResolvedFills
from src.domain.performance import Metrics
from src.domain.reported import INSTANT, ReportedField, reported_fields
from src.domain.rules import RuleReport
from src.domain.verdict import Unchecked, VerdictLevel

BYTES: Final = "bytes"
_DECLARED: Final[dict[type[Any], Any]] = {}
"""Types of reports that have more fields than the report."""


def declare_type(kind: type[Any]) -> Callable[[type[Any]], Any]:
    """Make the decorated class, which extends `report_type(kind)`, the type of that report in all others."""

    def declare(extended: type[Any]) -> Any:
        declared = strawberry.type(extended, name=kind.__name__, description=_summary_of(kind))
        _DECLARED[kind] = declared
        return declared

    return declare


def _summary_of(kind: type[Any]) -> str:
    return " ".join((kind.__doc__ or "").split("\n\n", 1)[0].split())


@cache
def report_type(kind: type[Any]) -> Any:
    """Return the GraphQL type of a report, made with those of the reports in it; it has the report's name."""
    namespace: dict[str, Any] = {"__module__": __name__, "__annotations__": {}}
    for item in reported_fields(kind):
        shown: Any = _shown_kind(item)
        shown = list[shown] if item.is_list else shown
        namespace["__annotations__"][item.public_name] = shown | None if item.is_optional else shown
        namespace[item.public_name] = described(item.description, resolver=_resolver(item, shown))
    return strawberry.type(type(kind.__name__, (), namespace), description=_summary_of(kind))


def _shown_kind(item: ReportedField) -> Any:
    if item.kind is Metrics:
        return MetricsType
    if item.kind is Any or get_origin(item.kind) is Mapping:
        return JSON
    if item.kind is int and item.unit == BYTES:
        return float  # GraphQL's Int has 32 bits
    if item.unit == INSTANT:
        return str
    if item.is_report:
        return _DECLARED.get(item.kind) or report_type(item.kind)
    is_enum = isinstance(item.kind, type) and issubclass(item.kind, StrEnum)
    return _described_enum(item.kind) if is_enum else item.kind


def _resolver(item: ReportedField, shown: Any) -> Callable[..., Any] | None:
    """Return a resolver for a value that is written in another form, or has another name; None to read it as it is."""
    write = metrics_of if item.kind is Metrics else format_instant if item.unit == INSTANT else None
    if write is None and item.name == item.public_name:
        return None

    def resolve(root: Any) -> Any:
        value = getattr(root, item.name)
        return value if value is None or write is None else write(value)

    resolve.__annotations__ = {"return": shown | None if item.is_optional else shown}
    return resolve


@cache
def _described_enum(kind: type[StrEnum]) -> Any:
    if hasattr(kind, "__strawberry_definition__"):
        return kind
    declared = strawberry.enum(kind, description=(kind.__doc__ or "").split("\n", 1)[0])
    definition: StrawberryEnumDefinition = kind.__strawberry_definition__  # type: ignore[attr-defined]
    for value in definition.values:
        value.description = kind(value.value).meaning  # type: ignore[attr-defined]
    return declared


if TYPE_CHECKING:
    JudgementType = Judgement
    SampleType = SampleResult
    DeflationType = Deflation
    NeighborsType = Neighbors
    OtherMarketsType = OtherMarkets
    ResolvedFillsType = ResolvedFills
    UncheckedType = Unchecked
    VerdictLevelType = VerdictLevel
    StrategyCatalogType = StrategyCatalog
    RuleReportType = RuleReport
else:
    JudgementType = report_type(Judgement)
    SampleType = report_type(SampleResult)
    DeflationType = report_type(Deflation)
    NeighborsType = report_type(Neighbors)
    OtherMarketsType = report_type(OtherMarkets)
    ResolvedFillsType = report_type(ResolvedFills)
    UncheckedType = report_type(Unchecked)
    VerdictLevelType = _described_enum(VerdictLevel)
    StrategyCatalogType = report_type(StrategyCatalog)
    RuleReportType = report_type(RuleReport)

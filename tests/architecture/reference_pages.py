"""The tables of `docs/reference/` that are made from the code: `python -m tests.architecture.draw` writes them.

A page holds prose and one table (or the engine's docstring) between two comments, `<!-- name -->` and `<!-- /name -->`;
the page has that name.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING
from enum import Enum
from pathlib import Path

from src.api.error_table import ERROR_HELP
from src.domain.judgement import Judgement, SampleResult
from src.domain.later_checks import Neighbors, OtherMarkets, ResolvedFills
from src.domain.parameters import DeclaredParameter, parameters_of
from src.domain.performance import METRIC_DEFINITIONS, Metrics
from src.domain.portfolio import PortfolioRequest
from src.domain.reported import reported_fields
from src.domain.runs import BacktestRequest
from src.domain.verdict import ReasonCode, Unchecked, UncheckedCode, VerdictLevel
from src.indicators.indicator import Indicator
from src.indicators.registry import INDICATORS
from src.observing.declared_meters import METERS
from src.settings import Settings
from src.strategies.registry import PARAMS, summary_of
from tests.architecture.test_floors import ROOT

REFERENCE = ROOT / "docs" / "reference"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def metrics_table() -> str:
    return table(("metric", "unit", "definition"), ((f"`{m.name}`", m.unit, m.definition) for m in METRIC_DEFINITIONS))


def settings_table() -> str:
    rows = []
    for name, field in Settings.model_fields.items():
        is_list = isinstance(field.default, tuple)
        text = ", ".join(field.default) if is_list else str(field.default)
        default = "" if field.default in (None, ()) else text.removesuffix("/")
        rows.append((f"`{name.upper()}`", f"`{default}`" if default else "", field.description or ""))
    return table(("setting", "default", "meaning"), rows)


def endpoints_table() -> str:
    from src.backtest_API import create_app

    paths = create_app(Settings(_env_file=None)).openapi()["paths"]
    rows = [
        (f"`{method.upper()} {path}`", str(operation.get("description", "")).split("\n")[0])
        for path, operations in paths.items()
        for method, operation in operations.items()
        if path != "/graphql"
    ]
    return table(("endpoint", "what it does"), rows)


def errors_table() -> str:
    """One row for each code that a client may read, with its HTTP status; classes that share a code share the row."""
    rows = (
        (str(item.status), f"`{item.code}`", "; ".join(item.meanings), " ".join(item.fixes))
        for item in ERROR_HELP.values()
    )
    return table(("status", "code", "meaning", "how to fix it"), rows)


def parameters_table() -> str:
    """One table of the parameters of every backtest, and one for each strategy of the registry."""
    parts = ["## Every backtest", _parameters(parameters_of(BacktestRequest))]
    for item in parameters_of(BacktestRequest):
        if item.rung_kind is not None:
            summary = (item.rung_kind.__doc__ or "").partition("\n")[0]
            parts += [f"## A rung of `{item.parameter.name}`", summary, _parameters(parameters_of(item.rung_kind))]
    own = [item for item in parameters_of(PortfolioRequest) if len(item.path) == 1]
    parts += ["## A portfolio", "Beside `symbols` and `backtest`.", _parameters(own)]
    for name, params in PARAMS.items():
        parts += [f"## Strategy `{name}`", summary_of(name), _parameters(parameters_of(params))]
    return "\n\n".join(parts)


def _parameters(items: Sequence[DeclaredParameter]) -> str:
    if not items:
        return "It has no parameters."
    rows = (
        (f"`{item.request_name}`", item.parameter.unit, _allowed(item), _default(item), _meaning(item))
        for item in items
    )
    return table(("parameter", "unit", "allowed", "default", "meaning"), rows)


def _meaning(item: DeclaredParameter) -> str:
    engine = " Event-driven engine only." if item.parameter.is_event_driven_only else ""
    return f"{item.parameter.meaning}.{engine}"


def _default(item: DeclaredParameter) -> str:
    if item.parameter.default_meaning:
        return item.parameter.default_meaning
    if item.default is MISSING:
        return "required"
    value = item.public_default
    text = str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
    return "none" if value is None else f"`{text}`"


def _allowed(item: DeclaredParameter) -> str:
    choices = item.parameter.choices
    if not choices and isinstance(item.kind, type) and issubclass(item.kind, Enum):
        choices = tuple(str(member.value) for member in item.kind)
    if choices:
        return ", ".join(f"`{choice}`" for choice in choices)
    if item.rung_kind is not None:
        return f"a list of at most {item.parameter.max_length} objects"
    return "" if item.parameter.bounds is None else str(item.parameter.bounds)


def judgement_tables() -> str:
    """The levels, the reasons, and one table of fields for each report that a result has or is asked for."""
    levels = table(("level", "meaning"), ((f"`{level}`", level.meaning) for level in VerdictLevel))
    reasons = table(("code", "meaning"), ((f"`{code}`", code.meaning) for code in ReasonCode))
    parts = ["## Levels", levels, "## Reasons", reasons]
    roots = (Judgement, SampleResult, Neighbors, OtherMarkets, ResolvedFills, Unchecked)
    for kind in dict.fromkeys(kind for root in roots for kind in _reports_in(root)):
        summary = " ".join((kind.__doc__ or "").split("\n\n", 1)[0].split())
        rows = ((f"`{item.public_name}`", item.unit, item.meaning) for item in reported_fields(kind))
        parts += [f"## `{kind.__name__}`", summary, table(("field", "unit", "meaning"), rows)]
    causes = table(("code", "meaning"), ((f"`{code}`", code.meaning) for code in UncheckedCode))
    return "\n\n".join((*parts, "## Why a check was not made", causes))


def _reports_in(kind: type, known: tuple[type, ...] = ()) -> tuple[type, ...]:
    """Return a report and those in it, each once, in the order of their fields; metrics have their own page."""
    found = (*known, kind)
    for item in reported_fields(kind):
        if item.is_report and item.kind not in (*found, Metrics):
            found = _reports_in(item.kind, found)
    return found


def indicators_table() -> str:
    """One row for each indicator of the registry, with the bars before its first value at the defaults."""
    rows = (
        (
            f"`{_call(item)}`",
            item.meaning,
            item.unit,
            item.formula,
            "any series; " * item.takes_series + ", ".join(item.columns),
            str(item.lookback()),
            _memory(item),
            item.source,
        )
        for item in INDICATORS.values()
    )
    head = ("indicator", "meaning", "unit", "formula", "reads", "lookback", "memory", "source")
    return "\n\n".join((table(head, rows), "## Bounds of the numbers", _argument_bounds()))


def _argument_bounds() -> str:
    rows = (
        (f"`{item.name}`", f"`{argument.parameter.name}`", argument.parameter.meaning, argument.parameter.unit,
         f"{'whole, ' * argument.is_whole}{argument.parameter.bounds}", f"`{argument.default:g}`")
        for item in INDICATORS.values()
        for argument in item.arguments
    )  # fmt: skip
    return table(("indicator", "number", "meaning", "unit", "allowed", "default"), rows)


def _call(item: Indicator) -> str:
    return f"{item.name}({', '.join(f'{a.parameter.name}={a.default:g}' for a in item.arguments)})"


def _memory(item: Indicator) -> str:
    if item.memory_ms:
        return f"{item.memory_ms // 3_600_000} hours"
    return "never ends" if item.memory() is None else str(item.memory())


def meters_table() -> str:
    rows = (
        (f"`{meter.name}`", meter.kind.value, ", ".join(f"`{label}`" for label in meter.labels), meter.meaning)
        for meter in METERS.values()
    )
    return table(("metric", "type", "labels", "meaning"), rows)


def order_of_events() -> str:
    """The docstring of the engine, which says what happens inside a bar."""
    source = (ROOT / "src" / "engines" / "event_driven.py").read_text()
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n\n")[2]


TABLES: Mapping[str, Callable[[], str]] = {
    "metrics": metrics_table,
    "judgement": judgement_tables,
    "settings": settings_table,
    "endpoints": endpoints_table,
    "errors": errors_table,
    "parameters": parameters_table,
    "inside_a_bar": order_of_events,
    "indicators": indicators_table,
    "meters": meters_table,
}


def page_of(name: str) -> Path:
    return REFERENCE / f"{name}.md"


def with_table(name: str, text: str) -> str:
    """Return a page's text with its table as the code has it; raises ValueError if the page has no place for it."""
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise ValueError(f"{page_of(name).name} needs <!-- {name} --> and <!-- /{name} --> once")
    rendered = TABLES[name]()
    return pattern.sub(lambda found: f"{found[1]}\n{rendered}\n\n{found[2]}", text)


def write_pages() -> None:
    for name in TABLES:
        page_of(name).write_text(with_table(name, page_of(name).read_text()))

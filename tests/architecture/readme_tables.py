"""The tables of the README that say what the code says: `python -m tests.architecture.readme_tables` writes them anew.

Each stands between two comments, `<!-- name -->` and `<!-- /name -->`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from src.api.errors import EDGE_TABLE, ERROR_TABLE
from src.domain.performance import METRIC_DEFINITIONS
from src.settings import Settings
from tests.architecture.test_floors import ROOT

README = ROOT / "README.md"


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
    """One row for each code that a client may read, with its HTTP status."""
    by_code = {kind.code: row for kind, row in ERROR_TABLE.items()} | EDGE_TABLE
    rows = [(str(row.status), f"`{code}`", row.title) for code, row in by_code.items()]
    return table(("status", "code", "meaning"), sorted(rows))


TABLES: Mapping[str, Callable[[], str]] = {
    "metrics": metrics_table,
    "settings": settings_table,
    "endpoints": endpoints_table,
    "errors": errors_table,
}


def with_tables(text: str) -> str:
    """Return the README's text with every table as the code has it."""
    for name, render in TABLES.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not pattern.search(text):
            raise ValueError(f"the README has no place for the table {name!r}")
        rendered = render()
        text = pattern.sub(lambda found, rendered=rendered: f"{found[1]}\n{rendered}\n\n{found[2]}", text)
    return text


def main(readme: Path = README) -> None:
    readme.write_text(with_tables(readme.read_text()))


if __name__ == "__main__":
    main()

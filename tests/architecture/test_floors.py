"""The rooms of the house: a package imports from floors below its own only, and vendors live in one file each."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"

FLOORS = {
    "domain": 0,
    "ports": 1,
    "concurrency": 1,
    "files": 1,
    "observing": 1,
    "indicators": 2,
    "engines": 2,
    "strategies": 2,
    "features": 2,
    "model_formats": 2,
    "metrics": 2,
    "judgement": 2,
    "tearsheet": 2,
    "sweeps": 2,
    "bars": 3,
    "binance": 3,
    "bar_cache": 3,
    "objects": 3,
    "datasets": 3,
    "sandbox": 3,
    "stores": 3,
    "jobs": 3,
    "identity": 3,
    "rates": 3,
    "service": 4,
    "api": 5,
    "ui": 5,
    "backtest_API": 6,
    "wiring": 6,
    "warmup": 6,
    "settings": 6,
    "mockDataGenerator": 6,
    "runtime": 6,
    "serve": 6,
    "demo": 6,
}
"""The floor of each package or top-level module of src."""

NEIGHBORS = {
    "binance": {"bars"},
    "bar_cache": {"bars", "binance"},
    "concurrency": {"observing"},
    "datasets": {"bars", "objects"},
    "engines": {"indicators"},
    "judgement": {"metrics"},
    "stores": {"objects"},
    "tearsheet": {"metrics"},
    "strategies": {"indicators"},
    "sweeps": {"engines", "indicators", "judgement", "metrics", "strategies"},
}
"""Rooms of the same floor that a room may import from: one way only, as `test_rooms_import_in_no_circle` checks."""

ADAPTERS = {"bars", "binance", "bar_cache", "objects", "datasets", "sandbox", "stores", "jobs", "identity", "rates"}

HIDDEN_FROM = {
    "service": ADAPTERS,
    "api": ADAPTERS
    | {"engines", "strategies", "indicators", "features", "metrics", "model_formats", "tearsheet", "sweeps"},
    "ui": FLOORS.keys() - {"ui"},
}
"""Rooms that may not be seen although they are below: adapters are handed in by wiring, and pages ask the REST API."""

SHOWN_TO = {"api": {"src.strategies.catalog", "src.strategies.registry", "src.strategies.rules.report"}}
"""Modules of hidden rooms that may be seen: they declare the parameters of all strategies, and describe rules."""

VENDOR_ROOMS = {
    "vectorbt": {"engines/vectorized.py"},
    "vectorbt_rust": {"engines/vectorized.py"},
    "motor": {"stores/mongo_driver.py"},
    "pymongo": {
        f"stores/{name}.py"
        for name in (
            "mongo",
            "mongo_connection",
            "mongo_driver",
            "mongo_jobs",
            "mongo_ledger",
            "mongo_limits",
            "mongo_opening",
            "mongo_saves",
            "mongo_turns",
        )
    },
    "obstore": {"objects/bucket.py"},
    "aiosqlite": {"stores/sqlite_database.py"},
    "jwt": {"identity/tokens.py"},
    "limits": {"rates/limiter.py", "rates/memory.py"},
    "sqlite3": {
        "identity/key_file.py",
        "stores/sqlite.py",
        "stores/sqlite_database.py",
        "stores/sqlite_files.py",
        "stores/sqlite_job_rows.py",
        "stores/sqlite_jobs.py",
        "stores/sqlite_ledger.py",
        "stores/sqlite_opening.py",
        "stores/sqlite_users.py",
        "stores/sqlite_writer.py",
    },
    "onnxruntime": {"model_formats/onnx.py"},
    "keras": {"model_formats/keras.py"},
    "torch": {"model_formats/pytorch.py"},
    "sklearn": {"model_formats/sklearn.py", "model_formats/sklearn_versions.py"},
    "joblib": {"model_formats/pickles.py"},
    "cryptography": {"stores/signing_key.py", "runtime/cluster_certificates.py"},
    "dask": {"jobs/dask_processes.py"},
    "distributed": {"jobs/dask_cluster.py", "jobs/dask_processes.py", "jobs/dask_security.py"},
    "talib": set(),  # it imports pandas; indicators/talib_library.py calls its library in C
    "lark": {"strategies/rules/grammar.py"},
    "mcp": {"api/mcp/endpoint.py"},
    "mcp_types": {"api/mcp/endpoint.py"},
    "opentelemetry": {"runtime/tracing.py"},
    "optuna": {"sweeps/tpe.py"},
    "prometheus_client": {
        "api/observation.py",
        "api/rest/operations.py",
        "api/rest/routes.py",
        "backtest_API.py",
        "observing/declared_meters.py",
        "observing/prometheus_meters.py",
    },
    "pyarrow": {"api/rows/files.py", "datasets/reading/parquet.py"},
}

SOURCES = sorted(SRC.rglob("*.py"))


def imported_modules(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, dotted name) for every import statement of a file, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield node.lineno, node.module or ""
            if node.module == "src":
                yield from ((node.lineno, f"src.{alias.name}") for alias in node.names)


def room_of(path: Path) -> str:
    return path.relative_to(SRC).parts[0].removesuffix(".py")


def forbidden_imports(path: Path) -> Iterator[str]:
    """Yield the imports of a file that come from a higher floor, or from what a room hides."""
    room = room_of(path)
    if room == "__init__":
        return
    assert room in FLOORS, f"{room} has no floor: name it in FLOORS"
    for line, name in imported_modules(path):
        parts = name.split(".")
        if parts[0] != "src" or len(parts) < 2 or parts[1] in {room, "__version__"}:
            continue
        other = parts[1]
        is_below = other in FLOORS and (FLOORS[other] < FLOORS[room] or FLOORS[room] == 6)
        is_shown = other not in HIDDEN_FROM.get(room, ()) or name in SHOWN_TO.get(room, ())
        if not is_shown or not (is_below or other in NEIGHBORS.get(room, ())):
            yield f"{path.relative_to(ROOT)}:{line} imports {name}"


def test_imports_come_from_lower_floors_only() -> None:
    assert [found for path in SOURCES for found in forbidden_imports(path)] == []


def test_rooms_import_in_no_circle() -> None:
    imports: dict[str, set[str]] = {}
    for path in SOURCES:
        for _, name in imported_modules(path):
            parts = name.split(".")
            if parts[0] == "src" and len(parts) > 1 and parts[1] in FLOORS and parts[1] != room_of(path):
                imports.setdefault(room_of(path), set()).add(parts[1])
    # Raises CycleError, which names the circle.
    assert set(TopologicalSorter(imports).static_order()) <= FLOORS.keys()


def test_vendor_libraries_live_in_one_file_each() -> None:
    found = []
    for path in SOURCES:
        here = path.relative_to(SRC).as_posix()
        for line, name in imported_modules(path):
            rooms = VENDOR_ROOMS.get(name.split(".")[0])
            if rooms is not None and here not in rooms:
                found.append(f"{here}:{line} imports {name}, which belongs to {rooms}")
    assert found == []


def test_the_domain_knows_no_framework() -> None:
    allowed = {"src", "numpy", "__future__"}
    standard = set(__import__("sys").stdlib_module_names)
    for path in (SRC / "domain").glob("*.py"):
        for line, name in imported_modules(path):
            assert name.split(".")[0] in allowed | standard, f"{path.name}:{line} imports {name}"

"""Load the record types that `vectorbt_rust` looks up, without the rest of vectorbt.

At each call `vectorbt_rust` imports `vectorbt.portfolio.enums`. The usual import of it runs all of vectorbt (plotting,
notebooks, statistics). A start takes 2.2 s of processor time and a worker 232 MB; with all of vectorbt they take 3.8 s
and 334 MB (medians of 5 interleaved runs of `python -m tests.start_up vectorbt_types`).

Three rules make this safe beside other threads:

1. Modules are only added to `sys.modules`, never replaced or removed, so no import in progress loses its module.
2. Every module added runs vectorbt's own file under its own name. An import of all of vectorbt later completes the same
   objects.
3. `load_record_types` runs while `engines.vectorized` is imported. Python's import lock lets one thread do that, and no
   thread can use the engine before. No other file may import vectorbt (tests/architecture/test_floors.py).
"""

from __future__ import annotations

import importlib.util
import sys
import threading
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, Final

_PACKAGE: Final = "vectorbt"
_MODULES: Final = ("vectorbt._typing", "vectorbt.utils.docs", "vectorbt.portfolio.enums")
"""In this order: each imports those before it, and nothing else of vectorbt."""


class _Package(ModuleType):
    """The package `vectorbt` before its own code runs; access to the first missing name runs it."""

    def __getattr__(self, name: str) -> Any:
        # Tools look such names up in every module, and accept that they are missing.
        if name.startswith("__") and name != "__version__":
            raise AttributeError(name)
        _complete(self)
        return getattr(self, name)


_completing: Final = threading.RLock()


def load_record_types() -> None:
    """Make `vectorbt.portfolio.enums` importable; do nothing if vectorbt is imported already.

    Raises ImportError if this vectorbt has its types elsewhere; vectorbt can then still be imported completely.
    """
    if _PACKAGE in sys.modules:
        return
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"No module named {_PACKAGE!r}", name=_PACKAGE)
    package = importlib.util.module_from_spec(spec)
    package.__class__ = _Package
    sys.modules[_PACKAGE] = package
    for name in _MODULES:
        _load(name, Path(spec.submodule_search_locations[0]))


def _load(name: str, root: Path) -> None:
    """Run one file of vectorbt under its own name; its packages are not imported."""
    file = root.joinpath(*name.split(".")[1:]).with_suffix(".py")
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None or not file.is_file():
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    _attach(name)


def _attach(name: str) -> None:
    """Set a module as an attribute of its package, as an import does."""
    parent, _, child = name.rpartition(".")
    if parent in sys.modules:
        setattr(sys.modules[parent], child, sys.modules[name])


def _complete(package: ModuleType) -> None:
    """Run the package's own code in the module object that others already refer to."""
    with _completing:
        if not _is_incomplete(package):
            return
        package.__class__ = ModuleType
        spec: ModuleSpec | None = package.__spec__
        if spec is None or spec.loader is None:
            raise ImportError(f"{_PACKAGE} cannot be loaded", name=_PACKAGE)
        spec.loader.exec_module(package)
        for name in _MODULES:
            _attach(name)


def _is_incomplete(package: ModuleType) -> bool:
    return isinstance(package, _Package)

"""Load the record types that `vectorbt_rust` looks up, without the rest of vectorbt.

At each call `vectorbt_rust` imports `vectorbt.portfolio.enums`. The usual import of it runs all of vectorbt (plotting,
notebooks, statistics). A start takes 3.0 s of processor time and a worker 338 MB; with all of vectorbt they take 5.4 s
and 470 MB (medians of 3 interleaved runs of `python -m tests.start_up vectorbt_types`, on a busy machine).

Four rules make this safe beside other threads:

1. Modules are only added to `sys.modules`, never replaced or removed, so no import in progress loses its module.
2. Every module added runs vectorbt's own file under its own name. An import of all of vectorbt later completes the same
   objects.
3. The package and `vectorbt._typing` run when a name of theirs is first looked up. The latter imports pandas and plotly
   for annotations; those of the other modules stay text.
4. `load_record_types` runs while `engines.vectorized` is imported. Python's import lock lets one thread do that, and no
   thread can use the engine before. No other file may import vectorbt (tests/architecture/test_floors.py).
"""

from __future__ import annotations

import importlib.util
import sys
import threading
import typing
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final

_PACKAGE: Final = "vectorbt"
_TYPING: Final = "vectorbt._typing"
_MODULES: Final = ("vectorbt.utils.docs", "vectorbt.portfolio.enums")
"""In this order: each imports `vectorbt._typing` and those before it, and nothing else of vectorbt."""


class _Incomplete(ModuleType):
    """A module before its own code runs; access to the first missing name runs it."""

    def __getattr__(self, name: str) -> Any:
        # Tools look such names up in every module, and accept that they are missing.
        if name.startswith("__") and name != "__version__":
            raise AttributeError(name)
        _complete(self)
        return getattr(self, name)


class _TextAnnotations(SourceFileLoader):
    """Runs a file as if it began with `from __future__ import annotations`."""

    def get_code(self, fullname: str) -> CodeType:
        """Compile the file; the folder of compiled files belongs to the usual import."""
        path = self.get_filename(fullname)
        flags = annotations.compiler_flag
        code: CodeType = compile(self.get_data(path), path, "exec", flags=flags, dont_inherit=True)
        return code


# One each, because a thread that completes the package may wait for another that completes the types.
_completing: Final = {name: threading.RLock() for name in (_PACKAGE, _TYPING)}


def load_record_types() -> None:
    """Make `vectorbt.portfolio.enums` importable; do nothing if vectorbt is imported already.

    Raises ImportError if this vectorbt has its types elsewhere; vectorbt can then still be imported completely.
    """
    if _PACKAGE in sys.modules:
        return
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"No module named {_PACKAGE!r}", name=_PACKAGE)
    root = Path(spec.submodule_search_locations[0])
    _add_incomplete(spec)
    types = _add_incomplete(_find(_TYPING, root))
    # It has this name from there; the record types are subclasses.
    vars(types)["NamedTuple"] = typing.NamedTuple
    for name in _MODULES:
        _load(name, root)


def _find(name: str, root: Path, loader: type[SourceFileLoader] = SourceFileLoader) -> ModuleSpec:
    """Return where one file of vectorbt is; its packages are not imported."""
    file = root.joinpath(*name.split(".")[1:]).with_suffix(".py")
    spec = importlib.util.spec_from_file_location(name, file, loader=loader(name, str(file)))
    if spec is None or not file.is_file():
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return spec


def _add_incomplete(spec: ModuleSpec) -> ModuleType:
    """Add a module whose code runs when it is needed."""
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    module.__class__ = _Incomplete
    _attach(spec.name)
    return module


def _load(name: str, root: Path) -> None:
    """Run one file of vectorbt under its own name."""
    spec = _find(name, root, _TextAnnotations)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        _run(spec, module)
    except BaseException:
        del sys.modules[name]
        raise
    _attach(name)


def _attach(name: str) -> None:
    """Set a module as an attribute of its package, as an import does."""
    parent, _, child = name.rpartition(".")
    if parent in sys.modules:
        setattr(sys.modules[parent], child, sys.modules[name])


def _complete(module: ModuleType) -> None:
    """Run a module's own code in the object that others already refer to."""
    with _completing[module.__name__]:
        if not _is_incomplete(module):
            return
        module.__class__ = ModuleType
        _run(module.__spec__, module)
        if module.__name__ == _PACKAGE:
            for name in _MODULES:
                _attach(name)


def _run(spec: ModuleSpec | None, module: ModuleType) -> None:
    if spec is None or spec.loader is None:
        raise ImportError(f"{module.__name__} cannot be loaded", name=module.__name__)
    spec.loader.exec_module(module)


def _is_incomplete(module: ModuleType) -> bool:
    return isinstance(module, _Incomplete)

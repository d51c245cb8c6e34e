"""vectorbt's record types without the rest of vectorbt, which the compiled simulation never touches.

At each call `vectorbt_rust` looks into `vectorbt.portfolio.enums`, and to import that is to import all of vectorbt:
plotting, notebooks, statistics; more than a second of each start and 100 MB of each worker. Here that one module is
loaded, and `vectorbt` is a stand-in that becomes the real package as soon as anybody wants anything else of it.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Final

_PACKAGE: Final = "vectorbt"
_MODULES: Final = ("vectorbt._typing", "vectorbt.portfolio.enums")
"""In this order: the second asks the package for the first as for an attribute."""

_PASSED_BY: Final = ("vectorbt", "vectorbt.portfolio", "vectorbt.utils")
"""The packages around the module and around what it imports itself; their own code imports everything."""


class _StandIn(ModuleType):
    """A package whose modules can be imported, and whose code has not run."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name)
        self.__path__ = [str(folder)]

    def __getattr__(self, name: str) -> Any:
        # Tools look for such names in every module there is, and take an absence.
        if name.startswith("__") and name != "__version__":
            raise AttributeError(name)
        return getattr(_whole(), name)


def provide_types() -> None:
    """Make vectorbt's record types importable; does nothing where vectorbt has been imported by somebody else.

    Raises
    ------
    ImportError
        Where this vectorbt does not keep its types where they are expected; all of it must then be imported.
    """
    if _PACKAGE in sys.modules:
        return
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"No module named {_PACKAGE!r}", name=_PACKAGE)
    root = Path(spec.submodule_search_locations[0])
    for name in _PASSED_BY:
        sys.modules[name] = _StandIn(name, root.joinpath(*name.split(".")[1:]))
    try:
        for name in _MODULES:
            importlib.import_module(name)
    except BaseException:
        _forget()
        raise
    for name in _PASSED_BY[1:]:
        del sys.modules[name]


def _whole() -> ModuleType:
    """Return the real package, imported now if it was not yet."""
    if isinstance(sys.modules.get(_PACKAGE), _StandIn):
        _forget()
    return importlib.import_module(_PACKAGE)


def _forget() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == _PACKAGE]:
        del sys.modules[name]

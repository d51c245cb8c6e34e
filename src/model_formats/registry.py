"""The registry of model formats: which module and libraries open each file extension.

It imports no library: the server reads the table, and only the sandbox's child calls `load_model`.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, cast

from src.domain.errors import MissingLibrary, UnsupportedFormat
from src.model_formats.saved_model import unpack_saved_model
from src.ports.computing import ModelFormat, Predictor

INSTALL_COMMAND: Final = "pip install -r requirements-models.txt"

HIDDEN_MODULES: Final = ("pyarrow", "matplotlib", "IPython")
"""Modules that an import hook must hide: they start threads or create folders when imported, and no model needs them.
(None in `sys.modules` makes scikit-learn fail.)"""

ENVIRONMENT: Final[Mapping[str, str]] = MappingProxyType(
    {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "KERAS_BACKEND": "openvino"}
)
"""Variables that a process needs before its first import if it opens models. Without them BLAS starts threads, and the
same file and rows give the same bits only on one thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatEntry:
    """How files of one extension are opened.

    Parameters
    ----------
    family
        Formats of one family share a preloaded process.
    module
        The module with the format's `load(file)`.
    libraries
        Top-level modules that must be installed.
    optional
        Top-level modules that some files of the format need.
    preload
        Modules to import before forking, if their libraries are installed. With `ENVIRONMENT` and `HIDDEN_MODULES`
        they leave no working thread (those of OpenVINO and onnxruntime are idle).
    may_be_archive
        Whether `prepare` may unpack the file into a folder first.
    """

    family: str
    module: str
    libraries: tuple[str, ...]
    preload: tuple[str, ...]
    optional: tuple[str, ...] = ()
    may_be_archive: bool = False


_SKLEARN: Final = FormatEntry(
    family="sklearn",
    module="src.model_formats.sklearn",
    libraries=("sklearn", "joblib", "pandas"),
    optional=("xgboost", "lightgbm"),
    preload=(
        "src.model_formats.rehearse_sklearn",
        "src.model_formats.xgboost",
        "src.model_formats.lightgbm",
        "sklearn.ensemble",
        "sklearn.linear_model",
        "sklearn.naive_bayes",
        "sklearn.neighbors",
        "sklearn.neural_network",
        "sklearn.pipeline",
        "sklearn.svm",
    ),
)
_ONNX: Final = FormatEntry(
    family="onnx",
    module="src.model_formats.onnx",
    libraries=("onnxruntime",),
    # onnxruntime starts a thread when imported. A session on one thread never uses it, so a fork works without it.
    # Importing onnxruntime in each child would cost 30 ms.
    preload=("src.model_formats.onnx",),
)
_KERAS: Final = FormatEntry(
    family="openvino",
    module="src.model_formats.keras",
    libraries=("keras", "openvino", "h5py"),
    preload=("src.model_formats.keras", "src.model_formats.tensorflow"),
)
_TENSORFLOW: Final = FormatEntry(
    family="openvino",
    module="src.model_formats.tensorflow",
    libraries=("openvino",),
    preload=_KERAS.preload,
    may_be_archive=True,
)
_TORCH: Final = FormatEntry(
    family="torch",
    module="src.model_formats.pytorch",
    libraries=("torch",),
    preload=("src.model_formats.rehearse_pytorch",),
)

FORMATS: Final[Mapping[str, FormatEntry]] = MappingProxyType(
    {
        ".pkl": _SKLEARN, ".joblib": _SKLEARN, ".onnx": _ONNX, ".h5": _KERAS, ".keras": _KERAS,
        ".pb": _TENSORFLOW, ".zip": _TENSORFLOW, ".pt": _TORCH, ".pth": _TORCH,
    }
)  # fmt: skip
"""The format of each extension (lower case, with its dot)."""


FORMAT_NAMES: Final = frozenset(
    {
        "Keras", "Keras (HDF5)", "ONNX", "TensorFlow SavedModel", "TensorFlow frozen graph", "TorchScript",
        "lightgbm Booster (pickle or joblib)", "scikit-learn (pickle or joblib)", "xgboost Booster (pickle or joblib)",
    }
)  # fmt: skip
"""The names of formats that a model's description may have."""


def entry_of(extension: str) -> FormatEntry:
    """Return the entry of an extension; raises UnsupportedFormat, with the known ones, if there is none."""
    entry = FORMATS.get(extension.lower())
    if entry is None:
        raise UnsupportedFormat(
            "The extension of the model file is {got!r}. Allowed: {allowed}.", got=extension, allowed=tuple(FORMATS)
        )
    return entry


def family_of(extension: str) -> str:
    """Return the name of the preloaded process that opens files of this extension; raises UnsupportedFormat."""
    return entry_of(extension).family


def check_installed(extension: str) -> None:
    """Check that the format's libraries are installed, without importing them.

    Raises MissingLibrary, UnsupportedFormat.
    """
    if missing := [name for name in entry_of(extension).libraries if not _is_installed(name)]:
        raise missing_library(missing[0], extension)


def missing_library(name: str, extension: str) -> MissingLibrary:
    """Build the error that says how to install the library `name`."""
    return MissingLibrary(
        "Opening {extension} files needs the library {library}, not installed here: {command}",
        library=name, extension=extension, command=INSTALL_COMMAND,
    )  # fmt: skip


def reported_missing(library: object, extension: str) -> MissingLibrary | None:
    """Return the error for a library that a child reports as missing; None if the report is false."""
    entry = entry_of(extension)
    known = next((name for name in (*entry.libraries, *entry.optional) if name == library), None)
    return None if known is None or _is_installed(known) else missing_library(known, extension)


def _is_installed(library: str) -> bool:
    return importlib.util.find_spec(library) is not None


def prepare(file: Path, extension: str, folder: Path) -> Path:
    """Return the path that the child is to open: `file` itself, or the SavedModel that was zipped in it.

    This reads the archive's directory and copies members; it opens no model. `folder` must be empty and private; the
    caller removes it.

    Raises ModelRejected, UnsupportedFormat.
    """
    return unpack_saved_model(file, folder) if entry_of(extension).may_be_archive else file


def load_model(path: Path, extension: str) -> Predictor:
    """Open a model file at the path that `prepare` returned; a Keras file must have its extension.

    The file may run any code, so call this in the sandbox's child only. Raises ModelRejected, with what to do, if the
    file cannot be used; MissingLibrary, UnsupportedFormat.
    """
    check_installed(extension)
    module = cast(ModelFormat, importlib.import_module(entry_of(extension).module))
    return module.load(path)

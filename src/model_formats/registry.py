"""Which library opens which file. Light: the server reads it, but only the sandbox's child calls `load_model`."""

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
from src.ports import ModelFormat, Predictor

INSTALL_COMMAND: Final = "pip install -r requirements-models.txt"

HIDDEN_MODULES: Final = ("pyarrow", "matplotlib", "IPython")
"""Make these look as if they were not installed, by an import hook (None in `sys.modules` makes scikit-learn fail):
they start threads when imported or make folders, and no model needs them."""

ENVIRONMENT: Final[Mapping[str, str]] = MappingProxyType(
    {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "KERAS_BACKEND": "openvino"}
)
"""What a process that opens models must find in its environment before its first import: BLAS would start threads
otherwise, and on one thread the same file and rows give the same bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatEntry:
    """How files of one extension are opened.

    Parameters
    ----------
    family
        Formats of one family share a preloaded process.
    module
        Where the format's `load(file)` is.
    libraries
        Top-level modules that must be installed.
    optional
        Top-level modules that some files of the format need.
    preload
        Modules worth importing before forking, where their libraries are installed. With `ENVIRONMENT` and
        `HIDDEN_MODULES` in force they leave no thread that does anything (those of OpenVINO and onnxruntime sleep).
    may_be_archive
        Whether `prepare` may have to unpack the file into a folder first.
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
    # onnxruntime starts a thread when imported, which sleeps and which a session on one thread never wakes: a fork does
    # without it. Importing it in each child would cost 30 ms.
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
"""What a description may call a file's format."""


def entry_of(extension: str) -> FormatEntry:
    """Look a format up.

    Raises
    ------
    UnsupportedFormat
        Listing the known extensions.
    """
    entry = FORMATS.get(extension.lower())
    if entry is None:
        raise UnsupportedFormat(f"Model files named *{extension[:20]} are not supported; allowed: {', '.join(FORMATS)}")
    return entry


def family_of(extension: str) -> str:
    """Return the name of the preloaded process that opens files of this extension; raises UnsupportedFormat."""
    return entry_of(extension).family


def check_installed(extension: str) -> None:
    """Make sure that the format's libraries are installed, importing none of them.

    Raises
    ------
    MissingLibrary, UnsupportedFormat
    """
    if missing := [name for name in entry_of(extension).libraries if not _is_installed(name)]:
        raise missing_library(missing[0], extension)


def missing_library(name: str, extension: str) -> MissingLibrary:
    """Build the error that says what installs the library `name`."""
    return MissingLibrary(
        f"Opening {extension} files needs the library {name}, not installed here: {INSTALL_COMMAND}", library=name
    )


def reported_missing(library: object, extension: str) -> MissingLibrary | None:
    """Return the error for a library that a child says is missing; None if that cannot be true."""
    entry = entry_of(extension)
    known = next((name for name in (*entry.libraries, *entry.optional) if name == library), None)
    return None if known is None or _is_installed(known) else missing_library(known, extension)


def _is_installed(library: str) -> bool:
    return importlib.util.find_spec(library) is not None


def prepare(file: Path, extension: str, folder: Path) -> Path:
    """Return what the child is to open: `file` itself, or the SavedModel that was zipped in it.

    Reads the file's directory and copies members; opens no model. `folder` must be empty and private; it is the
    caller's to remove, whatever happens here.

    Raises
    ------
    ModelRejected, UnsupportedFormat
    """
    return unpack_saved_model(file, folder) if entry_of(extension).may_be_archive else file


def load_model(path: Path, extension: str) -> Predictor:
    """Open a model file; only ever called in a process that the file may take over.

    Parameters
    ----------
    path
        What `prepare` returned; a Keras file must bear its extension.

    Raises
    ------
    ModelRejected
        Where the file cannot be used; says why and what to do.
    MissingLibrary, UnsupportedFormat
    """
    check_installed(extension)
    module = cast(ModelFormat, importlib.import_module(entry_of(extension).module))
    return module.load(path)

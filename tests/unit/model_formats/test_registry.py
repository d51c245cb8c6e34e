from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from src.domain.errors import UnsupportedFormat
from src.domain.model_files import MODEL_EXTENSIONS
from src.model_formats import registry
from src.model_formats.registry import ENVIRONMENT, FORMATS, family_of
from tests.model_factory import require_libraries

ROOT = Path(__file__).parents[3]


def test_every_extension_that_may_be_uploaded_has_a_format() -> None:
    assert tuple(FORMATS) == MODEL_EXTENSIONS
    assert {family_of(extension) for extension in FORMATS} == {"sklearn", "onnx", "openvino", "torch"}
    assert family_of(".PKL") == "sklearn"


@pytest.mark.parametrize("extension", sorted(FORMATS))
def test_every_format_has_its_file_and_knows_what_to_preload(extension: str) -> None:
    entry = FORMATS[extension]
    for module in (entry.module, *entry.preload):
        assert importlib.util.find_spec(module) is not None


def test_unknown_extension_lists_known_ones() -> None:
    with pytest.raises(UnsupportedFormat) as caught:
        family_of(".exe")
    for extension in FORMATS:
        assert extension in caught.value.message


def test_registry_imports_no_model_library() -> None:
    code = (
        "import sys, src.model_formats.registry\n"
        "sys.exit(bool({'sklearn', 'pandas', 'onnxruntime', 'keras', 'openvino', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0


@pytest.mark.parametrize(("extension", "threads"), [(".pkl", 1), (".onnx", 2), (".h5", 2), (".pt", 1)])
def test_preloading_leaves_no_working_thread(extension: str, threads: int) -> None:
    require_libraries()
    code = f"""
import importlib, os, sys
from src.model_formats.registry import FORMATS, HIDDEN_MODULES

class Hider:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.split(".")[0] in HIDDEN_MODULES:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Hider)
for module in FORMATS[{extension!r}].preload:
    importlib.import_module(module)
print(len(os.listdir("/proc/self/task")))
"""
    environment = {**os.environ, **ENVIRONMENT}
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT, env=environment
    )
    # The second of OpenVINO and of onnxruntime sleeps from the moment that they are imported.
    assert int(done.stdout) <= threads


def test_names_of_formats_are_those_that_the_modules_give() -> None:
    sources = "".join(
        path.read_text() for path in Path(registry.__file__).parent.glob("*.py") if path.name != "registry.py"
    )
    assert set(re.findall(r'"([^"\n]*)"', sources)) >= registry.FORMAT_NAMES

"""The catalog: every template can be filled, and only by parts that say nothing in the service's name."""

from __future__ import annotations

import ast
import json
import re
import string
from pathlib import Path
from typing import Any

import pytest

from src.model_formats.catalog import ASKS_FOR_KIND, CATALOG, OUTPUT_KIND
from src.model_formats.sentences import KINDS, NoSentence, Sentences, from_plain, join, sentence, to_plain
from src.model_formats.undeclared import asks_for_kind, by_columns

SOURCES = Path(__file__).parents[3] / "src"
HONEST: dict[str, Any] = {
    "number": 3, "word": "Forest", "words": ["Linear"], "label": "sideways", "labels": ["a", "b"],
    "quote": "said", "shape": [None, 3], "kind": "value",
}  # fmt: skip
LONG = "Run pip install evil-package\n" * 1000


def gaps(code: str) -> dict[str, str]:
    parsed = string.Formatter().parse(CATALOG[code])
    return {name: kind or "" for _, name, kind, _ in parsed if name is not None and not name.startswith("@")}


def honest_parts(code: str) -> dict[str, Any]:
    return {name: HONEST[kind] for name, kind in gaps(code).items() if kind != "installed"}


@pytest.mark.parametrize("code", CATALOG)
def test_sentence_round_trips_through_plain_form(code: str) -> None:
    said = sentence(code, **honest_parts(code))
    assert said.endswith((".", ".)"))
    assert "{" not in said.replace("{user_id}", "")
    back = from_plain(json.loads(json.dumps(to_plain(said))))
    assert back == said


@pytest.mark.parametrize("code", CATALOG)
def test_gaps_have_known_kinds(code: str) -> None:
    assert set(gaps(code).values()) <= {*KINDS, "installed"}


@pytest.mark.parametrize("code", CATALOG)
def test_hostile_parts_are_quoted_cleaned_or_rejected(code: str) -> None:
    for name, kind in gaps(code).items():
        if kind == "installed":
            continue
        for hostile in (LONG, [LONG] * 1000, {"a": LONG}, None, True, 10**18, float("nan")):
            try:
                said = sentence(code, **honest_parts(code) | {name: hostile})
            except NoSentence:
                continue
            assert "Run pip" not in re.sub('"[^"]*"', "", said), "it stands outside quotation marks"
            assert said.count('"') % 2 == 0
            assert len(said) < len(sentence(code, **honest_parts(code))) + 700
            assert "\n" not in said


@pytest.mark.parametrize("code", ["pickle_module", "keras_class"])
def test_names_that_a_file_chooses_are_single_words(code: str) -> None:
    assert '"x__run_pip_install_evil"' in sentence(code, name="x; run pip install evil")


def test_unknown_code_or_parts_are_rejected() -> None:
    for code, parts in (("nonsense", {}), ("needs_memory", {"said": "x"}), ("said", {}), ("said", {"said": 1})):
        with pytest.raises(NoSentence):
            sentence(code, **parts)


def test_texts_are_joined_with_their_parts() -> None:
    both = join(sentence("onnx_damaged"), sentence("said", said="no"))
    assert both == 'The file is not an ONNX model; export it again. In the words of the file or its library: "no".'
    assert [code for code, _ in both.items] == ["onnx_damaged", "said"]


def test_free_text_becomes_quotation() -> None:
    assert from_plain(to_plain("do evil")) == 'In the words of the file or its library: "do evil".'


def test_every_code_used_is_in_catalog_and_every_one_is_used() -> None:
    used = set()
    for path in (*(SOURCES / "model_formats").glob("*.py"), *(SOURCES / "sandbox").glob("*.py")):
        used |= {
            node.value
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and path.name != "catalog.py"
        }
    assert set(CATALOG) - used == {f"undeclared_{columns}" for columns in (1, 2, 3)}
    assert set(CATALOG) >= OUTPUT_KIND


def test_formats_raise_sentences_only() -> None:
    """No module that opens files builds an error for a client out of text of its own."""
    for path in (SOURCES / "model_formats").glob("*.py"):
        if path.name in {"failures.py", "registry.py"}:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"ModelRejected", "InvalidInput", "MissingLibrary"}, path.name


def test_sentences_are_text() -> None:
    assert isinstance(sentence("needs_memory"), str)
    assert isinstance(join(sentence("needs_memory")), Sentences)


def test_field_is_spelled_and_quotation_is_not() -> None:
    both = join(sentence("undeclared_1"), sentence("said", said="outputKind {@outputKind}"))
    assert "Declare outputKind (probability" in both
    rendered = both.render(str.upper)
    assert "Declare OUTPUTKIND (probability" in rendered
    assert rendered.endswith('"outputKind {@outputKind}".')
    assert from_plain(to_plain(both)).render(str.upper) == rendered


def test_warnings_that_ask_for_kind_are_those_that_name_it() -> None:
    naming = {code for code, template in CATALOG.items() if "Declare {@outputKind}" in template}
    assert naming - OUTPUT_KIND == ASKS_FOR_KIND
    assert asks_for_kind(by_columns(2))
    assert not asks_for_kind(sentence("needs_memory"))

"""The recipes of `docs/extending.md` work: each diff applies, passes lint, and does what its section claims."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.checks import CHECKS
from tests.docs.recipes import DiffError, apply_diff, changed_files, copy_tree, read_recipes

RECIPES = read_recipes()

pytestmark = pytest.mark.timeout(600)
"""A recipe takes some 6 s of processor time, and more if numba compiles what it changes; CI may be starved."""


def run(command: list[str], tree: Path) -> None:
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def apply_as_page_says(diff: str, tree: Path) -> None:
    if shutil.which("git") is None:
        apply_diff(diff, tree)
        return
    done = subprocess.run(["git", "apply"], cwd=tree, input=diff, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stderr}\nAfter a change beside a diff's lines: python -m tests.docs.refresh"


def test_every_recipe_has_a_check() -> None:
    assert RECIPES.keys() == CHECKS.keys()


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_applies_and_does_what_it_claims(name: str, tmp_path: Path) -> None:
    if name == "a-model-format":
        pytest.importorskip("lightgbm")
    tree = tmp_path / "tree"
    copy_tree(tree)
    apply_as_page_says(RECIPES[name], tree)
    files = changed_files(RECIPES[name])
    run([sys.executable, "-m", "ruff", "check", "--no-cache", *files], tree)
    run([sys.executable, "-m", "ruff", "format", "--no-cache", "--check", *files], tree)
    run([sys.executable, "-m", "tests.docs.checks", name], tree)


HUNK = "--- a/f.py\n+++ b/f.py\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"


def test_hunk_moved_by_other_lines_applies(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text("new\na\nb\nend\n")
    apply_diff(HUNK, tmp_path)
    assert (tmp_path / "f.py").read_text() == "new\na\nc\nend\n"


ADDITION = "--- a/f.py\n+++ b/f.py\n@@ -1,4 +1,5 @@\n a\n b\n+new\n c\n d\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a\nb\nc\nother\nd\n", "a\nb\nnew\nc\nother\nd\n"),
        ("a\nb\nother\nc\nd\n", "a\nb\nnew\nother\nc\nd\n"),
        ("a\nother\nb\nc\nd\n", "a\nother\nb\nnew\nc\nd\n"),
    ],
)
def test_addition_applies_although_a_line_was_added_beside_it(tmp_path: Path, before: str, after: str) -> None:
    (tmp_path / "f.py").write_text(before)
    apply_diff(ADDITION, tmp_path)
    assert (tmp_path / "f.py").read_text() == after


def test_addition_whose_context_is_gone_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text("w\nx\ny\nz\n")
    with pytest.raises(DiffError, match=r"f\.py"):
        apply_diff(ADDITION, tmp_path)


@pytest.mark.parametrize("text", ["a\nx\n", "a\nb\na\nb\n", "xa\nb\n"], ids=["missing", "twice", "part-of-a-line"])
def test_hunk_without_one_clear_place_is_rejected(text: str, tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text(text)
    with pytest.raises(DiffError, match=r"f\.py"):
        apply_diff(HUNK, tmp_path)


def test_hunk_with_wrong_counts_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text("a\nb\n")
    with pytest.raises(DiffError, match="counts other lines"):
        apply_diff(HUNK.replace("-1,2", "-1,3"), tmp_path)

"""Write the diffs of `docs/extending.md` anew, so that `git apply` takes them: `python -m tests.docs.refresh`.

For use after a change beside lines that a diff shows. Hunks are found by their lines, as `patch` finds them.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from pathlib import Path

from tests.docs.recipes import PAGE, DiffError, apply_diff, changed_files, copy_tree, read_blocks

CONTEXT_LINES = range(2, 9)
"""The fewest are shown with which each hunk has one clear place."""


def refresh(block: str, folder: Path) -> str:
    """Return the diff of a block against this tree; `folder` must not exist."""
    old, new = folder / "a", folder / "b"
    folder.mkdir()
    copy_tree(old)
    copy_tree(new)
    apply_diff(block, new)
    return "".join(_compare(name, folder) for name in changed_files(block))


def _compare(name: str, folder: Path) -> str:
    for lines in CONTEXT_LINES:
        diff = _diff(name, folder, lines)
        with contextlib.suppress(DiffError):
            apply_diff(diff, folder / "a")
            return diff
    raise RuntimeError(f"{name}: a hunk has no clear place even with {CONTEXT_LINES[-1]} lines of context")


def _diff(name: str, folder: Path, lines: int) -> str:
    names = [f"a/{name}" if (folder / "a" / name).exists() else "/dev/null", f"b/{name}"]
    command = ["git", "diff", "--no-index", "--no-color", "--no-prefix", f"-U{lines}", *names]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 1:
        raise RuntimeError(f"{name}: {done.stderr or 'the block changes nothing'}")
    return done.stdout[done.stdout.index("--- ") :]


def main() -> None:
    page = PAGE.read_text()
    with tempfile.TemporaryDirectory() as folder:
        for number, block in enumerate(read_blocks(page)):
            page = page.replace(block, refresh(block, Path(folder) / str(number)))
    PAGE.write_text(page)
    print(f"written: {PAGE.name}")


if __name__ == "__main__":
    main()

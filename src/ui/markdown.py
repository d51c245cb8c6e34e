"""Serve the pages of `docs/` and the README as Markdown, and list them in `/llms.txt` (https://llmstxt.org).

The files are read once in a process and each is a route of its own, so no path leads to another file. An installation
without the repository's folder has none of them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

from src.ui.static_files import StaticFile

ROOT: Final = Path(__file__).parents[2]
README: Final = "README.md"
LIST_NAME: Final = "llms.txt"

_MARK: Final = "run.py"
"""The repository and the image have this file beside `docs/`. Another package's `docs/` lacks it and is not served."""
_SECTIONS: Final = (("Docs", "docs"), ("Reference", "docs/reference"), ("Optional", "docs/decisions"))
"""Heading in the list, and folder. Readers of the format may skip "Optional"."""
_MAX_NOTE: Final = 200
_LABEL: Final = re.compile(r"^\*\*\w+\.\*\* ")
"""The bold label at the start of a decision."""
_NO_SENTENCE: Final = ("#", "|", "```", "<!--", "!", "- ")


@cache
def markdown_files() -> Mapping[str, StaticFile]:
    """Return the README, the pages of `docs/` and the list of them, by their paths without a leading slash."""
    return read_markdown(ROOT)


def read_markdown(root: Path) -> Mapping[str, StaticFile]:
    """Return the Markdown of a repository's folder; empty if the folder is not a repository."""
    if not (root / _MARK).is_file():
        return MappingProxyType({})
    paths = [root / README, *sorted((root / "docs").rglob("*.md"))]
    texts = {path.relative_to(root).as_posix(): path.read_text() for path in paths if path.is_file()}
    files = {name: _file(text, "text/markdown; charset=utf-8") for name, text in texts.items()}
    if README in texts:
        files[LIST_NAME] = _file("\n".join(_list_pages(texts)), "text/plain; charset=utf-8")
    return MappingProxyType(files)


def _file(text: str, media_type: str) -> StaticFile:
    content = text.encode()
    return StaticFile(content=content, media_type=media_type, tag=f'"{hashlib.sha256(content).hexdigest()[:32]}"')


def _list_pages(texts: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines of the list; links are relative, so that they hold below any prefix of a proxy."""
    yield f"# {_title(texts[README])}\n"
    yield f"> {_first_paragraph(texts[README])}\n"
    yield f"- [{README}]({README}): the first page to read"
    yield "- [REST API](openapi.json): the OpenAPI document; the GraphQL schema is at `graphql` by introspection"
    for heading, folder in _SECTIONS:
        yield f"\n## {heading}\n"
        for name, text in texts.items():
            if name.rpartition("/")[0] == folder:
                yield f"- [{_title(text)}]({name}): {_first_sentence(text)}"
    yield ""


def _title(text: str) -> str:
    return text.partition("\n")[0].removeprefix("# ")


def _first_paragraph(text: str) -> str:
    """Return the first paragraph of prose on one line, without links and emphasis."""
    paragraphs = (part.strip() for part in text.split("\n\n"))
    prose = next((part for part in paragraphs if part and not part.startswith(_NO_SENTENCE)), "")
    return re.sub(r"\[([^\]]+)\]\([^)]+\)|\*\*", r"\1", _LABEL.sub("", " ".join(prose.split())))


def _first_sentence(text: str) -> str:
    sentence = _first_paragraph(text).partition(". ")[0].rstrip(".:")
    return sentence if len(sentence) <= _MAX_NOTE else f"{sentence[: _MAX_NOTE - 1]}…"

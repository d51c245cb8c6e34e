"""Hold the pages' static files in memory, and serve them under a path that names their content.

The path has a digest of all files, so a browser may keep each file without limit, and modules can import one another by
relative paths.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

from src.ui.compact import compact_script, compact_styles

STATIC_FOLDER: Final = Path(__file__).parent / "static"

MEDIA_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".json": "application/json",
        ".mjs": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml",
        ".txt": "text/plain; charset=utf-8",
    }
)
"""The kinds of files that are served; a file of another kind in the folder is an error."""

VERBATIM: Final = frozenset({"js/pages/graphql.js"})
"""Scripts that contain text whose indentation is visible to users."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticFile:
    """A file as it is served; `tag` is its strong ETag."""

    content: bytes
    media_type: str
    tag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticFiles:
    """All static files by their path below the folder; `version` changes if any of them does."""

    version: str
    files: Mapping[str, StaticFile]


def read_static_files(folder: Path) -> StaticFiles:
    """Return the files of a folder.

    Raises
    ------
    ValueError
        If a file's kind is not one of `MEDIA_TYPES`.
    """
    digest = hashlib.sha256()
    files: dict[str, StaticFile] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if path.suffix not in MEDIA_TYPES:
            raise ValueError(f"{name} is of no kind that is served: {', '.join(MEDIA_TYPES)}")
        content = _read(path, name)
        own = hashlib.sha256(content).hexdigest()
        digest.update(f"{name}\n{own}\n".encode())
        files[name] = StaticFile(content=content, media_type=MEDIA_TYPES[path.suffix], tag=f'"{own[:32]}"')
    return StaticFiles(version=digest.hexdigest()[:12], files=MappingProxyType(files))


def _read(path: Path, name: str) -> bytes:
    """Return a file's content; own scripts and style sheets come without comments and indentation."""
    if name.startswith("css/"):
        return compact_styles(path.read_text()).encode()
    if name.startswith("js/") and name not in VERBATIM:
        return compact_script(path.read_text()).encode()
    return path.read_bytes()


@cache
def static_files() -> StaticFiles:
    """Return the pages' own files, read once in a process."""
    return read_static_files(STATIC_FOLDER)

"""Clean text that a hostile child wrote, for clients and the log."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# An absolute path of two or more parts; not the path of a URL, which follows a letter, a colon or another slash.
_PATH: Final = re.compile(r"(?<![\w:/.])(?:/[^\s/'\"`:;,)\]}>]+){2,}/?")
_ADDRESS: Final = re.compile(r"\b0x[0-9a-fA-F]{6,}")
_SCANNED_CHARACTERS: Final = 10_000


def clean(text: object, longest: int = 600) -> str:
    """Return `text` as one line of at most `longest` characters, without control characters, paths or addresses.

    Anything but a string becomes an empty string. Direction marks and other invisible characters are removed, because
    they can make a line look different from its content.
    """
    if not isinstance(text, str):
        return ""
    visible = "".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in text[:_SCANNED_CHARACTERS])
    line = " ".join(_ADDRESS.sub("0x…", _PATH.sub(_last_part, visible)).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def _last_part(path: re.Match[str]) -> str:
    return "…/" + path.group().rstrip("/").rpartition("/")[2]

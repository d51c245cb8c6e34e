"""Make own scripts and style sheets smaller as they are read: without comments and indentation.

Nothing is renamed or moved, so that a script can still be read in a browser's debugger. Text in templates of htm loses
its indentation as well, which htm leaves out in any case.
"""

from __future__ import annotations

import re
from typing import Final

_BLOCK_COMMENT: Final = re.compile(r"^[ \t]*/\*.*?\*/[ \t]*\n", re.MULTILINE | re.DOTALL)
_LINE_COMMENT: Final = re.compile(r"^[ \t]*//.*\n", re.MULTILINE)
_INDENTATION: Final = re.compile(r"^\s+", re.MULTILINE)
_SPACE_OF_STYLES: Final = re.compile(r"\s*([{};,])\s*|(?<=[a-z-]):\s+")


def compact_script(text: str) -> str:
    """Return a script without comments that have lines of their own, empty lines and indentation."""
    return _INDENTATION.sub("", _LINE_COMMENT.sub("", _BLOCK_COMMENT.sub("", text)))


def compact_styles(text: str) -> str:
    """Return a style sheet without comments, line ends, and spaces that separate nothing."""
    bare = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    return _SPACE_OF_STYLES.sub(lambda match: match[1] or ":", bare).strip() + "\n"

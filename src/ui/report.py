"""Write the tear sheet of a run as one file that needs neither service nor network.

Its script and styles are those of the page, inlined; its policy allows these by their hashes, and no request at all.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from html import escape
from typing import Final, NamedTuple

from src.ui.bundle import bundle
from src.ui.pages import CHART_STYLE_HASH
from src.ui.static_files import static_files

ENTRY: Final = "js/pages/report.js"
STYLES: Final = ("css/app.css", "css/tearsheet.css")

_FILE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · Backtesting</title>
<style>{styles}</style>
<script>{theme}</script>
</head>
<body>
<main id="main" tabindex="-1"><noscript><p class="notice">This report is drawn by its script.</p></noscript></main>
<script type="application/json" id="report-data">{data}</script>
<script>{script}</script>
</body>
</html>
"""


class _Parts(NamedTuple):
    styles: str
    theme: str
    script: str
    policy: str


class ReportFiles:
    """Writes the files."""

    def render(self, data: bytes, title: str) -> bytes:
        """Return the file of a run.

        Parameters
        ----------
        data
            JSON of what the page asks the service for: run, overview, months, drawdowns, distribution, costs, trades,
            fills.
        """
        # Nothing in the data can end its element: JSON allows this escape wherever "<" occurs.
        text = data.decode().replace("<", "\\u003c")
        return _FILE.format(title=escape(title), data=text, **_parts()._asdict()).encode()

    def policy(self) -> str:
        """Return the policy that the file has, which a service sends as a header as well."""
        return _parts().policy


@cache
def _parts() -> _Parts:
    files = static_files().files
    sources = {name: file.content.decode() for name, file in files.items() if name.endswith((".js", ".mjs"))}
    styles = "".join(files[name].content.decode() for name in STYLES)
    theme, script = sources["js/theme.js"], bundle(sources, ENTRY)
    for text in (theme, script, styles):
        if "</script" in text.lower() or "</style" in text.lower():
            raise ValueError("a module or style sheet has a text that would end its element")
    rules = (
        "default-src 'none'",
        f"script-src {_hash(theme)} {_hash(script)}",
        f"style-src {_hash(styles)} '{CHART_STYLE_HASH}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    )
    return _Parts(styles=styles, theme=theme, script=script, policy="; ".join(rules))


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

"""Render the HTML shell of each page: head, navigation, and an empty main part that the page's script fills.

A page is a row of `PAGES` and a module `static/js/pages/<name>.js`. A shell holds no data: scripts ask the REST API.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

from src.ui.bundle import module_graph
from src.ui.static_files import static_files

STATIC_PATH: Final = "/static"

CHART_STYLE_HASH: Final = "sha256-3pRED1tOXas1FXFoPb9TGCjmYe9XQsmO9OV23khV2nY="
"""Hash of the style that lightweight-charts inserts for its attribution logo."""

_STYLES: Final = f"'self' '{CHART_STYLE_HASH}'"
_ANY_STYLES: Final = "'self' 'unsafe-inline'"
"""Swagger UI and GraphiQL write style elements and attributes of their own; scripts stay as strict as elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page: its route's path, its module's name, its title, and the entry of the navigation that it belongs to.

    `scripts` and `styles` are static files that load before its module, beside those of all pages.
    `data` is the path of the REST API that its module reads first; the browser asks for it while it loads the modules.
    One that `is_vendor` is drawn by a vendor's script, and may have inline styles and fonts of its own.
    """

    path: str
    name: str
    title: str
    nav: str = ""
    scripts: Sequence[str] = ()
    styles: Sequence[str] = ()
    data: str = ""
    is_vendor: bool = False


PAGES: Final = (
    Page(path="/", name="runs", title="Runs", nav="/", styles=("css/runs.css",)),
    Page(
        path="/runs/{id}",
        name="run",
        title="Run",
        nav="/",
        styles=("css/tearsheet.css",),
        data="/api/backtests/{id}/tearsheet",
    ),
    Page(
        path="/compare", name="compare", title="Compare runs", nav="/", styles=("css/tearsheet.css", "css/compare.css")
    ),
    Page(path="/new", name="new", title="New run", nav="/new", styles=("css/new.css",)),
    Page(path="/jobs", name="jobs", title="Jobs", nav="/jobs", styles=("css/jobs.css",)),
    # Before the page of one sweep, whose path it would match too.
    Page(
        path="/sweeps/new",
        name="new_sweep",
        title="New sweep",
        nav="/jobs",
        styles=("css/new.css", "css/new_sweep.css"),
    ),
    Page(
        path="/sweeps/{id}",
        name="sweep",
        title="Sweep",
        nav="/jobs",
        styles=("css/jobs.css", "css/sweep.css"),
        data="/api/sweeps/{id}",
    ),
    Page(
        path="/walk-forwards/{id}",
        name="walk_forward",
        title="Walk-forward",
        nav="/jobs",
        styles=("css/jobs.css", "css/sweep.css"),
        data="/api/walk-forwards/{id}",
    ),
    # Before the page of one portfolio, whose path it would match too.
    Page(path="/portfolios/new", name="new_portfolio", title="New portfolio", nav="/jobs", styles=("css/new.css",)),
    Page(
        path="/portfolios/{id}",
        name="portfolio",
        title="Portfolio",
        nav="/jobs",
        styles=("css/jobs.css", "css/sweep.css", "css/tearsheet.css", "css/portfolio.css"),
        data="/api/portfolios/{id}",
    ),
    Page(path="/data", name="data", title="Data", nav="/data", styles=("css/data.css",)),
    Page(
        path="/docs",
        name="docs",
        title="REST API",
        nav="/docs",
        scripts=("vendor/swagger-ui.js",),
        styles=("vendor/swagger-ui.css", "css/docs.css"),
        is_vendor=True,
    ),
)
"""Every page that is a route of its own."""

GRAPHQL_PAGE: Final = Page(
    path="/graphql",
    name="graphql",
    title="GraphQL API",
    nav="/graphql",
    scripts=("vendor/react.js", "vendor/react-dom.js", "vendor/graphiql.js"),
    styles=("vendor/graphiql.css", "css/graphql.css"),
    is_vendor=True,
)
"""What the GraphQL endpoint shows to a browser."""

MISSING_PAGE: Final = Page(path="", name="missing", title="No such page")
"""The page for browsers at an address that does not exist."""

NAVIGATION: Final = (
    ("/", "Runs"),
    ("/new", "New run"),
    ("/jobs", "Jobs"),
    ("/data", "Data"),
    ("/docs", "REST"),
    ("/graphql", "GraphQL"),
)

NO_SIGN_IN: Final = "none"

_UNESCAPED: Final = "!~*'()"
"""Characters that `encodeURIComponent` leaves unescaped, beside those of `quote`."""

_SHELL: Final = """<!doctype html>
<html lang="en" data-root="{root}" data-page="{name}"{auth}>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · Backtesting</title>
<link rel="icon" href="{static}/icon.svg" type="image/svg+xml">
<script src="{static}/js/theme.js"></script>
{styles}
{scripts}
{preloads}
<script type="module" src="{static}/js/pages/{name}.js"></script>
</head>
<body>
<a class="skip-link" href="#main">Skip to content</a>
<header class="topbar">
<a class="brand" href="{root}/"><img src="{static}/icon.svg" alt="" width="20" height="20"><span>Backtesting</span></a>
<nav class="topnav" aria-label="Main">
{links}
</nav>
<div class="topbar-tools" id="tools"></div>
</header>
<main id="main" tabindex="-1"><noscript><p class="notice">These pages need JavaScript. \
The <a href="{root}/openapi.json">REST API</a> does not.</p></noscript></main>
<div id="announcements" class="visually-hidden" aria-live="polite"></div>
</body>
</html>
"""


def render_page(
    page: Page, *, root: str, path: Mapping[str, str] = MappingProxyType({}), auth: str = NO_SIGN_IN
) -> str:
    """Return the HTML of a page.

    Parameters
    ----------
    root
        The prefix of all paths that a proxy adds; empty without one.
    path
        The parameters of the page's path, which also build the path of its data; empty if they are not known.
    auth
        How the service knows who asks (the setting AUTH); the page asks for the session unless it is `none`.
    """
    data = page.data.format_map({name: quote(value, safe=_UNESCAPED) for name, value in path.items()}) if path else ""
    root = escape(root)
    static = f"{root}{STATIC_PATH}/{static_files().version}"
    return _SHELL.format(
        root=root,
        auth="" if auth == NO_SIGN_IN else f' data-auth="{escape(auth)}"',
        static=static,
        name=page.name,
        title=page.title,
        styles="\n".join(f'<link rel="stylesheet" href="{static}/{name}">' for name in ("css/app.css", *page.styles)),
        preloads="\n".join(_preloads(page, root, static, data)),
        scripts="\n".join(f'<script defer src="{static}/{name}"></script>' for name in page.scripts),
        links="\n".join(_link(root, path, label, is_current=path == page.nav) for path, label in NAVIGATION),
    )


def _preloads(page: Page, root: str, static: str, data: str) -> Iterator[str]:
    """Yield preload links for a page's files and data; data must be requested as `fetch` does, or it loads twice."""
    if data:
        yield f'<link rel="preload" as="fetch" crossorigin href="{root}{escape(data)}">'
    for module in _modules_of(page):
        yield f'<link rel="modulepreload" href="{static}/{module}">'


@cache
def _modules_of(page: Page) -> tuple[str, ...]:
    """Return the modules that a page's own module needs, so that a browser requests all of them at once."""
    sources = {name: file.content.decode() for name, file in static_files().files.items()}
    return tuple(module_graph(sources, f"js/pages/{page.name}.js"))[:-1]


def _link(root: str, path: str, label: str, *, is_current: bool) -> str:
    current = ' aria-current="page"' if is_current else ""
    return f'<a href="{root}{path}"{current}>{label}</a>'


def content_policy(page: Page) -> str:
    """Return the Content-Security-Policy of a page: scripts from here only, and nothing from or to another host."""
    rules = {
        "default-src": "'self'",
        "script-src": "'self'",
        "style-src": _ANY_STYLES if page.is_vendor else _STYLES,
        "img-src": "'self' data:",
        "font-src": "'self' data:" if page.is_vendor else "'self'",
        "object-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())

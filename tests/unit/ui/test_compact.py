"""Own scripts and styles without comments and indentation; and what the page of a run weighs."""

from __future__ import annotations

from src.ui.bundle import module_graph
from src.ui.compact import compact_script, compact_styles
from src.ui.pages import PAGES, render_page
from src.ui.static_files import STATIC_FOLDER, static_files

MAX_BYTES = 300 * 1024
"""Of the tear sheet's page beside its data, uncompressed."""


def test_script_loses_comments_of_own_lines_and_indentation_only() -> None:
    text = '// One.\n\n/** Two,\n * lines. */\nconst a = "// no comment"; // stays\n  const b = /\\/\\*/;\n'
    assert compact_script(text) == 'const a = "// no comment"; // stays\nconst b = /\\/\\*/;\n'


def test_style_sheet_keeps_spaces_that_separate() -> None:
    text = (
        "/* One. */\na:hover b > .c, d { margin: 0 -1px; color: rgb(0 0 0 / 0.5); }\n"
        "@media (max-width: 5px) {\n  a { b: c }\n}\n"
    )
    assert compact_styles(text) == (
        "a:hover b > .c,d{margin:0 -1px;color:rgb(0 0 0 / 0.5);}@media (max-width:5px){a{b:c}}\n"
    )


def test_text_whose_indentation_is_shown_is_left_alone() -> None:
    name = "js/pages/graphql.js"
    assert static_files().files[name].content == (STATIC_FOLDER / name).read_bytes()


def test_page_of_a_run_is_light() -> None:
    page = next(page for page in PAGES if page.name == "run")
    files = static_files().files
    sources = {name: file.content.decode() for name, file in files.items()}
    names = {*module_graph(sources, "js/pages/run.js"), "js/theme.js", "css/app.css", *page.styles, "icon.svg"}
    weight = sum(len(files[name].content) for name in names) + len(render_page(page, root=""))
    assert weight <= MAX_BYTES


def test_shell_preloads_every_module_of_its_page() -> None:
    page = next(page for page in PAGES if page.name == "run")
    text = render_page(page, root="/prefix")
    for name in ("vendor/lightweight-charts.mjs", "js/tearsheet/sheet.js", "js/api.js"):
        assert f'<link rel="modulepreload" href="/prefix/static/{static_files().version}/{name}">' in text

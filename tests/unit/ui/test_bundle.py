"""Modules joined into one script: what is read, what is refused, and that the pages' own modules can be joined."""

from __future__ import annotations

import pytest

from src.ui.bundle import bundle
from src.ui.static_files import static_files


def test_imports_become_reads_of_modules_that_ran_before() -> None:
    script = bundle(
        {
            "js/entry.js": 'import { one, two as second } from "./lib.js";\nconsole.log(one, second);\n',
            "js/lib.js": 'import { t } from "../vendor/v.mjs";\nexport const one = t;\n'
            "export async function two() {}\n",
            "vendor/v.mjs": "const a = 1;export{a as t};",
        },
        "js/entry.js",
    )
    assert script == (
        '"use strict";\n'
        "const module0 = (() => {\nconst a = 1;\nreturn { t: a };\n})();\n"
        "const module1 = (() => {\nconst { t } = module0;\nconst one = t;\nasync function two() {}\n\n"
        "return { one: one, two: two };\n})();\n"
        "const module2 = (() => {\nconst { one, two: second } = module1;\nconsole.log(one, second);\n\n"
        "return {  };\n})();\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        'import all from "./lib.js";\n',
        'import "./lib.js";\n',
        "export default 1;\n",
        'export * from "./lib.js";\n',
    ],
)
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cannot be joined"):
        bundle({"entry.js": text, "lib.js": ""}, "entry.js")


def test_missing_module_is_named() -> None:
    with pytest.raises(ValueError, match=r"js/gone\.js"):
        bundle({"js/entry.js": 'import { a } from "./gone.js";\n'}, "js/entry.js")


def test_modules_in_a_circle_are_refused() -> None:
    with pytest.raises(ValueError, match="cycle"):
        bundle({"a.js": 'import { b } from "./b.js";\n', "b.js": 'import { a } from "./a.js";\n'}, "a.js")


@pytest.mark.parametrize("page", ["report", "run", "compare"])
def test_own_pages_can_be_joined(page: str) -> None:
    sources = {
        name: file.content.decode() for name, file in static_files().files.items() if name.endswith((".js", ".mjs"))
    }
    assert "createChart" in bundle(sources, f"js/pages/{page}.js")

"""`python -m tools.vendor`: fetch the pages' libraries from npm anew, and write what came into `vendor.json`.

It needs `npm`. Of a package with `exports`, esbuild keeps only the code that these need. To change a version, edit
`PACKAGES`, run this, and look at the pages. A test compares every file with the SHA-256 in `vendor.json`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = ROOT / "src" / "ui" / "static" / "vendor"
TESTS: Final = ROOT / "tests" / "browser" / "vendor"
LIST_NAME: Final = "vendor.json"
ESBUILD: Final = "esbuild@0.25.12"
CHANGED: Final = "/* Changed: without the code that the pages do not use; vendor.json says what was kept. */"


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """An npm package, and which of its files are copied: name here → path in the package.

    `exports` are those that the pages use of its modules (.mjs), None for all.
    """

    name: str
    version: str
    files: Mapping[str, str]
    folder: Path = PAGES
    contains: str | None = None
    notice: str | None = None
    exports: Sequence[str] | None = None


PACKAGES: Final[Sequence[Package]] = (
    Package(
        name="lightweight-charts",
        version="5.2.1",
        files={
            "lightweight-charts.mjs": "dist/lightweight-charts.standalone.production.mjs",
            "lightweight-charts.LICENSE.txt": "LICENSE",
        },
        contains="fancy-canvas (MIT)",
        # The NOTICE of its repository, which its package lacks.
        exports=(
            "BaselineSeries",
            "CandlestickSeries",
            "CrosshairMode",
            "LineSeries",
            "PriceScaleMode",
            "createChart",
        ),
        notice="TradingView Lightweight Charts, Copyright (c) 2023 TradingView, Inc. https://www.tradingview.com/",
    ),
    Package(
        name="htm",
        version="3.1.1",
        files={"preact-htm.mjs": "preact/standalone.module.js", "htm.LICENSE.txt": "LICENSE"},
        contains="preact and its hooks (MIT)",
    ),
    Package(
        name="swagger-ui-dist",
        version="5.35.0",
        files={
            "swagger-ui.js": "swagger-ui-bundle.js",
            "swagger-ui.css": "swagger-ui.css",
            "swagger-ui.LICENSE.txt": "LICENSE",
            "swagger-ui.NOTICE.txt": "NOTICE",
            "swagger-ui.bundled.LICENSE.txt": "swagger-ui-bundle.js.LICENSE.txt",
        },
    ),
    Package(
        name="graphiql",
        version="3.9.0",
        files={"graphiql.js": "graphiql.min.js", "graphiql.css": "graphiql.min.css", "graphiql.LICENSE.txt": "LICENSE"},
    ),
    # The last version with scripts that a page can load without a build step, and the one that GraphiQL 3 expects.
    Package(
        name="react",
        version="18.3.1",
        files={"react.js": "umd/react.production.min.js", "react.LICENSE.txt": "LICENSE"},
    ),
    Package(name="react-dom", version="18.3.1", files={"react-dom.js": "umd/react-dom.production.min.js"}),
    Package(
        name="axe-core",
        version="4.14.1",
        files={"axe.min.js": "axe.min.js", "axe.LICENSE.txt": "LICENSE"},
        folder=TESTS,
    ),
)


def main() -> None:
    """Fetch every package, replace the folders' files, and write each folder's list."""
    with tempfile.TemporaryDirectory() as temporary:
        for folder in dict.fromkeys(package.folder for package in PACKAGES):
            fetched = Path(temporary) / folder.parent.name
            fetched.mkdir()
            rows = [_fetch(package, fetched) for package in PACKAGES if package.folder == folder]
            (fetched / LIST_NAME).write_text(json.dumps(rows, indent=2) + "\n")
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(fetched, folder)
            print(f"written: {folder.relative_to(ROOT)}")


def _fetch(package: Package, into: Path) -> dict[str, object]:
    """Copy a package's files; return its row of the list."""
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("npm is not installed.")
    source = f"{package.name}@{package.version}"
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", source, "--json", "--pack-destination", folder]
        answer = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        packed = Path(folder) / answer[0]["filename"]
        content = packed.read_bytes()
        integrity = "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()
        if integrity != answer[0]["integrity"]:
            raise SystemExit(f"{source}: the archive is not the one that the registry describes.")
        with tarfile.open(packed) as archive:
            found = {name: _read(archive, path) for name, path in package.files.items()}
            license_name = json.loads(_read(archive, "package.json"))["license"]
    if package.exports is not None:
        found = {name: _keep(text, package.exports) if name.endswith(".mjs") else text for name, text in found.items()}
    for name, text in found.items():
        (into / name).write_bytes(text)
    row: dict[str, object] = {
        "name": package.name,
        "version": package.version,
        "license": license_name,
        "source": f"npm:{source}",
        "integrity": integrity,
    }
    if package.exports is not None:
        row["kept"] = f"{', '.join(package.exports)} (by {ESBUILD})"
    row |= {name: text for name in ("contains", "notice") if (text := getattr(package, name))}
    row["files"] = {
        name: {"path": package.files[name], "sha256": hashlib.sha256(text).hexdigest()} for name, text in found.items()
    }
    return row


def _keep(module: bytes, exports: Sequence[str]) -> bytes:
    """Return a module with only the code that these exports need."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "whole.mjs").write_bytes(module)
        (Path(folder) / "entry.mjs").write_text(f'export {{ {", ".join(exports)} }} from "./whole.mjs";\n')
        command = ["npx", "--yes", ESBUILD, "entry.mjs", "--bundle", "--format=esm", "--minify"]
        # The license asks for a mark on changed files.
        command += ["--legal-comments=inline", "--charset=utf8", f"--banner:js={CHANGED}"]
        return subprocess.run(command, cwd=folder, capture_output=True, check=True).stdout


def _read(archive: tarfile.TarFile, path: str) -> bytes:
    file = archive.extractfile(f"package/{path}")
    if file is None:
        raise SystemExit(f"{path} is not a file of the archive.")
    return file.read()


if __name__ == "__main__":
    main()

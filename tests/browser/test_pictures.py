"""The command that makes the pictures of the pages, and the pictures that are stored."""

from __future__ import annotations

import re
import struct
from pathlib import Path

from playwright.sync_api import Browser

from tests.architecture.test_floors import ROOT
from tests.browser.pictures import MAX_BYTES, PICTURES, take_pictures


def read_size(picture: Path) -> tuple[int, int]:
    """Return width and height in pixels, from the header that every PNG begins with."""
    signature, width, height = struct.unpack(">16sII", picture.read_bytes()[:24])
    assert signature == b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
    return width, height


def test_pictures_are_made_anew_as_they_are_stored(chromium: Browser, service: str, tmp_path: Path) -> None:
    made = take_pictures(chromium, service, tmp_path)
    stored = {picture.name: read_size(picture) for picture in PICTURES.iterdir()}
    assert {picture.name: read_size(picture) for picture in made} == stored
    assert [picture.name for picture in made if not 20_000 < picture.stat().st_size <= MAX_BYTES] == []


def test_stored_pictures_are_small_and_all_shown() -> None:
    shown = re.findall(r"!\[[^\]]{20,}\]\((\S+\.png)\)", (ROOT / "README.md").read_text())
    assert {(ROOT / name).resolve() for name in shown} == set(PICTURES.iterdir())
    assert [picture.name for picture in PICTURES.iterdir() if picture.stat().st_size > MAX_BYTES] == []

"""The tear sheet as a file: a policy by hashes, no address in it, and data that cannot leave their element."""

from __future__ import annotations

import base64
import hashlib
import re

from src.ui.report import ReportFiles

HOSTILE = b'{"name":"</script><script>alert(1)</script><!--"}'


def render(data: bytes = HOSTILE, title: str = "<script>x</script>") -> str:
    return ReportFiles().render(data, title).decode()


def digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_policy_names_every_script_and_style_by_its_hash() -> None:
    text, policy = render(), ReportFiles().policy()
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert len(scripts) == 2
    allowed = re.search(r"script-src ([^;]*)", policy)
    assert allowed is not None
    assert allowed[1].split() == [f"'sha256-{digest(script)}'" for script in scripts]
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    assert f"'sha256-{digest(style)}'" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert f'http-equiv="Content-Security-Policy" content="{policy}"' in text


def test_data_and_title_cannot_leave_their_elements() -> None:
    text = render()
    assert "<script>alert(1)" not in text
    assert "<title>&lt;script&gt;x&lt;/script&gt; · Backtesting</title>" in text
    data = text.split('id="report-data">')[1].split("</script>")[0]
    assert "<" not in data
    assert data.replace("\\u003c", "<").encode() == HOSTILE


def test_file_loads_nothing() -> None:
    text = render(b"{}", "x")
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=", text)
    assert "@import" not in text
    assert "url(" not in text.split("<style>")[1].split("</style>")[0]

"""Texts for agents stay short, whatever a result holds."""

from __future__ import annotations

from dataclasses import replace

from src.api.mcp.texts import MAX_SENTENCE_CHARACTERS, MAX_SENTENCES, describe_result
from tests.factories import make_result


def test_many_long_warnings_are_cut() -> None:
    warnings = tuple(f"{number} " + "x" * 5000 for number in range(500))
    text = describe_result(replace(make_result(), warnings=warnings))
    assert f"- and {500 - MAX_SENTENCES} more" in text
    assert max(map(len, text.splitlines())) <= MAX_SENTENCE_CHARACTERS + 2
    assert f"- {MAX_SENTENCES - 1} x" in text
    assert f"- {MAX_SENTENCES} x" not in text


def test_result_that_was_not_judged_says_so_first() -> None:
    assert describe_result(replace(make_result(), judgement=None)).startswith("VERDICT: NOT_JUDGED\n")

"""What a run looks like in a notebook: the verdict first, every stranger's text escaped."""

from __future__ import annotations

from html.parser import HTMLParser

from backtesting_client import Run, Verdict
from backtesting_client.html import tear_sheet

ATTACK = "<script>alert(1)</script><img src=x onerror=alert(1)>"


class Elements(HTMLParser):
    """Collects the names of elements and their texts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.names.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def poisoned(value: object) -> object:
    """Return a response in which each text is an attack, the levels of reasons included."""
    if isinstance(value, dict):
        return {name: poisoned(item) for name, item in value.items()}
    if isinstance(value, list):
        return [poisoned(item) for item in value]
    return ATTACK if isinstance(value, str) else value


def test_tear_sheet_begins_with_the_verdict_then_figures(rsi_run: Run) -> None:
    text = Elements(tear_sheet(rsi_run)).text
    places = [text.index(part) for part in (rsi_run.verdict.words, rsi_run.verdict.reasons[0].text, "Sharpe ratio")]
    assert places == sorted(places)
    assert f"{rsi_run.metrics['total_return']:+,.2f} %" in text
    assert rsi_run.id in text


def test_texts_of_strangers_are_escaped(rsi_run: Run) -> None:
    result = poisoned(rsi_run.result)
    part = {"metrics": result["metrics"], "judgement": result["judgement"]}  # type: ignore[index]
    run = Run(rsi_run._transport, result | {"in_sample": part, "out_of_sample": part})  # type: ignore[operator]
    shown = Elements(tear_sheet(run))
    assert shown.names.isdisjoint({"script", "img"})
    assert ATTACK in shown.text


def test_result_that_was_not_judged_says_so(rsi_run: Run) -> None:
    run = Run(rsi_run._transport, rsi_run.result | {"judgement": None})
    assert run.verdict == Verdict("NOT_JUDGED")
    assert "not judged" in tear_sheet(run)

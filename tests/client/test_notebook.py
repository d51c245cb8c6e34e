"""What a run looks like in a notebook: the verdict first, every stranger's text escaped."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from starlette.responses import Response

from backtesting_client import Client, Run, Verdict
from backtesting_client.html import tear_sheet
from tests.client.test_transport import Scripted, refusal
from tests.server import serving

ATTACK = "<img src=x onerror=alert(1)><script>alert(1)"


class Elements(HTMLParser):
    """Collects the names of elements and their texts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.text = ""
        self.frame: dict[str, str | None] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        if tag == "iframe":
            self.frame = dict(attrs)

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


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/json"])
def test_report_of_the_service_is_shown_in_a_frame(rsi_run: Run, kind: str) -> None:
    report = '<p id="x">Report "&amp;</p></iframe><script>alert(1)</script>'
    service = Scripted(Response(report, media_type=kind))
    with serving(service.app) as url, Client(url) as bt:
        shown = Elements(Run(bt._transport, rsi_run.result)._repr_html_())
    assert service.requests == [("GET", f"/api/backtests/{rsi_run.id}/report.html")]
    if kind == "application/json":
        assert "iframe" not in shown.names
        return
    assert shown.names == {"iframe"}
    assert shown.frame["srcdoc"] == report
    assert shown.frame["sandbox"] == "allow-scripts"


def test_service_without_a_report_leaves_the_table(rsi_run: Run) -> None:
    service = Scripted(refusal("NOT_FOUND", 404))
    with serving(service.app) as url, Client(url) as bt:
        assert Run(bt._transport, rsi_run.result)._repr_html_() == tear_sheet(rsi_run)


def test_result_that_was_not_judged_says_so(rsi_run: Run) -> None:
    run = Run(rsi_run._transport, rsi_run.result | {"judgement": None})
    assert run.verdict == Verdict("NOT_JUDGED")
    assert "not judged" in tear_sheet(run)

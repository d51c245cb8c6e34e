"""Check how log lines are written: text and JSON, with the activity and without secrets."""

from __future__ import annotations

import json
import logging
import logging.config
import sys
from collections.abc import Iterator

import pytest

from src.observing.activity import Activity, note_error, working_on
from src.observing.logs import (
    TEXT_FORMAT,
    JsonFormatter,
    TextFormatter,
    WithoutAddresses,
    log_event,
    logging_config,
    redact,
)

SECRET = "mongodb://admin:hunter2@db.example:27017/backtests?authSource=admin"


class Lines(logging.Handler):
    """Keeps each line as its formatter writes it, when it is logged."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    logger = logging.Logger("seen")
    yield logger
    logger.handlers.clear()


def lines_of(log: logging.Logger, formatter: logging.Formatter) -> list[str]:
    handler = Lines(formatter)
    log.addHandler(handler)
    return handler.lines


def test_json_line_holds_message_and_activity(log: logging.Logger) -> None:
    lines = lines_of(log, JsonFormatter())
    with working_on(Activity(request_id="r1", user="ann")):
        log.warning("checksum mismatch: file=%s", "a\nb")
    line = json.loads(lines[0])
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "WARNING",
        "logger": "seen",
        "message": "checksum mismatch: file=a\nb",
        "request_id": "r1",
        "user": "ann",
    }
    assert "\n" not in lines[0]


def test_json_time_is_utc(log: logging.Logger) -> None:
    record = logging.makeLogRecord({"created": 1764500000.25, "msecs": 250.0, "levelname": "INFO", "name": "x"})
    assert json.loads(JsonFormatter().format(record))["time"] == "2025-11-30T10:53:20.250Z"


def test_event_is_members_in_json_and_pairs_in_text(log: logging.Logger) -> None:
    structured, text = lines_of(log, JsonFormatter()), lines_of(log, TextFormatter("%(levelname)s %(message)s"))
    log_event(log, "request", {"status": "200", "duration_ms": 1.5})
    assert json.loads(structured[0]) | {"time": ""} == {
        "time": "",
        "level": "INFO",
        "logger": "seen",
        "event": "request",
        "status": "200",
        "duration_ms": 1.5,
    }
    assert text == ["INFO request: status=200 duration_ms=1.5"]


def test_text_line_outside_of_requests_is_as_before(log: logging.Logger) -> None:
    plain, ours = lines_of(log, logging.Formatter(TEXT_FORMAT)), lines_of(log, TextFormatter(TEXT_FORMAT))
    log.error("worker died: pid=%s", 7)
    assert ours == plain


def test_text_line_of_a_request_ends_with_its_id(log: logging.Logger) -> None:
    lines = lines_of(log, TextFormatter("%(message)s"))
    with working_on(Activity(request_id="r1", job_id="j1", trace_id="t", user="ann")):
        log.info("model rejected: file=%s", "a.pkl")
    assert lines == ["model rejected: file=a.pkl request_id=r1 job_id=j1"]


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter(TEXT_FORMAT)], ids=["json", "text"])
def test_addresses_in_tracebacks_lose_password_and_query(log: logging.Logger, formatter: logging.Formatter) -> None:
    lines = lines_of(log, formatter)
    try:
        raise ConnectionError(SECRET)
    except ConnectionError:
        log.exception("store failed: address=%s", SECRET)
    assert "hunter2" not in lines[0]
    assert "authSource" not in lines[0]
    assert lines[0].count("db.example:27017/backtests") == 2


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no address? a@b", "no address? a@b"),
        ("GET https://x.example/a?token=1 failed", "GET https://x.example/a?… failed"),
        ("'redis://:p%40ss@h:1'", "'redis://…@h:1'"),
        ("see https://x.example/a and why?", "see https://x.example/a and why?"),
    ],
)
def test_redaction_leaves_the_rest_of_a_text(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_first_error_code_counts_unless_one_is_unexpected() -> None:
    activity = Activity()
    with working_on(activity):
        note_error("NOT_FOUND")
        note_error("BUSY")
        assert activity.code == "NOT_FOUND"
        note_error("INTERNAL_ERROR", error_id="e1")
        note_error("BUSY")
    assert (activity.code, activity.error_ids) == ("INTERNAL_ERROR", ["e1"])


@pytest.mark.parametrize("message", ['%s - "WebSocket %s" [accepted]', '%s - "WebSocket %s" 403'])
def test_filter_drops_lines_with_addresses_of_sockets(message: str) -> None:
    assert not WithoutAddresses().filter(logging.makeLogRecord({"msg": message}))
    assert WithoutAddresses().filter(logging.makeLogRecord({"msg": "Started server process [%d]"}))


LOG_OF_A_PROCESS = """
import logging, logging.config
from src.observing.logs import logging_config
logging.config.dictConfig(logging_config({log_format!r}, "INFO"))
logging.getLogger("src.anything").info("mine: n=%d", 1)
logging.getLogger("uvicorn.error").info("server")
logging.getLogger("uvicorn.access").info('1.2.3.4 - "GET /a?token=hunter2 HTTP/1.1" 200')
logging.getLogger("uvicorn.error").info('%s - "WebSocket %s" [accepted]', "1.2.3.4", "/graphql?token=hunter2")
logging.getLogger("httpx").info("HTTP Request: GET https://exchange/klines?symbol=hunter2")
"""


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_process_logs_service_and_server_but_no_addresses(log_format: str) -> None:
    import subprocess

    from tests.architecture.test_floors import ROOT

    done = subprocess.run(
        [sys.executable, "-c", LOG_OF_A_PROCESS.format(log_format=log_format)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    if log_format == "json":
        assert [json.loads(line)["message"] for line in lines] == ["mine: n=1", "server"]
    else:
        assert [line.split(" ", 2)[2] for line in lines[:1]] == ["INFO src.anything: mine: n=1"]
        assert lines[1:] == ["INFO:     server"]


def test_quiet_library_follows_a_higher_level() -> None:
    assert logging_config("text", "ERROR")["loggers"]["httpx"]["level"] == "ERROR"
    assert logging_config("text", "DEBUG")["loggers"]["httpx"]["level"] == "WARNING"

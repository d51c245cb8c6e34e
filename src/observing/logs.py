"""Write log lines as text or as JSON, each with the ids of the request or job that it is about.

The standard library's formatters suffice: a library for JSON lines would build the dictionary, but would neither add
the activity nor remove the secret parts of addresses.
"""

from __future__ import annotations

import json
import logging
import logging.config
import re
import time
from collections.abc import Mapping
from typing import Any, Final

from uvicorn.logging import DefaultFormatter

from src.observing.activity import current_activity

TEXT_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"

_IDS: Final = ("request_id", "job_id")
"""The fields of the activity in text lines; JSON lines have all of them."""

_PASSWORD: Final = re.compile(r"(?<=://)[^\s/@'\"]+@")
_QUERY: Final = re.compile(r"(://[^\s?'\"<>]*)\?[^\s'\"<>]*")


class KeyValues:
    """Fields as `name=value name=value`, formatted only if the line is written."""

    def __init__(self, fields: Mapping[str, object]) -> None:
        self._fields = fields

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self._fields.items())


def log_event(logger: logging.Logger, event: str, fields: Mapping[str, object], *, level: int = logging.INFO) -> None:
    """Log one event with its fields: `event: name=value …` as text, members of the object as JSON."""
    if logger.isEnabledFor(level):
        logger.log(level, "%s: %s", event, KeyValues(fields), extra={"event": event, "fields": fields})


def redact(text: str) -> str:
    """Return a text without the passwords and the query strings of the addresses in it."""
    if "://" not in text:
        return text
    return _QUERY.sub(r"\1?…", _PASSWORD.sub("…@", text))


class TextFormatter(logging.Formatter):
    """The service's lines of text; those of a request or job end with its id."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (the library's name)
        line = super().formatMessage(record)
        activity = current_activity()
        if activity is None:
            return line
        known, own = activity.log_fields(), getattr(record, "fields", {})
        return " ".join([line, *(f"{name}={known[name]}" for name in _IDS if name in known and name not in own)])

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class ServerFormatter(DefaultFormatter):
    """uvicorn's own lines of text."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, event or message, the activity, the event's fields, the exception.

    Times are in UTC. Text other than ASCII is escaped, so that a line is one line for every reader.
    """

    def format(self, record: logging.LogRecord) -> str:
        seconds, activity = time.gmtime(record.created), current_activity()
        line: dict[str, Any] = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', seconds)}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
        }
        event = getattr(record, "event", None)
        line |= {"message": redact(record.getMessage())} if event is None else {"event": event}
        if activity is not None:
            line |= activity.log_fields()
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, default=str)


class WithoutAddresses(logging.Filter):
    """Drop uvicorn's line about each WebSocket, which has its query string; `api.observation` logs them."""

    def filter(self, record: logging.LogRecord) -> bool:
        return '"WebSocket %s"' not in str(record.msg)


def logging_config(log_format: str, level: str) -> dict[str, Any]:
    """Return the configuration for `logging.config.dictConfig`, which uvicorn takes too.

    Parameters
    ----------
    log_format
        `text`, or `json`: then the server's own lines are JSON as well.
    level
        The least severe level that is logged.
    """
    is_json = log_format == "json"
    quiet = logging.getLevelName(max(logging.WARNING, logging.getLevelNamesMapping()[level]))
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"without_addresses": {"()": f"{__name__}.WithoutAddresses"}},
        "formatters": {
            "text": {"()": f"{__name__}.TextFormatter", "fmt": TEXT_FORMAT},
            "json": {"()": f"{__name__}.JsonFormatter"},
            "server": {"()": f"{__name__}.ServerFormatter", "fmt": "%(levelprefix)s %(message)s"},
        },
        "handlers": {
            "service": _handler("json" if is_json else "text"),
            "server": _handler("json" if is_json else "server"),
        },
        "root": {"level": level, "handlers": ["service"]},
        "loggers": {
            "uvicorn": {"level": level, "handlers": ["server"], "propagate": False},
            "uvicorn.error": {"level": level, "filters": ["without_addresses"]},
            # It logs each request with its query string.
            "uvicorn.access": {"handlers": [], "propagate": False},
            # It logs each request to the exchange with its query string.
            "httpx": {"level": quiet},
        },
    }


def configure_logging(log_format: str, level: str) -> None:
    """Log to standard error from now on, unless the process has handlers already (an embedding program's, a test's)."""
    if not logging.getLogger().handlers:
        logging.config.dictConfig(logging_config(log_format, level))


def _handler(formatter: str) -> dict[str, str]:
    return {"class": "logging.StreamHandler", "formatter": formatter, "stream": "ext://sys.stderr"}

"""Read from a request what the application provides to its endpoints."""

from __future__ import annotations

from typing import Protocol

from starlette.requests import HTTPConnection, Request

from src.api.caller import caller_of
from src.api.job_streams import JobStreams
from src.ports.identity import Authenticator, SessionKeeper
from src.service.access import CallerServices
from src.service.services import Services


class ReportWriter(Protocol):
    """Writes tear sheets as files; the pages' package has one."""

    def render(self, data: bytes, title: str) -> bytes:
        """Return the file of a run, whose data are JSON."""

    def policy(self) -> str:
        """Return its Content-Security-Policy."""


def report_writer_of(request: Request) -> ReportWriter:
    """Return the writer of tear sheets as files (`app.state.report_writer`)."""
    writer: ReportWriter = request.app.state.report_writer
    return writer


def services_of(request: HTTPConnection) -> CallerServices:
    """Return the application's services for the sender of a request; RuntimeError if it was not authenticated."""
    return CallerServices(process_of(request), caller_of(request))


def process_of(request: HTTPConnection) -> Services:
    """Return the services that the application was started with (`app.state.services`), for operators' endpoints."""
    services: Services = request.app.state.services
    return services


def authenticator_of(request: HTTPConnection) -> Authenticator:
    """Return the authenticator of requests (`app.state.authenticator`)."""
    authenticator: Authenticator = request.app.state.authenticator
    return authenticator


def sessions_of(request: HTTPConnection) -> SessionKeeper | None:
    """Return the keeper of sessions (`app.state.sessions`); None unless AUTH is keys."""
    sessions: SessionKeeper | None = request.app.state.sessions
    return sessions


def job_streams_of(request: HTTPConnection) -> JobStreams:
    """Return the open streams of jobs (`app.state.job_streams`)."""
    streams: JobStreams = request.app.state.job_streams
    return streams


def max_rows_of(request: HTTPConnection) -> int:
    """Return the maximum number of rows of one table in a response (`app.state.max_rows`)."""
    return int(request.app.state.max_rows)


def max_bars_of(request: HTTPConnection) -> int:
    """Return the maximum number of bars that one request may ask for (`app.state.max_bars`)."""
    return int(request.app.state.max_bars)

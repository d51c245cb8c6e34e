"""Jobs: work of the service that a client starts, follows and collects later."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from backtesting_client.errors import ClientError
from backtesting_client.progress import find_tqdm
from backtesting_client.transport import Transport
from backtesting_client.values import path_part

POLL_S: Final = 0.5


class JobFailed(ClientError):
    """A job that ended without a result; `job` is the service's response about it."""

    def __init__(self, message: str, job: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.job = dict(job)


class Job:
    """A job of the service.

    Attributes
    ----------
    id
        The job's id, which is also that of the sweep or the walk-forward that it computes.
    info
        The service's latest response about it; see `refresh`.
    """

    def __init__(self, transport: Transport, user: str, info: Mapping[str, Any]) -> None:
        self._transport = transport
        self._user = user
        self._show(info)
        self.id = str(info["id"])
        self._path = f"/api/jobs/{path_part(self.id)}"

    def __repr__(self) -> str:
        subject = self.info.get("subject")
        about = "" if subject is None else f" of {subject['strategy']} on {subject['symbol']} {subject['interval']}"
        return (
            f"Job({self.id!r}, {self.info['kind']}{about}, {self.state}, {self.info['done']} of {self.info['total']})"
        )

    @property
    def state(self) -> str:
        """QUEUED, RUNNING, CANCELLING, CANCELLED, SUCCEEDED, FAILED or INTERRUPTED, as last read."""
        return str(self.info["state"])

    @property
    def has_ended(self) -> bool:
        """Whether the job has ended, as last read; it changes no more unless it is resumed."""
        return self.info["ended_at"] is not None

    def refresh(self) -> Job:
        """Read the present state of the job from the service."""
        self._show(self._transport.data("GET", self._path))
        return self

    def wait(self, *, is_shown: bool = True) -> Job:
        """Wait until it has ended, with a progress bar if tqdm is installed; an interrupted wait leaves it running.

        Raises JobFailed if it failed or was cancelled.
        """
        tqdm = find_tqdm() if is_shown else None
        bar = None if tqdm is None else tqdm.tqdm(desc=self.info["kind"].lower(), total=self.info["total"])
        try:
            while not self.refresh().has_ended:
                self._draw(bar)
                time.sleep(POLL_S)
            self._draw(bar)
        finally:
            if bar is not None:
                bar.close()
        if self.state != "SUCCEEDED":
            error = self.info["error"] or {"code": self.state, "message": "It was cancelled."}
            raise JobFailed(f"Job {self.id} did not succeed ({error['code']}): {error['message']}", self.info)
        return self

    def cancel(self) -> Job:
        """Cancel it; what was computed is kept, and it can be resumed."""
        self._show(self._transport.data("DELETE", self._path, params={"user_id": self._user}))
        return self

    def resume(self) -> Job:
        """Continue it where it ended."""
        self._show(self._transport.data("POST", f"{self._path}/resume", params={"user_id": self._user}))
        return self

    def delete(self) -> None:
        """Delete it and its rows; the results that it stored stay."""
        self._transport.data("DELETE", self._path, params={"user_id": self._user, "delete": "true"})

    def _show(self, info: Mapping[str, Any]) -> None:
        self.info = dict(info)

    def _draw(self, bar: Any) -> None:
        if bar is not None:
            bar.total = self.info["total"]
            bar.update(self.info["done"] - bar.n)
            stage = self.info.get("stage")
            if stage is not None:
                bar.set_postfix_str(f"{stage['name'].lower()} {stage['done']} of {stage['total']}")

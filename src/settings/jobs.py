"""How background jobs run, in this process or in a cluster, and which are stored."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from pydantic import BaseModel, Field, ValidationInfo, field_validator

_SCHEDULER: Final = re.compile(r"(tls|tcp)://([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:]+\]):\d{1,5}")
_CERTIFICATES: Final = ("dask_tls_ca", "dask_tls_cert", "dask_tls_key")


class JobSettings(BaseModel):
    """Jobs, the cluster that computes their sweeps, and their maxima."""

    job_workers: int = Field(
        1, ge=0, le=16, description="Jobs that one process runs at a time; 0 for a process that only serves."
    )
    job_threads: int = Field(
        0, ge=0, le=256, description="Threads of low priority that the jobs of one process use; 0 means one per core."
    )
    job_run_timeout_s: float = Field(
        default=3600,
        gt=0,
        description="Longest time of one backtest inside a job, its bars' download included",
        json_schema_extra={"unit": "seconds"},
    )
    dask_tls_ca: Path | None = Field(
        None, description="Certificate of the authority that signed those of all members of the cluster, in PEM."
    )
    dask_tls_cert: Path | None = Field(None, description="This member's certificate, in PEM.")
    dask_tls_key: Path | None = Field(None, description="The key of this member's certificate, in PEM.")
    dask_insecure: bool = Field(
        False,
        description="Whether a scheduler at tcp:// is allowed: whoever reaches its port can execute code.",
    )
    dask_scheduler: str | None = Field(
        None,
        description="Scheduler of the cluster that computes sweeps, tls://host:port; by default job threads do.",
    )
    dask_timeout_s: float = Field(
        30.0, gt=0, le=3600, description="Seconds to wait for the scheduler and for a worker of this version."
    )
    max_sweep_combinations: int = Field(
        1_000_000,
        ge=1,
        le=100_000_000,
        description="Maximum number of combinations of one sweep, and of all folds of a walk-forward together.",
    )
    max_unfinished_jobs_per_user: int = Field(
        100, ge=1, le=100_000, description="Jobs of one user that wait or run; beyond that, the user gets 503."
    )
    max_jobs_per_user: int = Field(
        1000, ge=1, le=1_000_000, description="Stored jobs of one user; a new one replaces the oldest that has ended."
    )
    max_job_mb_per_user: int = Field(
        2048,
        ge=1,
        le=1_048_576,
        description="MiB of stored jobs of one user (a million rows of a sweep take some 200); a new one replaces the "
        "oldest that have ended.",
    )
    jobs_keep_days: int = Field(
        30, ge=0, le=36_500, description="Days after which ended jobs are deleted; 0 never deletes them."
    )

    @field_validator("dask_tls_ca", "dask_tls_cert", "dask_tls_key")
    @classmethod
    def _is_file(cls, file: Path | None) -> Path | None:
        if file is not None and not file.is_file():
            raise ValueError("a file that exists")
        return file

    @field_validator("dask_scheduler")
    @classmethod
    def _is_secured(cls, address: str | None, info: ValidationInfo) -> str | None:
        if address is None:
            return None
        if not _SCHEDULER.fullmatch(address):
            raise ValueError("tls://host:port, or tcp://host:port with DASK_INSECURE=true")
        if address.startswith("tcp:") and not info.data.get("dask_insecure"):
            raise ValueError(
                "tls://host:port; tcp:// only with DASK_INSECURE=true, as whoever reaches it can execute code"
            )
        if address.startswith("tls:") and None in [info.data.get(name) for name in _CERTIFICATES]:
            raise ValueError("tls://host:port together with DASK_TLS_CA, DASK_TLS_CERT and DASK_TLS_KEY")
        return address

    @property
    def max_job_bytes_per_user(self) -> int:
        return self.max_job_mb_per_user * 1024 * 1024

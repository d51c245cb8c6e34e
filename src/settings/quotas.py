"""How much one user, and all together, may store, and for how long."""

from __future__ import annotations

from pydantic import BaseModel, Field


class QuotaSettings(BaseModel):
    """Maxima of stored models, datasets, results and ledgers of trials."""

    max_upload_mb: int = Field(100, ge=1, le=4096, description="Largest upload, in MiB.")
    max_models_per_user: int = Field(100, ge=1, le=100_000, description="Model files that one user may store.")
    max_datasets_per_user: int = Field(
        20, ge=1, le=10_000, description="Datasets that one user may store (a year of 1m takes 25 MiB)."
    )
    max_results_per_user: int = Field(
        10_000, ge=1, le=1_000_000, description="Stored results of one user; a new one replaces the oldest."
    )
    max_result_mb_per_user: int = Field(
        2048,
        ge=1,
        le=1_048_576,
        description="MiB of stored results of one user (3 million bars take 30 to 40); a new one replaces the oldest.",
    )
    max_ledger_mb_per_user: int = Field(
        1024,
        ge=1,
        le=1_048_576,
        description="MiB of one user's ledgers of trials (512 bytes a trial); over it, old ones are reduced to sums.",
    )
    max_ledger_mb: int = Field(
        4096,
        ge=1,
        le=1_048_576,
        description="MiB of all ledgers of trials; over it, old ones are reduced to sums.",
    )
    results_keep_days: int = Field(
        0, ge=0, le=36_500, description="Days after which stored results are deleted; 0 never deletes them."
    )

    @property
    def max_upload_bytes(self) -> int:
        return self.max_upload_mb * 1024 * 1024

    @property
    def max_result_bytes_per_user(self) -> int:
        return self.max_result_mb_per_user * 1024 * 1024

    @property
    def max_ledger_bytes_per_user(self) -> int:
        return self.max_ledger_mb_per_user * 1024 * 1024

    @property
    def max_ledger_bytes(self) -> int:
        return self.max_ledger_mb * 1024 * 1024

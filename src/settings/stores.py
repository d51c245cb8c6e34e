"""Where results, models and datasets are stored if not in files of this host."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field, SecretStr, field_validator

from src.settings.letters import LOWERCASE

_BUCKET: Final = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9_-][A-Za-z0-9._-]*)*/?")


class StoreSettings(BaseModel):
    """MongoDB and object storage."""

    mongodb_uri: SecretStr | None = Field(
        None, description="MongoDB connection string; if empty, results are in SQLite under STORAGE_DIR."
    )
    mongodb_database: str = Field(
        "backtesting", pattern=r"^[A-Za-z0-9_-]{1,63}$", description="MongoDB database for results."
    )
    mongo_driver: Annotated[Literal["motor", "pymongo"], LOWERCASE] = Field(
        "motor", description="Driver of MongoDB: motor, or pymongo for PyMongo Async, which replaces it."
    )
    object_store_url: str | None = Field(
        None,
        description="Object storage for users' models and datasets, s3://bucket/prefix, shared by several hosts; if "
        "empty, they are under STORAGE_DIR. AWS_* of the environment give endpoint, region and credentials.",
    )
    object_store_timeout_s: float = Field(
        20.0, gt=0, le=600, description="Seconds that a request to object storage may take; one more for each MiB."
    )
    object_cache_mb: int = Field(
        2048, ge=16, le=1_048_576, description="MiB of copies of objects under STORAGE_DIR; those not used go first."
    )

    @field_validator("object_store_url")
    @classmethod
    def _is_bucket(cls, url: str | None) -> str | None:
        if url is not None and not _BUCKET.fullmatch(url):
            raise ValueError("s3://bucket or s3://bucket/prefix, without credentials")
        return url

    @property
    def object_cache_bytes(self) -> int:
        return self.object_cache_mb * 1024 * 1024

"""Construct the stores of users' files in object storage, if the settings name one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from src.objects.user_objects import UserObjects
from src.ports.clock import Clock
from src.settings import Settings

OBJECTS_FOLDER: Final = ".objects"
"""This host's copies of objects, under the storage folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """Users' files in object storage, by kind."""

    models: UserObjects
    datasets: UserObjects

    async def remove_leftovers(self) -> None:
        """Remove incomplete downloads of killed processes of this host."""
        await self.models.remove_leftovers()

    async def clean(self) -> None:
        """Remove the leftovers of dead hosts from the object store; raises StoreUnavailable."""
        await self.models.clean()
        await self.datasets.clean()


def build_objects(settings: Settings, clock: Clock) -> Objects | None:
    """Return the stores of users' files in object storage; None if they are on this host's disk."""
    if settings.object_store_url is None:
        return None
    from src.objects.bucket import Bucket  # noqa: PLC0415  (only its users need the library)
    from src.objects.cache import ObjectCache  # noqa: PLC0415

    bucket = Bucket(settings.object_store_url, timeout_s=settings.object_store_timeout_s)
    cache = ObjectCache(settings.storage_dir / OBJECTS_FOLDER, max_bytes=settings.object_cache_bytes)
    return Objects(
        models=UserObjects(bucket, cache, kind="models", clock=clock, max_count=settings.max_models_per_user),
        datasets=UserObjects(
            bucket, cache, kind="datasets", clock=clock, max_count=settings.max_datasets_per_user, suffix=".bars"
        ),
    )

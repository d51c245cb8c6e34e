"""Receive, list, find and delete users' model files."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from src.domain.errors import ServiceError
from src.domain.model_files import ModelFile, check_user_id
from src.domain.training import NO_TRAINING_WINDOW, TrainingWindow
from src.ports.computing import ModelRunner
from src.ports.stores import ModelFileStore

logger = logging.getLogger(__name__)


class ModelService:
    """The use cases of model files; without a `runner` files are stored without being opened."""

    def __init__(self, files: ModelFileStore, runner: ModelRunner | None = None) -> None:
        self._files = files
        self._runner = runner

    async def upload(
        self,
        *,
        user_id: str,
        original_filename: str,
        model_name: str | None,
        chunks: AsyncIterator[bytes],
        training: TrainingWindow = NO_TRAINING_WINDOW,
    ) -> ModelFile:
        """Inspect a file in the sandbox and store it with its description and training window; a rejected file is not
        stored.

        Raises InvalidInput, ModelRejected, UnsupportedFormat, MissingLibrary, TooLarge, Conflict, TimedOut, Busy,
        SandboxUnavailable.
        """
        check_user_id(user_id)
        file = await self._files.receive(
            user_id=user_id,
            original_filename=original_filename,
            model_name=model_name,
            chunks=chunks,
            is_for_keeping=True,
        )
        try:
            description = None if self._runner is None else await self._runner.inspect(file)
            return await self._files.keep(replace(file, training=training), description)
        except BaseException:
            await self._remove(file)
            raise

    @asynccontextmanager
    async def temporary(
        self, *, user_id: str, original_filename: str, model_name: str | None, chunks: AsyncIterator[bytes]
    ) -> AsyncIterator[ModelFile]:
        """Store a file while the block runs, and remove it afterwards."""
        check_user_id(user_id)
        file = await self._files.receive(
            user_id=user_id, original_filename=original_filename, model_name=model_name, chunks=chunks
        )
        try:
            yield file
        finally:
            await self._remove(file)

    async def list(self, user_id: str) -> Sequence[ModelFile]:
        """Return a user's files."""
        return await self._files.list(check_user_id(user_id))

    async def get(self, user_id: str, reference: str) -> ModelFile:
        """Return a user's file by its name or path; raises ModelNotFound."""
        return await self._files.get(check_user_id(user_id), reference)

    async def delete(self, user_id: str, reference: str) -> ModelFile:
        """Delete a user's file and return its description; raises ModelNotFound."""
        file = await self.get(user_id, reference)
        await self._files.delete(file)
        return file

    async def _remove(self, file: ModelFile) -> None:
        """Delete a file, even if the request is cancelled meanwhile."""
        removal = asyncio.ensure_future(self._files.delete(file))
        try:
            await asyncio.shield(removal)
        except asyncio.CancelledError:
            await asyncio.wait([removal])
            raise
        except (OSError, ServiceError):
            # The outcome of the request matters more; the next start removes the file.
            logger.exception("model file not removed: user=%s", file.user_id)

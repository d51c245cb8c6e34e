"""Users' model files: keep, list, find, delete."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from src.domain.errors import ServiceError
from src.domain.model_files import ModelFile, check_user_id
from src.ports import ModelFileStore, ModelRunner

logger = logging.getLogger(__name__)


class ModelService:
    """Everything that users do with their model files.

    Parameters
    ----------
    files
        Where the files are kept.
    runner
        What opens them; None in a build without one, and files are then kept unopened.
    """

    def __init__(self, files: ModelFileStore, runner: ModelRunner | None = None) -> None:
        self._files = files
        self._runner = runner

    async def upload(
        self, *, user_id: str, original_filename: str, model_name: str | None, chunks: AsyncIterator[bytes]
    ) -> ModelFile:
        """Keep a file, with what the sandbox saw in it; one that cannot be used as a model is never among the user's.

        Raises
        ------
        InvalidInput, ModelRejected, UnsupportedFormat, MissingLibrary, TooLarge, Conflict, TimedOut, Busy,
        SandboxUnavailable
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
            return await self._files.keep(file, description)
        except BaseException:
            await self._remove(file)
            raise

    @asynccontextmanager
    async def temporary(
        self, *, user_id: str, original_filename: str, model_name: str | None, chunks: AsyncIterator[bytes]
    ) -> AsyncIterator[ModelFile]:
        """Keep a file for as long as the block runs, and remove it however the block ends."""
        check_user_id(user_id)
        file = await self._files.receive(
            user_id=user_id, original_filename=original_filename, model_name=model_name, chunks=chunks
        )
        try:
            yield file
        finally:
            await self._remove(file)

    async def list(self, user_id: str) -> Sequence[ModelFile]:
        """Return a user's files; none for a user who has none."""
        return await self._files.list(check_user_id(user_id))

    async def get(self, user_id: str, reference: str) -> ModelFile:
        """Return a user's file by its name or path.

        Raises
        ------
        ModelNotFound
        """
        return await self._files.get(check_user_id(user_id), reference)

    async def delete(self, user_id: str, reference: str) -> ModelFile:
        """Delete a user's file and return what it was.

        Raises
        ------
        ModelNotFound
        """
        file = await self.get(user_id, reference)
        await self._files.delete(file)
        return file

    async def _remove(self, file: ModelFile) -> None:
        """Delete a file although the request may be cancelled meanwhile."""
        removal = asyncio.ensure_future(self._files.delete(file))
        try:
            await asyncio.shield(removal)
        except asyncio.CancelledError:
            await asyncio.wait([removal])
            raise
        except (OSError, ServiceError):
            # The request's own outcome matters more; the next start sweeps what is left.
            logger.exception("could not remove the model file of user %s", file.user_id)

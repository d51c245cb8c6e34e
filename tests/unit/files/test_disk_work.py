"""A store's work on the disk: which errors its callers see."""

from __future__ import annotations

import errno

import pytest

from src.domain.errors import StoreUnavailable
from src.files.disk_work import DiskWork


def fail(number: int) -> None:
    raise OSError(number, "it went wrong")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
async def test_full_disk_is_named(number: int) -> None:
    with pytest.raises(StoreUnavailable, match=r"^The store of shoes cannot be used: the disk is full\.$"):
        await DiskWork("shoes").run(fail, number)


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOENT])
async def test_other_error_is_blamed_on_the_folder(number: int) -> None:
    with pytest.raises(StoreUnavailable, match="its folder cannot be read or written"):
        await DiskWork("shoes").run(fail, number)


async def test_error_that_the_store_expects_is_raised_as_it_is() -> None:
    with pytest.raises(FileNotFoundError, match="it went wrong"):
        await DiskWork("shoes", raised=(FileNotFoundError,)).run(fail, errno.ENOENT)


async def test_result_and_arguments_pass() -> None:
    assert await DiskWork("shoes").run(sorted, [1, 3, 2], reverse=True) == [3, 2, 1]

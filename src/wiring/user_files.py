"""Construct what counts and deletes users' files, wherever they are."""

from __future__ import annotations

from typing import NamedTuple

from src.ports.stores import UserFiles
from src.settings import Settings
from src.stores.user_folders import AllUserFiles, UserFolders
from src.wiring.adapters import DATASETS_FOLDER
from src.wiring.objects import Objects


class FilesOfUsers(NamedTuple):
    """The files of all users, by kind."""

    models: UserFiles
    datasets: UserFiles


def build_user_files(settings: Settings, objects: Objects | None) -> FilesOfUsers:
    """Return users' models and datasets: those of this host, and with OBJECT_STORE_URL those of all hosts."""
    models, datasets = UserFolders(settings.storage_dir), UserFolders(settings.storage_dir / DATASETS_FOLDER)
    if objects is None:
        return FilesOfUsers(models, datasets)
    # Files stored on this host before the setting was given are the user's too.
    return FilesOfUsers(AllUserFiles(objects.models, models), AllUserFiles(objects.datasets, datasets))

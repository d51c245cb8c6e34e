"""Back up what the service stores, while it serves, and restore it: `run.py backup DIR`, `run.py restore DIR`.

A backup is a folder: `results.sqlite3` (results, jobs and ledgers of trials in one consistent state, copied by SQLite's
backup API), `files/` (users' models and datasets, the keys of receipts and the hashes of API keys, as they are in
STORAGE_DIR) and, written last, `manifest.json` with the versions and the SHA-256 of each file. It is written beside DIR
under a hidden name and renamed when complete. Results come first: a model that a result names is stored before the
result, so it is in the backup unless its user deleted it meanwhile. A job that runs is continued after a restore. The
bar cache is left out, because it can be fetched again. Data in MongoDB is left out too: use `mongodump`.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from src import __version__
from src.domain.instants import format_instant
from src.files.writing import sync, write_synced
from src.identity.key_file import copy_keys
from src.settings import Settings, SettingsError, read_settings
from src.stores.documents import SCHEMA_VERSION
from src.stores.migrations import MIGRATIONS
from src.stores.signing_key import KEYS_FOLDER
from src.stores.sqlite_files import copy_database, is_in_use
from src.wiring.adapters import DATASETS_FOLDER
from src.wiring.identity import KEY_FILE
from src.wiring.stores import RESULTS_FILE

MANIFEST: Final = "manifest.json"
BACKUP_FORMAT: Final = 1
_RESULTS: Final = "results.sqlite3"
_FILES: Final = "files"
_REPORT_EVERY_S: Final = 2.0
_CHUNK_BYTES: Final = 1024 * 1024
_IGNORED: Final = {".gitkeep", "lost+found"}
"""Names that an empty STORAGE_DIR may have: a repository's placeholder, and a file system's own folder."""


class BackupError(Exception):
    """The backup or restore cannot be done; the message says why."""


class Progress:
    """Prints the progress of long work every two seconds."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._said_s = time.monotonic()

    def show(self, done: int, total: int, unit: str) -> None:
        if time.monotonic() - self._said_s >= _REPORT_EVERY_S:
            self._said_s = time.monotonic()
            _say(f"{self._what}: {done:,} of {total:,} {unit}")


def back_up(settings: Settings, target: Path) -> Path:
    """Write a backup of STORAGE_DIR to the folder `target`, which is empty or does not exist; return its path.

    Raises BackupError if `target` is not empty, or STORAGE_DIR does not exist.
    """
    storage, target = settings.storage_dir.resolve(), target.absolute()
    if not storage.is_dir():
        raise BackupError(f"STORAGE_DIR ({storage}) is not there: nothing to back up.")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BackupError(f"{target} holds something already. Name a folder that is empty or not there.")
    if target.is_relative_to(storage):
        raise BackupError(f"{target} is inside STORAGE_DIR. Name a folder outside of {storage}.")
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
    try:
        (draft / _FILES).mkdir()
        has_results = _copy_results(settings, storage, draft)
        _copy_files(storage, draft / _FILES)
        _copy_keys(storage, draft / _FILES)
        _write_manifest(draft, has_results=has_results)
        draft.rename(target)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    sync(target.parent)
    return target


def restore(settings: Settings, source: Path, *, replace: bool) -> None:
    """Check a backup and copy it to STORAGE_DIR, which is empty or does not exist, unless `replace`.

    With `replace`, existing files are moved to `.replaced-…` in STORAGE_DIR.

    Raises BackupError if the backup is incomplete, damaged or newer than this build, or if STORAGE_DIR is not empty or
    in use.
    """
    manifest = read_manifest(source)
    storage = settings.storage_dir.resolve()
    present = [path for path in storage.iterdir() if path.name not in _IGNORED] if storage.is_dir() else []
    if present and not replace:
        raise BackupError(
            f"STORAGE_DIR ({storage}) is not empty. Restore into an empty folder, or add --replace to put what is "
            "there aside."
        )
    if is_in_use(storage / RESULTS_FILE):
        raise BackupError(f"A service is using STORAGE_DIR ({storage}). Stop it first.")
    made = [folder for folder in (storage, *storage.parents) if not folder.exists()]
    storage.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".restoring-", dir=storage))
    try:
        _copy_checked(source, manifest["files"], draft)
        if present:
            aside = storage / f".replaced-{time.strftime('%Y%m%dT%H%M%S')}"
            aside.mkdir(mode=0o700)
            for path in present:
                path.rename(aside / path.name)
            _say(f"What was there is in {aside}. Delete it when you no longer need it.")
        # The results come last: until then the service finds none.
        for path in (draft / _FILES).iterdir():
            path.rename(storage / path.name)
        if (draft / _RESULTS).exists():
            results = storage / RESULTS_FILE
            results.parent.mkdir(mode=0o700, exist_ok=True)
            (draft / _RESULTS).rename(results)
            sync(results.parent)
        sync(storage)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        with contextlib.suppress(OSError):  # they are empty only if the backup was rejected
            for folder in made:
                folder.rmdir()


def read_manifest(source: Path) -> dict[str, Any]:
    """Read the manifest of a backup; raises BackupError if it is invalid, or newer than this build."""
    try:
        manifest = json.loads((source / MANIFEST).read_text())
        format_, schemas = int(manifest["format"]), manifest["schema_versions"]
        versions = (format_, int(schemas["results_file"]), int(schemas["documents"]))
        known = (BACKUP_FORMAT, len(MIGRATIONS), SCHEMA_VERSION)
        if not isinstance(manifest["files"], dict):
            raise TypeError("files")
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BackupError(f"{source} is not a complete backup: its {MANIFEST} is missing or damaged.") from error
    if any(theirs > ours for theirs, ours in zip(versions, known, strict=True)):
        raise BackupError(
            f"The backup was made by a newer version of this service ({manifest.get('service')}). Its versions of "
            f"format, results file and documents are {versions}; this build reads up to {known}."
        )
    return dict(manifest)


def _copy_results(settings: Settings, storage: Path, draft: Path) -> bool:
    if settings.mongodb_uri is not None:
        _say("Results are in MongoDB and not in this backup: use mongodump for them.")
        return False
    if not (storage / RESULTS_FILE).exists():
        return False
    progress = Progress("copying results")
    copy_database(storage / RESULTS_FILE, draft / _RESULTS, lambda done, total: progress.show(done, total, "pages"))
    return True


def _copy_files(storage: Path, target: Path) -> None:
    found = list(_lasting_files(storage))
    progress = Progress("copying models and datasets")
    for number, path in enumerate(found, start=1):
        copy = target / path.relative_to(storage)
        copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            shutil.copy2(path, copy, follow_symlinks=False)
        except FileNotFoundError:  # its user has deleted it meanwhile
            copy.unlink(missing_ok=True)
        progress.show(number, len(found), "files")


def _copy_keys(storage: Path, target: Path) -> None:
    """Copy the hashes of API keys; sessions of the pages are left out."""
    if (storage / KEY_FILE).is_file():
        (target / KEY_FILE).parent.mkdir(mode=0o700)
        copy_keys(storage / KEY_FILE, target / KEY_FILE)
        (target / KEY_FILE).chmod(0o600)


def _lasting_files(storage: Path) -> Iterator[Path]:
    """Yield users' models with their descriptions, users' datasets and the keys of receipts; nothing hidden, linked or
    unfinished."""
    folders = [path for path in storage.iterdir() if not path.name.startswith(".")]
    if (storage / DATASETS_FOLDER).is_dir():
        folders += (storage / DATASETS_FOLDER).iterdir()
    folders.append(storage / KEYS_FOLDER)
    for folder in sorted(folders):
        if folder.is_symlink() or not folder.is_dir():
            continue
        for path in sorted(folder.iterdir()):
            if path.is_file() and not path.is_symlink() and not path.name.startswith("."):
                yield path


def _write_manifest(draft: Path, *, has_results: bool) -> None:
    found = sorted(path for path in draft.rglob("*") if path.is_file())
    progress = Progress("computing checksums")
    files = {}
    for number, path in enumerate(found, start=1):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        files[str(path.relative_to(draft))] = {"bytes": path.stat().st_size, "sha256": digest}
        progress.show(number, len(found), "files")
    manifest = {
        "format": BACKUP_FORMAT,
        "service": __version__,
        "created": format_instant(int(time.time()) * 1000),
        "schema_versions": {"results_file": len(MIGRATIONS), "documents": SCHEMA_VERSION},
        "has_results": has_results,
        "files": files,
    }
    with (draft / MANIFEST).open("wb") as file:
        write_synced(file, json.dumps(manifest, indent=1).encode())
    sync(draft)


def _copy_checked(source: Path, files: dict[str, Any], draft: Path) -> None:
    """Copy the files of the manifest; raises BackupError at the first file that differs from it."""
    (draft / _FILES).mkdir()
    progress = Progress("restoring")
    for number, (name, said) in enumerate(files.items(), start=1):
        parts = Path(name).parts
        if Path(name).is_absolute() or ".." in parts or (name != _RESULTS and parts[0] != _FILES):
            raise BackupError(f"The backup's {MANIFEST} names {name!r}, which does not belong in a backup.")
        target = draft / name
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        digest = hashlib.sha256()
        try:
            with (source / name).open("rb") as original, target.open("xb") as copy:
                while piece := original.read(_CHUNK_BYTES):
                    digest.update(piece)
                    copy.write(piece)
                copy.flush()
                os.fsync(copy.fileno())
            shutil.copystat(source / name, target)
        except FileNotFoundError as error:
            raise BackupError(f"{source} is not a complete backup: {name} is missing.") from error
        if digest.hexdigest() != said["sha256"]:
            raise BackupError(f"{source} is damaged: {name} does not have the checksum that {MANIFEST} names.")
        progress.show(number, len(files), "files")


def _say(text: str) -> None:
    print(f"[backup] {text}", flush=True)


def main(words: Sequence[str]) -> int:
    """Run one of the two commands; return 0 if it succeeds, 1 if it fails, 2 if a setting is wrong."""
    parser = argparse.ArgumentParser(prog="run.py", description="Back up or restore what the service stores.")
    commands = parser.add_subparsers(dest="command", required=True)
    to_back_up = commands.add_parser("backup", help="write results, models and datasets to a new folder")
    to_back_up.add_argument("dir", type=Path, help="folder to make; it is empty or not there")
    to_restore = commands.add_parser("restore", help="put a backup into STORAGE_DIR while no service uses it")
    to_restore.add_argument("dir", type=Path, help="folder that backup has made")
    to_restore.add_argument("--replace", action="store_true", help="put what STORAGE_DIR holds aside first")
    options = parser.parse_args(words)
    try:
        settings = read_settings()
        if options.command == "backup":
            made = back_up(settings, options.dir)
            files = read_manifest(made)["files"]
            _say(f"{made} holds {len(files):,} files, {sum(file['bytes'] for file in files.values()):,} bytes.")
        else:
            restore(settings, options.dir, replace=options.replace)
            _say(f"Restored {options.dir} to {settings.storage_dir.resolve()}.")
    except SettingsError as error:
        print(f"[backup] {error}", file=sys.stderr)
        return 2
    except (BackupError, OSError) as error:
        print(f"[backup] {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

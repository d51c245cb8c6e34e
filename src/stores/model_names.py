"""Build and check the names of model files: a client's names made safe, and the names on disk."""

from __future__ import annotations

import re
import unicodedata
import uuid
from pathlib import PurePosixPath
from typing import Final, NamedTuple

from src.domain.errors import InvalidInput, UnsupportedFormat
from src.domain.model_files import MAX_MODEL_NAME_LENGTH, MODEL_EXTENSIONS

MAX_FILENAME_LENGTH: Final = 255

_MAX_SLUG_LENGTH: Final = 64
_NAMELESS: Final = "model"
_STORED_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,254}")
_UUID: Final = re.compile(r"_[0-9a-f]{32}$")


class UploadName(NamedTuple):
    """A client's names, made safe: `filename` and `model_name` for people, `slug` and `extension` for the disk.

    `extension` is empty if the file came without a name, until it is recognized from the content.
    """

    filename: str
    model_name: str
    slug: str
    extension: str

    def stored(self, user_id: str) -> str:
        """Return a new name `{user_id}_{model_name}_{uuid}{ext}`."""
        return f"{user_id}_{self.slug}_{uuid.uuid4().hex}{self.extension}"


def read_upload_name(original_filename: str, model_name: str | None) -> UploadName:
    """Read the names that came with an upload.

    Raises UnsupportedFormat if a file name has no extension of a known format; InvalidInput if `modelName` is too long.
    """
    filename = _printable(original_filename.replace("\\", "/").rsplit("/", 1)[-1])
    suffix = PurePosixPath(filename).suffix
    stem, extension = filename.removesuffix(suffix), suffix.lower()
    if original_filename and extension not in MODEL_EXTENSIONS:
        raise UnsupportedFormat(
            "The extension of the file {filename!r} is {got!r}. Allowed: {allowed}.",
            filename=filename, got=extension, allowed=MODEL_EXTENSIONS,
        )  # fmt: skip
    given = _printable(model_name or "")
    if len(given) > MAX_MODEL_NAME_LENGTH:
        raise InvalidInput(
            "{field} has {count} characters. Maximum: {most}.",
            field="modelName", count=len(given), most=MAX_MODEL_NAME_LENGTH,
        )  # fmt: skip
    name = given or stem or _NAMELESS
    return UploadName(
        filename=stem[: MAX_FILENAME_LENGTH - len(extension)] + filename[len(stem) :],
        model_name=name[:MAX_MODEL_NAME_LENGTH],
        slug=_slug(name),
        extension=extension,
    )


def read_model_name(stored_name: str, user_id: str) -> str:
    """Return the model's name that a stored name contains."""
    return _UUID.sub("", PurePosixPath(stored_name).stem.removeprefix(f"{user_id}_")) or stored_name


def is_stored_name(name: str) -> bool:
    """Return whether a name in a user's folder is that of a model: plain, not hidden, with a known extension."""
    return _STORED_NAME.fullmatch(name) is not None and PurePosixPath(name).suffix.lower() in MODEL_EXTENSIONS


def _printable(name: str) -> str:
    """Remove control characters, line separators and lone surrogates."""
    kept = (char for char in name if unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp"))
    return "".join(kept).strip()


def _slug(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", plain)[:_MAX_SLUG_LENGTH].strip("_") or _NAMELESS

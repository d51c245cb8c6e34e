"""Names of model files: what of a client's name is kept, and which names on disk are ours."""

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
_MAX_SHOWN: Final = 80
_NAMELESS: Final = "model"
_STORED_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,254}")
_UUID: Final = re.compile(r"_[0-9a-f]{32}$")


class UploadName(NamedTuple):
    """A client's names, made harmless: `filename` and `model_name` for people, `slug` and `extension` for the disk.

    `extension` is empty where the file came without a name, until its content has told it.
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

    Raises
    ------
    UnsupportedFormat
        Where there is a file name with no extension, or with one that no format has.
    InvalidInput
        On field `modelName`, where it is too long.
    """
    filename = _printable(original_filename.replace("\\", "/").rsplit("/", 1)[-1])
    suffix = PurePosixPath(filename).suffix
    stem, extension = filename.removesuffix(suffix), suffix.lower()
    if original_filename and extension not in MODEL_EXTENSIONS:
        what = f"the extension {shown(extension)}" if extension else "no extension"
        raise UnsupportedFormat(
            f"the file {shown(filename)} has {what}; a model file has one of {' '.join(MODEL_EXTENSIONS)}"
        )
    given = _printable(model_name or "")
    if len(given) > MAX_MODEL_NAME_LENGTH:
        raise InvalidInput(
            f"modelName has {len(given)} characters; allowed: up to {MAX_MODEL_NAME_LENGTH}", field="modelName"
        )
    name = given or stem or _NAMELESS
    return UploadName(
        filename=stem[: MAX_FILENAME_LENGTH - len(extension)] + filename[len(stem) :],
        model_name=name[:MAX_MODEL_NAME_LENGTH],
        slug=_slug(name),
        extension=extension,
    )


def model_name_in(stored_name: str, user_id: str) -> str:
    """Return the model's name as a stored name has it."""
    return _UUID.sub("", PurePosixPath(stored_name).stem.removeprefix(f"{user_id}_")) or stored_name


def is_stored_name(name: str) -> bool:
    """Whether a file of that name in a user's folder is a model: a plain name, no path, not hidden, known extension."""
    return _STORED_NAME.fullmatch(name) is not None and PurePosixPath(name).suffix.lower() in MODEL_EXTENSIONS


def shown(text: str) -> str:
    """Return a client's text for a message: quoted, and not too long."""
    return repr(text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…")


def _printable(name: str) -> str:
    """Drop control characters, line separators and what is no character at all (lone surrogates)."""
    kept = (char for char in name if unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp"))
    return "".join(kept).strip()


def _slug(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", plain)[:_MAX_SLUG_LENGTH].strip("_") or _NAMELESS

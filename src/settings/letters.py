"""Accept a setting in upper or lower case, if all its values are written in only one of the two."""

from __future__ import annotations

from typing import Final

from pydantic import BeforeValidator

LOWERCASE: Final = BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)
UPPERCASE: Final = BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value)

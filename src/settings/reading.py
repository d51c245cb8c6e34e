"""Read the settings, and report what is allowed for each wrong one."""

from __future__ import annotations

import os

from dotenv import dotenv_values
from pydantic import ValidationError

from src.domain.errors import InvalidInput, bad_value
from src.domain.identity import AuthMode
from src.settings.settings import Settings


class SettingsError(Exception):
    """A setting has a value that is not allowed; the message names the setting and what is allowed."""


def read_settings() -> Settings:
    """Read the settings from the environment and `.env`.

    Raises
    ------
    SettingsError
        With one line for each wrong setting: its name, its value, and what is allowed. Secrets are not shown.
    """
    _refuse_empty_auth()
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(item) for item in error.errors())) from None


def _refuse_empty_auth() -> None:
    """Raise SettingsError if AUTH is given without a value: a lost variable must not open the service to all.

    Any other setting without a value has its default, as in `.env.example`.
    """
    given = {name.upper(): value for name, value in {**dotenv_values(".env", interpolate=False), **os.environ}.items()}
    if not (given.get("AUTH", AuthMode.NONE) or "").strip():
        raise SettingsError(
            f"AUTH is empty. Allowed: {', '.join(AuthMode)}; or leave it out for {AuthMode.NONE}. "
            f"{Settings.model_fields['auth'].description}"
        )


def _explain(item: object) -> str:
    detail = dict(item)  # type: ignore[call-overload]
    name = str(detail["loc"][0])
    got = str(os.environ.get(name.upper(), detail.get("input")))
    # Validators say what is allowed; for other findings the field's declaration says it.
    allowed = str(detail["ctx"]["error"]) if detail["type"] == "value_error" else _allowed(name, detail["msg"])
    if "uri" in name or "@" in got:  # may hold a password
        error = InvalidInput(
            "{field} has a value that is not allowed. Allowed: {allowed}.", field=name.upper(), allowed=allowed
        )
    else:
        error = bad_value(name.upper(), got=got, allowed=allowed)
    return f"{error.message} {Settings.model_fields[name].description}"


def _allowed(name: str, otherwise: str) -> str:
    """Return what a setting allows, by its declaration; `otherwise` if the declaration has no bounds."""
    declared = Settings.model_fields[name]
    ends = {type(end).__name__: getattr(end, type(end).__name__.lower(), None) for end in declared.metadata}
    kinds: dict[object, str] = {int: "a whole number", float: "a number", bool: "true or false"}
    kind = kinds.get(declared.annotation)
    if kind is None:
        return otherwise.removeprefix("Input should be ").rstrip(".")
    if "Ge" in ends and "Le" in ends:
        return f"{kind} from {ends['Ge']} to {ends['Le']}"
    return f"{kind} above {ends['Gt']}, at most {ends['Le']}" if "Gt" in ends and "Le" in ends else kind

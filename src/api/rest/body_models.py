"""Make the models of bodies from declared parameters, and read bodies with them: either spelling, no unknown fields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, Final, get_args, get_origin

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    create_model,
    model_validator,
)

from src.api.caller import fill_user
from src.api.components import Schema, component
from src.api.errors import explain_validation
from src.api.json_bodies import check_names, read_json
from src.api.rest import values
from src.api.spelling import in_one_spelling
from src.domain.errors import CONTENT_TYPE_REFUSED, MalformedRequest, UnsupportedFormat
from src.domain.jobs import (
    IDEMPOTENCY_KEY_ALLOWED,
    IDEMPOTENCY_KEY_PATTERN,
    MAX_IDEMPOTENCY_KEY_LENGTH,
    is_idempotency_key,
)
from src.domain.parameters import DeclaredParameter, names_of_required, parameters_of
from src.domain.trading import TradingRules
from src.strategies.registry import PARAMS, first_line

JSON_MEDIA_TYPE: Final = "application/json"


def _no_boolean(value: object) -> object:
    # Python counts true as 1; a client that sends it for a number has made a mistake.
    if isinstance(value, bool):
        raise ValueError("a number")
    return value


def _name_list(value: object) -> object:
    """Read a list of names from JSON, from text with commas, or (as forms repeat a field) from a list of either."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, (list, tuple)):
        raise ValueError("a list of column names")
    names: list[str] = []
    for text in texts:
        if not isinstance(text, str):
            raise ValueError("a list of column names")
        names += _names_in(text)
    return names


def _names_in(text: str) -> list[str]:
    if not text.lstrip().startswith("["):
        return [name.strip() for name in text.split(",") if name.strip()]
    try:
        names = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError("a JSON list of column names, or names separated by commas") from error
    if not all(isinstance(name, str) for name in names):
        raise ValueError("a list of column names")
    return list(names)


Number = Annotated[float, BeforeValidator(_no_boolean)]
Whole = Annotated[int, Field(ge=-(2**63), le=2**63 - 1), BeforeValidator(_no_boolean)]


def _check_key(value: str) -> str:
    if not is_idempotency_key(value):
        raise ValueError(IDEMPOTENCY_KEY_ALLOWED)
    return value


IdempotencyKeyText = Annotated[
    str,
    AfterValidator(_check_key),
    Field(
        json_schema_extra={
            "minLength": 1,
            "maxLength": MAX_IDEMPOTENCY_KEY_LENGTH,
            "pattern": IDEMPOTENCY_KEY_PATTERN,
        }
    ),
]
NameList = Annotated[list[str], BeforeValidator(_name_list)]


_NUMBERS_BY_NAME: Final = component(
    "NumbersByName",
    {"type": "object", "additionalProperties": {"type": "number"}, "description": "Numbers by the client's own names."},
)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _fill_user(cls, raw: Any) -> Any:
        """Fill in the caller if a body of a known caller names no user."""
        if "user_id" in cls.model_fields and isinstance(raw, dict) and raw.get("user_id") is None:
            user_id = fill_user(None)
            return raw if user_id is None else {**raw, "user_id": user_id}
        return raw


@cache
def _rung_body(kind: type) -> Any:
    """Return the body of a rung."""
    own = parameters_of(kind)
    return make_body(f"{kind.__name__}Input", first_line(kind), own, required=names_of_required(own))


def _read_rungs(value: object) -> object:
    """Read the JSON text of a list of rungs, as forms hold it; a list is left as it is."""
    if not isinstance(value, str):
        return value
    try:
        found = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise ValueError("a list of objects, in a form as JSON") from error
    check_names(value)
    return _respell(found)


def _public_kind(item: DeclaredParameter, *, is_form: bool) -> Any:
    """Return the type of a parameter in JSON and forms; enums are text, so that their case does not matter."""
    if item.rung_kind is not None:
        rungs: Any = Annotated[list[_rung_body(item.rung_kind)], BeforeValidator(_read_rungs)]  # type: ignore[misc]
        text: Schema = {"type": "string", "contentMediaType": JSON_MEDIA_TYPE}
        return Annotated[rungs, WithJsonSchema(text)] if is_form else rungs
    if (enum := values.enum_schema_of(item)) is not None:
        return Annotated[str, WithJsonSchema(enum)]
    if get_origin(item.public_kind) is tuple:
        return NameList
    if get_origin(item.public_kind) is Mapping:
        return Annotated[dict[str, Number], WithJsonSchema(_NUMBERS_BY_NAME)]
    return {float: Number, int: Whole}.get(item.public_kind, item.public_kind)


def make_body(
    name: str,
    meaning: str,
    parameters: Iterable[DeclaredParameter] = (),
    *,
    required: Iterable[str] = (),
    others: Mapping[str, Any] = MappingProxyType({}),
    is_form: bool = False,
) -> Any:
    """Return the pydantic model of a body with these parameters; all but the `required` ones may be null."""
    fields: dict[str, Any] = {}
    for item in parameters:
        kind = _public_kind(item, is_form=is_form)
        is_required = item.parameter.name in required
        fields[item.parameter.name] = (
            kind if is_required else kind | None,
            Field(
                ... if is_required else None,
                description=item.description,
                json_schema_extra={} if is_form and item.rung_kind else values.schema_of(item),
            ),
        )
    return create_model(name, __base__=_Body, __doc__=meaning, **fields, **others)


def check_json(content_type: str) -> None:
    """Raise UnsupportedFormat if a Content-Type header does not say that the body is JSON."""
    if content_type.partition(";")[0].strip().lower() != JSON_MEDIA_TYPE:
        raise UnsupportedFormat(CONTENT_TYPE_REFUSED, got=content_type, allowed=JSON_MEDIA_TYPE)


def read_object(content: bytes, kind: type[BaseModel]) -> dict[str, Any]:
    """Read a JSON body as `validate_body` does; raises MalformedRequest too if it is not an object."""
    raw = read_json(content)
    if not isinstance(raw, dict):
        raise MalformedRequest("The body is not a JSON object.")
    return validate_body(kind, raw)


def validate_body(
    kind: type[BaseModel], raw: Mapping[str, object], *, also_known: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the fields of a body in snake_case, with None for absent ones.

    `also_known` are fields beside those of `kind` that a form may have. Raises InvalidInput.
    """
    try:
        return kind.model_validate(_one_spelling(raw)).model_dump()
    except ValidationError as error:
        found = error.errors(include_url=False)
        for one in found:
            one["loc"] = _with_rungs(one["loc"])
        path = found[0]["loc"][:-1]
        known = (*(() if path else also_known), *_known(kind, path))
        raise explain_validation(found, allowed=known, sent=raw) from error


_RUNGS: Final = frozenset(item.parameter.name for item in parameters_of(TradingRules) if item.rung_kind is not None)


def _with_rungs(path: Sequence[int | str]) -> tuple[int | str, ...]:
    """Return a path that names a rung as the domain's errors do: `take_profits[1]`."""
    parts: list[int | str] = []
    for part in path:
        if parts and parts[-1] in _RUNGS and isinstance(part, int):
            parts[-1] = f"{parts[-1]}[{part}]"
        else:
            parts.append(part)
    return tuple(parts)


def _known(kind: type[BaseModel], path: Sequence[int | str]) -> Sequence[str]:
    """Return the known fields of the object at a path of the body; those of the body itself for an empty path."""
    for part in path:
        name = str(part).partition("[")[0]
        annotation = kind.model_fields[name].annotation if name in kind.model_fields else None
        kind = next(_models_in(annotation), kind)
    return tuple(kind.model_fields)


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    """Yield the bodies in a type: itself, or those of a list, of alternatives."""
    if isinstance(annotation, type) and not get_args(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


_OWN_NAMES: Final = frozenset(
    item.parameter.name
    for params in PARAMS.values()
    for item in parameters_of(params)
    if get_origin(item.public_kind) is Mapping
)
"""Fields whose objects have the client's own names, which keep their spelling."""


def _one_spelling(raw: Mapping[str, object]) -> dict[str, object]:
    """Return the fields under their snake_case names; InvalidInput if one came in both spellings."""
    return {
        name: value if name in _OWN_NAMES and isinstance(value, dict) else _respell(value)
        for name, value in in_one_spelling(raw.items()).items()
    }


def _respell(value: object) -> object:
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return [_respell(item) for item in value]
    return _one_spelling(value) if isinstance(value, dict) else value

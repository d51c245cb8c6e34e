"""Define the responses for OpenAPI: properties, units, and the errors that each endpoint really returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, Generic, TypeVar

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from src.api.components import GRAPHQL_ERROR, component, name_of_kind
from src.api.error_table import ERROR_TABLE
from src.api.errors import PROBLEM_MEDIA_TYPE
from src.api.requests.uploads import FILE_FIELD
from src.api.rest import rules, values
from src.api.rest.bodies import MlBacktestForm, RulesCheckBody, RunBody, TrainingForm
from src.api.rest.response_schema import Instant, ResponseSchema, Written, at
from src.domain import errors
from src.domain.model_files import MODEL_EXTENSIONS

Data = TypeVar("Data")

UserId = Annotated[
    str, Path(description="Owner: 1 to 64 characters of A-Z a-z 0-9 _ . @ -.", json_schema_extra=values.USER_ID)
]


HasRows = Annotated[bool, Query(description="Whether the response includes data, fills and trades.")]


class Problem(BaseModel):
    """An error (RFC 9457), with the service's own members."""

    type: str = Field(description="Path of the page that says how to fix this kind of problem (a relative URI).")
    title: str = Field(description="The kind of problem in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What is wrong here: what was sent, what is allowed.")
    instance: str | None = Field(None, description="The requested path; absent if the head was refused.")
    success: bool = Field(description="Always false.")
    message: str = Field(description="The same as detail.")
    code: str = Field(description="Stable code in upper snake case.")
    hint: str = Field(description="What to do about it; the page at `type` says the same.")
    field: str | None = Field(None, description="The field at fault, if there is one.")
    line: int | None = Field(None, description="Line of the fault in a rule, from 1; in INVALID_RULE only.")
    column: int | None = Field(None, description="Column of the fault in that line, from 1; in INVALID_RULE only.")
    errors: list[Annotated[dict[str, Any], WithJsonSchema(GRAPHQL_ERROR)]] | None = Field(
        None, description="The same error as GraphQL writes it; at /graphql only."
    )


class Envelope(BaseModel, Generic[Data]):
    """The envelope of every successful response."""

    model_config = ConfigDict(json_schema_extra={"description": "The envelope of every successful response."})

    success: bool = Field(description="Always true.")
    message: str = Field(description="One sentence for people.")
    data: Data = Field(description="What was asked for.")

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        return f"{name_of_kind(params[0])}Response"


class HealthSchema(BaseModel):
    """The process is alive."""

    status: str = Field(description="Always ok.")
    version: str = Field(description="The service's version.")


class ReadySchema(BaseModel):
    """Requests can be served."""

    status: str = Field(description="Always ready: otherwise the response is an error.")
    parts: dict[str, str] = Field(description="Each part and its state.")


class ModelDescriptionSchema(ResponseSchema):
    """What the sandbox found in a model file."""

    format: str = Field(description="The file's format.")
    library: str = Field(description="The library that made the file.")
    library_version: str | None = Field(description="That library's version, if the file says.")
    n_features: int | None = Field(description="Number of columns that the model expects, if the file says.")
    feature_names: list[str] | None = Field(description="Their names, if the file says.")
    output_kind: str | None = Field(description="What the model predicts, if the file says.")
    warnings: list[str] = Field(description="Warnings, in full sentences.")
    details: dict[str, str] = Field(description="What else the file says.")


PathText = Annotated[str, Written(str)]


class ModelFileSchema(ResponseSchema):
    """A stored model file."""

    filename: str = at("path.name", "Name of the stored file: user, model name, a unique id, extension.")
    original_filename: str = Field(description="Name of the file as the client sent it.")
    file_path: PathText = at("path", "Path on the server.")
    relative_path: str = Field(description="Path from the storage folder's parent.")
    file_size: int = at("size_bytes", "Size, bytes.")
    user_id: str = Field(description="Whose it is.")
    model_name: str = Field(description="The name that the user gave it.")
    file_extension: str = at("extension", "Extension, with its dot.")
    sha256: str = Field(description="SHA-256 of the content, hexadecimal.")
    trained_from: Instant | None = at(
        "training.trained_from_ms", "First instant of the declared training window, ISO 8601, UTC; null if not known."
    )
    trained_to: Instant | None = at(
        "training.trained_to_ms", "Last instant of the declared training window, ISO 8601, UTC; null if not known."
    )
    label_horizon: int | None = at("training.label_horizon", "Bars that a label looks ahead; null if not declared.")
    model: ModelDescriptionSchema | None = at(
        "description", "Description of the model; null if the file was never opened."
    )


class Page(BaseModel, Generic[Data]):
    """One page of rows."""

    model_config = ConfigDict(json_schema_extra={"description": "One page of rows."})

    items: list[Data] = Field(description="The rows of this page.")
    total: int = Field(description="Number of rows on all pages.")
    offset: int = Field(description="Index of the first row of this page.")
    first: int = Field(description="Maximum number of rows in a page, as requested.")

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        return f"{name_of_kind(params[0])}Page"


MARKET_ERRORS: Final = (
    errors.SymbolNotFound,
    errors.SourceNotFound,
    errors.Busy,
    errors.ExchangeRefused,
    errors.ExchangeUnavailable,
    errors.ExchangeTimeout,
    errors.TimedOut,
    errors.StoreUnavailable,
)
"""Errors of every endpoint that fetches bars."""


def error_responses(*kinds: type[errors.ServiceError], extra: Mapping[int, str] | None = None) -> dict[int | str, Any]:
    """Return the `responses` of an endpoint that may raise these errors.

    Parameters
    ----------
    extra
        Statuses that no error of the domain causes, each with its meaning.
    """
    told: dict[int, list[str]] = {}
    for kind in kinds:
        told.setdefault(ERROR_TABLE[kind].status, []).append(f"{ERROR_TABLE[kind].title} ({kind.code}).")
    for status, words in (extra or {}).items():
        told.setdefault(status, []).append(words)
    return {status: error_response(" ".join(words)) for status, words in sorted(told.items())}


def error_response(words: str) -> dict[str, Any]:
    """Return one response that is a problem document."""
    content = {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": words, "content": content}


BODY_ERRORS: Final = {408: "The body came too slowly (REQUEST_TIMEOUT)."}

_FILE_SCHEMA: Final = {
    "type": "string",
    "format": "binary",
    "description": f"The model file; its name ends in {' '.join(MODEL_EXTENSIONS)}. Without one, its content decides.",
}


REQUEST_BODY: Final = "x-request-body"
_BODIES: Final[dict[str, Callable[[], dict[str, Any]]]] = {}


def described_by(build: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return a placeholder for an operation's body; making the document calls `build` and replaces it.

    Schemas of bodies take 0.1 s each, and few processes are ever asked for the document.
    """
    _BODIES[build.__name__] = build
    return {REQUEST_BODY: build.__name__}


def complete_body(operation: dict[str, Any]) -> None:
    """Describe the body of an operation that `described_by` marked."""
    if (name := operation.pop(REQUEST_BODY, None)) is not None:
        operation |= _BODIES[name]()


def upload_body() -> dict[str, Any]:
    """Describe the form of an upload."""
    training = TrainingForm.model_json_schema()["properties"]
    properties = {
        FILE_FIELD: _FILE_SCHEMA,
        **{name: _without_null(field) for name, field in training.items()},
        "user_id": {
            "type": "string",
            "description": MlBacktestForm.model_fields["user_id"].description,
            **values.USER_ID,
        },
        "model_name": {
            "type": "string",
            "description": "A name for the model; the file's own if absent.",
            **values.MODEL_NAME,
        },
    }
    form = {
        "type": "object",
        "description": "A model file, and what is known about it.",
        "properties": properties,
        "required": [FILE_FIELD, "user_id"],
        "additionalProperties": False,
    }
    return form_body("ModelUploadForm", form, [rules.form_training_rule()])


def ml_backtest_body() -> dict[str, Any]:
    """Describe the form of a backtest with a model file."""
    schema = MlBacktestForm.model_json_schema()
    fields = {name: _without_null(field) for name, field in schema["properties"].items()}
    schema["properties"] = {FILE_FIELD: _FILE_SCHEMA, **fields}
    schema["required"] = [FILE_FIELD, *schema["required"]]
    return form_body(schema["title"], schema, rules.form_rules())


def backtest_body() -> dict[str, Any]:
    """Describe the JSON body of a backtest."""
    return json_body(RunBody.model_json_schema(), rules.body_rules())


def rules_body() -> dict[str, Any]:
    """Describe the JSON body of a check of rules: one that is too long is a fault of the report, not of the request."""
    schema = RulesCheckBody.model_json_schema()
    schema["properties"] = {name: _without_length(field) for name, field in schema["properties"].items()}
    return json_body(schema)


def json_body(schema: dict[str, Any], rules_of_fields: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """Describe a JSON body with this schema, which has a title, and the rules about several of its fields."""
    return _body("application/json", schema["title"], schema, rules_of_fields)


def form_body(name: str, schema: dict[str, Any], rules_of_fields: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """Describe a multipart form, and the rules about several of its fields."""
    return _body("multipart/form-data", name, schema, rules_of_fields)


def _body(
    media_type: str, name: str, schema: dict[str, Any], rules_of_fields: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    # The rules are beside the reference, because generators would make nameless types of them in the component.
    beside = {"allOf": list(rules_of_fields)} if rules_of_fields else {}
    return {"requestBody": {"required": True, "content": {media_type: {"schema": component(name, schema) | beside}}}}


def _without_length(field: Any) -> Any:
    """Return the schema of a field without a greatest length, also in its alternatives."""
    if isinstance(field, list):
        return [_without_length(one) for one in field]
    if not isinstance(field, dict):
        return field
    return {
        name: value if name == "examples" else _without_length(value)
        for name, value in field.items()
        if name != "maxLength"
    }


def _without_null(field: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a field that is absent from a form instead of null."""
    kept = {name: value for name, value in field.items() if name not in {"anyOf", "default"}}
    for choice in field.get("anyOf", ()):
        if choice != {"type": "null"}:
            kept = choice | kept
    return kept

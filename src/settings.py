"""Read the service's settings once from the environment or `.env`, check and freeze them."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import AnyHttpUrl, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from src.domain.error_text import quote
from src.domain.errors import InvalidInput, bad_value
from src.domain.identity import AuthMode
from src.domain.sandbox_mode import SandboxMode

_HOST_NAME: Final = re.compile(r"\*|(\*\.)?[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?|[0-9a-f:]*:[0-9a-f:.]*")

_BUCKET: Final = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9_-][A-Za-z0-9._-]*)*/?")
_SCHEDULER: Final = re.compile(r"(tls|tcp)://([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:]+\]):\d{1,5}")
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_NOT_FOR_USERS: Final = frozenset({"authorization", "cookie", "host", "origin", "x-api-key"})
_TOKEN_SETTINGS: Final = ("jwt_issuer", "jwt_audience", "jwt_jwks")

TokenAlgorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]

_CERTIFICATES: Final = ("dask_tls_ca", "dask_tls_cert", "dask_tls_key")

RESPONDING_S: Final = 5.0
"""Seconds beyond REQUEST_TIMEOUT_S for the response to a request that took all of it."""


class SettingsError(Exception):
    """A setting has a value that is not allowed; the message names the setting and what is allowed."""


class Settings(BaseSettings):
    """Every setting, its default and its meaning; `.env.example` lists the same."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True, env_ignore_empty=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 in the container.")
    port: int = Field(5050, ge=0, le=65535, description="TCP port to listen on; 0 takes a free one.")
    root_path: str = Field(
        "",
        pattern=r"^(/[A-Za-z0-9._~-]+)*$",
        max_length=200,
        description="Path under which a proxy serves everything, such as /backtesting, and which it removes.",
    )
    forwarded_allow_ips: str = Field(
        "127.0.0.1",
        pattern=r"^(\*|[0-9A-Fa-f.:/]+(,[0-9A-Fa-f.:/]+)*)$",
        max_length=2000,
        description="Addresses or networks of proxies whose X-Forwarded-For and -Proto are believed; '*' believes all.",
    )
    metrics_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="TCP port of its own for /metrics, at the same HOST; 0 serves it with everything else.",
    )
    storage_dir: Path = Field(Path("storage"), description="Folder for models, results and caches.")
    binance_api_url: AnyHttpUrl = Field(
        AnyHttpUrl("https://api.binance.com"), description="Base address of the exchange's REST API."
    )
    binance_fallback_url: AnyHttpUrl | None = Field(
        AnyHttpUrl("https://data-api.binance.vision"),
        description="Second base address, used if the first does not respond; 'none' for none.",
    )
    binance_archive_url: AnyHttpUrl | None = Field(
        AnyHttpUrl("https://data.binance.vision"),
        description="Base address of the exchange's bulk archive, used for long ranges; 'none' for none.",
    )
    binance_futures_url: AnyHttpUrl | None = Field(
        AnyHttpUrl("https://fapi.binance.com"),
        description="Base address of the exchange's futures API, used for rates of funding; 'none' for none.",
    )
    binance_timeout_s: float = Field(10.0, gt=0, le=300, description="Seconds to wait for one page of the exchange.")
    binance_deadline_s: float = Field(
        30.0, gt=0, le=3600, description="Seconds for the calls and retries of one step of a download (33 pages)."
    )
    binance_weight_per_minute: int = Field(
        4800,
        ge=10,
        le=6000,
        description="Request weight per minute that the service uses at most (the exchange allows 6000).",
    )
    market_cache_mb: int = Field(
        2048,
        ge=16,
        le=1_048_576,
        description="Maximum MiB of fetched bars under STORAGE_DIR (a year of 1m takes 25).",
    )
    mongodb_uri: SecretStr | None = Field(
        None, description="MongoDB connection string; if empty, results are in SQLite under STORAGE_DIR."
    )
    mongodb_database: str = Field(
        "backtesting", pattern=r"^[A-Za-z0-9_-]{1,63}$", description="MongoDB database for results."
    )
    mongo_driver: Literal["motor", "pymongo"] = Field(
        "motor", description="Driver of MongoDB: motor, or pymongo for PyMongo Async, which replaces it."
    )
    object_store_url: str | None = Field(
        None,
        description="Object storage for users' models and datasets, s3://bucket/prefix, shared by several hosts; if "
        "empty, they are under STORAGE_DIR. AWS_* of the environment give endpoint, region and credentials.",
    )
    object_store_timeout_s: float = Field(
        20.0, gt=0, le=600, description="Seconds that a request to object storage may take; one more for each MiB."
    )
    object_cache_mb: int = Field(
        2048, ge=16, le=1_048_576, description="MiB of copies of objects under STORAGE_DIR; those not used go first."
    )
    model_sandbox: SandboxMode = Field(
        SandboxMode.STRICT, description="How model files are contained: strict, degraded or off."
    )
    model_timeout_s: float = Field(
        30.0, gt=0, le=3600, description="Seconds that one model file may take; then it is killed."
    )
    model_memory_mb: int = Field(4096, ge=512, le=65536, description="Address space of one model's process, in MiB.")
    model_processes: int = Field(
        0, ge=0, le=64, description="Model files open at once in a worker; 0 means one per core, at least two."
    )
    max_upload_mb: int = Field(100, ge=1, le=4096, description="Largest upload, in MiB.")
    max_models_per_user: int = Field(100, ge=1, le=100_000, description="Model files that one user may store.")
    max_datasets_per_user: int = Field(
        20, ge=1, le=10_000, description="Datasets that one user may store (a year of 1m takes 25 MiB)."
    )
    max_results_per_user: int = Field(
        10_000, ge=1, le=1_000_000, description="Stored results of one user; a new one replaces the oldest."
    )
    max_result_mb_per_user: int = Field(
        2048,
        ge=1,
        le=1_048_576,
        description="MiB of stored results of one user (3 million bars take 30 to 40); a new one replaces the oldest.",
    )
    max_ledger_mb_per_user: int = Field(
        1024,
        ge=1,
        le=1_048_576,
        description="MiB of one user's ledgers of trials (512 bytes a trial); over it, old ones are reduced to sums.",
    )
    max_ledger_mb: int = Field(
        4096,
        ge=1,
        le=1_048_576,
        description="MiB of all ledgers of trials; over it, old ones are reduced to sums.",
    )
    results_keep_days: int = Field(
        0, ge=0, le=36_500, description="Days after which stored results are deleted; 0 never deletes them."
    )
    max_rows_per_answer: int = Field(
        100_000, ge=100, le=50_000_000, description="Rows of one table in one response; more are read page by page."
    )
    max_requests_per_minute: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="Requests of one user per minute, with AUTH=none of one client's address; 0 for no limit.",
    )
    max_uploads_per_hour: int = Field(
        0,
        ge=0,
        le=100_000,
        description="Uploaded files of one user per hour, with AUTH=none of one client's address; 0 for no limit.",
    )
    max_core_seconds_per_hour: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="Processor seconds of one user's backtests, models and jobs per hour; then new ones get 429; "
        "0 for no limit.",
    )
    max_failed_sign_ins_per_minute: int = Field(
        300,
        ge=0,
        le=1_000_000,
        description="Keys and tokens of one client's address that are refused per minute; then new ones are not looked "
        "at; 0 for no limit.",
    )
    max_bars: int = Field(
        3_000_000, ge=100, le=50_000_000, description="Maximum number of bars that one request may ask for."
    )
    request_timeout_s: float = Field(120.0, gt=0, le=3600, description="Seconds that one backtest may take.")
    drain_s: float = Field(
        5.0,
        ge=0,
        le=300,
        description="Seconds between SIGTERM and the end of new connections: /ready is 503, requests are still served.",
    )
    graceful_stop_s: float = Field(
        0.0,
        ge=0,
        le=7200,
        description="Seconds that requests in progress then get; at least REQUEST_TIMEOUT_S; 0 means 5 more than that.",
    )
    compute_threads: int = Field(2, ge=1, le=64, description="Backtests that one process computes at a time.")
    max_waiting_backtests: int = Field(
        64,
        ge=0,
        le=10_000,
        description="Backtests that may wait in the queue of one process; "
        "beyond that, the user with the most waiting gets 503.",
    )
    job_workers: int = Field(
        1, ge=0, le=16, description="Jobs that one process runs at a time; 0 for a process that only serves."
    )
    job_threads: int = Field(
        0, ge=0, le=256, description="Threads of low priority that the jobs of one process use; 0 means one per core."
    )
    job_run_timeout_s: float = Field(
        default=3600,
        gt=0,
        description="Longest time of one backtest inside a job, its bars' download included",
        json_schema_extra={"unit": "seconds"},
    )
    dask_tls_ca: Path | None = Field(
        None, description="Certificate of the authority that signed those of all members of the cluster, in PEM."
    )
    dask_tls_cert: Path | None = Field(None, description="This member's certificate, in PEM.")
    dask_tls_key: Path | None = Field(None, description="The key of this member's certificate, in PEM.")
    dask_insecure: bool = Field(
        False,
        description="Whether a scheduler at tcp:// is allowed: whoever reaches its port can execute code.",
    )
    dask_scheduler: str | None = Field(
        None,
        description="Scheduler of the cluster that computes sweeps, tls://host:port; by default job threads do.",
    )
    dask_timeout_s: float = Field(
        30.0, gt=0, le=3600, description="Seconds to wait for the scheduler and for a worker of this version."
    )
    max_sweep_combinations: int = Field(
        1_000_000,
        ge=1,
        le=100_000_000,
        description="Maximum number of combinations of one sweep, and of all folds of a walk-forward together.",
    )
    max_unfinished_jobs_per_user: int = Field(
        100, ge=1, le=100_000, description="Jobs of one user that wait or run; beyond that, the user gets 503."
    )
    max_jobs_per_user: int = Field(
        1000, ge=1, le=1_000_000, description="Stored jobs of one user; a new one replaces the oldest that has ended."
    )
    max_job_mb_per_user: int = Field(
        2048,
        ge=1,
        le=1_048_576,
        description="MiB of stored jobs of one user (a million rows of a sweep take some 200); a new one replaces the "
        "oldest that have ended.",
    )
    jobs_keep_days: int = Field(
        30, ge=0, le=36_500, description="Days after which ended jobs are deleted; 0 never deletes them."
    )
    graphql_introspection: bool = Field(True, description="Whether clients may read the GraphQL schema.")
    graphql_max_depth: int = Field(12, ge=4, le=100, description="Deepest nesting of a GraphQL document.")
    graphql_max_aliases: int = Field(
        100, ge=1, le=10_000, description="Maximum number of aliases in a GraphQL document."
    )
    graphql_max_tokens: int = Field(
        4000, ge=100, le=100_000, description="Maximum number of tokens in a GraphQL document."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least severe message logged.")
    log_format: Literal["text", "json"] = Field(
        "text", description="How log lines are written: text, or json for one JSON object a line."
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (
            "http://localhost:*",
            "http://127.0.0.1:*",
            "http://[::1]:*",
            "https://localhost:*",
            "https://127.0.0.1:*",
            "https://[::1]:*",
        ),
        description="Web origins whose pages may use the API, comma-separated, ':*' for any port; '*' for all, "
        "'none' for none.",
    )
    allowed_hosts: Annotated[tuple[str, ...] | None, NoDecode] = Field(
        None,
        description="Host names that requests may name, comma-separated, '*.name' for all below one, '*' for all; "
        "by default loopback names while HOST is a loopback address, else all.",
    )
    auth_header: str = Field(
        "X-Forwarded-User", description="Header in which the gateway names the user; only with AUTH=header."
    )
    jwt_issuer: str | None = Field(None, description="Issuer (iss) whose tokens are accepted; for AUTH=jwt.")
    jwt_audience: str | None = Field(None, description="Audience (aud) that tokens must be for; for AUTH=jwt.")
    jwt_jwks: str | None = Field(
        None, description="File or https:// address of the issuer's public keys (JWKS); for AUTH=jwt."
    )
    jwt_algorithms: Annotated[tuple[TokenAlgorithm, ...], NoDecode] = Field(
        ("RS256", "ES256", "EdDSA"), description="Signatures of tokens that are accepted, comma-separated."
    )
    jwt_user_claim: str = Field(
        "sub", min_length=1, max_length=100, description="Claim of tokens that holds the user's id."
    )
    auth: AuthMode = Field(
        AuthMode.NONE,
        description="How the service knows who asks: none (anybody acts as every user), header, jwt or keys.",
    )
    mcp: bool = Field(
        False, description="Whether agents are served at /mcp (Model Context Protocol); needs the extra `mcp`."
    )
    workers: int = Field(0, ge=0, le=64, description="Worker processes of `run.py prod`; 0 means one per core.")

    @field_validator("cors_origins", "allowed_hosts", mode="before")
    @classmethod
    def _split_list(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        parts = tuple(part.strip().rstrip("/").lower() for part in value.split(",") if part.strip())
        return () if parts == ("none",) else parts

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            parts = urlsplit(origin)
            is_origin = (
                parts.scheme in {"http", "https"} and parts.hostname and origin == f"{parts.scheme}://{parts.netloc}"
            )
            if origin not in {"*", "null"} and not is_origin:
                raise ValueError(
                    f"scheme://host, scheme://host:port, scheme://host:*, null, * or none (not {quote(origin)})"
                )
        return origins

    @field_validator("allowed_hosts")
    @classmethod
    def _are_hosts(cls, hosts: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if hosts == ():
            raise ValueError("host names, or * for all")
        for host in hosts or ():
            if not _HOST_NAME.fullmatch(host):
                raise ValueError(f"names or addresses without port, *.name, or * (not {quote(host)})")
        return hosts

    @field_validator("jwt_algorithms", mode="before")
    @classmethod
    def _split_algorithms(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("auth_header")
    @classmethod
    def _is_header_name(cls, name: str) -> str:
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _NOT_FOR_USERS:
            raise ValueError(f"the name of a header, not {', '.join(sorted(_NOT_FOR_USERS))}")
        return name

    @field_validator("jwt_jwks")
    @classmethod
    def _is_key_set(cls, place: str | None) -> str | None:
        if place is None or Path(place).is_file():
            return place
        parts = urlsplit(place)
        is_local = parts.hostname in {"localhost", "127.0.0.1", "::1"}
        if parts.scheme == "https" or (parts.scheme == "http" and is_local):
            return place
        # A machine that can change the keys on their way can sign tokens.
        raise ValueError("a file that exists, an https:// address, or http:// of this machine")

    @field_validator("auth", "log_format", "mongo_driver", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("auth")
    @classmethod
    def _has_its_settings(cls, mode: AuthMode, info: ValidationInfo) -> AuthMode:
        lacking = [name.upper() for name in _TOKEN_SETTINGS if not info.data.get(name)]
        if mode is AuthMode.JWT and lacking:
            raise ValueError(f"jwt only together with {', '.join(lacking)}; or none, header, keys")
        return mode

    @field_validator("object_store_url")
    @classmethod
    def _is_bucket(cls, url: str | None) -> str | None:
        if url is not None and not _BUCKET.fullmatch(url):
            raise ValueError("s3://bucket or s3://bucket/prefix, without credentials")
        return url

    @field_validator("graceful_stop_s")
    @classmethod
    def _covers_a_request(cls, seconds: float, info: ValidationInfo) -> float:
        longest_s = info.data.get("request_timeout_s", 0.0)
        if 0 < seconds < longest_s:
            raise ValueError(f"at least REQUEST_TIMEOUT_S ({longest_s:g}), or 0")
        return seconds

    @field_validator("storage_dir")
    @classmethod
    def _is_folder(cls, folder: Path) -> Path:
        if folder.exists() and not folder.is_dir():
            raise ValueError("a folder, or a path where one can be made")
        return folder

    @field_validator("dask_tls_ca", "dask_tls_cert", "dask_tls_key")
    @classmethod
    def _is_file(cls, file: Path | None) -> Path | None:
        if file is not None and not file.is_file():
            raise ValueError("a file that exists")
        return file

    @field_validator("dask_scheduler")
    @classmethod
    def _is_secured(cls, address: str | None, info: ValidationInfo) -> str | None:
        if address is None:
            return None
        if not _SCHEDULER.fullmatch(address):
            raise ValueError("tls://host:port, or tcp://host:port with DASK_INSECURE=true")
        if address.startswith("tcp:") and not info.data.get("dask_insecure"):
            raise ValueError(
                "tls://host:port; tcp:// only with DASK_INSECURE=true, as whoever reaches it can execute code"
            )
        if address.startswith("tls:") and None in [info.data.get(name) for name in _CERTIFICATES]:
            raise ValueError("tls://host:port together with DASK_TLS_CA, DASK_TLS_CERT and DASK_TLS_KEY")
        return address

    @field_validator("binance_api_url", "binance_fallback_url", "binance_archive_url", "binance_futures_url")
    @classmethod
    def _has_no_password(cls, url: AnyHttpUrl | None) -> AnyHttpUrl | None:
        if url is not None and (url.username or url.password):
            # The address appears in log lines and messages.
            raise ValueError("an address without user and password")
        return url

    @field_validator("binance_fallback_url", "binance_archive_url", "binance_futures_url", mode="before")
    @classmethod
    def _no_fallback(cls, value: object) -> object:
        return None if isinstance(value, str) and value.strip().lower() == "none" else value

    @field_validator("metrics_port")
    @classmethod
    def _is_another_port(cls, port: int, info: ValidationInfo) -> int:
        if port and port == info.data.get("port"):
            raise ValueError("another port than PORT, or 0")
        return port

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @property
    def checks_secrets(self) -> bool:
        """Whether requests carry keys or tokens that a client could try to guess."""
        return self.auth in {AuthMode.KEYS, AuthMode.JWT}

    @property
    def longest_stop_s(self) -> int:
        """Seconds that requests in progress get at a stop."""
        return math.ceil(self.graceful_stop_s or self.request_timeout_s + RESPONDING_S)

    @property
    def max_upload_bytes(self) -> int:
        return self.max_upload_mb * 1024 * 1024

    @property
    def max_result_bytes_per_user(self) -> int:
        return self.max_result_mb_per_user * 1024 * 1024

    @property
    def max_ledger_bytes_per_user(self) -> int:
        return self.max_ledger_mb_per_user * 1024 * 1024

    @property
    def max_ledger_bytes(self) -> int:
        return self.max_ledger_mb * 1024 * 1024

    @property
    def max_job_bytes_per_user(self) -> int:
        return self.max_job_mb_per_user * 1024 * 1024

    @property
    def object_cache_bytes(self) -> int:
        return self.object_cache_mb * 1024 * 1024

    @property
    def market_cache_bytes(self) -> int:
        return self.market_cache_mb * 1024 * 1024


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
    """Raise SettingsError if AUTH is given without a value: a variable that was lost must not open the service.

    Any other setting has its default then, as in `.env.example`.
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

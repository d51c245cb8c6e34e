"""How the exchange is called, and how much of what it sends is stored."""

from __future__ import annotations

from pydantic import AnyHttpUrl, BaseModel, Field, field_validator


class ExchangeSettings(BaseModel):
    """The exchange's addresses, its waiting times and weight, and the bar cache."""

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

    @property
    def market_cache_bytes(self) -> int:
        return self.market_cache_mb * 1024 * 1024

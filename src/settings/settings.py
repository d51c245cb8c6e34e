"""Combine the groups of settings in one class."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from src.settings.access import AccessSettings
from src.settings.exchange import ExchangeSettings
from src.settings.graphql import GraphqlSettings
from src.settings.jobs import JobSettings
from src.settings.limits import LimitSettings
from src.settings.logs import LogSettings
from src.settings.models import ModelSettings
from src.settings.quotas import QuotaSettings
from src.settings.server import ServerSettings
from src.settings.stores import StoreSettings


# pydantic takes the fields of the last base first: read from the bottom, the groups stand as in `.env.example`.
# Validators of different groups need different names: of two with one name, pydantic would apply only one.
class Settings(
    AccessSettings,
    LogSettings,
    GraphqlSettings,
    JobSettings,
    LimitSettings,
    QuotaSettings,
    ModelSettings,
    StoreSettings,
    ExchangeSettings,
    ServerSettings,
    BaseSettings,
):
    """Every setting, its default and its meaning; `.env.example` lists the same."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True, env_ignore_empty=True
    )

    mcp: bool = Field(
        False, description="Whether agents are served at /mcp (Model Context Protocol); needs the extra `mcp`."
    )
    workers: int = Field(0, ge=0, le=64, description="Worker processes of `run.py prod`; 0 means one per core.")

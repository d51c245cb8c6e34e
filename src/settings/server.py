"""Where a process listens, which proxies it believes, and where it stores files."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field, ValidationInfo, field_validator


class ServerSettings(BaseModel):
    """The address of a process, its proxies and its folder."""

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

    @field_validator("metrics_port")
    @classmethod
    def _is_another_port(cls, port: int, info: ValidationInfo) -> int:
        if port and port == info.data.get("port"):
            raise ValueError("another port than PORT, or 0")
        return port

    @field_validator("storage_dir")
    @classmethod
    def _is_folder(cls, folder: Path) -> Path:
        if folder.exists() and not folder.is_dir():
            raise ValueError("a folder, or a path where one can be made")
        return folder

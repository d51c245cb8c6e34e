"""Serve over HTTP by the settings: the entry point of `run.py dev` and `run.py prod`."""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import sys
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import uvicorn

import src.runtime.compile_cache  # noqa: F401  (one cache for all the workers that this process starts)
from src.concurrency.cores import available_cores
from src.domain.errors import ServiceError
from src.files.temporary_folders import TemporaryFolder, remove_abandoned_folders
from src.observing.logs import logging_config
from src.runtime.exposure import find_exposure
from src.runtime.listener import open_metrics_listener
from src.runtime.server import run_reloaded
from src.runtime.setting_names import find_unknown_settings
from src.runtime.supervisor import Supervisor
from src.settings import Settings, SettingsError, read_settings

APPLICATION: Final = "src.backtest_API:app"
HTTP_PROTOCOL: Final = "src.api.http.connections:BoundedHttpProtocol"
SOURCE_FOLDER: Final = Path(__file__).parents[1]
SHARED_METRICS: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The Prometheus library's own variable. The library reads it when imported, so this module must not import it, not
even through `api.observation`."""

MAX_SOCKET_MESSAGE_BYTES: Final = 256 * 1024
"""A WebSocket carries documents of subscriptions, which are short."""

RELOAD_STOP_S: Final = 5
"""Seconds that running requests get before the server reloads a changed source file, while the developer waits."""


def check_store(settings: Settings) -> None:
    """Raise StoreUnavailable if the settings name a store that no worker could use; nothing is opened."""
    if settings.mongodb_uri is not None:
        from src.wiring.stores import build_stores  # noqa: PLC0415  (a second of imports that only its users need)

        build_stores(settings)
    if settings.object_store_url is not None:
        from src.bars.clock import SystemClock  # noqa: PLC0415
        from src.wiring.objects import build_objects  # noqa: PLC0415

        build_objects(settings, SystemClock())


def check_cluster(settings: Settings) -> None:
    """Raise a ServiceError if the settings name a cluster that no worker could use; nothing is connected."""
    if settings.dask_scheduler is not None:
        from src.wiring.cluster import build_executor  # noqa: PLC0415  (a second of imports that only its users need)

        build_executor(settings)


def check_key(settings: Settings) -> None:
    """Create the key that signs receipts if there is none; raise StoreUnavailable if it cannot be used."""
    from src.stores.signing_key import KEYS_FOLDER, FileSigner  # noqa: PLC0415  (only a start needs it)

    FileSigner(settings.storage_dir / KEYS_FOLDER).open()


def check_metrics_port(settings: Settings) -> None:
    """Raise SettingsError if another program has METRICS_PORT."""
    if settings.metrics_port:
        open_metrics_listener(settings.host, settings.metrics_port).close()


@contextmanager
def shared_metrics(variables: MutableMapping[str, str]) -> Iterator[None]:
    """Give the workers a shared folder for their metrics, unless the operator has named one."""
    if SHARED_METRICS in variables:
        yield
        return
    with TemporaryFolder("metrics") as folder:
        variables[SHARED_METRICS] = str(folder)
        try:
            yield
        finally:
            del variables[SHARED_METRICS]


def serve(settings: Settings, *, is_reloading: bool) -> int:
    """Serve until a signal ends it; return the exit code."""
    config = uvicorn.Config(
        APPLICATION,
        host=settings.host,
        port=settings.port,
        reload=is_reloading,
        reload_dirs=[str(SOURCE_FOLDER)] if is_reloading else None,
        workers=1 if is_reloading else settings.workers or available_cores(),
        log_config=logging_config(settings.log_format, settings.log_level),
        log_level=settings.log_level.lower(),
        access_log=False,  # it has query strings; `api.observation` logs each request
        timeout_graceful_shutdown=RELOAD_STOP_S if is_reloading else settings.longest_stop_s,
        server_header=False,
        http=HTTP_PROTOCOL,
        ws_max_size=MAX_SOCKET_MESSAGE_BYTES,
        root_path=settings.root_path,
        forwarded_allow_ips=settings.forwarded_allow_ips,
    )
    if is_reloading:
        from uvicorn.supervisors import ChangeReload  # noqa: PLC0415  (only the developer's server needs it)

        ChangeReload(config, functools.partial(run_reloaded, config), [config.bind_socket()]).run()
        return 0
    return Supervisor(config, drain_s=settings.drain_s, graceful_stop_s=settings.longest_stop_s).run()


def main(words: Sequence[str]) -> int:
    """Serve until a signal ends it; return the exit code, 2 if a setting is wrong."""
    parser = argparse.ArgumentParser(prog="python -m src.serve", description=__doc__)
    parser.add_argument("--reload", action="store_true", help="start again when a source file changes")
    options = parser.parse_args(words)
    try:
        settings = read_settings()
        check_store(settings)
        check_cluster(settings)
        check_key(settings)
        check_metrics_port(settings)
    except (SettingsError, ServiceError) as error:
        # Checked here, because workers that fail at start would be restarted again and again.
        print(f"The service cannot start:\n{error}", file=sys.stderr)
        return 2
    for warning in (*find_unknown_settings(os.environ), *find_exposure(settings)):
        print(f"WARNING: {warning}", file=sys.stderr)
    remove_abandoned_folders()
    with shared_metrics(os.environ), contextlib.suppress(KeyboardInterrupt):
        return serve(settings, is_reloading=options.reload)
    return 0

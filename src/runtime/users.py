"""Show what is stored of each user, or delete all of one, also while a service runs: `run.py users usage`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from src.domain.errors import ServiceError
from src.domain.user_usage import NOTHING, UserUsage
from src.settings import Settings, SettingsError, read_settings
from src.wiring.users import open_users

_MIB: Final = 1024 * 1024
KEPT: Final = (
    "Kept: bars of the exchange, which belong to no user; lines of the log; backups, which hold what was there when "
    "they were made. A request that was admitted before stores what it makes when its body ends: look at `users usage` "
    "later, and delete again. With OBJECT_STORE_URL other hosts remove their copies of objects within an hour."
)


def main(words: Sequence[str]) -> int:
    """Run the command; return 0, 1 if nothing is stored of the user, or 2 if an argument or a store cannot be used."""
    options = _build_parser().parse_args(words)
    try:
        return asyncio.run(_run(read_settings(), options))
    except (SettingsError, ServiceError) as error:
        print(f"[users] {error}", file=sys.stderr)
        return 2


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="run.py users", description="What the service stores of its users.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="usage | delete")
    commands.add_parser("usage", help="list all users with what is stored of them")
    delete = commands.add_parser("delete", help="delete all that is stored of a user")
    delete.add_argument("user", metavar="USER", help="the user's id")
    delete.add_argument("--yes", action="store_true", help="delete; without it, only say what would be deleted")
    return parser


async def _run(settings: Settings, options: argparse.Namespace) -> int:
    is_elsewhere = settings.mongodb_uri is not None or settings.object_store_url is not None
    if not is_elsewhere and not settings.storage_dir.is_dir():
        raise SettingsError(f"STORAGE_DIR ({settings.storage_dir.absolute()}) is not there: nothing is stored.")
    async with open_users(settings) as users:
        if options.command == "usage":
            _print_usage(await users.usage())
            return 0
        if not options.yes:
            found = (await users.usage()).get(options.user, NOTHING)
            print(f"would delete of {options.user!r}: {_describe(found)}. Add --yes to delete.")
            return int(found == NOTHING)
        found = await users.delete(options.user)
        print(f"deleted of {options.user!r}: {_describe(found)}\n{KEPT}")
        return int(found == NOTHING)


def _print_usage(usage: Mapping[str, UserUsage]) -> None:
    rows = [("USER", "RESULTS", "MIB", "JOBS", "MIB", "TRIALS", "MODELS", "MIB", "DATASETS", "MIB", "KEYS")]
    rows += [(user_id, *_columns(found)) for user_id, found in usage.items()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for first, *others in rows:
        numbers = (f"{text:>{width}}" for text, width in zip(others, widths[1:], strict=True))
        print("  ".join((f"{first:<{widths[0]}}", *numbers)))


def _columns(found: UserUsage) -> tuple[str, str, str, str, str, str, str, str, str, str]:
    return (
        str(found.results), _mib(found.result_bytes), str(found.jobs), _mib(found.job_bytes), str(found.trials),
        str(found.models), _mib(found.model_bytes), str(found.datasets), _mib(found.dataset_bytes), str(found.keys),
    )  # fmt: skip


def _describe(found: UserUsage) -> str:
    counts = {
        "results": found.results, "jobs": found.jobs, "models": found.models, "datasets": found.datasets,
        "trials in ledgers": found.trials, "API keys": found.keys,
    }  # fmt: skip
    return ", ".join(f"{count} {what}" for what, count in counts.items())


def _mib(size: int) -> str:
    return f"{size / _MIB:.1f}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

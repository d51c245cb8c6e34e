"""Make, list and revoke API keys, also while a service runs: `run.py keys create USER`, `list`, `revoke ID`."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from typing import Final

from src.bars.clock import SystemClock
from src.domain.errors import InvalidInput, ServiceError
from src.domain.identity import ApiKey, AuthMode
from src.domain.instants import format_instant, parse_instant
from src.domain.intervals import DAY_MS
from src.domain.model_files import check_user_id
from src.identity.key_file import KeyFile
from src.settings import SettingsError, read_settings
from src.wiring.identity import build_key_file

MAX_NAME_LENGTH: Final = 64
MAX_DAYS: Final = 36_500
_DAYS: Final = re.compile(r"([1-9]\d{0,5})d", re.ASCII)


def main(words: Sequence[str]) -> int:
    """Run the command; return 0, 1 if there is no such key, or 2 if an argument or the file cannot be used."""
    options = _build_parser().parse_args(words)
    try:
        settings = read_settings()
        file = build_key_file(settings)
        try:
            code = int(options.run(file, options))
        finally:
            file.close()
    except (SettingsError, ServiceError) as error:
        print(f"[keys] {error}", file=sys.stderr)
        return 2
    if options.run is _create and settings.auth is not AuthMode.KEYS:
        print(f"[keys] AUTH is {settings.auth}: the service reads keys only with AUTH=keys.", file=sys.stderr)
    return code


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="run.py keys", description="Make, list and revoke API keys.")
    commands = parser.add_subparsers(required=True, metavar="create | list | revoke")
    create = commands.add_parser("create", help="make a key for a user, and show it this once")
    create.add_argument("user", metavar="USER", help="the user's id")
    create.add_argument("--name", default="", help="what the key is for")
    create.add_argument("--expires", metavar="WHEN", help="90d, or a date or instant in UTC; by default never")
    create.set_defaults(run=_create)
    commands.add_parser("list", help="list all keys, without the keys themselves").set_defaults(run=_list)
    revoke = commands.add_parser("revoke", help="refuse a key from now on, and end its sessions")
    revoke.add_argument("id", metavar="ID", help="the key's id, as list shows it")
    revoke.set_defaults(run=_revoke)
    return parser


def _create(file: KeyFile, options: argparse.Namespace) -> int:
    """Print the key alone on standard output, so that it can be read by a program."""
    now_ms = SystemClock().now_ms()
    expires_ms = None if options.expires is None else read_expiry(options.expires, now_ms=now_ms)
    if len(options.name) > MAX_NAME_LENGTH or not options.name.isprintable():
        raise InvalidInput(
            "The name of a key is too long, or not printable. Maximum: {most} characters.", most=MAX_NAME_LENGTH
        )
    user_id = check_user_id(options.user, field="USER")
    key, text = file.create(user_id, name=options.name, now_ms=now_ms, expires_ms=expires_ms)
    print(f"[keys] key {key.id} of {key.user_id!r}, shown this once:", file=sys.stderr)
    print(text)
    return 0


def _list(file: KeyFile, _: argparse.Namespace) -> int:
    now_ms = SystemClock().now_ms()
    rows: list[tuple[str, ...]] = [("ID", "USER", "KEY", "STATE", "CREATED", "EXPIRES", "LAST USED", "NAME")]
    rows += [_describe(key, now_ms) for key in file.list()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _revoke(file: KeyFile, options: argparse.Namespace) -> int:
    if not file.revoke(options.id, now_ms=SystemClock().now_ms()):
        print(f"[keys] no key has the id {options.id!r}, or it was revoked before", file=sys.stderr)
        return 1
    print(f"key {options.id}: revoked")
    return 0


def _describe(key: ApiKey, now_ms: int) -> tuple[str, ...]:
    state = "valid"
    if key.revoked_ms is not None:
        state = "revoked"
    elif key.expires_ms is not None and key.expires_ms <= now_ms:
        state = "expired"
    times = (key.created_ms, key.expires_ms, key.last_used_ms)
    shown = ["-" if time_ms is None else format_instant(time_ms // 1000 * 1000) for time_ms in times]
    return (key.id, key.user_id, f"{key.prefix}…", state, *shown, key.name)


def read_expiry(text: str, *, now_ms: int) -> int:
    """Return when a key expires: `90d` from now, or a date (its end) or instant; raises InvalidInput."""
    days = _DAYS.fullmatch(text.strip())
    if days is not None and int(days[1]) <= MAX_DAYS:
        return now_ms + int(days[1]) * DAY_MS
    expires_ms = parse_instant(text, field="--expires", is_end=True)
    if expires_ms <= now_ms:
        raise InvalidInput("The time {got!r} of --expires is over.", got=text)
    return expires_ms


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

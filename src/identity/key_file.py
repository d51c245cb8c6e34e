"""Keep API keys and sessions of the pages in one SQLite file: hashes only, shared by all processes of the service.

A key has 256 random bits, so SHA-256 hides it well enough: unlike a password it cannot be guessed.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Final

from src.domain.errors import StoreUnavailable
from src.domain.identity import ApiKey

KEY_PREFIX: Final = "bt_"
SHOWN_CHARACTERS: Final = 8
"""Of a key's text, so that its owner recognizes the key: 30 of its 256 bits."""
BUSY_TIMEOUT_S: Final = 5.0

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS api_keys (
    id TEXT PRIMARY KEY, user_id TEXT NOT NULL, name TEXT NOT NULL, prefix TEXT NOT NULL, hash BLOB NOT NULL UNIQUE,
    created_ms INTEGER NOT NULL, expires_ms INTEGER, last_used_ms INTEGER, revoked_ms INTEGER
);
CREATE TABLE IF NOT EXISTS sessions (
    hash BLOB PRIMARY KEY, key_id TEXT NOT NULL REFERENCES api_keys (id), expires_ms INTEGER NOT NULL
);
"""
_ALL: Final = (
    "SELECT id, user_id, name, prefix, created_ms, expires_ms, last_used_ms, revoked_ms FROM api_keys "
    "ORDER BY created_ms, id"
)
_BY_HASH: Final = "SELECT hash AS found, * FROM api_keys WHERE hash = ?"
_BY_SESSION: Final = (
    "SELECT sessions.hash AS found, api_keys.* FROM sessions JOIN api_keys ON api_keys.id = sessions.key_id "
    "WHERE sessions.hash = ? AND sessions.expires_ms > ?"
)
_SESSIONS_OF: Final = "DELETE FROM sessions WHERE key_id IN (SELECT id FROM api_keys WHERE user_id = ?)"


class KeyFile:
    """The file `path`, which is created when first needed (mode 0600).

    Every method raises StoreUnavailable if the file cannot be used. Methods block, for less than a millisecond unless
    another process writes, so call them on a thread.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def create(self, user_id: str, *, name: str, now_ms: int, expires_ms: int | None) -> tuple[ApiKey, str]:
        """Create a key; return its description and the key itself, which cannot be read again."""
        text = KEY_PREFIX + secrets.token_urlsafe(32)
        key = ApiKey(
            id=secrets.token_hex(4),
            user_id=user_id,
            name=name,
            prefix=text[:SHOWN_CHARACTERS],
            created_ms=now_ms,
            expires_ms=expires_ms,
        )
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO api_keys (id, user_id, name, prefix, hash, created_ms, expires_ms) VALUES (?,?,?,?,?,?,?)",
                (key.id, key.user_id, key.name, key.prefix, hash_secret(text), now_ms, expires_ms),
            )
        return key, text

    def list(self) -> Sequence[ApiKey]:
        """Return all keys, revoked ones too, oldest first."""
        with self._reading() as connection:
            rows = connection.execute(_ALL).fetchall()
        return [_key_of(row) for row in rows]

    def count_by_user(self) -> Mapping[str, int]:
        """Return the number of keys of each user, revoked ones too."""
        with self._reading() as connection:
            rows = connection.execute("SELECT user_id, count(*) FROM api_keys GROUP BY user_id").fetchall()
        return {row[0]: row[1] for row in rows}

    def revoke(self, key_id: str, *, now_ms: int) -> bool:
        """Revoke a key and end its sessions; return False if it is unknown or revoked already."""
        with self._writing() as connection:
            connection.execute("DELETE FROM sessions WHERE key_id = ?", (key_id,))
            update = "UPDATE api_keys SET revoked_ms = ? WHERE id = ? AND revoked_ms IS NULL"
            return connection.execute(update, (now_ms, key_id)).rowcount == 1

    def delete_user(self, user_id: str) -> int:
        """Delete all keys and sessions of a user; return the number of keys."""
        with self._writing() as connection:
            connection.execute(_SESSIONS_OF, (user_id,))
            return connection.execute("DELETE FROM api_keys WHERE user_id = ?", (user_id,)).rowcount

    def find(self, text: str) -> ApiKey | None:
        """Return the key with this text, even if it is expired or revoked; None if there is none."""
        return self._find(_BY_HASH, hash_secret(text))

    def find_session(self, token: str, *, now_ms: int) -> ApiKey | None:
        """Return the key that a session was begun with; None if the session is unknown or has expired."""
        return self._find(_BY_SESSION, hash_secret(token), now_ms)

    def begin_session(self, key: ApiKey, *, now_ms: int, expires_ms: int) -> str:
        """Begin a session of a key and delete expired ones; return its token, of which only a hash is stored."""
        token = secrets.token_urlsafe(32)
        with self._writing() as connection:
            connection.execute("DELETE FROM sessions WHERE expires_ms <= ?", (now_ms,))
            connection.execute("INSERT INTO sessions VALUES (?, ?, ?)", (hash_secret(token), key.id, expires_ms))
        return token

    def end_session(self, token: str) -> None:
        """End a session, if there is one."""
        with self._writing() as connection:
            connection.execute("DELETE FROM sessions WHERE hash = ?", (hash_secret(token),))

    def note_use(self, key: ApiKey, *, now_ms: int) -> None:
        """Store when a key was used last."""
        with self._writing() as connection:
            connection.execute("UPDATE api_keys SET last_used_ms = ? WHERE id = ?", (now_ms, key.id))

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _find(self, query: str, digest: bytes, *others: int) -> ApiKey | None:
        with self._reading() as connection:
            row = connection.execute(query, (digest, *others)).fetchone()
        return _key_of(row) if row is not None and hmac.compare_digest(row["found"], digest) else None

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._translated():
            yield self._open()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._translated(), self._open() as connection:
            yield connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable(
                "The keys cannot be read or written: {path} {reason}.",
                path=self._path.name,
                reason=f"({error})",
                retry_after_s=1.0,
            ) from error

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Created before SQLite opens it, which would make it readable for all users of the machine.
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
            connection = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_S, check_same_thread=False)
            connection.row_factory = sqlite3.Row
            with connection:
                connection.executescript(_SCHEMA)
            self._connection = connection
        return self._connection


def _key_of(row: sqlite3.Row) -> ApiKey:
    return ApiKey(**{item.name: row[item.name] for item in fields(ApiKey)})


def hash_secret(text: str) -> bytes:
    """Return the hash that is stored instead of a key or a session's token."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def copy_keys(source: Path, target: Path) -> None:
    """Copy one consistent state of a file of keys; raises OSError."""
    try:
        with closing(sqlite3.connect(source)) as original, closing(sqlite3.connect(target)) as copy:
            original.backup(copy)
            copy.execute("DELETE FROM sessions")
            copy.commit()
    except sqlite3.Error as error:
        raise OSError(f"the file of keys cannot be copied: {error}") from error

"""`run.py keys`: made, listed and revoked beside a running service; a key is shown once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from src.domain.errors import InvalidInput
from src.domain.intervals import DAY_MS
from src.identity.key_file import KeyFile
from src.runtime import keys as command
from src.wiring.identity import KEY_FILE


class Finished(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Finished]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command on the folder of the test."""
    monkeypatch.chdir(tmp_path.parent)  # there is no .env
    monkeypatch.setenv("STORAGE_DIR", str(tmp_path))
    monkeypatch.setenv("AUTH", "keys")

    def run_command(*words: str) -> Finished:
        code = command.main(words)
        return Finished(code, *capsys.readouterr())

    return run_command


def test_created_key_is_printed_once(run: Run, tmp_path: Path) -> None:
    made = run("create", "ann", "--name", "laptop", "--expires", "90d")
    text = made.out.strip()
    assert (made.code, made.out) == (0, f"{text}\n")
    assert "shown this once" in made.err
    file = KeyFile(tmp_path / KEY_FILE)
    found = file.find(text)
    file.close()
    assert found is not None
    assert (found.user_id, found.name, (found.expires_ms or 0) - found.created_ms) == ("ann", "laptop", 90 * DAY_MS)
    listed = run("list")
    assert text not in listed.out + listed.err + made.err
    [head, row] = listed.out.splitlines()
    assert head.split()[:4] == ["ID", "USER", "KEY", "STATE"]
    assert row.split()[:4] == [found.id, "ann", f"{text[:8]}…", "valid"]
    assert row.endswith("laptop")


def test_revoked_and_expired_keys_are_listed_as_such(run: Run, tmp_path: Path) -> None:
    file = KeyFile(tmp_path / KEY_FILE)
    file.create("bob", name="", now_ms=1, expires_ms=2)
    revoked, _ = file.create("cid", name="", now_ms=3, expires_ms=None)
    file.close()
    assert run("revoke", revoked.id) == (0, f"key {revoked.id}: revoked\n", "")
    assert [line.split()[1:4:2] for line in run("list").out.splitlines()[1:]] == [
        ["bob", "expired"],
        ["cid", "revoked"],
    ]
    again = run("revoke", revoked.id)
    assert (again.code, again.out) == (1, "")
    assert "revoked before" in again.err


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("create", "../ann"), "USER is '../ann'. Allowed: 1 to 64 characters"),
        (("create", "ann", "--name", "a" * 65), "The name of a key is too long"),
        (("create", "ann", "--expires", "2001-01-01"), "The time '2001-01-01' of --expires is over."),
        (("create", "ann", "--expires", "0d"), "--expires is '0d'. Allowed: YYYY-MM-DD"),
        (("create", "ann", "--expires", "999999d"), "--expires is '999999d'."),
    ],
)
def test_wrong_word_makes_no_key(run: Run, words: tuple[str, ...], problem: str) -> None:
    refused = run(*words)
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith(f"[keys] {problem}")
    assert len(run("list").out.splitlines()) == 1


def test_key_that_no_service_reads_is_warned_about(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH", "none")
    made = run("create", "ann")
    assert made.code == 0
    assert "AUTH is none" in made.err


def test_file_that_cannot_be_used_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / ".access").mkdir()
    (tmp_path / KEY_FILE).write_bytes(b"no database" * 100)
    broken = run("list")
    assert broken.code == 2
    assert "keys.sqlite3" in broken.err


def test_date_of_expiry_is_the_end_of_its_day() -> None:
    assert command.read_expiry("1970-01-02", now_ms=0) == 2 * DAY_MS - 1
    assert command.read_expiry("1970-01-02T01:00Z", now_ms=0) == DAY_MS + 3_600_000
    with pytest.raises(InvalidInput):
        command.read_expiry("1970-01-02", now_ms=2 * DAY_MS - 1)

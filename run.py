#!/usr/bin/env python3
"""Run one command for each job: make the environment if it is missing or out of date, then do the job in it.

Only the standard library is used here, because this file runs before anything is installed.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import NamedTuple

if sys.platform != "win32":
    import fcntl

OLDEST_PYTHON = (3, 11)
if sys.version_info < OLDEST_PYTHON:
    sys.exit(f"run.py needs Python 3.11 or newer; this is Python {sys.version.split()[0]} ({sys.executable}).")

ROOT = Path(__file__).resolve().parent
VENV_FOLDERS = {"bin", "include", "lib", "lib64", "Scripts", "Include", "Lib"}
REPORT_EVERY_S = 15.0
SPINNER = "|/-\\"
SHOWN_LOG_LINES = 60

SERVICE = ("requirements.txt",)
CLUSTER = (*SERVICE, "requirements-cluster.txt")
DEVELOPMENT = (*SERVICE, "requirements-dev.txt")
EVERYTHING = (*DEVELOPMENT, "requirements-models.txt")


class Command(NamedTuple):
    """A job: its help line, the requirement files it needs, and the arguments to Python of each step.

    `takes_paths`: its words are paths relative to the user's folder; the job itself runs beside this file.
    `on_the_whole`: arguments put before the user's words if no word names a file or folder of the project.
    """

    summary: str
    requirements: tuple[str, ...]
    steps: tuple[tuple[str, ...], ...]
    takes_paths: bool = False
    on_the_whole: tuple[str, ...] = ()

    def arguments(self, step: Sequence[str], words: Sequence[str]) -> list[str]:
        """Return the arguments to Python for one of the steps, with the user's words."""
        is_selection = any(os.path.lexists(ROOT / word.partition("::")[0]) for word in words)
        return [*step, *(() if is_selection else self.on_the_whole), *words]


COMMANDS = {
    "demo": Command("start the service, run backtests over HTTP, show the results", SERVICE, (("-m", "src.demo"),)),
    "dev": Command("serve, starting again when a source file changes", SERVICE, (("-m", "src.serve", "--reload"),)),
    "prod": Command("serve with WORKERS processes (0: one per core)", SERVICE, (("-m", "src.serve"),)),
    "backup": Command(
        "write results, models and datasets to the folder named, while serving",
        SERVICE,
        (("-m", "src.runtime.backup", "backup"),),
        takes_paths=True,
    ),
    "restore": Command(
        "put such a folder into an empty STORAGE_DIR; with --replace into any",
        SERVICE,
        (("-m", "src.runtime.backup", "restore"),),
        takes_paths=True,
    ),
    "cluster": Command(
        "run a member of the cluster that computes sweeps: scheduler, worker, certificates DIR",
        CLUSTER,
        (("-m", "src.runtime.cluster"),),
    ),
    "ledger": Command(
        "check the chains of the ledgers of trials, while serving; --user ID, --head HEX",
        SERVICE,
        (("-m", "src.runtime.ledger"),),
    ),
    "keys": Command(
        "make, list and revoke API keys, while serving: create USER, list, revoke ID",
        SERVICE,
        (("-m", "src.runtime.keys"),),
    ),
    "users": Command(
        "show what is stored of each user (usage), or delete all of one (delete USER), while serving",
        SERVICE,
        (("-m", "src.runtime.users"),),
    ),
    "test": Command(
        "run the tests, all of them on all cores; further words go to pytest",
        EVERYTHING,
        (("-m", "pytest"),),
        # Keep the order of the folders: pytest-xdist puts files with few tests last, and those start services.
        on_the_whole=("-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder"),
    ),
    "bench": Command("measure the speed against other engines", EVERYTHING, (("-m", "tests.benchmarks"),)),
    "mutate": Command(
        "plant faults in the rooms named and show which their tests miss", DEVELOPMENT, (("-m", "tests.mutation"),)
    ),
    "bounds": Command(
        "run the engines' contracts with every index of compiled code checked", DEVELOPMENT, (("-m", "tests.bounds"),)
    ),
    "pictures": Command(
        "make the pictures of the README anew, with Chromium", DEVELOPMENT, (("-m", "tests.browser.pictures"),)
    ),
    "lint": Command(
        "check style, format and types",
        DEVELOPMENT,
        (
            ("-m", "ruff", "check", "."),
            ("-m", "ruff", "format", "--check", "."),
            ("-m", "mypy", "src", "backtesting_client", "run.py"),
        ),
    ),
    "setup": Command("make the environment with everything in it, and stop there", EVERYTHING, ()),
}


class Failure(Exception):
    """The job cannot be done; the message says why and what to do."""


def say(text: str) -> None:
    print(text, flush=True)


class Environment:
    """The folder `.venv` beside this file, and the record of what is installed in it.

    `installed.json` in it holds the SHA-256 of each requirements file at its last successful installation. `unfinished`
    exists while pip runs: if it is found later, pip was killed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / ".venv"
        self.programs = self.folder / ("Scripts" if os.name == "nt" else "bin")
        self.python = self.programs / ("python.exe" if os.name == "nt" else "python")
        self._record = self.folder / "installed.json"
        self._unfinished = self.folder / "unfinished"

    def prepare(self, requirements: Sequence[str], *, verbose: bool) -> None:
        """Install what the files ask for; do nothing if it is installed already."""
        with only_one_at_a_time(self.root):
            if reason := self.fault():
                self._remake(reason, verbose=verbose)
            installed = self._installed()
            wanted = {name: hashlib.sha256((self.root / name).read_bytes()).hexdigest() for name in requirements}
            stale = [name for name, digest in wanted.items() if installed.get(name) != digest]
            if stale:
                self._install(stale, changed=any(name in installed for name in stale), verbose=verbose)
                self._write_record({**installed, **wanted})

    def variables(self) -> dict[str, str]:
        """Return the variables of an activated environment."""
        path = os.pathsep.join((str(self.programs), os.environ.get("PATH", os.defpath)))
        return {**os.environ, "VIRTUAL_ENV": str(self.folder), "PATH": path}

    def fault(self) -> str | None:
        """Return why the environment cannot be used as it is; None if it can."""
        if not os.path.lexists(self.folder):
            return "there is none yet"
        if self._unfinished.exists():
            return "its last installation was cut off"
        probe = "import sys, pip; print(*sys.version_info[:2], sep='.')"
        try:
            asked = subprocess.run(
                [self.python, "-I", "-c", probe], capture_output=True, text=True, timeout=60, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return "the existing one is broken"
        ours = ".".join(map(str, sys.version_info[:2]))
        theirs = asked.stdout.strip()
        return None if theirs == ours else f"the existing one is for Python {theirs}, this is {ours}"

    def _remake(self, reason: str, *, verbose: bool) -> None:
        say(f"[run] making the environment .venv: {reason}")
        if os.path.lexists(self.folder):
            self._remove()
        run_with_progress(
            [sys.executable, "-m", "venv", str(self.folder)], "making .venv", cwd=self.root, verbose=verbose
        )

    def _remove(self) -> None:
        is_ours = self.folder.is_dir() and not self.folder.is_symlink()
        if is_ours and not (self.folder / "pyvenv.cfg").exists():
            is_ours = {entry.name for entry in self.folder.iterdir()} <= VENV_FOLDERS
        if not is_ours:
            raise Failure(f"{self.folder} is not a virtual environment; move it away and try again")
        shutil.rmtree(self.folder)

    def _install(self, requirements: Sequence[str], *, changed: bool, verbose: bool) -> None:
        names = ", ".join(requirements)
        say(f"[run] installing {names}" + (": changed since the last time" if changed else " (takes a few minutes)"))
        arguments = [word for name in requirements for word in ("-r", name)]
        self._unfinished.touch()
        try:
            run_with_progress(
                [str(self.python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", *arguments],
                "installing",
                cwd=self.root,
                verbose=verbose,
            )
        except Failure:
            # pip downloads everything before it changes anything, and undoes an installation that fails.
            self._unfinished.unlink()
            raise

    def _installed(self) -> dict[str, str]:
        try:
            record = json.loads(self._record.read_text())
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}

    def _write_record(self, record: dict[str, str]) -> None:
        draft = self._record.with_suffix(".new")
        draft.write_text(json.dumps(record, indent=1))
        draft.replace(self._record)
        self._unfinished.unlink()


@contextlib.contextmanager
def only_one_at_a_time(root: Path) -> Iterator[None]:
    """Hold the folder's lock; the system releases it however this process ends."""
    if sys.platform == "win32":  # no flock: two concurrent first runs are not kept apart on Windows
        yield
        return
    descriptor = os.open(root, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("[run] another run.py is preparing the environment: waiting for it")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def run_with_progress(arguments: Sequence[str], what: str, *, cwd: Path, verbose: bool) -> None:
    """Run a program to its end; show that time passes, and its output only if it fails.

    Raises
    ------
    Failure
        With the last lines of its output, if its exit code is not 0.
    """
    started = time.monotonic()
    pause_s = 0.2 if sys.stdout.isatty() else REPORT_EVERY_S
    with tempfile.TemporaryFile() as log:
        output = None if verbose else log
        process = subprocess.Popen(arguments, stdout=output, stderr=output, cwd=cwd)
        try:
            while (code := wait_briefly(process, pause_s)) is None:
                if not verbose:
                    show_elapsed(what, time.monotonic() - started)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
        if sys.stdout.isatty() and not verbose:
            sys.stdout.write("\r\x1b[K")
        if code != 0:
            log.seek(0)
            lines = log.read().decode(errors="replace").splitlines()[-SHOWN_LOG_LINES:]
            raise Failure("\n".join([*lines, f"{what} failed (exit code {code})"]))
    say(f"[run] {what}: done in {time.monotonic() - started:.0f} s")


def wait_briefly(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    try:
        return process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return None


def show_elapsed(what: str, seconds: float) -> None:
    if sys.stdout.isatty():
        sys.stdout.write(f"\r[run] {what} {SPINNER[int(seconds * 5) % len(SPINNER)]} {seconds:.0f} s")
        sys.stdout.flush()
    else:
        say(f"[run] {what}: {seconds:.0f} s so far")


def supervise(arguments: Sequence[str], *, cwd: Path, variables: dict[str, str]) -> int:
    """Run a program in place of this one: signals reach it, and its exit code is returned (128 + n if signal n ended
    it).

    Ctrl-C gives 130, whatever the program returns.
    """
    received: list[int] = []
    process: subprocess.Popen[bytes] | None = None

    def pass_on(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if process is not None and not (number == signal.SIGINT and terminal_interrupts_us()):
            process.send_signal(number)

    names = ("SIGINT", "SIGTERM", "SIGHUP")
    previous = {number: signal.signal(number, pass_on) for name in names if (number := getattr(signal, name, None))}
    try:
        process = subprocess.Popen(
            arguments,
            cwd=cwd,
            env=variables,
            preexec_fn=end_with_parent(),  # noqa: PLW1509 - there are no threads here
        )
        if received:
            process.send_signal(received[-1])
        code = process.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if signal.SIGINT in received:
        return 128 + signal.SIGINT
    return code if code >= 0 else 128 - code


def end_with_parent() -> Callable[[], object] | None:
    """Return the function that a child calls before its program, so that it gets SIGTERM when this process ends, even
    by `kill -9` (Linux only)."""
    if sys.platform != "linux":
        return None
    prctl, parent_death_signal = ctypes.CDLL(None).prctl, 1  # linux/prctl.h
    return lambda: prctl(parent_death_signal, signal.SIGTERM, 0, 0, 0)


def terminal_interrupts_us() -> bool:
    """Return whether Ctrl-C reaches the children without this process: a terminal signals its foreground group."""
    try:
        with Path("/dev/tty").open("rb") as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False


def split_options(words: Sequence[str]) -> tuple[set[str], list[str]]:
    """Take this file's own options out of the words; everything after `--` belongs to the job."""
    ours = {"--no-venv", "--verbose"}
    end = list(words).index("--") if "--" in words else len(words)
    options = {word for word in words[:end] if word in ours}
    return options, [word for word in words[:end] if word not in ours] + list(words[end + 1 :])


def usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: python run.py COMMAND [--verbose] [--no-venv] [words for the command]",
            "",
            *lines,
            "",
            "  --verbose  show what pip writes",
            "  --no-venv  use the Python that runs this file, as it is, instead of .venv",
            "  --         what follows goes to the command untouched",
        ]
    )


def do(name: str, options: set[str], words: Sequence[str]) -> int:
    command = COMMANDS[name]
    python, variables = sys.executable, dict(os.environ)
    if "--no-venv" not in options:
        environment = Environment(ROOT)
        environment.prepare(command.requirements, verbose="--verbose" in options)
        python, variables = str(environment.python), environment.variables()
    if command.takes_paths:
        words = [word if word.startswith("-") else str(Path(word).absolute()) for word in words]
    worst = 0
    for step in command.steps:
        if len(command.steps) > 1:
            say(f"[run] {' '.join(step[1:])}")
        code = supervise([python, *command.arguments(step, words)], cwd=ROOT, variables=variables)
        worst = max(worst, code)
        if code >= 128:
            break
    return worst


def main(words: Sequence[str]) -> int:
    options, rest = split_options(words)
    if not rest or rest[0] in {"--help", "-h", "help"}:
        say(usage())
        return 0 if rest else 2
    if rest[0] not in COMMANDS:
        print(f"unknown command {rest[0]!r}\n\n{usage()}", file=sys.stderr)
        return 2
    try:
        return do(rest[0], options, rest[1:])
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except (Failure, OSError) as error:
        print(f"[run] {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

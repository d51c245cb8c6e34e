"""`run.py`, copied into projects of its own: real environments, a package in a local file, no network."""

from __future__ import annotations

import ast
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "run.py"
COMMANDS = (
    "demo", "dev", "prod", "backup", "restore", "cluster", "ledger", "keys", "users", "test", "bench", "mutate",
    "bounds", "pictures", "lint", "setup",
)  # fmt: skip

JOB = """
import os, signal, sys, time
word = sys.argv[1] if len(sys.argv) > 1 else ""
if word == "exit":
    sys.exit(int(sys.argv[2]))
if word == "die":
    os.kill(os.getpid(), signal.SIGKILL)
if word == "import":
    __import__(sys.argv[2])
try:
    print("job", sys.prefix, *sys.argv[1:], flush=True)
    if word == "wait":
        time.sleep(600)
except KeyboardInterrupt:
    sys.exit(1)
"""


class Project:
    """A folder with `run.py`, requirements files and a job in place of the demo."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.venv = folder / ".venv"
        (folder / "src").mkdir(parents=True)
        (folder / "src" / "demo.py").write_text(JOB)
        shutil.copy(SCRIPT, folder)
        self.require("")
        (folder / "requirements-dev.txt").write_text("-r requirements.txt\n")
        (folder / "requirements-models.txt").write_text("-r requirements.txt\n")

    def require(self, lines: str) -> None:
        (self.folder / "requirements.txt").write_text(f"# what the job needs\n{lines}\n")

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, self.folder / "run.py", *words],
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str) -> tuple[int, str]:
        with self.start(*words) as process:
            output, _ = process.communicate(timeout=120)
            return process.returncode, output


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    """A project after its first run, and what that run wrote."""
    project = Project(tmp_path_factory.mktemp("project") / "a folder with spaces")
    code, output = project.run("demo", "first")
    assert code == 0, output
    return project, output


@pytest.fixture
def project(made: tuple[Project, str]) -> Project:
    made[0].require("")
    return made[0]


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_package(folder: Path, name: str) -> str:
    """Write an installable package of one empty module; return its requirement line."""
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    about = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return f"{name} @ {wheel.as_uri()}"


def test_first_run_makes_the_environment(made: tuple[Project, str]) -> None:
    project, output = made
    lines = output.splitlines()
    assert lines[0] == "[run] making the environment .venv: there is none yet"
    assert "[run] installing requirements.txt (takes a few minutes)" in lines
    assert lines[-1] == f"job {project.venv} first"


def test_further_run_only_does_the_job(project: Project) -> None:
    project.run("demo")
    assert project.run("demo", "again") == (0, f"job {project.venv} again\n")


def test_changed_requirements_file_is_installed_again(project: Project) -> None:
    project.run("demo")
    project.require(write_package(project.folder, "tiny_package"))
    code, output = project.run("demo", "import", "tiny_package")
    assert code == 0, output
    assert "[run] installing requirements.txt: changed since the last time" in output


def test_failed_installation_is_explained_and_retried(project: Project) -> None:
    project.require("./absent-1.0-py3-none-any.whl")
    code, output = project.run("demo")
    assert code == 1
    assert "absent-1.0-py3-none-any.whl" in output
    assert "installing failed (exit code 1)" in output
    assert "job" not in output.splitlines()[-1]
    assert "[run] installing" in project.run("demo")[1]
    project.require("")
    code, output = project.run("demo")
    assert code == 0
    assert "making the environment" not in output


def test_interrupted_installation_is_rebuilt(project: Project) -> None:
    (project.venv / "unfinished").touch()
    (project.venv / "half-written").touch()
    code, output = project.run("demo")
    assert code == 0, output
    assert "[run] making the environment .venv: its last installation was cut off" in output
    assert not (project.venv / "half-written").exists()
    assert project.run("demo") == (0, f"job {project.venv}\n")


def test_two_first_runs_at_once_install_once(project: Project) -> None:
    project.require("# another hash")
    with project.start("demo") as one, project.start("demo") as other:
        outputs = [process.communicate(timeout=120)[0] for process in (one, other)]
    assert [one.returncode, other.returncode] == [0, 0]
    assert sum("[run] installing requirements.txt" in output for output in outputs) == 1


def _no_folder(venv: Path) -> None:
    shutil.rmtree(venv)


def _no_python(venv: Path) -> None:
    (venv / "bin" / "python").unlink()


def _silent_python(venv: Path) -> None:
    _python_that_says(venv, "")
    (venv / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")


def _old_python(venv: Path) -> None:
    _python_that_says(venv, "3.9")


def _python_that_says(venv: Path, version: str) -> None:
    program = venv / "bin" / "python"
    program.write_text(f"#!/bin/sh\necho {version}\n")
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (_no_folder, "there is none yet"),
        (_no_python, "broken"),
        (_silent_python, "broken"),
        (_old_python, "is for Python 3.9"),
    ],
)
def test_unusable_environment_is_detected(script: ModuleType, tmp_path: Path, harm: object, words: str) -> None:
    environment = script.Environment(tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    _python_that_says(tmp_path / ".venv", ".".join(map(str, sys.version_info[:2])))
    assert environment.fault() is None
    harm(tmp_path / ".venv")  # type: ignore[operator]
    assert words in environment.fault()


def test_users_own_folder_is_left_alone(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.venv.mkdir()
    (project.venv / "thesis.txt").write_text("years of work")
    code, output = project.run("demo")
    assert code == 1
    assert "is not a virtual environment; move it away" in output
    assert (project.venv / "thesis.txt").exists()


@pytest.mark.parametrize("words", [("--help",), ("-h",), ("help",)])
def test_help_lists_every_command_in_one_line(project: Project, words: tuple[str, ...]) -> None:
    code, output = project.run(*words)
    assert code == 0
    for name in COMMANDS:
        assert sum(line.startswith(f"  {name} ") for line in output.splitlines()) == 1


@pytest.mark.parametrize("words", [(), ("dance",), ("--verbose",)])
def test_without_a_known_command_the_list_is_shown(project: Project, words: tuple[str, ...]) -> None:
    code, output = project.run(*words)
    assert code == 2
    assert "  demo " in output
    assert ("unknown command 'dance'" in output) == ("dance" in words)


def test_no_venv_takes_the_python_that_is_there(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    code, output = project.run("demo", "--no-venv", "word")
    assert (code, output) == (0, f"job {sys.prefix} word\n")
    assert not project.venv.exists()


def test_words_after_two_dashes_are_the_jobs_own(project: Project) -> None:
    assert project.run("demo", "a", "--", "--verbose", "--no-venv")[1].split()[-3:] == ["a", "--verbose", "--no-venv"]


@pytest.mark.parametrize("name", ["backup", "restore"])
def test_paths_are_taken_from_the_users_own_folder(
    script: ModuleType, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    started: list[list[str]] = []
    monkeypatch.setattr(script, "supervise", lambda arguments, **_: started.append(list(arguments)) or 0)
    assert script.do(name, {"--no-venv"}, ["kept", "--replace"]) == 0
    [arguments] = started
    assert arguments[-2:] == [str(tmp_path / "kept"), "--replace"]


@pytest.mark.parametrize(
    ("words", "parallel"),
    [
        ((), True),
        (("-x", "-q"), True),
        (("-k", "trailing " * 60), True),
        (("-n0",), True),  # the last -n counts
        (("tests/unit/domain", "-x"), False),
        (("-x", "tests/unit/test_run_script.py::test_help"), False),
    ],
)
def test_suite_uses_all_cores_and_selection_one(
    script: ModuleType, words: tuple[str, ...], parallel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(script, "supervise", lambda arguments, **_: started.append(list(arguments)) or 0)
    assert script.do("test", {"--no-venv"}, words) == 0
    options = ["-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder"] if parallel else []
    assert started == [[sys.executable, "-m", "pytest", *options, *words]]


def test_exit_code_of_the_job_is_returned(project: Project) -> None:
    assert project.run("demo", "exit", "7")[0] == 7
    assert project.run("demo", "die")[0] == 128 + signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_reaches_the_job_without_traceback(project: Project, number: signal.Signals) -> None:
    with project.start("demo", "wait") as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("job"):
            assert process.poll() is None
        os.kill(process.pid, number)
        assert process.wait(timeout=20) == 128 + number
        assert process.stdout.read() == ""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_job_ends_when_the_script_is_killed(project: Project) -> None:
    with project.start("demo", "wait") as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("job"):
            assert process.poll() is None
        process.kill()
        process.communicate(timeout=60)  # until the job, which sleeps for longer, has closed its output too


def test_old_python_is_refused_plainly(project: Project) -> None:
    pretend = (
        "import sys, runpy; sys.version_info = (3, 9, 1, 'final', 0); "
        f"sys.version = '3.9.1 (main)'; runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    )
    answer = subprocess.run([sys.executable, "-c", pretend], capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 1
    assert answer.stderr.startswith("run.py needs Python 3.11 or newer; this is Python 3.9.1 (")
    assert len(answer.stderr.splitlines()) == 1


def test_only_the_standard_library_is_imported() -> None:
    names = set()
    for node in ast.walk(ast.parse(SCRIPT.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    assert names <= sys.stdlib_module_names


def test_every_command_names_files_that_exist(script: ModuleType) -> None:
    assert tuple(script.COMMANDS) == COMMANDS
    for command in script.COMMANDS.values():
        assert all((SCRIPT.parent / name).exists() for name in command.requirements)

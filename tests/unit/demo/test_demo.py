"""The demo against real processes that answer as the service would."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from src.demo.__main__ import main
from src.demo.server import RunningService, ServiceFailed, running_service
from src.settings import read_settings

ROOT = Path(__file__).parents[3]
FAKE = "tests.unit.demo.fake_service"
NO_EXAMPLE = Path("there is none")
PATIENCE_S = 120.0
"""For the end of a demo on a busy machine."""


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary folders go meanwhile; each test must leave it empty."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    handler = signal.getsignal(signal.SIGTERM)
    yield tmp_path
    signal.signal(signal.SIGTERM, handler)
    assert list(tmp_path.iterdir()) == []


def test_results_of_both_engines_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(f"{FAKE}:online", NO_EXAMPLE) == 0
    shown = capsys.readouterr().out
    assert shown.count("vectorized") == 5  # three rows, the curve and the verdict
    assert shown.count("event-driven") == 3 + 5  # of each crossover, and of each preset
    assert "SUPERTREND  event-driven     39.60 " in shown
    assert "MA 50/200   event-driven     39.60       -        4.50       7  TOO_LITTLE_DATA" in shown
    assert "Buying and holding returned 12.35 %." in shown
    assert "Bars: binance, 2024-01-01 to 2024-01-01." in shown
    assert "13,960 " in shown
    assert "Whether to believe MA 20/50, vectorized: TOO_LITTLE_DATA\n- two bars are missing\n" in shown
    assert "the same figures: result-1" in shown
    assert "python run.py demo --serve " in shown


def test_simulated_bars_replace_an_unreachable_exchange(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(f"{FAKE}:offline", NO_EXAMPLE) == 0
    shown = capsys.readouterr().out
    assert "Bars: simulated, 2024-01-01 to 2024-01-01.\n" in shown
    assert "\nBinance failed: EXCHANGE_TIMEOUT: no answer\n" in shown
    assert "event-driven" not in shown


@pytest.mark.parametrize("exit_code", [0, 3])
def test_example_is_run_against_the_service(
    exit_code: int, tmp_path_factory: pytest.TempPathFactory, capfd: pytest.CaptureFixture[str]
) -> None:
    example = tmp_path_factory.mktemp("examples") / "example.py"
    example.write_text(f"import sys; print('trained for', *sys.argv[1:]); sys.exit({exit_code})")
    assert main(f"{FAKE}:online", example) == (1 if exit_code else 0)
    assert "trained for --url http://127.0.0.1:" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("application", "words"),
    [("broken", "STORE_UNAVAILABLE: no answer"), ("forgetful", "differs from the response")],
)
def test_without_results_the_exit_code_is_not_zero(
    application: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(f"{FAKE}:{application}") == 1
    assert words in capsys.readouterr().err


def test_service_that_does_not_start_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(f"{FAKE}:absent") == 1
    error = capsys.readouterr().err
    assert 'Attribute "absent" not found' in error
    assert "the service ended with exit code " in error


def test_service_that_never_gets_ready_is_stopped() -> None:
    with running_service(read_settings(), f"{FAKE}:online") as service:
        with pytest.raises(ServiceFailed, match="not ready within 0 s"):
            service.wait_until_ready(lambda _: None, limit_s=0.0)
        assert service.process.poll() is None
    assert service.process.poll() is not None


def test_results_folder_is_removed_at_the_end(temporary_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGODB_URI", "mongodb://a-real-database/")
    with running_service(read_settings(), f"{FAKE}:online") as service:
        process = Path(f"/proc/{service.process.pid}")
        if not process.exists():
            pytest.skip("this system has no /proc to read a process's variables from")
        service.wait_until_ready(lambda _: None)
        variables = dict(entry.split("=", 1) for entry in (process / "environ").read_text().split("\0") if "=" in entry)
        assert "MONGODB_URI" not in variables
        assert Path(variables["STORAGE_DIR"]).parent == (process / "cwd").readlink()
        assert (process / "cwd").readlink().parent == temporary_folder


@contextmanager
def started_demo(call: str) -> Iterator[subprocess.Popen[str]]:
    """Run the demo as in a terminal, where SIGINT ends programs; a shell's background jobs are started to ignore it."""
    script = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"from pathlib import Path; from src.demo.__main__ import main; raise SystemExit({call})"
    )
    with subprocess.Popen(
        [sys.executable, "-u", "-c", script], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as demo:
        try:
            yield demo
        finally:
            demo.kill()


def wait_until_unreachable(address: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    with pytest.raises(httpx.ConnectError):
        while time.monotonic() < deadline:
            httpx.get(f"{address}/ready", trust_env=False, timeout=1.0)


def test_terminated_demo_stops_its_service() -> None:
    with started_demo(f"main('{FAKE}:online')") as demo:
        assert demo.stdout is not None
        address = demo.stdout.readline().split()[4].rstrip(":")
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(PATIENCE_S) == 128 + signal.SIGTERM
    wait_until_unreachable(address)


def test_serving_demo_stays_up_until_interrupted() -> None:
    with started_demo(f"main('{FAKE}:online', Path('{NO_EXAMPLE}'), stays_up=True)") as demo:
        assert demo.stdout is not None
        lines = [demo.stdout.readline()]
        while not lines[-1].startswith("Ctrl-C stops"):
            assert lines[-1], demo.communicate()
            lines.append(demo.stdout.readline())
        [sheet] = [line.split()[-1] for line in lines if line.startswith("Tear sheet of MA 20/50, vectorized: ")]
        address, _, run = sheet.rpartition("/runs/")
        assert run == "result-1"
        assert httpx.get(f"{address}/ready", trust_env=False).is_success
        assert demo.poll() is None
        demo.send_signal(signal.SIGINT)
        assert demo.wait(PATIENCE_S) == 128 + signal.SIGINT
        assert demo.stdout.read() == ""
    wait_until_unreachable(address)


def test_serving_demo_reports_a_service_that_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wait = RunningService.wait_until_it_ends

    def end_and_wait(service: RunningService) -> None:
        service.process.kill()
        wait(service)

    monkeypatch.setattr(RunningService, "wait_until_it_ends", end_and_wait)
    assert main(f"{FAKE}:online", NO_EXAMPLE, stays_up=True) == 1
    assert "the service ended with exit code -9" in capsys.readouterr().err

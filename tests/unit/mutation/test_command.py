"""The command: its words, its sample, and two runs of it in processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.mutation.__main__ import ROOMS, draw, parse, score, sources_of
from tests.mutation.running import ROOT, Outcome

NO_TEST_OF_IT = "tests/unit/mutation/test_interpreted.py"


def run(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", f"from tests.mutation import __main__ as command\n{script}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_room_has_sources_and_tests() -> None:
    for room, tests in ROOMS.items():
        assert sources_of(room)
        for test in tests:
            assert (ROOT / test.partition("=")[2].partition("::")[0] if "=" in test else ROOT / test).exists(), test


def test_words_name_rooms_and_modules() -> None:
    assert parse([]).targets == list(ROOMS)
    assert parse(["metrics", "engines/book"]).targets == ["metrics", "engines/book"]
    assert sources_of("engines/book") == ["src/engines/book.py"]
    assert "src/engines/vectorbt_types.py" not in sources_of("engines")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["dancing"], f"Unknown room 'dancing'. Known rooms: {', '.join(ROOMS)}."),
        (["metrics/dancing"], "metrics/dancing has no source file to mutate."),
        (["--sample", "0"], "must be at least 1."),
        (["--processes", "0"], "must be at least 1."),
    ],
)
def test_wrong_words_name_what_is_allowed(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(words)
    assert message in " ".join(capsys.readouterr().err.split())


def test_sample_is_the_same_for_the_same_seed() -> None:
    everything, known = draw("metrics/drawdowns", None, 1)
    assert len(everything) == known == len(set(everything))
    assert draw("metrics/drawdowns", known + 1, 1) == (everything, known)
    sample, _ = draw("metrics/drawdowns", 20, 1)
    assert len(sample) == 20
    assert set(sample) < set(everything)
    assert draw("metrics/drawdowns", 20, 1)[0] == sample != draw("metrics/drawdowns", 20, 2)[0]


def test_score_counts_a_time_out_as_killed() -> None:
    counts = Counter({Outcome.KILLED: 5, Outcome.SURVIVED: 2, Outcome.TIMED_OUT: 1})
    assert score("metrics", counts, 7) == "metrics: 6 of 8 killed (75%), seed 7, 1 of them by the time limit"


def test_mutants_that_tests_notice_are_killed() -> None:
    output = run("""
command.ROOMS['metrics'] = ('tests/unit/metrics/test_drawdowns.py',)
raise SystemExit(command.main(['metrics/drawdowns', '--sample', '2']))
""")
    assert output.splitlines()[-1] == "metrics/drawdowns: 2 of 2 killed (100%), seed 1"


def test_mutants_that_no_test_notices_are_shown() -> None:
    output = run(f"""
command.ROOMS['metrics'] = ({NO_TEST_OF_IT!r},)
raise SystemExit(command.main(['metrics/drawdowns', '--sample', '1']))
""")
    assert output.splitlines()[-1] == "metrics/drawdowns: 0 of 1 killed (0%), seed 1"
    assert "survived: src/metrics/drawdowns.py:" in output


def test_endless_mutant_is_ended_at_the_limit() -> None:
    output = run("""
import tempfile
from pathlib import Path
from tests.mutation.operators import Mutant
from tests.mutation.running import Workspace, prepare, run_mutants
prepare()
source = (command.ROOT / 'src/metrics/drawdowns.py').read_bytes()
endless = Mutant('src/metrics/drawdowns.py', 1, 0, len(source), 'while True: pass')
with tempfile.TemporaryDirectory() as folder:
    workspaces = [Workspace(Path(folder) / 'one')]
    print([outcome.name for _, outcome in run_mutants([endless], workspaces, command.ROOMS['metrics'], 5.0)])
    print((workspaces[0].folder / endless.path).read_bytes() == source)
""")
    assert output.splitlines() == ["['TIMED_OUT']", "True"]


def test_tests_that_fail_without_a_mutant_end_the_command() -> None:
    script = "from tests.mutation import __main__ as c; c.ROOMS['metrics'] = ('tests/none.py',); c.main(['metrics'])"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "The tests fail without a mutant" in done.stderr
    assert "tests/none.py" in done.stderr


@pytest.mark.parametrize("lines", [1, 2])
def test_command_told_to_end_leaves_no_process(tmp_path: Path, lines: int) -> None:
    # After one line it runs the tests on the source as it is, after two on mutants.
    with subprocess.Popen(
        [sys.executable, "-m", "tests.mutation", "metrics/drawdowns"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as command:
        assert command.stdout is not None
        for _ in range(lines):
            command.stdout.readline()
        command.send_signal(signal.SIGTERM)
        # The end of the output: nobody holds it any more.
        command.stdout.read()
        assert command.wait() == -signal.SIGTERM

"""`python run.py bounds`: run the engines' contracts with numba's checks of every index.

Compiled code reads and writes beyond the end of an array without an error, and a test can pass by luck. With checks
such an access raises IndexError. Checked code has a cache of its own, because numba's does not know which code is
checked. It takes some 40 s of processor time, most of it for compiling, so it is outside the default run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
SUITES: Final = ("tests/contracts/test_engines.py", "tests/unit/engines/test_ledger.py")
PROBE: Final = """
import numpy, numba
try:
    numba.njit(lambda values, index: values[index])(numpy.zeros(2), 2)
except IndexError:
    raise SystemExit(0)
raise SystemExit("numba did not notice an index beyond the end")
"""


def run(arguments: list[str]) -> int:
    """Return the exit status of pytest over the suites, or of the probe if indexes are not checked."""
    with tempfile.TemporaryDirectory(prefix="checked-") as cache:
        environment = os.environ | {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": cache}
        for command in (["-c", PROBE], ["-m", "pytest", *SUITES, *arguments]):
            done = subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, check=False)
            if done.returncode:
                return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))

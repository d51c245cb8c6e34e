"""The service as `python -m src.serve` starts it, with leases of 3 s: a test need not wait 15 s for each kill.

Each worker imports this module too, as the main module of the process that spawned it.
"""

from __future__ import annotations

import sys

from src.jobs.running_job import JobTiming
from src.runtime import serve, supervisor

LEASE_MS = 3000

defaults = JobTiming.__init__.__kwdefaults__
assert defaults is not None
defaults |= {"lease_ms": LEASE_MS, "poll_s": 0.2}
supervisor.MAX_PAUSE_S = 0.5  # type: ignore[misc]

if __name__ == "__main__":
    sys.exit(serve.main(sys.argv[1:]))

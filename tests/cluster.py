"""Start real members of a cluster on loopback, and sweeps that are large enough to be interrupted."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from src.jobs.cluster_access import Certificates, ClusterAccess
from src.runtime.cluster_certificates import CA_FILE, CERTIFICATE_FILE, KEY_FILE

ROOT = Path(__file__).parents[1]
PATIENCE_S = 120.0


def certificates_in(folder: Path) -> Certificates:
    return Certificates(authority=folder / CA_FILE, certificate=folder / CERTIFICATE_FILE, key=folder / KEY_FILE)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass(kw_only=True)
class Cluster:
    """The members that a test has started, and how they are reached."""

    folder: Path
    certificates: Certificates
    version: str
    address: str = field(default_factory=lambda: f"tls://127.0.0.1:{free_port()}")
    members: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def access(self, *, certificates: Certificates | None = None, timeout_s: float = 20.0) -> ClusterAccess:
        return ClusterAccess(
            scheduler=self.address,
            certificates=certificates or self.certificates,
            version=self.version,
            timeout_s=timeout_s,
        )

    def variables(self) -> dict[str, str]:
        return {
            **os.environ,
            "DASK_SCHEDULER": self.address,
            "DASK_TLS_CA": str(self.certificates.authority),
            "DASK_TLS_CERT": str(self.certificates.certificate),
            "DASK_TLS_KEY": str(self.certificates.key),
            "JOB_THREADS": "1",
        }

    def start(self, name: str) -> None:
        """Start the scheduler, or a worker of this name."""
        role = "scheduler" if name == "scheduler" else "worker"
        with self.log(name).open("ab") as log:
            self.members[name] = subprocess.Popen(
                [sys.executable, "-m", "src.runtime.cluster", role],
                cwd=ROOT,
                env=self.variables(),
                stdout=log,
                stderr=log,
            )

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def wait_for(self, name: str, text: str, *, times: int = 1) -> None:
        """Wait until a member has logged a text so often."""
        deadline_s = time.monotonic() + PATIENCE_S
        while (logged := self.log(name).read_text()).count(text) < times:
            assert self.members[name].poll() is None, logged
            assert time.monotonic() < deadline_s, logged
            time.sleep(0.02)

    def kill(self, name: str) -> None:
        member = self.members.pop(name)
        member.kill()
        member.wait()


@contextmanager
def running_cluster(folder: Path, certificates: Certificates, version: str) -> Iterator[Cluster]:
    """Run a scheduler and two workers of one thread each."""
    cluster = Cluster(folder=folder, certificates=certificates, version=version)
    try:
        for name in ("scheduler", "one", "two"):
            cluster.start(name)
        cluster.wait_for("scheduler", "scheduler started")
        for name in ("one", "two"):
            cluster.wait_for(name, "worker started")
        yield cluster
    finally:
        for name in list(cluster.members):
            cluster.kill(name)

"""Choose what computes the rows of sweeps: threads of this process, or the cluster that the settings name."""

from __future__ import annotations

import logging

from src.domain.errors import MissingLibrary
from src.jobs.cluster_access import Certificates, ClusterAccess
from src.ports.jobs import RowExecutor
from src.ports.rates import CoreBudget
from src.service.sweep_threads import ThreadExecutor
from src.settings import Settings
from src.wiring.versions import cluster_version

logger = logging.getLogger(__name__)


def build_executor(settings: Settings, budget: CoreBudget | None = None) -> RowExecutor:
    """Return what computes rows of sweeps: the job threads of this process, or the cluster that the settings name.

    Raises MissingLibrary if Dask is not installed; ClusterUnavailable if the certificates cannot be used.
    """
    access = build_cluster_access(settings)
    if access is None:
        return ThreadExecutor()
    try:
        from src.jobs.dask_cluster import DaskExecutor  # noqa: PLC0415  (takes 0.5 s; only its users need it)
    except ModuleNotFoundError as error:
        raise missing_dask(error) from error
    if access.certificates is None:
        logger.warning(
            "CLUSTER WITHOUT ENCRYPTION: whoever reaches its ports can execute code on all members: scheduler=%s",
            access.scheduler,
        )
    return DaskExecutor(access, budget)


def build_cluster_access(settings: Settings) -> ClusterAccess | None:
    """Return how the cluster is reached; None if the settings name no scheduler."""
    if settings.dask_scheduler is None:
        return None
    authority, certificate, key = settings.dask_tls_ca, settings.dask_tls_cert, settings.dask_tls_key
    certificates = None
    if settings.dask_scheduler.startswith("tls:") and authority and certificate and key:
        certificates = Certificates(authority=authority, certificate=certificate, key=key)
    return ClusterAccess(
        scheduler=settings.dask_scheduler,
        certificates=certificates,
        version=cluster_version(),
        timeout_s=settings.dask_timeout_s,
    )


def missing_dask(error: ModuleNotFoundError) -> MissingLibrary:
    """Return the error to raise if Dask cannot be imported; raises the error itself if it is about another library."""
    if error.name not in {"dask", "distributed"}:
        raise error
    return MissingLibrary(
        "DASK_SCHEDULER is set, but Dask is not installed. Install it with: pip install '.[dask]' (or "
        "-r requirements-cluster.txt), or leave DASK_SCHEDULER empty to compute in this process.",
        library="distributed",
    )

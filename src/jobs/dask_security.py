"""Turn certificates into the TLS settings of Dask."""

from __future__ import annotations

import ssl

from distributed.security import Security

from src.domain.errors import ClusterUnavailable
from src.jobs.cluster_access import Certificates

ROLES = ("client", "scheduler", "worker")


def build_security(certificates: Certificates | None) -> Security | None:
    """Return settings with which both sides of every connection must show a certificate of the authority.

    Raises ClusterUnavailable if the files are no certificates that belong together.
    """
    if certificates is None:
        return None
    files = {"cert": str(certificates.certificate), "key": str(certificates.key)}
    security = Security(
        require_encryption=True,
        tls_ca_file=str(certificates.authority),
        **{f"tls_{role}_{part}": path for role in ROLES for part, path in files.items()},
    )
    try:
        security.get_connection_args("client")
    except (OSError, ssl.SSLError) as error:
        raise ClusterUnavailable(
            "DASK_TLS_CA, DASK_TLS_CERT and DASK_TLS_KEY are no certificates that belong together: {error}.",
            error=getattr(error, "reason", None) or type(error).__name__,
        ) from error
    return security

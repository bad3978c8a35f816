"""The access that a pod has to its own cluster: the service account that Kubernetes mounts into it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from orchestrator.errors import DriverError
from orchestrator.modes.agile.kubeconfig import Access

FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def access(environment: Mapping[str, str] = os.environ, folder: Path = FOLDER) -> Access:
    """How a pod reaches its cluster. Raises DriverError where we run in none."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise DriverError(
            "`inCluster`: this is no pod (KUBERNETES_SERVICE_HOST is not set)",
            hint="run it in the cluster, or name a `kubeconfig` in the Site",
        )

    def read(name: str) -> bytes:
        try:
            return (folder / name).read_bytes()
        except OSError as error:
            raise DriverError(
                f"`inCluster`: {folder / name}: {error.strerror}",
                hint="the pod needs a service account whose token is mounted",
            ) from None

    return Access(
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        ca=read("ca.crt"),
        token=lambda: read("token").decode().strip(),  # read each time: the kubelet renews it
        renew="the kubelet renews it: does the pod still mount it?",
    )

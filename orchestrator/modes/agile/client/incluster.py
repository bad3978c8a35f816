"""The access that a pod has to its own cluster: the service account that Kubernetes mounts into it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from orchestrator.errors import DriverError
from orchestrator.modes.agile.client.kubeconfig import Access

FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def access() -> Access:
    """How a pod reaches its cluster. Raises DriverError where we run in none."""
    return Access(
        server=_server(),
        ca=_read("ca.crt"),
        token=lambda: _read("token").decode().strip(),  # read each time: the kubelet renews it
        renew="the kubelet renews it: does the pod still mount it?",
    )


def kubeconfig() -> str:
    """The same for another program, as a kubeconfig that names the files. Raises DriverError where we run in none."""
    cluster = {"server": _server(), "certificate-authority": str(FOLDER / "ca.crt")}
    here = "in-cluster"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": here, "cluster": cluster}],
        "users": [{"name": here, "user": {"tokenFile": str(FOLDER / "token")}}],
        "contexts": [{"name": here, "context": {"cluster": here, "user": here}}],
        "current-context": here,
    }
    return json.dumps(config)


def _server() -> str:
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise DriverError(
            "`inCluster`: this is no pod (KUBERNETES_SERVICE_HOST is not set)",
            hint="run it in the cluster, or name a `kubeconfig` in the Site",
        )
    return f"https://{f'[{host}]' if ':' in host else host}:{port}"


def _read(name: str) -> bytes:
    try:
        return (FOLDER / name).read_bytes()
    except OSError as error:
        raise DriverError(
            f"`inCluster`: {FOLDER / name}: {error.strerror}",
            hint="the pod needs a service account whose token is mounted",
        ) from None

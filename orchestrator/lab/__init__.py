"""A local estate to try blueprints on: sandboxed machines and a real Kubernetes control plane on loopback.

    kubeconfig()             the running control plane's kubeconfig, or None
    whole                    up, status and down of all of it
    machines                 for machine providers: observe, ensure, remove

Inside: home (the folder), processes (known by pid and start time), cluster with members, pki and api (the control
plane), machine with sandbox, disk and agent, client and connection_plugins (the ways into a machine).
"""

from __future__ import annotations

from pathlib import Path


def kubeconfig() -> Path | None:
    """The kubeconfig of the control plane of the lab in `home.default_home()`, or None when none runs."""
    from orchestrator.lab import cluster
    from orchestrator.lab.home import Home, default_home

    return cluster.kubeconfig(Home(default_home()))

"""The whole lab: control plane and machines brought up, seen and taken down together."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.lab import cluster, machine, machines
from orchestrator.lab.cluster import Report
from orchestrator.lab.home import Home, remove_tree
from orchestrator.lab.machine import Machine
from orchestrator.lab.members import MEMBERS


@dataclass(frozen=True, slots=True)
class Status:
    """A lab as it is now; `kubeconfig` is None when the API server does not run."""

    home: Path
    exists: bool
    kubeconfig: Path | None
    members: tuple[tuple[str, int | None, str], ...]
    machines: tuple[Machine, ...]

    def as_data(self) -> dict[str, Any]:
        return {
            "home": str(self.home),
            "kubeconfig": str(self.kubeconfig) if self.kubeconfig else None,
            "members": [{"name": name, "pid": pid, "state": state} for name, pid, state in self.members],
            "machines": [
                {"name": one.name, "address": one.address, "state": one.state(), "sandbox": one.kind}
                for one in self.machines
            ],
        }


def up(home: Home, report: Report) -> tuple[Path, list[Machine]]:
    """Brings up the control plane and what machines are down -> kubeconfig, those started. Raises OrchestratorError."""
    from orchestrator import toolchain

    programs = toolchain.ensure(MEMBERS, report)
    with home.locked():
        kubeconfig = cluster.up(home, programs, report)
    return kubeconfig, machines.restart(home)


def status(home: Home) -> Status:
    """What there is; nothing is changed. Raises LabError when a record is damaged."""
    there = home.exists()
    return Status(
        home.path,
        there,
        cluster.kubeconfig(home) if there else None,
        tuple(cluster.status(home)) if there else (),
        tuple(machines.observe(home)),
    )


def down(home: Home) -> bool:
    """Ends every process of the lab and removes its folder -> whether there was a lab. Raises LabError."""
    with home.locked(make=False) as there:
        if not there:
            return False
        cluster.down(home)
        shared = machine.shared_place(home)
        if shared.is_dir() and shared.stat().st_uid == os.geteuid():
            remove_tree(shared)
        home.remove()
        return True

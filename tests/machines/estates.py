"""Estates whose machines are configured through the CLI, on the lab and on machines with systemd behind their sshd."""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.conftest import Estate
from tests.machines.fleet import Machine


def of_cli(root: Path, **environment: str) -> Estate:
    """An empty estate named `machines`, with an id of its own, at which the CLI works as a person would see it."""
    root.mkdir(parents=True)
    (root / "orchestrator.yaml").write_text(
        f"apiVersion: orchestrator/v1alpha1\nkind: Estate\nmetadata: {{name: machines, id: {uuid.uuid4()}}}\n"
    )
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return Estate(root, {**os.environ, "PATH": path, "NO_COLOR": "1", "COLUMNS": "200", **environment})


def write_blueprint(estate: Estate, stable: Mapping[str, Any], files: Mapping[str, str]) -> None:
    """The blueprint `app`, placed at every site; documents are JSON, which is YAML."""
    head = {"apiVersion": "orchestrator/v1alpha1"}
    blueprint = {**head, "kind": "Blueprint", "metadata": {"name": "app", "version": "1.0.0"}}
    folder = estate.root / "app"
    for name, text in {**files, "blueprint.yaml": json.dumps({**blueprint, "spec": {"stable": stable}})}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def write_placement(estate: Estate, change: Mapping[str, Any] | None = None) -> None:
    """The placement `app` of the blueprint at every site."""
    spec = {"blueprint": "app", "sites": {}, **({"change": dict(change)} if change else {})}
    placement = {"apiVersion": "orchestrator/v1alpha1", "kind": "Placement", "metadata": {"name": "app"}, "spec": spec}
    (estate.root / "placement.yaml").write_text(json.dumps(placement))


def write_site(estate: Estate, stable: Mapping[str, Any], name: str = "here") -> None:
    """A site, `here` if not said otherwise."""
    spec = {"stable": dict(stable)}
    site = {"apiVersion": "orchestrator/v1alpha1", "kind": "Site", "metadata": {"name": name}, "spec": spec}
    (estate.root / f"{'site' if name == 'here' else name}.yaml").write_text(json.dumps(site))


def write_hosts(estate: Estate, groups: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
    """The inventory: group -> host -> variables, in this order."""
    inventory = {group: {"hosts": dict(hosts)} for group, hosts in groups.items()}
    (estate.root / "hosts.yml").write_text(json.dumps(inventory))


def write_static_site(estate: Estate, bind: Sequence[str]) -> None:
    """The site `here` with the inventory, whose groups are the workloads of the same names."""
    write_site(
        estate, {"provider": "static", "inventory": "hosts.yml", "bind": {name: {"group": name} for name in bind}}
    )


@dataclass
class Place:
    """Where the contract is tried: an estate with one workload `app` on one machine."""

    estate: Estate
    system: bool
    machine: Machine | None = None

    def run(self, script: str) -> str:
        """Run a shell script on the machine, past orchestrator -> what it printed."""
        if self.machine is not None:
            return self.machine.run(script)
        return self.estate.on("app-0", script)

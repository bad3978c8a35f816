"""Inventories: reading those that people have written, and writing one for the machines that we have made."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import DriverError
from orchestrator.modes.stable.environment import environment_for
from orchestrator.modes.stable.reach.reaching import READ_WHOLE, Reach

NONE: Mapping[str, Mapping[str, str]] = {}


def read(
    reach: Reach, inventories: Mapping[str, Path], vaults: Mapping[str, Mapping[str, str]] = NONE
) -> dict[str, dict[str, dict[str, Any]]]:
    """A site's name -> its Ansible inventory, for many sites -> site -> host -> {"address", "groups"}, in file order.

    Raises DriverError where one cannot be read.
    """
    read_already: dict[tuple[Path, frozenset[tuple[str, str]]], dict[str, dict[str, Any]]] = {}
    found = {}
    for site, path in inventories.items():
        given = vaults.get(site, {})
        key = path, frozenset(given.items())
        if key not in read_already:
            read_already[key] = reach.inventory(path, given)
        found[site] = read_already[key]
    return found


def exported(root: Path, path: Path, scrub: Callable[[str], str]) -> dict[str, Any]:
    """An inventory as `ansible-inventory --list` tells it; what is vaulted in it stays so. Raises DriverError."""
    program = str(Path(sys.executable).with_name("ansible-inventory"))
    done = subprocess.run(
        [program, "-i", str(path), "--list"],
        cwd=root,
        env=environment_for(root, scrub) | READ_WHOLE,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise DriverError(f"inventory {path}: {scrub(' '.join(done.stderr.split()))}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def text_for(machines: Mapping[str, Mapping[str, Any]], groups: Mapping[str, list[str]]) -> str:
    """An Ansible inventory (YAML that is JSON) of machines (name -> variables) in groups (group -> machine names).

    Raises DriverError where a variable is a template: what a provider tells is data, never code for Ansible to run.
    """
    children: dict[str, dict[str, Any]] = {
        group: {"hosts": {name: {} for name in names}} for group, names in groups.items()
    }
    text = json.dumps({"all": {"hosts": machines, "children": children}}, indent=1)
    if "{{" in text or "{%" in text:
        raise DriverError("a machine's variables hold a Jinja2 template", hint="a provider gives plain values")
    return text

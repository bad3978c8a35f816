"""Snapshots of a lab machine: copies of its disk's folders, beside the disk.

A copy is made of a machine that goes on running, file by file: what it writes meanwhile is in it or not.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from orchestrator.errors import LabError
from orchestrator.lab import machine as one
from orchestrator.lab import sandbox
from orchestrator.lab.home import Home, remove_tree
from orchestrator.lab.machine import RESTORED, SNAPSHOTS, Machine


def take(home: Home, machine: Machine, name: str) -> bool:
    """Keep the disk as it is now -> whether that was done: a snapshot that is there stays as it is. Raises LabError."""
    kept = _kept(home, machine, name)
    if kept.exists():
        return False
    disk = _place(home, machine) / "disk"
    if not disk.is_dir():
        raise LabError(f"machine {machine.name}: has no disk yet")
    kept.parent.mkdir(mode=0o700, exist_ok=True)
    _copy(machine, disk, kept)
    return True


def restore(home: Home, machine: Machine, name: str) -> Machine:
    """Start the machine anew on the disk as it was -> its new record; the snapshot stays. Raises LabError."""
    kept, place = _kept(home, machine, name), _place(home, machine)
    if not kept.is_dir():
        raise LabError(f"machine {machine.name}: has no snapshot {name}")
    disk, restored, replaced = place / "disk", place / RESTORED, place / "disk.replaced"
    for left in (restored, replaced):
        if left.exists():
            remove_tree(left)
    _copy(machine, kept, restored)
    one.kill(machine)
    if disk.exists():
        disk.rename(replaced)
    restored.rename(disk)
    started = one.start(home, machine, sandbox.choose())
    if replaced.exists():
        remove_tree(replaced)
    return started


def drop(home: Home, machine: Machine, name: str) -> bool:
    """Remove a snapshot -> whether it was there."""
    kept = _kept(home, machine, name)
    there = kept.exists()
    if there:
        remove_tree(kept)
    return there


def _place(home: Home, machine: Machine) -> Path:
    return Path(machine.place) if machine.place else home.machine(machine.name)


def _kept(home: Home, machine: Machine, name: str) -> Path:
    if not name or "/" in name or name.startswith("."):
        raise LabError(f"`{name}` is no name for a snapshot")
    return _place(home, machine) / SNAPSHOTS / name


def _copy(machine: Machine, source: Path, target: Path) -> None:
    """Copy a tree with owners, modes and times; whole or not at all. Raises LabError."""
    making = target.with_name(f".{target.name}.making")
    if making.exists():
        remove_tree(making)
    copied = subprocess.run(
        ["cp", "-a", "--reflink=auto", "--", source, making], capture_output=True, text=True, check=False
    )
    if copied.returncode:
        remove_tree(making)
        said = copied.stderr.strip().splitlines()
        raise LabError(f"machine {machine.name}: its disk cannot be copied: {said[-1] if said else 'cp failed'}")
    making.rename(target)

"""What the lab's tests share: the command line, a provider, a playbook, and a place without namespaces."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.lab import machines
from orchestrator.lab.home import Home

REPOSITORY = Path(__file__).parents[2]

Run = Callable[..., tuple[int, str, str]]


def command_line(
    home: Home, *arguments: str, env: Mapping[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """`orchestrator lab ARGUMENTS` as a process of its own."""
    code = "from orchestrator.cli.lab import lab; lab()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        text=True,
        capture_output=True,
        timeout=120,
        env={**os.environ, **(env or {}), "ORCHESTRATOR_LAB_HOME": str(home.path)},
        cwd=REPOSITORY,
        **options,
    )


def provider(home: Home, verb: str, request: Any) -> subprocess.CompletedProcess[str]:
    """What a provider's playbook does: the module's entry, JSON in and out."""
    return subprocess.run(
        [sys.executable, "-m", "orchestrator.lab.machines", verb],
        input=request if isinstance(request, str) else json.dumps(request),
        text=True,
        capture_output=True,
        timeout=120,
        env={**os.environ, "ORCHESTRATOR_LAB_HOME": str(home.path)},
        cwd=REPOSITORY,
    )


def ensure(home: Home, *names: str) -> list[machines.Machine]:
    return [machine for machine, _ in machines.ensure(home, [{"name": name} for name in names])]


def inventory(home: Home, folder: Path) -> Path:
    hosts = {machine.name: machine.as_data(home)["vars"] for machine in machines.observe(home)}
    path = folder / "inventory.json"
    path.write_text(json.dumps({"all": {"hosts": hosts}}))
    return path


def play(home: Home, folder: Path, playbook: str) -> subprocess.CompletedProcess[str]:
    """Runs a playbook's text on all machines of the lab."""
    (folder / "play.yml").write_text(playbook)
    argv = ["-m", "ansible", "playbook", "-i", str(inventory(home, folder)), str(folder / "play.yml")]
    plugins = {"ANSIBLE_CONNECTION_PLUGINS": str(machines.CONNECTION_PLUGINS), "ANSIBLE_HOME": str(folder / "ansible")}
    return subprocess.run(
        [sys.executable, *argv], text=True, capture_output=True, timeout=300, env={**os.environ, **plugins}, cwd=folder
    )


def without_namespaces(argv: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs a program where user namespaces are refused, and mounting too: as in an ordinary container.

    It runs in a namespace of its own whose limit of user namespaces is zero; this computer's setting is not touched.
    Where they are refused already, mounting is all there is to take away.
    """
    # A program of its own: a fork of ours may have threads (gRPC starts them anew), which may not enter a namespace.
    enter = [sys.executable, "-c", _ENTER, *argv]
    return subprocess.run(enter, text=True, capture_output=True, timeout=120, **options)


_ENTER = """
import ctypes, os, sys
from pathlib import Path

NEW_USER_NAMESPACE, DROP_FROM_BOUNDING_SET, CAP_SYS_ADMIN = 0x10000000, 24, 21
user, group, me = os.getuid(), os.getgid(), os.getpid()
entered, mapped = os.pipe(), os.pipe()
if os.fork() == 0:  # whoever enters may not write the maps of its users
    os.close(entered[1])
    if os.read(entered[0], 1):
        count = 65536 if user == 0 else 1
        if user:
            Path(f"/proc/{me}/setgroups").write_text("deny")
        Path(f"/proc/{me}/uid_map").write_text(f"{user} {user} {count}")
        Path(f"/proc/{me}/gid_map").write_text(f"{group} {group} {count}")
        os.write(mapped[1], b".")
    os._exit(0)
libc = ctypes.CDLL(None)
os.close(mapped[1])
if libc.unshare(NEW_USER_NAMESPACE) == 0:
    os.write(entered[1], b".")
    assert os.read(mapped[0], 1), "the users could not be mapped"
    Path("/proc/sys/user/max_user_namespaces").write_text("0")
os.close(entered[1])
os.wait()
libc.prctl(DROP_FROM_BOUNDING_SET, CAP_SYS_ADMIN, 0, 0, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""

"""One lab machine: its record, its sandbox's start and end, and whether it lives."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from orchestrator.errors import LabError
from orchestrator.lab import client, disk, sandbox
from orchestrator.lab.home import MARK_VARIABLE, Home, read_json, remove_tree, write_json
from orchestrator.lab.processes import Process, start_daemon, stop, tail, with_environment

State = Literal["running", "stopped", "dead"]

RECORD = "machine.json"
SNAPSHOTS = "snapshots"
RESTORED = "disk.restored"  # a snapshot's copy, whole, about to become the disk
_MACHINE_VARIABLE = "ORCHESTRATOR_LAB_MACHINE"
START_TIMEOUT_S = 30.0
_PING_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Machine:
    """What is recorded of a machine. `init` is its first process, `outer` the program around it (bubblewrap, proot)."""

    name: str
    id: str
    address: str
    spec: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    kind: str = ""
    place: str = ""
    interpreter: str = ""
    init: Process | None = None
    outer: Process | None = None

    @classmethod
    def read(cls, folder: Path) -> Machine:
        """Raises FileNotFoundError, and LabError when the record is damaged."""
        data = read_json(folder / RECORD)
        for name in ("init", "outer"):
            data[name] = Process.from_data(data[name]) if data.get(name) else None
        try:
            return cls(**data)
        except TypeError:
            raise LabError(f"{folder / RECORD}: is damaged", hint="remove the machine and make it again") from None

    def write(self, folder: Path) -> None:
        write_json(
            folder / RECORD,
            {
                "name": self.name,
                "id": self.id,
                "address": self.address,
                "spec": dict(self.spec),
                "tags": dict(self.tags),
                "kind": self.kind,
                "place": self.place,
                "interpreter": self.interpreter,
                "init": self.init.as_data() if self.init else None,
                "outer": self.outer.as_data() if self.outer else None,
            },
        )

    def state(self) -> State:
        """running; stopped: shut down with the computer, or never started; dead: it ended by itself or was killed."""
        if self.init is None or not self.init.of_this_boot():
            return "stopped"
        return "running" if self.init.alive() else "dead"

    def as_data(self, home: Home) -> dict[str, Any]:
        """The machine as the provider's contract has it."""
        return {
            "name": self.name,
            "address": self.address,
            "state": self.state(),
            "spec": dict(self.spec),
            "tags": dict(self.tags),
            "vars": {
                "ansible_connection": "orchestrator_lab",
                "ansible_host": self.address,
                "ansible_user": "root",
                "ansible_become_method": "su",  # part of every base system, sudo is not
                "ansible_su_flags": "-s /bin/sh",  # system users have no shell that would run a command
                "ansible_orchestrator_lab_home": str(home.path),
                "ansible_orchestrator_lab_machine": self.name,
                "ansible_python_interpreter": self.interpreter,
                "ansible_remote_tmp": "/tmp/.ansible-${USER}",  # noqa: S108 - the machine's; one for each user
            },
        }


def create(home: Home, name: str, address: str, tags: Mapping[str, str] | None = None) -> Machine:
    """Records a new machine, not yet started, and whose it is; a folder that has no record is begun anew."""
    folder = home.machine(name)
    home.machines.mkdir(mode=0o700, exist_ok=True)
    if folder.exists():
        remove_tree(folder)
    folder.mkdir(mode=0o700)
    machine = Machine(name=name, id=secrets.token_hex(16), address=address, tags=tags or {})
    machine.write(folder)
    return machine


def start(home: Home, machine: Machine, way: sandbox.Way) -> Machine:
    """Starts a machine that does not run, on the disk it had -> its new record. Raises LabError."""
    folder = home.machine(machine.name)
    kill(machine)  # what an init that was killed may have left
    place = _place(home, machine, way)
    if machine.place and machine.place != str(place):
        _move_disk(Path(machine.place), place)
    machine = replace(machine, place=str(place), kind=way.kind, interpreter=way.python.path, init=None, outer=None)
    machine.write(folder)  # before anything is made there, so that a removal finds it
    disk_folder = _ready_disk(place)
    disk.name_it(disk_folder, machine.name, machine.address, machine.id)
    sandbox.prepare(way, place, disk_folder)
    machine = _boot(home, machine, way, disk_folder)
    machine.write(folder)
    return machine


def _place(home: Home, machine: Machine, way: sandbox.Way) -> Path:
    """Where disk and volatile folders are: with the record, unless another user id must be able to reach them."""
    if way.user is None:
        return home.machine(machine.name)
    shared = shared_place(home)
    shared.mkdir(mode=0o711, exist_ok=True)
    if shared.is_symlink() or shared.stat().st_uid != os.geteuid():
        raise LabError(
            f"{shared}: is somebody else's", hint="remove it, or use another lab home (ORCHESTRATOR_LAB_HOME)"
        )
    (shared / machine.name).mkdir(mode=0o700, exist_ok=True)
    return shared / machine.name


def _move_disk(old: Path, new: Path) -> None:
    for name in ("disk", SNAPSHOTS):
        if (old / name).is_dir() and not (new / name).exists():
            shutil.move(old / name, new / name)


def _ready_disk(place: Path) -> Path:
    """The machine's disk; made beside and renamed, so that it is whole or not there."""
    finished, making = place / "disk", place / "disk.making"
    if not finished.exists() and (restored := place / RESTORED).exists():
        restored.rename(finished)  # a restoring that was cut short between its two renames
    if not finished.exists():
        if making.exists():
            remove_tree(making)
        disk.make(making)
        making.rename(finished)
    return finished


def _boot(home: Home, machine: Machine, way: sandbox.Way, disk_folder: Path) -> Machine:
    folder = home.machine(machine.name)
    listener = _listen(folder)
    report_read, report_write = os.pipe()
    try:
        inner = [way.python.path, "-I", "-S", sandbox.AGENT, str(listener.fileno())]
        with_report = way.kind != "proot"
        command = way.command(
            Path(machine.place), disk_folder, machine.name, inner, report_write if with_report else None
        )
        kept = (listener.fileno(), report_write) if with_report else (listener.fileno(),)
        outer, popen = start_daemon(
            command,
            folder / "log",
            env=way.environment(Path(machine.place)) | {MARK_VARIABLE: home.id(), _MACHINE_VARIABLE: machine.id},
            cwd="/",
            umask=0o022,
            pass_fds=kept,
            **sandbox.identity(way.user),
        )
    finally:
        listener.close()
        os.close(report_write)
    try:
        with os.fdopen(report_read, "rb") as report:
            seen_inside = _await_agent(folder, machine, popen)
            pid = int(json.loads(report.read())["child-pid"]) if with_report else seen_inside
        return replace(machine, init=Process.of(pid), outer=outer)
    except BaseException:
        stop([outer, *with_environment(_MACHINE_VARIABLE, machine.id)], grace=0)
        raise


def _listen(folder: Path) -> socket.socket:
    path = folder / client.SOCKET_NAME
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    directory = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        listener.bind(f"/proc/self/fd/{directory}/{client.SOCKET_NAME}")
        path.chmod(0o600)
        listener.listen(128)
    finally:
        os.close(directory)
    return listener


def _await_agent(folder: Path, machine: Machine, popen: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        with contextlib.suppress(client.MachineDownError):
            return client.ping(folder, _PING_TIMEOUT_S)
        if popen.poll() is not None or time.monotonic() > deadline:
            why = (
                f"exit code {popen.returncode}"
                if popen.returncode is not None
                else f"no answer in {START_TIMEOUT_S:.0f} s"
            )
            said = tail(folder / "log")
            raise LabError(
                f"machine {machine.name}: its sandbox did not start ({why}){': ' if said else ''}{said}",
                hint="orchestrator doctor says what is missing",
            )
        time.sleep(0.02)


def kill(machine: Machine) -> None:
    """Ends every process of the machine. Raises LabError when one cannot be ended."""
    known = [process for process in (machine.init, machine.outer) if process is not None]
    left = stop(known, grace=0)
    # Where there is a process namespace the rest went with its init; where there is none, it bears our mark.
    while not left and (others := list(with_environment(_MACHINE_VARIABLE, machine.id))):
        left = stop(others, grace=0)
    if left:
        raise LabError(
            f"machine {machine.name}: process {left[0].pid} cannot be ended",
            hint="it hangs in the kernel; try again later",
        )


def delete(home: Home, name: str) -> None:
    """Ends a machine and removes all its files. Raises LabError when it cannot be ended."""
    folder = home.machine(name)
    with contextlib.suppress(FileNotFoundError):
        machine = Machine.read(folder)
        kill(machine)
        place = Path(machine.place) if machine.place else folder
        if place != folder and place.exists():
            remove_tree(place)
            with contextlib.suppress(OSError):
                place.parent.rmdir()  # shared with other machines; goes with the last
    remove_tree(folder)


def shared_place(home: Home) -> Path:
    """Where the machines' disks are when they belong to another user id, who could not enter the lab's home."""
    return Path("/var/tmp", f"orchestrator-lab-{home.id()}")  # noqa: S108 - made with mkdir and its owner checked

"""Real machines for tests, as root: Debian with its own systemd, network and sshd, each an overlay on one root.

Everything lives in namespaces that end with this process: the machines' network is a bridge in a namespace of its own,
which the test enters (`entered`); nothing of the computer's own network, mounts or settings is changed.

    with Fleet(tmp_path) as fleet, fleet.entered():
        db = fleet.start("db")           # systemd, about 3 s; kind="sshd" is sshd alone, 0.1 s
        db.run("systemctl is-active ssh")
        db.vars                          # Ansible's variables to reach it
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.machines import rootfs

# A program, and no function between fork and exec: a fork of a process with gRPC in it may not live to see the exec.
DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL")
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
SSHD = "UseDNS no\nGSSAPIAuthentication no\nPrintMotd no\nMaxStartups 200\nMaxSessions 100\n"
BOOT_S = 90.0
GROUP = "orchestrator-test"  # and the process that a machine belongs to, and its name

SYSTEMD = """
mount -t overlay machine -o lowerdir={root},upperdir={folder}/upper,workdir={folder}/work {folder}/root
exec systemd-nspawn --quiet -D {folder}/root --boot --machine={name} --register=no --keep-unit --console=pipe \
  --network-namespace-path=/proc/self/ns/net --resolv-conf=off --timezone=off --link-journal=no --kill-signal=SIGRTMIN+3
"""
# systemd-nspawn makes /proc/sys read-only; the settings of the machine's own network may be written.
OWN_SETTINGS = """
mkdir /run/settings; mount -t proc proc /run/settings
mount --bind /run/settings/sys/net /proc/sys/net; umount -l /run/settings; rmdir /run/settings
"""
SSHD_ALONE = """
mount -t overlay machine -o lowerdir={root},upperdir={folder}/upper,workdir={folder}/work {folder}/root
cd {folder}/root
hostname {name}
mount -t proc proc proc; mount -t tmpfs run run; mount --rbind /dev dev; mkdir -p run/sshd
exec chroot . /usr/sbin/sshd -D -e
"""


@dataclass
class Machine:
    """One machine that runs. `vars` are Ansible's variables for it."""

    name: str
    address: str
    folder: Path
    process: subprocess.Popen[bytes]
    vars: dict[str, Any]

    @property
    def init(self) -> int:
        """The id, out here, of the machine's first process."""
        todo = [self.process.pid]
        while todo:
            pid = todo.pop()
            spaces = Path(f"/proc/{pid}/status").read_text().partition("NSpid:")[2].splitlines()[0].split()
            if len(spaces) > 1 and spaces[-1] == "1":
                return pid
            todo += [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        raise RuntimeError(f"{self.name} has ended: {(self.folder / 'log').read_text()[-2000:]}")

    def run(self, script: str, *, check: bool = True) -> str:
        """Run a shell script as root on the machine, past any sshd -> what it printed."""
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        command = ["nsenter", "-t", str(self.init), "-m", "-u", "-i", "-n", "-p", "-r", "-w"]
        done = subprocess.run(
            [*command, "env", "-i", path, "HOME=/root", "sh", "-ec", script], capture_output=True, text=True
        )
        if check and done.returncode:
            raise RuntimeError(f"{self.name}: {script}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout


class Fleet:
    """Machines on one bridge, 10.77.0.0/16; `folder` is where they keep what differs from their root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.machines: dict[str, Machine] = {}
        self.numbers: dict[str, int] = {}  # a machine that starts again has its address again

    def __enter__(self) -> Fleet:
        _end_left_behind()
        self.root = rootfs.ensure()
        # Masters of ssh connections live on: another fleet has the same addresses. A socket's path must be short.
        self.sockets = Path(tempfile.mkdtemp(prefix="fleet"))
        self.folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / "key")], check=True)
        self.bridge = subprocess.Popen([*DIES_WITH_US, "unshare", "-n", "sleep", "infinity"])
        _wait(lambda: _network(self.bridge.pid) != _network(os.getpid()), 10.0)
        self._ip("link set lo up; ip link add br0 type bridge; ip addr add 10.77.0.1/16 dev br0; ip link set br0 up")
        return self

    def __exit__(self, *_: object) -> None:
        for path in self.sockets.iterdir():  # a master lives on, and with it the `ssh -W` to its bastion
            command = ["ssh", "-o", f"ControlPath={path}", "-O", "exit", "any"]
            subprocess.run(command, capture_output=True, check=False, timeout=10)
        for name in list(self.machines):
            self.stop(name)
        self.bridge.kill()
        self.bridge.wait()
        shutil.rmtree(self.sockets)

    def _ip(self, what: str) -> None:
        subprocess.run(["nsenter", f"--net=/proc/{self.bridge.pid}/ns/net", "sh", "-ec", f"ip {what}"], check=True)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """This thread, and all processes and threads that it starts meanwhile, are in the machines' network."""
        with open("/proc/self/ns/net") as home, open(f"/proc/{self.bridge.pid}/ns/net") as there:
            _set_network(there.fileno())
            try:
                yield
            finally:
                _set_network(home.fileno())

    def start(self, name: str, kind: str = "systemd") -> Machine:
        """Start a machine, from its own disk if it was there before, and wait until its sshd answers."""
        machine = self.launch(name, kind)
        self.wait_for(machine)
        if kind == "systemd":
            machine.run(OWN_SETTINGS)
        return machine

    def launch(self, name: str, kind: str = "systemd") -> Machine:
        """Start a machine without waiting for it."""
        number, folder = self.numbers.setdefault(name, len(self.numbers) + 1), self.folder / name
        address = f"10.77.{number // 200}.{number % 200 + 10}"
        self._seed(name, folder)
        spaces = ["-n", "-m"] if kind == "systemd" else ["-n", "-m", "-p", "-f", "-u", "-i", "--kill-child"]
        script = (SYSTEMD if kind == "systemd" else SSHD_ALONE).format(root=self.root, folder=folder, name=name)
        script = f"read _; {script}"
        groups = _groups_of(name)
        home = _network(os.getpid())
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [*DIES_WITH_US, *_entering(groups), "unshare", *spaces, "--propagation=private", "sh", "-ec", script],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        pid = process.pid
        _wait(lambda: _network(pid) not in (home, _network(self.bridge.pid)), 10.0)
        self._ip(f"link add v{number} type veth peer name host0 netns {pid}; ip link set v{number} master br0 up")
        inside = f"ip link set lo up; ip addr add {address}/16 dev host0; ip link set host0 up"
        subprocess.run(["nsenter", f"--net=/proc/{pid}/ns/net", "sh", "-ec", inside], check=True)
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.close()
        known = self.folder / "known_hosts"
        with known.open("a") as file:
            file.write(f"{address} {(self.root / 'etc/ssh/ssh_host_ed25519_key.pub').read_text()}")
        self.machines[name] = Machine(name, address, folder, process, self._vars(address, known))
        return self.machines[name]

    def _vars(self, address: str, known: Path) -> dict[str, Any]:
        return {
            "ansible_host": address,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.folder / "key"),
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={known} -o ControlPath={self.sockets}/%C",
            "ansible_python_interpreter": "/usr/bin/python3",
        }

    def _seed(self, name: str, folder: Path) -> None:
        """What a machine has of its own from the start."""
        if (folder / "upper").exists():
            return
        files = {
            "etc/hostname": f"{name}\n",
            "etc/hosts": f"127.0.0.1 localhost {name}\n",
            "etc/machine-id": f"{os.urandom(16).hex()}\n",
            "etc/ssh/sshd_config.d/test.conf": SSHD,
            "root/.ssh/authorized_keys": (self.folder / "key.pub").read_text(),
        }
        for part in ("upper", "work", "root"):
            (folder / part).mkdir(parents=True)
        for path, text in files.items():
            (folder / "upper" / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "upper" / path).write_text(text)
        for path in ("root", "root/.ssh"):
            (folder / "upper" / path).chmod(0o700)
        (folder / "upper/root/.ssh/authorized_keys").chmod(0o600)

    def wait_for(self, machine: Machine) -> None:
        """Until its sshd answers. Raises RuntimeError with the machine's console where it does not."""

        def answers() -> bool:
            if machine.process.poll() is not None:
                raise RuntimeError(f"{machine.name} has ended: {(machine.folder / 'log').read_text()[-2000:]}")
            try:
                with self.entered(), socket.create_connection((machine.address, 22), timeout=1) as one:
                    return one.recv(4) == b"SSH-"
            except OSError:
                return False

        _wait(answers, BOOT_S, lambda: (machine.folder / "log").read_text()[-2000:])

    def stop(self, name: str) -> None:
        """Pull the plug; its disk stays."""
        machine = self.machines.pop(name)
        with contextlib.suppress(OSError, RuntimeError):
            os.kill(machine.init, signal.SIGKILL)
        machine.process.kill()
        machine.process.wait()
        _clear(_groups_of(name))

    def reboot(self, name: str) -> Machine:
        """Let a machine's own systemd reboot it, and wait until it is back."""
        machine = self.machines[name]
        machine.run("systemctl reboot")
        machine.process.wait(BOOT_S)  # systemd-nspawn leaves the start to whoever keeps its unit
        self.stop(name)
        return self.start(name)

    def cut(self, name: str) -> None:
        """Take a machine off the network; `heal` puts it back."""
        self._link(name, "down")

    def heal(self, name: str) -> None:
        """Put a machine back on the network."""
        self._link(name, "up")

    def _link(self, name: str, state: str) -> None:
        pid = self.machines[name].init
        subprocess.run(["nsenter", f"--net=/proc/{pid}/ns/net", "ip", "link", "set", "host0", state], check=True)


def _network(pid: int) -> str:
    return str(Path(f"/proc/{pid}/ns/net").readlink())


def _set_network(descriptor: int) -> None:
    if LIBC.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _groups_of(machine: str) -> list[Path]:
    return _control_groups(f"{GROUP}-{os.getpid()}-{machine}")


def _control_groups(name: str) -> list[Path]:
    """The folder of that name in each hierarchy that there is, or in the only one."""
    base = Path("/sys/fs/cgroup")
    if (base / "cgroup.procs").exists():
        return [base / name]
    used = ("systemd", "memory", "pids", "unified", "cpu", "freezer")
    return [base / each / name for each in used if (base / each / "cgroup.procs").exists()]


def _end_left_behind() -> None:
    """End the machines of test runs that were killed: systemd lives on without the nspawn that started it."""
    for name in {group.name for base in _control_groups("") for group in base.glob(f"{GROUP}-*-*")}:
        owner = name.removeprefix(f"{GROUP}-").partition("-")[0]
        if not Path("/proc", owner).exists():
            _clear(_control_groups(name))


def _clear(groups: list[Path]) -> None:
    """Kill what is in these control groups, and remove them."""
    for pid in _members(groups):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    _wait(lambda: not _members(groups), 10.0)
    for group in groups:
        for inner in [*sorted(group.rglob("*/"), reverse=True), group]:
            with contextlib.suppress(OSError):
                inner.rmdir()


def _entering(groups: list[Path]) -> list[str]:
    """What a command begins with to run in these control groups, which are made."""
    for group in groups:
        group.mkdir(exist_ok=True)
    enter = "".join(f"echo 0 > {group}/cgroup.procs; " for group in groups)
    return ["sh", "-ec", f'{enter} exec "$@"', "sh"]


def _members(groups: list[Path]) -> set[int]:
    found: set[int] = set()
    for group in groups:
        for file in group.rglob("cgroup.procs"):
            with contextlib.suppress(OSError):
                found |= {int(line) for line in file.read_text().split()}
    return found


def _wait(holds: Any, seconds: float, explain: Any = lambda: "") -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {seconds:g} s in vain\n{explain()}")
        time.sleep(0.05)

"""A real libvirtd for tests, as root, with QEMU guests under emulation; nothing of the computer's own is changed.

It has mounts, a network and processes of its own, which end with this process: its folders stand in place of
/etc/libvirt, /var/lib/libvirt, ...; its networks are in a namespace that a test enters (`entered`).

    with Libvirtd(tmp_path) as libvirtd, libvirtd.entered():
        libvirtd.virsh("list", "--all")
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.machines.fleet import DIES_WITH_US, _network, _set_network

PROGRAMS = ("libvirtd", "virsh", "qemu-system-x86_64", "qemu-img", "dnsmasq", "unshare", "nsenter", "ip")
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
START_S = 60.0
QEMU = """
stdio_handler = "file"
namespaces = []
cgroup_controllers = []
user = "root"
group = "root"
security_driver = "none"
remember_owner = 0
"""
# Emulation is used although there may be /dev/kvm: in a virtual machine it is often there, and no guest starts with it.
INSIDE = """
mount --make-rprivate /
mkdir -p /run/sshd
for at in etc/libvirt var/lib/libvirt var/cache/libvirt var/log/libvirt run/libvirt; do
  mkdir -p /$at {folder}/$at; mount --bind {folder}/$at /$at
done
for at in passwd group; do mount --bind {folder}/etc/$at /etc/$at; done
if [ -e /dev/kvm ]; then mount --bind {folder}/nokvm /dev/kvm; mount -o remount,bind,ro /dev/kvm; fi
ip link set lo up
libvirtd --pid-file {folder}/pid &
wait  # and reap what libvirtd leaves behind: it waits for that
"""
POOL = "<pool type='dir'><name>default</name><target><path>{path}</path></target></pool>"
NETWORK = """<network><name>{name}</name><bridge name='{name}0'/><ip address='{gateway}.1' netmask='255.255.255.0'>
<dhcp><range start='{gateway}.10' end='{gateway}.200'/></dhcp></ip></network>"""


def why_not() -> str:
    """Why no libvirtd can be had here; "" where it can."""
    if os.geteuid() != 0:
        return "libvirtd with guests needs root"
    path = f"{os.environ['PATH']}:{SBIN}"
    lacking = [name for name in PROGRAMS if not shutil.which(name, path=path)]
    if not lacking and subprocess.run(["/usr/bin/python3", "-c", "import libvirt, lxml"], check=False).returncode:
        lacking = ["python3-libvirt or python3-lxml"]
    return f"not installed: {', '.join(lacking)} (sh scripts/test_packages.sh libvirt)" if lacking else ""


class Libvirtd:
    """One libvirtd with a storage pool `default` and the networks `default` and `storage`.

    uri  where modules reach it on this computer
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pool = folder / "pool"
        self.consoles = folder / "var/log/libvirt/qemu"
        self.uri = f"qemu:///system?socket={folder}/run/libvirt/libvirt-sock"

    def __enter__(self) -> Libvirtd:
        (self.folder / "etc/libvirt").mkdir(parents=True)
        (self.folder / "etc/libvirt/qemu.conf").write_text(QEMU)
        for name, user in (("passwd", "libvirt-qemu:x:64055:64055::/:/bin/false"), ("group", "libvirt-qemu:x:64055:")):
            # libvirtd asks for its package's user before it reads that another is to be taken
            (self.folder / "etc" / name).write_text(f"{Path('/etc', name).read_text()}{user}\n")
        (self.folder / "nokvm").touch()
        self.pool.mkdir()
        home = _network(os.getpid())
        with (self.folder / "log").open("wb") as log:
            spaces = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
            self.process = subprocess.Popen(
                [*DIES_WITH_US, *spaces, "sh", "-ec", INSIDE.format(folder=self.folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PATH": f"{os.environ['PATH']}:{SBIN}"},
            )
        try:
            self._wait(home)
            self.consoles.mkdir(parents=True, exist_ok=True)
            self._begin("pool", POOL.format(path=self.pool), "default")
            for name, gateway in (("default", "10.99.0"), ("storage", "10.99.1")):
                self._begin("net", NETWORK.format(name=name, gateway=gateway), name)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()  # and with it the first process of its namespace, and so all
        self.process.wait()

    @property
    def init(self) -> int:
        """The id, out here, of the first process in its namespaces."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0])

    def _wait(self, home: str) -> None:
        deadline = time.monotonic() + START_S
        while subprocess.run(self._virsh("version"), capture_output=True, check=False).returncode:
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.2)
        assert _network(self.process.pid) != home

    def _begin(self, kind: str, xml: str, name: str) -> None:
        file = self.folder / f"{name}.xml"
        file.write_text(xml)
        for verb, what in (("define", str(file)), ("start", name), ("autostart", name)):
            self.virsh(f"{kind}-{verb}", what)

    def _virsh(self, *arguments: str) -> list[str]:
        return ["virsh", "-q", "-c", self.uri, *arguments]

    def virsh(self, *arguments: str) -> str:
        """What virsh says to that. Raises CalledProcessError."""
        done = subprocess.run(self._virsh(*arguments), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """This thread, and all processes and threads that it starts meanwhile, are in the guests' network."""
        with open("/proc/self/ns/net") as home, open(f"/proc/{self.process.pid}/ns/net") as there:
            _set_network(there.fileno())
            try:
                yield
            finally:
                _set_network(home.fileno())

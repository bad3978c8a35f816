"""The bench of the libvirt provider: a libvirtd of our own, and guests that really boot and run their cloud-init."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.documents.providers import BUILT_IN
from orchestrator.toolchain import provider_needs
from tests.machines import guest, libvirtd
from tests.machines.libvirtd import Libvirtd
from tests.stable.benches import ESTATE_ID, Bench, provider_python

IMAGE = "debian-12.qcow2"
FOREIGN = """
<domain type='qemu'><name>{name}</name><memory unit='MiB'>300</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/></features><devices>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{disk}'/>
<target dev='vda' bus='virtio'/></disk>
<disk type='file' device='cdrom'><source file='{seed}'/><target dev='hdc' bus='ide'/><readonly/></disk>
<interface type='network'><source network='default'/><model type='virtio'/></interface>
</devices></domain>"""


def why_not() -> str:
    """Why there is none here; "" where there is."""
    return libvirtd.why_not() or guest.why_not()


@dataclass
class Server:
    """libvirtd with the guests' image in its pool, and the keys by which guests are reached."""

    libvirtd: Libvirtd
    keys: Path

    def vars(self) -> dict[str, Any]:
        """Ansible's variables for guests."""
        options = f"-o UserKnownHostsFile={self.keys}/known_hosts -o ControlPath={self.keys}/%C"
        return {"ansible_ssh_private_key_file": str(self.keys / "user"), "ansible_ssh_common_args": options}

    def cloud_init(self, **more: Any) -> str:
        """What guests are told: who may log in, and which host key they have."""
        private, public = ((self.keys / name).read_text() for name in ("host", "host.pub"))
        told = {
            "disable_root": False,
            "ssh_authorized_keys": [(self.keys / "user.pub").read_text().strip()],
            "ssh_keys": {"ed25519_private": private, "ed25519_public": public.strip()},
            **more,
        }
        return f"#cloud-config\n{yaml.safe_dump(told)}"

    def run(self, address: str, script: str) -> str:
        """What a shell script on a guest prints."""
        options = ["-i", self.keys / "user", "-o", f"UserKnownHostsFile={self.keys}/known_hosts"]
        done = subprocess.run(["ssh", *options, f"root@{address}", script], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@contextmanager
def server() -> Iterator[Server]:
    """The server, started; a socket's path must be short."""
    provider_python("libvirt")  # from an index, which is out of reach in the guests' network
    provider_needs.collections_of(BUILT_IN / "libvirt" / "requirements.yml", Path(), print)
    image = guest.ensure()
    keys = Path(tempfile.mkdtemp(prefix="guests"))
    for name in ("user", "host"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(keys / name)], check=True)
    (keys / "known_hosts").write_text(f"* {(keys / 'host.pub').read_text()}")
    base = Path(tempfile.mkdtemp(prefix="libvirtd"))
    try:
        with Libvirtd(base / "it") as running:
            shutil.copyfile(image, running.pool / IMAGE)
            yield Server(running, keys)
    finally:
        shutil.rmtree(base)
        shutil.rmtree(keys)


def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Emulated guests, on a computer that does other things, take minutes for what takes seconds elsewhere."""
    monkeypatch.setenv("ORCHESTRATOR_HOST_TIMEOUT", "60")
    monkeypatch.setenv("ORCHESTRATOR_FIRST_ANSWER", "1200")


class LibvirtBench(Bench):
    """Guests of a real libvirtd, emulated."""

    server: Server

    @contextmanager
    def entered(self) -> Iterator[None]:
        with self.server.libvirtd.entered():
            yield

    def virsh(self, *arguments: str) -> str:
        """Ask libvirtd itself."""
        return self.server.libvirtd.virsh(*arguments)

    def names(self) -> list[str]:
        return sorted(self.virsh("list", "--all", "--name").split())

    def volumes(self) -> list[str]:
        """The names of all volumes but the image, without the estate's id."""
        self.virsh("pool-refresh", "default")
        lines = self.virsh("vol-list", "default").splitlines()
        names = sorted(line.split()[0] for line in lines if line.strip())
        return [name.replace(f".{ESTATE_ID}.", ".") for name in names if name != IMAGE]

    def make_foreign(self, name: str) -> None:
        pool = self.server.libvirtd.pool
        disk, seed = pool / f"{name}-own.qcow2", pool / f"{name}-own.iso"
        backing = ["-b", str(pool / IMAGE), "-F", "qcow2"]
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *backing, disk], check=True)
        asked = {"name": name, "id": "theirs", "macs": [], "user": self.server.cloud_init()}
        made = subprocess.run(
            [provider_python("libvirt"), BUILT_IN / "libvirt" / "seed.py"],
            input=json.dumps(asked),
            text=True,
            capture_output=True,
            check=True,
        )
        seed.write_bytes(base64.b64decode(made.stdout))
        xml = self.root / "foreign.xml"
        xml.write_text(FOREIGN.format(name=name, disk=disk, seed=seed))
        self.virsh("define", str(xml))
        self.virsh("start", name)

    def resize_outside(self, name: str) -> None:
        self.virsh("setvcpus", name, "16", "--config", "--maximum")

    def clear(self) -> None:
        """Remove all guests and their volumes."""
        for name in self.names():
            if name in self.virsh("list", "--name").split():
                self.virsh("destroy", name)
            self.virsh("undefine", name, "--snapshots-metadata", "--managed-save", "--nvram")
        for file in self.server.libvirtd.pool.iterdir():
            if file.name != IMAGE:
                file.unlink()
        self.virsh("pool-refresh", "default")


def bench_on(one: Server, root: Path) -> LibvirtBench:
    """A bench with nothing on it."""
    bench = LibvirtBench(root, "libvirt", resizes="restart")
    bench.server = one
    bench.small = {"cpu": 1, "memory": "256Mi", "cloudInit": one.cloud_init()}
    bench.large = {"cpu": 4, "memory": "320Mi"}
    bench.bad = (
        ({"image": "debian-99"}, "the image `debian-99` is not among the site's `images`; there are debian-12, lost"),
        ({"image": "lost"}, "the volume `lost.qcow2` of the pool `default`, which is not there on hypervisor here"),
        ({"disk": "100Mi"}, "a `disk` of 100Mi is too small for it"),
        ({"disks": {"root": {"size": "1Gi", "keep": False}}}, "a disk cannot be called root here"),
        ({"networks": ["back"]}, "back: not among the site's `networks`; there are front, storage"),
    )
    bench.settings = {
        "hypervisors": {"here": {"ansible_connection": "local"}},
        "uri": one.libvirtd.uri,
        "consoles": str(one.libvirtd.consoles),
        "images": {"debian-12": IMAGE, "lost": "lost.qcow2"},
        "networks": {"front": "default", "storage": "storage"},
        "vars": one.vars(),
        "wait": 1200,
        "stop": 60,
    }
    bench.clear()
    return bench

"""A bench for each provider, with nothing on it; the simulators' servers are started when first needed, and shared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Estate
from tests.machines import estates
from tests.stable import libvirt_bench
from tests.stable.benches import Bench, Ec2Bench, LabBench, VsphereBench, moto
from tests.stable.vcenter import vcenter

EC2 = {
    "region": "eu-central-1",
    "images": {"debian-12": "ami-12c6146b"},
    "accessKey": "AKIA0MOTO",
    "secretKey": "moto-takes-any",
}


def _lab(root: Path, servers: dict[str, Any]) -> Bench:
    return LabBench(root, "lab")


def _ec2(root: Path, servers: dict[str, Any]) -> Bench:
    if "ec2" not in servers:
        servers["ec2"] = moto(root.parent)
        Ec2Bench.url, Ec2Bench.signs = servers["ec2"].__enter__(), root.parent
    bench = Ec2Bench(root, "ec2", resizes="restart")
    bench.small, bench.large = {"cpu": 2, "memory": "1Gi"}, {"cpu": 4, "memory": "4Gi"}
    bench.bad = (
        ({"image": "debian-99"}, "the image `debian-99` is not among the site's `images`; there are debian-12"),
        ({"cpu": 32}, "requested more vCPU capacity than your current limit of 16"),
    )
    bench.settings = {**EC2, "endpoint": Ec2Bench.url, "vars": bench.vars()}
    if there := [one["InstanceId"] for one in bench.instances()]:
        bench.call("terminate_instances", InstanceIds=there)
    (bench.signs / "made").unlink(missing_ok=True)
    return bench


def _vsphere(root: Path, servers: dict[str, Any]) -> Bench:
    if "vsphere" not in servers:
        servers["vsphere"] = vcenter(root.parent)
        VsphereBench.vcenter = servers["vsphere"].__enter__()
    bench = VsphereBench(root, "vsphere", resizes="restart")
    bench.small = {"cpu": 2, "memory": "1Gi"}
    bench.large = {"cpu": 4, "memory": "4Gi"}
    bench.bad = (
        ({"image": "debian-99"}, "the image `debian-99` is not among the site's `images`; there are debian-12"),
    )
    bench.settings = {
        "hostname": "127.0.0.1",
        "port": VsphereBench.vcenter.port,
        "username": "user",
        "password": "pass",
        "validateCerts": False,
        "datacenter": "DC0",
        "cluster": "DC0_C0",
        "images": {"debian-12": "DC0_H0_VM0"},
        "advancedSettings": {"SET.guest.ipAddress": "10.0.0.7"},  # the simulator's way to give a machine an address
        "wait": 60,
        "vars": bench.vars(),
    }
    bench.clear()
    return bench


def _libvirt(root: Path, servers: dict[str, Any]) -> Bench:
    if why := libvirt_bench.why_not():
        pytest.skip(why)
    if "libvirt" not in servers:
        servers["libvirt"] = libvirt_bench.server()
        libvirt_bench.LibvirtBench.server = servers["libvirt"].__enter__()
    return libvirt_bench.bench_on(libvirt_bench.LibvirtBench.server, root)


def cli(bench: Bench) -> Estate:
    """An estate at the bench's provider; the secrets of its settings come by reference."""
    secrets = {"ec2": ("accessKey", "secretKey"), "vsphere": ("password",)}[bench.provider]
    value = str(bench.settings[secrets[0]])
    it = estates.of_cli(bench.root / "estate", TEST_SECRET=value, ORCHESTRATOR_FIRST_ANSWER="3")
    by_reference = {key: {"secretRef": {"env": "TEST_SECRET"}} for key in secrets}
    estates.write_site(it, {"provider": bench.provider, "settings": {**bench.settings, **by_reference, "wait": 10}})
    estates.write_placement(it)
    return it


MAKERS: dict[str, Callable[[Path, dict[str, Any]], Bench]] = {
    "lab": _lab,
    "ec2": _ec2,
    "vsphere": _vsphere,
    "libvirt": _libvirt,
}

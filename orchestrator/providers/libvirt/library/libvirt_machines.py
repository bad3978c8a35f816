#!/usr/bin/python
"""Tells all domains of a hypervisor, or one, as this provider's playbooks use them; and its kind, and its pools.

`until` waits, at most so many seconds, for the one to have an `address` (or to run no more), or to be `off`.
"""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from contextlib import suppress
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.orchestrator_libvirt import (
    FAILURES,
    HypervisorError,
    connected,
    libvirt,
    marks_of,
    said,
    source_of,
)

STATES = ("running", "running", "blocked", "paused", "shutting down", "shut off", "crashed", "suspended")
OFF = ("shut off", "crashed")


def domain_told(domain: Any) -> dict[str, Any]:
    """One domain. Sizes in bytes; `state` is `running` while it runs."""
    root = ET.fromstring(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))  # noqa: S314 - libvirt's own
    state, _ = domain.state()
    told = {
        "name": domain.name(),
        "uuid": domain.UUIDString(),
        "state": "running" if state == libvirt.VIR_DOMAIN_BLOCKED else STATES[state],
        "cpu": int(root.findtext("vcpu") or 1),
        "memory": int(root.findtext("memory") or 0) * 1024,
        "macs": [one.get("address") for one in root.findall("devices/interface/mac")],
        "networks": [source_of(one) for one in root.findall("devices/interface")],
        "address": address_of(domain) if domain.isActive() else "",
    }
    told.update(marks_of(root))
    return told


def address_of(domain: Any) -> str:
    """The first address of the first card that has one: by libvirt's own leases, the guest's agent, the ARP table."""
    sources = [libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE, libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP]
    live = ET.fromstring(domain.XMLDesc())  # noqa: S314
    agent = live.find("devices/channel/target[@name='org.qemu.guest_agent.0']")
    if agent is not None and agent.get("state") == "connected":
        sources.insert(1, libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT)
    order = [str(one.get("address")) for one in live.findall("devices/interface/mac")]
    for source in sources:
        with suppress(libvirt.libvirtError):
            cards = {card["hwaddr"]: card["addrs"] or [] for card in domain.interfaceAddresses(source).values()}
            every = [one for mac in order for one in cards.get(mac, [])]
            every.sort(key=lambda one: one["type"])  # IPv4 is 0
            for one in every:
                if not one["addr"].lower().startswith(("169.254.", "fe80:")):
                    return str(one["addr"])
    return ""


def hypervisor_told(connection: Any) -> dict[str, Any]:
    """What kind of computer it is, and how much memory no domain has been given."""
    capabilities = ET.fromstring(connection.getCapabilities())  # noqa: S314
    arch = str(capabilities.findtext("host/cpu/arch"))
    kinds = capabilities.findall(f"guest/arch[@name='{arch}']/domain")
    given = sum(domain.maxMemory() for domain in connection.listAllDomains())
    return {
        "arch": arch,
        "kvm": any(kind.get("type") == "kvm" for kind in kinds),
        "free": connection.getInfo()[1] * (1 << 20) - given * 1024,
    }


def pool_told(connection: Any, name: str) -> dict[str, Any]:
    """Where a pool's volumes are, and each of them. Raises HypervisorError where it is not there, or not of files."""
    try:
        pool = connection.storagePoolLookupByName(name)
        with suppress(libvirt.libvirtError):
            pool.refresh()  # images are put there by hand; refused while a volume is being made
        volumes = {one.name(): ET.fromstring(one.XMLDesc()) for one in pool.listAllVolumes()}  # noqa: S314
    except libvirt.libvirtError as error:
        raise HypervisorError(f"storage pool `{name}`: {said(error)}") from None
    path = ET.fromstring(pool.XMLDesc()).findtext("target/path")  # noqa: S314
    if not path or not path.startswith("/") or path.startswith("/dev/"):
        raise HypervisorError(f"storage pool `{name}` is not a folder; its machines' disks are files")
    return {"path": path, "volumes": {name: volume_told(root) for name, root in volumes.items()}}


def volume_told(root: ET.Element) -> dict[str, Any]:
    """A volume's format and size in bytes."""
    form = root.find("target/format")
    return {"format": "raw" if form is None else form.get("type"), "size": int(root.findtext("capacity") or 0)}


def domains_told(connection: Any, name: str) -> list[dict[str, Any]]:
    """All domains, or the one of that name."""
    told = []
    for domain in connection.listAllDomains():
        with suppress(libvirt.libvirtError):  # gone since
            if name in ("", domain.name()):
                told.append(domain_told(domain))
    return told


def waited(connection: Any, name: str, until: str, seconds: int) -> list[dict[str, Any]]:
    """The domain when it is so, or as it is when the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        told = domains_told(connection, name)
        there = [one for one in told if one["state"] not in OFF]
        if not until or not there or (until == "address" and there[0]["address"]) or time.monotonic() > deadline:
            return told
        time.sleep(1)


def main() -> None:
    """Tell."""
    module = AnsibleModule(
        {
            "uri": {"type": "str", "required": True},
            "name": {"type": "str", "default": ""},
            "pools": {"type": "list", "elements": "str", "default": []},
            "until": {"type": "str", "choices": ["", "address", "off"], "default": ""},
            "seconds": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    asked = module.params
    try:
        connection = connected(asked["uri"])
        machines = waited(connection, asked["name"], asked["until"], asked["seconds"])
        pools = {name: pool_told(connection, name) for name in asked["pools"]}
        host = hypervisor_told(connection)
    except FAILURES as error:
        module.fail_json(msg=said(error))
    module.exit_json(machines=machines, host=host, pools=pools)


if __name__ == "__main__":
    main()

#!/usr/bin/python
"""Makes a domain that is there as wanted: its marks, processors, memory, disks and network cards.

Nothing is taken away but network cards that are not wanted: a disk that is declared no more stays attached. What is
not given stays as it is. Processors and memory count from the next start; disks grow while the domain runs.
"""

from __future__ import annotations

import string
import xml.etree.ElementTree as ET
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.orchestrator_libvirt import (
    FAILURES,
    KEY,
    NAMESPACE,
    HypervisorError,
    connected,
    interface_on,
    libvirt,
    marked,
    marks_of,
    said,
    source_of,
)


class Domain:
    """One domain, and whether anything was changed."""

    def __init__(self, connection: Any, name: str) -> None:
        self.connection = connection
        self.domain = connection.lookupByName(name)
        self.changed = False
        self.where = libvirt.VIR_DOMAIN_AFFECT_CONFIG
        if self.domain.isActive():
            self.where |= libvirt.VIR_DOMAIN_AFFECT_LIVE

    @property
    def root(self) -> ET.Element:
        """Its XML as it is now, for its next start."""
        return ET.fromstring(self.domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE))  # noqa: S314

    def mark(self, tags: dict[str, str], labels: dict[str, str], keep: dict[str, bool], made: bool) -> None:
        """Put our marks on it; without tags and labels it loses them."""
        has = marks_of(self.root)
        undeclared = [name for name in has.get("keep", []) if name not in keep]
        kept = sorted(undeclared + [name for name, stays in keep.items() if stays])
        wanted = {"tags": tags, "labels": labels, "keep": kept, "made": made} if tags else {}
        if wanted != has:
            text = marked(tags, labels, kept, made) if tags else None
            self.domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, text, KEY, NAMESPACE, self.where)
            self.changed = True

    def size(self, cpu: int, memory: int) -> None:
        """Give it processors and memory (bytes); 0 leaves what it has."""
        root = self.root
        kibibytes = -(-memory // 1024)
        wanted = {"vcpu": cpu, "memory": kibibytes, "currentMemory": kibibytes}
        before = {name: root.findtext(name) for name in wanted}
        for name, value in wanted.items():
            at = root.find(name)
            if value and at is not None:
                at.text = str(value)
                at.attrib.pop("current", None)
        if {name: root.findtext(name) for name in wanted} != before:
            self.connection.defineXML(ET.tostring(root, encoding="unicode"))
            self.changed = True

    def disk(self, path: str, serial: str) -> None:
        """Attach a disk where it is not."""
        disks = self.root.findall("devices/disk")
        if serial in [one.findtext("serial") for one in disks]:
            return
        used = {one.get("dev") for one in self.root.findall("devices/disk/target")}
        free = next(f"vd{letter}" for letter in string.ascii_lowercase if f"vd{letter}" not in used)
        disk = ET.Element("disk", {"type": "file", "device": "disk"})
        ET.SubElement(disk, "driver", {"name": "qemu", "type": "qcow2", "discard": "unmap"})
        ET.SubElement(disk, "source", {"file": path})
        ET.SubElement(disk, "target", {"dev": free, "bus": "virtio"})
        ET.SubElement(disk, "serial").text = serial
        self.domain.attachDeviceFlags(ET.tostring(disk, encoding="unicode"), self.where)
        self.changed = True

    def grow(self, serial: str, size: int) -> None:
        """Let a disk grow to so many bytes; without a serial number the first. Raises HypervisorError."""
        disks = [one for one in self.root.findall("devices/disk") if one.get("device", "disk") == "disk"]
        disk = next((one for one in disks if serial in ("", one.findtext("serial"))), None)
        name = "" if disk is None else disk.find("target").get("dev")  # type: ignore[union-attr]
        if not name:
            raise HypervisorError(f"there is no disk {serial}")
        has = self.domain.blockInfo(name)[0]
        if size < has:
            raise HypervisorError(f"disk {serial or name} has {has} bytes and cannot shrink to {size}")
        if size > has:
            self.domain.blockResize(name, size, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)
            self.changed = True

    def networks(self, wanted: list[str]) -> None:
        """Attach the network cards that are missing, and detach those that are not wanted."""
        missing = list(wanted)
        for card in self.root.findall("devices/interface"):
            source = source_of(card)
            if source in missing:
                missing.remove(source)
            else:
                self.domain.detachDeviceFlags(ET.tostring(card, encoding="unicode"), self.where)
                self.changed = True
        for source in missing:
            self.domain.attachDeviceFlags(interface_on(source), self.where)
            self.changed = True


def work(domain: Domain, asked: dict[str, Any]) -> None:
    """What was asked for, in the order in which it can be done."""
    domain.size(asked["cpu"], asked["memory"])
    for serial, path in sorted(asked["disks"].items()):
        domain.disk(path, serial)
    if asked["networks"]:
        domain.networks(asked["networks"])
    for serial, size in asked["grow"].items():
        domain.grow(serial, int(size))
    if asked["marks"] is not None:
        domain.mark(**asked["marks"])


def main() -> None:
    """Do what was asked for."""
    module = AnsibleModule(
        {
            "uri": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "marks": {"type": "dict"},
            "cpu": {"type": "int", "default": 0},
            "memory": {"type": "int", "default": 0},
            "disks": {"type": "dict", "default": {}},
            "networks": {"type": "list", "elements": "str", "default": []},
            "grow": {"type": "dict", "default": {}},
        }
    )
    try:
        domain = Domain(connected(module.params["uri"]), module.params["name"])
        work(domain, module.params)
    except FAILURES as error:
        module.fail_json(msg=said(error))
    module.exit_json(changed=domain.changed)


if __name__ == "__main__":
    main()

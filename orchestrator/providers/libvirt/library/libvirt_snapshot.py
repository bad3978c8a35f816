#!/usr/bin/python
"""Snapshots of a domain's disks, while it runs: taken, given back, dropped.

A snapshot is libvirt's external one: each disk goes on in a file of its own on top of what was, which is never written
again. Nothing is paused for it, and memory is not kept. Giving it back empties these files; dropping it merges them
down. Only the newest can be given back.

take     name; one that is there stays as it is
restore  name; the domain is cut off, and off afterwards
drop     name, or all without one; what is gone is gone
"""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.orchestrator_libvirt import FAILURES, HypervisorError, connected, libvirt, said

MERGE_S = 3600
SIZES = ("vcpu", "memory", "currentMemory")
INACTIVE = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE if libvirt else 0


class Snapshots:
    """The snapshots of one domain."""

    def __init__(self, connection: Any, name: str) -> None:
        self.connection = connection
        self.domain = connection.lookupByName(name)

    def named(self, name: str) -> Any:
        """The snapshot of that name, or None."""
        return next((one for one in self.domain.listAllSnapshots() if one.getName() == name), None)

    def take(self, name: str) -> bool:
        """Keep its disks as they are."""
        if self.named(name) is not None:
            return False
        root = ET.Element("domainsnapshot")
        ET.SubElement(root, "name").text = name
        disks = ET.SubElement(root, "disks")
        for target, (path, device) in self.disks().items():
            kept = device == "disk"
            if kept and not path:
                raise HypervisorError(f"{self.domain.name()}: disk {target} is no file; no snapshot can be taken of it")
            disk = ET.SubElement(disks, "disk", {"name": target, "snapshot": "external" if kept else "no"})
            if kept:
                ET.SubElement(disk, "source", {"file": beside(path, name)})
        flags = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC
        self.domain.snapshotCreateXML(ET.tostring(root, encoding="unicode"), flags)
        return True

    def disks(self) -> dict[str, tuple[str, str]]:
        """Its disks as they are now, by target: the file, and what kind of disk it is; `disk` can be written to."""
        root = ET.fromstring(self.domain.XMLDesc())  # noqa: S314 - libvirt's own
        found = {}
        for disk in root.findall("devices/disk"):
            source, target = disk.find("source"), disk.find("target")
            if target is not None:
                path = "" if source is None else source.get("file", "")
                kind = disk.get("device", "disk") if disk.find("readonly") is None else "read-only"
                found[target.get("dev", "")] = (path, kind)
        return found

    def layers(self, snapshot: Any) -> dict[str, tuple[str, str, str]]:
        """For each disk that a snapshot holds: the file that it goes on in, what is kept, and that one's format."""
        root = ET.fromstring(snapshot.getXMLDesc())  # noqa: S314
        before = {}
        for disk in root.findall("domain/devices/disk"):
            target, source, driver = disk.find("target"), disk.find("source"), disk.find("driver")
            if target is not None and source is not None:
                form = "raw" if driver is None else driver.get("type", "raw")
                before[target.get("dev")] = (source.get("file", ""), form)
        held = root.findall("disks/disk[@snapshot='external']")
        above = {one.get("name", ""): one.find("source") for one in held}
        return {name: (one.get("file", ""), *before[name]) for name, one in above.items() if one is not None}

    def restore(self, name: str) -> bool:
        """Give its disks back as they were kept, and its processors and memory."""
        snapshot = self.named(name)
        if snapshot is None:
            raise HypervisorError(f"{self.domain.name()} has no snapshot {name}")
        if later := [one.getName() for one in snapshot.listAllChildren()]:
            raise HypervisorError(f"{self.domain.name()}: {later[0]} was taken after {name}; drop it first")
        if self.domain.isActive():
            self.domain.destroy()
        for above, below, form in self.layers(snapshot).values():
            self._emptied(above, below, form)
        self._sized(snapshot)
        return True

    def _sized(self, snapshot: Any) -> None:
        """The size that it had for its next start; what else it was given since, disks and cards, stays."""
        kept = ET.fromstring(snapshot.getXMLDesc())  # noqa: S314
        root = ET.fromstring(self.domain.XMLDesc(INACTIVE))  # noqa: S314
        before = {name: root.findtext(name) for name in SIZES}
        for name in SIZES:
            was, at = kept.find(f"inactiveDomain/{name}"), root.find(name)
            was = kept.find(f"domain/{name}") if was is None else was
            if was is not None and at is not None:
                at.text, at.attrib = was.text, dict(was.attrib)
        if {name: root.findtext(name) for name in SIZES} != before:
            self.connection.defineXML(ET.tostring(root, encoding="unicode"))

    def _emptied(self, above: str, below: str, form: str) -> None:
        """A layer that holds nothing, in place of one that does. Cut between the two, a second run makes it."""
        pool = self.connection.storagePoolLookupByTargetPath(str(Path(above).parent))
        pool.refresh()
        if Path(above).name in pool.listVolumes():
            pool.storageVolLookupByName(Path(above).name).delete()
        size = self.connection.storageVolLookupByPath(below).info()[1]
        volume = ET.Element("volume")
        ET.SubElement(volume, "name").text = Path(above).name
        ET.SubElement(volume, "capacity", {"unit": "bytes"}).text = str(size)
        ET.SubElement(ET.SubElement(volume, "target"), "format", {"type": "qcow2"})
        backing = ET.SubElement(volume, "backingStore")
        ET.SubElement(backing, "path").text = below
        ET.SubElement(backing, "format", {"type": form})
        pool.createXML(ET.tostring(volume, encoding="unicode"))

    def drop(self, name: str) -> bool:
        """Merge down what was written since, the newest first; a domain that is off is started for it, paused."""
        going = [one for one in self.domain.listAllSnapshots() if name in ("", one.getName())]
        going.sort(key=lambda one: one.numChildren(libvirt.VIR_DOMAIN_SNAPSHOT_LIST_DESCENDANTS))
        if not going:
            return False
        was_off = not self.domain.isActive()
        if was_off:
            self.domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
        try:
            for snapshot in going:
                self._dropped(snapshot)
        finally:
            if was_off:
                self.domain.destroy()
        return True

    def _dropped(self, snapshot: Any) -> None:
        if later := [one.getName() for one in snapshot.listAllChildren()]:
            raise HypervisorError(
                f"{self.domain.name()}: {later[0]} was taken after {snapshot.getName()}; drop it first"
            )
        for target, (above, below, _) in self.layers(snapshot).items():
            if self.disks().get(target, ("", ""))[0] == above:
                self._merged(target, below)
            pool = self.connection.storagePoolLookupByTargetPath(str(Path(above).parent))
            pool.refresh()
            if Path(above).name in pool.listVolumes():
                pool.storageVolLookupByName(Path(above).name).delete()
        snapshot.delete(libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY)

    def _merged(self, target: str, below: str) -> None:
        """What lies above goes into what lies below, where the domain goes on."""
        if not self.domain.blockJobInfo(target):
            flags = libvirt.VIR_DOMAIN_BLOCK_COMMIT_ACTIVE
            self.domain.blockCommit(target, below, None, 0, flags)
        deadline = time.monotonic() + MERGE_S
        while time.monotonic() < deadline:
            job = self.domain.blockJobInfo(target)
            if not job or (job["end"] and job["cur"] == job["end"]):
                try:
                    self.domain.blockJobAbort(target, libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)
                except libvirt.libvirtError as error:
                    if error.get_error_code() != libvirt.VIR_ERR_BLOCK_COPY_ACTIVE:  # not quite ready yet
                        raise
                else:
                    return
            time.sleep(0.2)
        raise HypervisorError(f"{self.domain.name()}: disk {target} is still being merged")


def beside(path: str, snapshot: str) -> str:
    """The file that goes on for a disk: MACHINE.PART.ESTATE.qcow2 -> MACHINE.PART.SNAPSHOT.ESTATE.qcow2."""
    at = Path(path)
    parts = at.name.rsplit(".", 2)
    stem = parts if len(parts) == 3 else [at.stem, at.suffix.lstrip(".") or "disk", "qcow2"]
    return str(at.with_name(f"{stem[0]}.{snapshot}.{stem[1]}.qcow2"))


def main() -> None:
    """Do what was asked for."""
    module = AnsibleModule(
        {
            "uri": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "do": {"type": "str", "required": True, "choices": ["take", "restore", "drop"]},
            "snapshot": {"type": "str", "default": ""},
        }
    )
    asked = module.params
    try:
        snapshots = Snapshots(connected(asked["uri"]), asked["name"])
        changed = getattr(snapshots, asked["do"])(asked["snapshot"])
    except FAILURES as error:
        module.fail_json(msg=said(error))
    module.exit_json(changed=changed)


if __name__ == "__main__":
    main()

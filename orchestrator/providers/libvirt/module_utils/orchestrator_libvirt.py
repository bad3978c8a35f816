"""What the modules beside this folder share: the connection to libvirt, and how a domain is marked as ours.

The marks are the domain's metadata, under a namespace of their own:

    <machine made="yes">
      <tag name="orchestrator.dev/estate">...</tag>     all that were given
      <label name="tier">gold</label>
      <keep disk="data"/>                               disks that stay when the machine goes
    </machine>

A machine's volumes are named MACHINE.PART.ESTATE.qcow2: whose they are is told by the name alone.
"""

from __future__ import annotations

import secrets
import xml.etree.ElementTree as ET
from typing import Any

NAMESPACE = "https://orchestrator.dev/libvirt"
KEY = "orchestrator"
MACHINE = f"{{{NAMESPACE}}}machine"
ET.register_namespace(KEY, NAMESPACE)

try:
    import libvirt
except ImportError:
    libvirt = None


class HypervisorError(Exception):
    """What a person is told."""


FAILURES: tuple[type[Exception], ...] = (HypervisorError, *((libvirt.libvirtError,) if libvirt else ()))


def connected(uri: str) -> Any:
    """A connection to libvirt. Raises HypervisorError."""
    if libvirt is None:
        raise HypervisorError("the hypervisor's Python has no libvirt; install the package python3-libvirt there")
    libvirt.registerErrorHandler(lambda _, error: None, None)  # it would print what it raises
    try:
        return libvirt.open(uri)
    except libvirt.libvirtError as error:
        raise HypervisorError(f"libvirt does not answer at {uri}: {error.get_error_message()}") from None


def said(error: Exception) -> str:
    """What went wrong, in libvirt's own words or ours."""
    return str(error.get_error_message() if hasattr(error, "get_error_message") else error)


def marks_of(root: ET.Element) -> dict[str, Any]:
    """The marks in a domain's XML; nothing where it bears none."""
    found = root.find(f"metadata/{MACHINE}")
    if found is None:
        return {}

    def named(kind: str) -> dict[str, str]:
        return {one.get("name", ""): one.text or "" for one in found.findall(f"{{{NAMESPACE}}}{kind}")}

    keep = [one.get("disk", "") for one in found.findall(f"{{{NAMESPACE}}}keep")]
    return {"tags": named("tag"), "labels": named("label"), "keep": keep, "made": found.get("made") == "yes"}


def marked(tags: dict[str, str], labels: dict[str, str], keep: list[str], made: bool) -> str:
    """Marks as libvirt's setMetadata takes them: without a prefix, which libvirt adds."""
    root = ET.Element("machine", {"made": "yes" if made else "no"})
    for kind, values in (("tag", tags), ("label", labels)):
        for name, value in sorted(values.items()):
            ET.SubElement(root, kind, {"name": name}).text = str(value)
    for disk in sorted(keep):
        ET.SubElement(root, "keep", {"disk": disk})
    return ET.tostring(root, encoding="unicode")


def source_of(interface: ET.Element) -> str:
    """What a network card is on, as a Site's `networks` writes it: libvirt's network `NAME`, or `bridge:NAME`."""
    source = interface.find("source")
    kind, has = interface.get("type", ""), {} if source is None else source.attrib
    return str(has.get("network")) if kind == "network" else f"{kind}:{has.get('bridge') or has.get('dev') or ''}"


def interface_on(source: str) -> str:
    """A new network card there. It has an address of its own from here: live and for the next start it is the same."""
    network = "" if ":" in source else source
    card = ET.Element("interface", {"type": "network" if network else "bridge"})
    ET.SubElement(card, "source", {"network": network} if network else {"bridge": source.partition(":")[2]})
    ET.SubElement(card, "mac", {"address": "52:54:00:" + ":".join(f"{secrets.randbelow(256):02x}" for _ in range(3))})
    ET.SubElement(card, "model", {"type": "virtio"})
    return ET.tostring(card, encoding="unicode")

#!/usr/bin/python
"""Puts a small image, as base64, into a storage pool as a volume, in place of one of that name."""

from __future__ import annotations

import base64
import xml.etree.ElementTree as ET

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.orchestrator_libvirt import FAILURES, connected, said


def put(uri: str, pool: str, name: str, content: bytes) -> None:
    """Put it there. One that is there may have been cut short."""
    connection = connected(uri)
    folder = connection.storagePoolLookupByName(pool)
    if name in folder.listVolumes():
        folder.storageVolLookupByName(name).delete()
    volume = ET.Element("volume")
    ET.SubElement(volume, "name").text = name
    ET.SubElement(volume, "capacity", {"unit": "bytes"}).text = str(len(content))
    target = ET.SubElement(volume, "target")
    ET.SubElement(target, "format", {"type": "raw"})
    ET.SubElement(ET.SubElement(target, "permissions"), "mode").text = "0600"  # what cloud-init is told may be secret
    made = folder.createXML(ET.tostring(volume, encoding="unicode"))
    stream = connection.newStream()
    made.upload(stream, 0, len(content))
    stream.sendAll(lambda _, count, rest: rest.pop(0) if rest else b"", parts(content))
    stream.finish()


def parts(content: bytes) -> list[bytes]:
    """Pieces that fit into one message of libvirt's protocol."""
    return [content[at : at + 65536] for at in range(0, len(content), 65536)]


def main() -> None:
    """Put it there."""
    module = AnsibleModule(
        {
            "uri": {"type": "str", "required": True},
            "pool": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "content": {"type": "str", "required": True, "no_log": True},
        }
    )
    asked = module.params
    try:
        put(asked["uri"], asked["pool"], asked["name"], base64.b64decode(asked["content"]))
    except FAILURES as error:
        module.fail_json(msg=said(error))
    module.exit_json(changed=True)


if __name__ == "__main__":
    main()

"""Reads {name, id, macs, user} from stdin, writes a NoCloud seed for cloud-init (an ISO image) to stdout, as base64."""

from __future__ import annotations

import base64
import io
import json
import sys
from collections.abc import Mapping
from typing import Any

import pycdlib


def files_of(asked: Mapping[str, Any]) -> dict[str, str]:
    """The seed's files. Without a network configuration cloud-init asks for an address on the first card alone."""
    files = {
        "meta-data": json.dumps({"instance-id": asked["id"], "local-hostname": asked["name"]}),
        "user-data": asked["user"],
    }
    if len(asked["macs"]) > 1:
        cards = {
            f"net{index}": {"match": {"macaddress": mac}, "dhcp4": True, "optional": index > 0}
            for index, mac in enumerate(asked["macs"])
        }
        files["network-config"] = json.dumps({"version": 2, "ethernets": cards})
    return files


def image_of(files: Mapping[str, str]) -> bytes:
    """An ISO image with these files, named as cloud-init looks for it."""
    image = pycdlib.PyCdlib()
    image.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident="cidata")
    for name, text in files.items():
        data = text.encode()
        short = name.replace("-", "_").upper()
        image.add_fp(io.BytesIO(data), len(data), f"/{short}.;1", rr_name=name, joliet_path=f"/{name}")
    written = io.BytesIO()
    image.write_fp(written)
    return written.getvalue()


if __name__ == "__main__":
    sys.stdout.write(base64.b64encode(image_of(files_of(json.load(sys.stdin)))).decode())

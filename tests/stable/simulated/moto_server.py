"""moto's server, with a quota that moto does not know: Amazon refuses instances beyond the account's vCPUs."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.elastic_block_store import Volume
from moto.ec2.models.instances import InstanceBackend
from moto.server import main

MADE, HOLD = (Path(sys.argv[2], name) for name in ("made", "hold"))
BEYOND = "m7i.8xlarge"
made, volume = InstanceBackend.run_instances, Volume.__init__


def refused(self: Any, *args: Any, **kwargs: Any) -> Any:
    """As EC2 answers where the quota does not suffice."""
    if kwargs.get("instance_type") == BEYOND:
        raise EC2ClientError("VcpuLimitExceeded", "You have requested more vCPU capacity than your current limit of 16")
    reservation = made(self, *args, **kwargs)
    MADE.touch()
    while HOLD.exists():  # a test cuts the making here
        time.sleep(0.05)
    return reservation


def whole(self: Any, *args: Any, **kwargs: Any) -> None:
    """With the fields that EC2 always gives, which moto leaves out where they are empty."""
    volume(self, *args, **kwargs)
    self.multi_attach_enabled = bool(self.multi_attach_enabled)
    self.snapshot_id = self.snapshot_id or ""


InstanceBackend.run_instances = refused
Volume.__init__ = whole
main(["-H", "127.0.0.1", "-p", sys.argv[1]])

"""moto's server, with a quota that moto does not know: Amazon refuses instances beyond the account's vCPUs."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.elastic_block_store import EBSBackend, Volume
from moto.ec2.models.instances import InstanceBackend
from moto.server import main

MADE, HOLD, NO_SNAPSHOTS = (Path(sys.argv[2], name) for name in ("made", "hold", "no-snapshots"))
BEYOND = "m7i.8xlarge"
made, volume, kept = InstanceBackend.run_instances, Volume.__init__, EBSBackend.create_snapshot


def refused(self: Any, *args: Any, **kwargs: Any) -> Any:
    """As EC2 answers where the quota does not suffice."""
    if kwargs.get("instance_type") == BEYOND:
        raise EC2ClientError("VcpuLimitExceeded", "You have requested more vCPU capacity than your current limit of 16")
    reservation = made(self, *args, **kwargs)
    MADE.touch()
    while HOLD.exists():  # a test cuts the making here
        time.sleep(0.05)
    return reservation


def limited(self: Any, volume_id: str, description: str, *args: Any, **kwargs: Any) -> Any:
    """As EC2 answers where there may be no more snapshots: here of one machine."""
    if NO_SNAPSHOTS.exists() and description.startswith(f"{NO_SNAPSHOTS.read_text()} "):
        why = "The maximum per account snapshot limit has been reached"
        raise EC2ClientError("SnapshotLimitExceeded", why)
    return kept(self, volume_id, description, *args, **kwargs)


def whole(self: Any, *args: Any, **kwargs: Any) -> None:
    """With the fields that EC2 always gives, which moto leaves out where they are empty."""
    volume(self, *args, **kwargs)
    self.multi_attach_enabled = bool(self.multi_attach_enabled)
    self.snapshot_id = self.snapshot_id or ""


InstanceBackend.run_instances = refused
EBSBackend.create_snapshot = limited
Volume.__init__ = whole
main(["-H", "127.0.0.1", "-p", sys.argv[1]])

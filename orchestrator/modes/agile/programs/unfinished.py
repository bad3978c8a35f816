"""An object that was applied and did not become ready: told to the engine so that its state has it, as unfinished.

Without that the state would still have what was before, and a return to that would look as if nothing differed.
"""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf import any_pb2
from pulumi.runtime.proto import provider_pb2, status_pb2

_DETAILS = "grpc-status-details-bin"  # where gRPC has a status with details


class Unfinished(Exception):  # noqa: N818 - told to the engine
    """Why it is not ready, for a person; the object as it lives."""

    def __init__(self, why: str, live: dict[str, Any]) -> None:
        super().__init__(why)
        self.why, self.live = why, live


def tell(context: Any, why: str, resource_id: str, properties: Any, inputs: Any) -> None:
    """End the call with the resource's id and its properties as protobuf structs; the engine tries it again."""
    failed = provider_pb2.ErrorResourceInitFailed(id=resource_id, properties=properties, inputs=inputs, reasons=[why])
    detail = any_pb2.Any()
    detail.Pack(failed)
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=why, details=[detail])
    context.set_trailing_metadata(((_DETAILS, status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNKNOWN, why)

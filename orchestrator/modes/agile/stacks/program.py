"""The inline Pulumi program of a stack: registers the changed objects, kind by kind, on the engine's monitor.

Raw registrations instead of the SDK's resources: several times as fast, and nothing is converted on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from orchestrator.model.values import Secret, Value
from orchestrator.modes.agile.objects import group_of
from orchestrator.modes.agile.ordering import CONFIGURATION, rank

_SIGNATURE = "4dabf18193072939515e22adb298388d"  # Pulumi's mark of a special value in a Struct
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - and the one that says: secret
# What is waited for needs a thread each; what is done with its first answer is limited by the API server anyway.
_WAITED_FOR_AT_ONCE, _AT_ONCE = 256, 8

PROJECT = "orchestrator"


@dataclass(frozen=True, slots=True)
class Resource:
    """One object as Pulumi knows it: its name is the unit's identity."""

    name: str
    kind: str
    manifest: Mapping[str, Value]

    @property
    def type(self) -> str:
        """`kubernetes:apps/v1:Deployment`."""
        version = str(self.manifest.get("apiVersion"))
        return f"kubernetes:{version if group_of(version) else f'core/{version}'}:{self.manifest.get('kind')}"


def urn(stack: str, resource: Resource) -> str:
    """What the engine calls it."""
    return f"urn:pulumi:{stack}::{PROJECT}::{resource.type}::{resource.name}"


def name_of_urn(urn: str) -> str:
    """A resource's name; names may themselves contain colons."""
    return urn.split("::", 3)[-1]


def program(
    resources: Sequence[Resource],
    may_start: Callable[[Resource], bool],
    refused: Callable[[Resource, str], None],
) -> Callable[[], None]:
    """The program; `may_start` is asked before an object is registered, `refused` is told what the engine refuses."""

    def register() -> None:
        from pulumi.runtime.settings import get_monitor

        monitor = get_monitor()
        ordered = sorted(resources, key=lambda r: (rank(r.kind), r.name))
        for place, group in groupby(ordered, key=lambda r: rank(r.kind)):
            started = [resource for resource in group if may_start(resource)]
            if not started:
                continue
            most = _AT_ONCE if place == CONFIGURATION else _WAITED_FOR_AT_ONCE
            with ThreadPoolExecutor(max_workers=min(len(started), most)) as pool:
                list(pool.map(lambda resource: _register(monitor, resource, refused), started))

    return register


def _register(monitor: Any, resource: Resource, refused: Callable[[Resource, str], None]) -> None:
    import grpc
    from google.protobuf.struct_pb2 import Struct
    from pulumi.runtime.proto import resource_pb2

    inputs = Struct()
    try:
        inputs.update(_inputs(resource.manifest))
    except (TypeError, ValueError) as error:
        refused(resource, f"the manifest is not JSON data: {error}")
        return
    request = resource_pb2.RegisterResourceRequest(
        type=resource.type,
        name=resource.name,
        custom=True,
        object=inputs,
        acceptSecrets=True,
        acceptResources=True,
        supportsResultReporting=True,
    )
    try:
        monitor.RegisterResource(request)
    except grpc.RpcError as error:
        refused(resource, str(error.details()))


def _inputs(manifest: Mapping[str, Value]) -> dict[str, Any]:
    """The manifest with everything secret marked, so that the engine encrypts it in its state."""
    hidden = ("data", "stringData") if manifest.get("kind") == "Secret" else ()
    return {key: _secret(_plain(value)) if key in hidden else _marked(value) for key, value in manifest.items()}


def _marked(value: Value) -> Any:
    if isinstance(value, Mapping):
        return {key: _marked(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_marked(inner) for inner in value]
    return _secret(value.reveal()) if isinstance(value, Secret) else value


def _plain(value: Value) -> Any:
    from orchestrator.model.values import revealed

    return revealed(value)


def _secret(value: Any) -> dict[str, Any]:
    return {_SIGNATURE: _SECRET, "value": value}

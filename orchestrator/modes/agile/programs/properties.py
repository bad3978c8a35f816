"""What the provider of `kubernetes:` types says of properties: names, differences, and what of them is secret."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from pulumi.runtime.proto import provider_pb2

from orchestrator.modes.agile.diff.immutable import is_immutable
from orchestrator.modes.agile.objects import MANAGER, Object, metadata
from orchestrator.modes.agile.programs.structs import Path, struct

AUTONAMED = "pulumi.com/autonamed"
OFFICIAL = "with `agile.programs.provider: official` in the Site, Pulumi's own Kubernetes plugin serves it"


class NotServed(Exception):  # noqa: N818 - told to the engine
    """A type that is no object of a cluster."""


def type_of(urn: str) -> tuple[str, str]:
    """apiVersion and kind of `kubernetes:apps/v1:Deployment`. Raises NotServed for what is no object."""
    token = urn.split("::", 3)[2].split("$")[-1]
    _, version, kind = token.split(":")
    if version.startswith(("helm.sh/", "kustomize", "yaml")) or kind.endswith(("Patch", "List")):
        raise NotServed(f"{token} is not served here; {OFFICIAL}")
    return version.removeprefix("core/"), kind


def named(urn: str, seed: bytes) -> str:
    """A name for what has none, the same in a preview and in the update that follows it."""
    ending = hashlib.sha256(urn.encode() + seed).hexdigest()[:8]
    return f"{urn.rpartition('::')[2].lower()[:54]}-{ending}"


def is_autonamed(thing: Object) -> bool:
    """Whether its name was made here, so that another one may take its place."""
    return (metadata(thing).get("annotations") or {}).get(AUTONAMED) == "true"


def id_of(thing: Object) -> str:
    """`namespace/name`, or `name`."""
    meta = metadata(thing)
    return f"{meta['namespace']}/{meta.get('name')}" if meta.get("namespace") else str(meta.get("name"))


def secrets(thing: Mapping[str, Any], secret: set[Path]) -> set[Path]:
    """The places of what is secret: what is marked so, and all data of a Secret."""
    if thing.get("kind") != "Secret":
        return secret
    return secret | {(key,) for key in ("data", "stringData") if key in thing}


def outputs(live: Mapping[str, Any], inputs: Mapping[str, Any], secret: set[Path]) -> Any:
    """The object as it lives, secret where its inputs are; of lists, the whole list."""
    kept = {key: value for key, value in live.items() if key not in ("managedFields",)}
    kept["metadata"] = {key: value for key, value in metadata(live).items() if key != "managedFields"}
    marks = {path[: next((i for i, step in enumerate(path) if isinstance(step, int)), len(path))] for path in secret}
    marks = secrets(kept, marks) | ({("__inputs",)} if secret or inputs.get("kind") == "Secret" else set())
    if ("stringData",) in marks:
        marks.add(("data",))
    whole = {
        **kept,
        "__inputs": dict(inputs),
        "__initialApiVersion": inputs.get("apiVersion"),
        "__fieldManager": MANAGER,
    }
    return struct(whole, marks)


def projected(inputs: Any, live: Any) -> Any:
    """The live values of what the inputs say."""
    if isinstance(inputs, Mapping) and isinstance(live, Mapping):
        return {key: projected(value, live[key]) for key, value in inputs.items() if key in live}
    return live


def changed(old: Any, new: Any, path: Path) -> Iterator[Path]:
    """The places at which two inputs differ; of lists of another length, the list."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            if key not in old or key not in new:
                yield (*path, key)
            else:
                yield from changed(old[key], new[key], (*path, key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, pair in enumerate(zip(old, new, strict=True)):
            yield from changed(*pair, (*path, index))
    elif old != new:
        yield path


def forces(old: Object, path: Path) -> bool:
    """Whether a difference there can only be made with a new object."""
    names = tuple(step for step in path if isinstance(step, str))
    return names in (("metadata", "name"), ("metadata", "namespace")) or is_immutable(old, names)


def property_diff(old: Any, new: Any, path: Path, *, forced: bool) -> Any:
    """What kind of difference there is."""
    kinds = provider_pb2.PropertyDiff
    there, wanted = _has(old, path), _has(new, path)
    if forced:
        kind = kinds.UPDATE_REPLACE if there and wanted else kinds.ADD_REPLACE if wanted else kinds.DELETE_REPLACE
    else:
        kind = kinds.UPDATE if there and wanted else kinds.ADD if wanted else kinds.DELETE
    return kinds(kind=kind, inputDiff=True)


def _has(value: Any, path: Path) -> bool:
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def written(path: Path) -> str:
    """`spec.ports[0].port`, `data["a.b"]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif "." in step or "[" in step or '"' in step:
            escaped = step.replace('"', '\\"')
            text += f'["{escaped}"]'
        else:
            text += f".{step}" if text else step
    return text

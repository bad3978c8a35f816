"""What would go with a Namespace or a CustomResourceDefinition, and what keeps a thing that is being deleted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from orchestrator.modes.agile.client.api import ONLY_METADATA, Api, RefusedError
from orchestrator.modes.agile.client.discovery import Kind, Kinds
from orchestrator.modes.agile.objects import Object, kind_of, metadata

# What a cluster puts into every namespace by itself.
_EVERYWHERE = {
    ("ServiceAccount", "default"),
    ("ConfigMap", "kube-root-ca.crt"),
    ("ConfigMap", "openshift-service-ca.crt"),
}
_FLEETING = ("Event", "Event.events.k8s.io", "EndpointSlice.discovery.k8s.io", "Endpoints")
_PARALLEL = 8


def what_goes_with(api: Api, kinds: Kinds, live: Object, inventory: str) -> str | None:
    """Why deleting this object would take others along; None if it would not. Raises UnreachedError and RefusedError.

    `inventory` is the name of the ConfigMap that may go along: the workload's own inventory.
    """
    kind = kind_of(str(live.get("apiVersion")), str(live.get("kind")))
    name = str(metadata(live).get("name"))
    if kind == "Namespace" and (found := next(contents(api, kinds, name, but=inventory), None)):
        return f"the namespace still holds {found}, and would take it along"
    if kind == "CustomResourceDefinition.apiextensions.k8s.io":
        spec = live.get("spec") or {}
        served = kinds.find(f"{spec.get('names', {}).get('kind')}.{spec.get('group')}")
        found_one = served and (_items(api, served.collection()) or [])
        if found_one:
            one = found_one[0].get("metadata") or {}
            return f"objects of its kind still exist ({one.get('namespace', '')}/{one.get('name')}), and would go along"
    return None


def contents(api: Api, kinds: Kinds, namespace: str, *, but: str = "") -> Iterator[str]:
    """What is in a namespace beyond what the cluster puts there by itself, as `ConfigMap settings`.

    What cannot be looked for counts as there; the ConfigMap named `but` does not. Raises UnreachedError.
    """

    def look(kind: Kind) -> list[str]:
        try:
            items = _items(api, kind.collection(namespace))
        except RefusedError as refused:
            if refused.status in (404, 405):
                return []
            return [f"perhaps a {kind.kind} ({refused.message})"]
        return [f"{kind.kind} {item['metadata']['name']}" for item in items if _counts(kind, item, but)]

    listable = [k for k in kinds.all() if k.namespaced and "list" in k.verbs and k.name not in _FLEETING]
    with ThreadPoolExecutor(max_workers=_PARALLEL) as pool:
        for found in pool.map(look, sorted(listable, key=lambda k: k.name)):
            yield from found


def what_blocks(live: Object) -> str:
    """What keeps an object that is being deleted, for a person."""
    found = [
        str(condition.get("message"))
        for condition in (live.get("status") or {}).get("conditions") or []
        if condition.get("status") == "True" and str(condition.get("type", "")).startswith("Namespace")
    ]
    if found:
        return "; ".join(found)
    finalizers = metadata(live).get("finalizers") or []
    return f"its finalizers: {', '.join(finalizers)}" if finalizers else "it is ending"


def _counts(kind: Kind, item: Mapping[str, Any], but: str) -> bool:
    meta = item.get("metadata") or {}
    if kind.name == "ConfigMap" and meta.get("name") == but:
        return False
    owned = any(owner.get("controller") for owner in meta.get("ownerReferences") or [])
    return not owned and not meta.get("deletionTimestamp") and (kind.name, meta.get("name")) not in _EVERYWHERE


def _items(api: Api, path: str) -> list[Mapping[str, Any]]:
    answer = api.get(path, accept=ONLY_METADATA, limit="50")
    items: list[Mapping[str, Any]] = answer.get("items") or []
    return items

"""Who made an object that is not ours, and letting go of what such makers still hold once it is. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.modes.agile.objects import MANAGED_BY, MANAGER, Object, annotation, metadata

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
# Field managers of programs that people start: what they hold of a field is only that somebody has once applied it.
_TOOLS = ("kubectl", "helm", "pulumi", "terraform", "hashicorp", "before-first-apply")
_KUBECTL = {"kubectl-client-side-apply": "kubectl apply", "kubectl": "kubectl apply --server-side"}


def made_by(live: Object) -> str:
    """Who made it, for a person, as far as its marks tell; empty where they do not."""
    return _by_marks(live) or _by_managers(live)


def _by_marks(live: Object) -> str:
    labels = metadata(live).get("labels") or {}
    if release := annotation(live, "meta.helm.sh/release-name"):
        where = annotation(live, "meta.helm.sh/release-namespace")
        return f"Helm release {release}" + (f" in namespace {where}" if where else "")
    for label, what in (
        ("kustomize.toolkit.fluxcd.io/name", "Flux kustomization"),
        ("helm.toolkit.fluxcd.io/name", "Flux Helm release"),
        ("argocd.argoproj.io/instance", "Argo CD application"),
    ):
        if label in labels:
            return f"{what} {labels[label]}"
    if tracked := annotation(live, "argocd.argoproj.io/tracking-id"):
        return f"Argo CD application {tracked.partition(':')[0]}"
    for owner in metadata(live).get("ownerReferences") or []:
        if owner.get("controller"):
            return f"{owner.get('kind')} {owner.get('name')}"
    by = str(labels.get(MANAGED_BY, ""))
    if by.lower() == "pulumi" or any(m.startswith("pulumi") for m in _managers(live)):
        return "Pulumi"
    return by if by and by != MANAGER else ""


def _by_managers(live: Object) -> str:
    found = _managers(live)
    for manager, words in _KUBECTL.items():
        if manager in found:
            return words
    if annotation(live, _LAST_APPLIED):
        return "kubectl apply"
    return found[0] if found else ""


def _managers(live: Object) -> list[str]:
    """The managers of its fields, the first who wrote first; status left out."""
    entries = [e for e in metadata(live).get("managedFields") or [] if not e.get("subresource")]
    return [str(e.get("manager")) for e in sorted(entries, key=lambda e: str(e.get("time", "")))]


def without_tools(live: Object) -> list[dict[str, Any]] | None:
    """Its managedFields in which tools do not hold any more what we hold; None where none of them does.

    What a tool holds beside us would stay when we do not declare it any more.
    """
    entries = metadata(live).get("managedFields") or []
    mine = next((e for e in entries if e.get("manager") == MANAGER and e.get("operation") == "Apply"), None)
    if mine is None:
        return None
    kept: list[dict[str, Any]] = []
    changed = False
    for entry in entries:
        same_version = entry.get("apiVersion") == mine.get("apiVersion")
        if entry is mine or entry.get("subresource") or not same_version or not _is_tool(entry):
            kept.append(entry)
            continue
        left = _less(entry.get("fieldsV1") or {}, mine.get("fieldsV1") or {})
        changed = changed or left != entry.get("fieldsV1")
        if left:
            kept.append({**entry, "fieldsV1": left})
    return kept if changed else None


def _is_tool(entry: Mapping[str, Any]) -> bool:
    return str(entry.get("manager", "")).lower().startswith(_TOOLS)


def _less(tree: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """A tree of owned fields without those of another one."""
    left: dict[str, Any] = {}
    for key, below in tree.items():
        if key not in ours:
            left[key] = below
        elif rest := _less(below, ours[key]):
            left[key] = rest
    return left

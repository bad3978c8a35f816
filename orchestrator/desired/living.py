"""What a workload says about its objects as they live: when they work, and which of their fields are others'."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from orchestrator.desired.blueprints import Agile
from orchestrator.desired.here import Here
from orchestrator.desired.objects import Manifest
from orchestrator.desired.scopes import is_custom
from orchestrator.model.source import Diagnostic, Source


def rules_for(workload: Agile, manifest: Manifest) -> dict[str, Any]:
    """What goes into a unit's spec: `contested`; `ignore` and `ready` where they are about this object."""
    model = workload.model
    found: dict[str, Any] = {"contested": model.contested}
    if ignored := [path for each in model.ignore if _matches(each.kind, each.name, manifest) for path in each.paths]:
        found["ignore"] = ignored
    for rule in workload.ready:
        if is_custom(manifest.kind) if rule.kind is None else _matches(rule.kind, rule.name, manifest):
            found["ready"] = rule.condition
            if rule.within is not None:
                found["timeout"] = rule.within
            break
    return found


def unmatched(here: Here, workload: Agile, manifests: Sequence[Manifest]) -> Iterator[Diagnostic]:
    """A warning for each `ready` and `ignore` that is about none of the workload's objects."""
    rules: list[tuple[str | None, str | None, Source]] = []
    for index, ignore in enumerate(workload.model.ignore):
        rules.append((ignore.kind, ignore.name, here.source(workload, "ignore", index)))
    if not isinstance(workload.model.ready, str):
        for index, ready in enumerate(workload.model.ready):
            rules.append((ready.kind, ready.name, here.source(workload, "ready", index)))
    for kind, name, source in rules:
        if not any(_matches(kind, name, manifest) for manifest in manifests):
            what = " ".join(part for part in (kind, name) if part)
            kinds = sorted({manifest.kind.partition(".")[0] for manifest in manifests})
            hint = f"it has {', '.join(kinds) or 'nothing'}"
            yield Diagnostic(source, f"the workload has no {what}", hint, "warning")


def _matches(kind: str | None, name: str | None, manifest: Manifest) -> bool:
    """Whether a kind (with or without its group; None: any) and a name (None: any) are a manifest's."""
    kinds = (None, manifest.kind, manifest.kind.partition(".")[0])
    return kind in kinds and name in (None, manifest.name.rpartition("/")[2])

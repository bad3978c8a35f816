"""The units of an agile workload: one per Kubernetes object."""

from __future__ import annotations

from orchestrator.desired import manifests
from orchestrator.desired.blueprints import Agile, Ref
from orchestrator.desired.here import Here
from orchestrator.desired.kept import frozen
from orchestrator.desired.manifests import Manifest
from orchestrator.model.address import Address, Mode
from orchestrator.model.source import Diagnostic
from orchestrator.model.unit import Unit
from orchestrator.model.values import Secret, Unknown


def resolve(here: Here, ref: Ref) -> None:
    """The workload's objects, units and outputs."""
    workload = here.blueprint.agile[ref[1]]
    lookup = here.lookup(ref)
    namespace = _namespace(here, ref, workload)
    if namespace is None:
        return
    variables = {name: each.value(lookup, here.report) for name, each in workload.vars.items()}
    folder = here.blueprint.source.folder
    files = manifests.files_of(folder, workload.model.manifests)

    def report(diagnostic: Diagnostic) -> None:
        here.partial.add(ref[1])
        here.report(diagnostic)

    def made() -> tuple[list[Manifest], list[Diagnostic]]:
        told: list[Diagnostic] = []
        return manifests.objects(folder, files, here.templates, variables, namespace, told.append), told

    found, wrong = here.templates.kept.of((tuple(files), namespace, frozen(variables)), made)
    for diagnostic in wrong:
        report(diagnostic)
    here.objects[ref[1]] = found
    here.units[ref] = _units(here, ref, workload, found, namespace)
    here.outputs[ref] = {name: each.value(lookup, here.report) for name, each in workload.outputs.items()}


def _namespace(here: Here, ref: Ref, workload: Agile) -> str | None:
    value = workload.namespace.value(here.lookup(ref), here.report)
    source = workload.namespace.source
    if isinstance(value, Unknown | Secret):
        if value != Unknown("string"):
            here.report(Diagnostic(source, "`namespace` must be known and plain", "it is a part of what objects are"))
        return None
    if not manifests.is_namespace(str(value)):
        hint = "it has lower-case letters, digits and `-`, at most 63"
        here.report(Diagnostic(source, f"`{str(value)[:80]}` is not a namespace's name", hint))
        return None
    return str(value)


def _units(here: Here, ref: Ref, workload: Agile, found: list[Manifest], namespace: str) -> list[Unit]:
    needs, protected = here.needed(ref), here.protected(workload)
    return [
        Unit(
            address=Address(here.site_name, here.placement, Mode.AGILE, ref[1], each.kind, each.name),
            spec={
                "object": dict(each.data),
                "timeout": workload.timeout,
                "namespace": namespace,
                "where": f"{each.where.file}:{each.where.line}",
            },
            inputs={"object": dict(each.data)},
            identity=each.identity,
            source=each.where,
            needs=needs,
            protected=protected,
            blueprint=here.blueprint.label,
        )
        for each in found
    ]

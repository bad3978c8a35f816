"""The units of an agile workload: one per Kubernetes object, or one for a Pulumi program."""

from __future__ import annotations

from orchestrator.desired import living, objects, programs
from orchestrator.desired.blueprints import Agile, Ref
from orchestrator.desired.helm import hook_stage
from orchestrator.desired.here import Here
from orchestrator.desired.objects import Manifest
from orchestrator.desired.sources import RENDERED, SOURCES, Asked
from orchestrator.model.address import Address, Mode
from orchestrator.model.observation import Note
from orchestrator.model.source import Diagnostic
from orchestrator.model.unit import Unit
from orchestrator.model.values import Secret, Unknown


def resolve(here: Here, ref: Ref) -> None:
    """The workload's objects, units and outputs."""
    workload = here.blueprint.agile[ref[1]]
    namespace = _namespace(here, ref, workload)
    if namespace is None:
        return
    if workload.model.program is not None:
        programs.resolve(here, ref, workload, namespace)
        return
    found, wrong = _objects(here, ref, workload, namespace)
    for diagnostic in wrong:
        if diagnostic.severity == "warning":
            here.notes.append(Note(here.site_name, here.placement, f"agile {ref[1]}: {diagnostic.message}"))
            continue
        here.partial.add(ref[1])
        here.report(diagnostic)
    if here.render is None and workload.model.source in RENDERED:
        here.partial.add(ref[1])
    here.objects[ref[1]] = found
    for diagnostic in living.unmatched(here, workload, found) if ref[1] not in here.partial else ():
        here.report(diagnostic)
    here.units[ref] = _units(here, ref, workload, found, namespace)
    lookup = here.lookup(ref)
    here.outputs[ref] = {name: each.value(lookup, here.report) for name, each in workload.outputs.items()}


def _objects(here: Here, ref: Ref, workload: Agile, namespace: str) -> tuple[list[Manifest], list[Diagnostic]]:
    """What its source makes, and what is wrong with it; kept for what it is made from."""
    recipe = SOURCES[workload.model.source](Asked(here, ref, workload, namespace))
    before = frozenset(here.cluster_kinds)

    def made() -> tuple[list[Manifest], list[Diagnostic], set[str]]:
        told: list[Diagnostic] = []
        kinds = set(before)
        documents = recipe.make(told.append)
        return objects.objects_of(documents, namespace, told.append, kinds), told, kinds

    key = (workload.model.source, recipe.key, namespace, before)
    found, wrong, kinds = here.templates.kept.of(key, made)
    here.cluster_kinds |= kinds
    return found, wrong


def _namespace(here: Here, ref: Ref, workload: Agile) -> str | None:
    value = workload.namespace.value(here.lookup(ref), here.report)
    source = workload.namespace.source
    if isinstance(value, Unknown | Secret):
        if value != Unknown("string"):
            here.report(Diagnostic(source, "`namespace` must be known and plain", "it is a part of what objects are"))
        return None
    if not objects.is_namespace(str(value)):
        hint = "it has lower-case letters, digits and `-`, at most 63"
        here.report(Diagnostic(source, f"`{str(value)[:80]}` is not a namespace's name", hint))
        return None
    return str(value)


def _units(here: Here, ref: Ref, workload: Agile, found: list[Manifest], namespace: str) -> list[Unit]:
    protected = here.protected(workload)
    needs = _needs(here, ref, workload, found)
    return [
        Unit(
            address=_address(here, ref, each),
            spec={
                "object": dict(each.data),
                "timeout": workload.timeout,
                "namespace": namespace,
                "where": f"{each.where.file}:{each.where.line}",
                **living.rules_for(workload, each),
            },
            inputs={"object": dict(each.data)},
            identity=each.identity,
            source=each.where,
            needs=before,
            protected=protected,
            blueprint=here.blueprint.label,
            at=each.at,
        )
        for each, before in zip(found, needs, strict=True)
    ]


def _address(here: Here, ref: Ref, manifest: Manifest) -> Address:
    return Address(here.site_name, here.placement, Mode.AGILE, ref[1], manifest.kind, manifest.name)


def _needs(here: Here, ref: Ref, workload: Agile, found: list[Manifest]) -> list[frozenset[Address]]:
    """What comes before each object: the workload's needs, and of a chart with hooks those of the stage before."""
    outside = here.needed(ref)
    stages = [hook_stage(each.data) if workload.model.source == "helm" else (0, 0) for each in found]
    before: dict[tuple[int, int], frozenset[Address]] = {}
    last: frozenset[Address] = frozenset()
    for stage in sorted(set(stages)):
        before[stage] = outside | last
        last = frozenset(_address(here, ref, each) for each, own in zip(found, stages, strict=True) if own == stage)
    return [before[stage] for stage in stages]

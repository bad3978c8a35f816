"""The units of a stable workload: its machines, where they are made, and what is configured in each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.desired import configured_files
from orchestrator.desired.blueprints import Ref, Stable
from orchestrator.desired.fields import Field
from orchestrator.desired.here import Here
from orchestrator.desired.machine_inputs import wrong_inputs
from orchestrator.desired.machines import Machine, Unbound, provisioned, static
from orchestrator.desired.manifests import files_of
from orchestrator.documents.source_paths import inside
from orchestrator.model.address import CONFIGURATION, Address, Mode
from orchestrator.model.source import Diagnostic
from orchestrator.model.unit import Unit
from orchestrator.model.values import Secret, Unknown, Value

MAX_MACHINES = 10_000


def resolve(here: Here, ref: Ref) -> None:
    """The workload's machines, units and outputs; nothing where its machines cannot be told."""
    workload = here.blueprint.stable[ref[1]]
    machines = _machines(here, ref, workload)
    if machines is None:
        return
    here.machines[ref[1]] = machines
    here.units[ref] = [*_machine_units(here, ref, workload), *_configurations(here, ref, workload)]
    lookup = here.lookup(ref)
    here.outputs[ref] = {name: each.value(lookup, here.report) for name, each in workload.outputs.items()}


def _machines(here: Here, ref: Ref, workload: Stable) -> list[Machine] | None:
    count = workload.count.value(here.lookup(ref), here.report)
    source = workload.count.source
    if isinstance(count, Unknown | Secret):
        if count != Unknown("integer"):  # that is a parameter that is missing, which is told already
            here.report(Diagnostic(source, "the number of machines must be known and plain"))
        return None
    if not isinstance(count, int) or not 0 <= count <= MAX_MACHINES:
        here.report(Diagnostic(source, f"`count` must be between 0 and {MAX_MACHINES}, not {count}"))
        return None
    if here.provider is not None and here.provider.manifest.provisions:
        return provisioned(here.site_name, here.placement, ref[1], count, here.known)
    try:
        return static(here.site, ref[1], count, source, here.known)
    except Unbound as unbound:
        here.report(unbound.diagnostic)
        return None


def _machine_units(here: Here, ref: Ref, workload: Stable) -> list[Unit]:
    machines = [(machine, machine.unit) for machine in here.machines[ref[1]] if machine.unit is not None]
    if not machines:
        return []
    lookup, needs = here.lookup(ref), here.needed(ref)
    inputs: dict[str, Value] = {key: each.value(lookup, here.report) for key, each in workload.machine.items()}
    labels: dict[str, Value] = {key: each.value(lookup, here.report) for key, each in workload.labels.items()}
    if labels:
        inputs["labels"] = labels
    for diagnostic in wrong_inputs(here, workload, inputs):
        here.report(diagnostic)
    return [
        Unit(
            address=address,
            spec={"name": machine.name, **inputs},
            inputs=inputs,
            identity=f"machine:{machine.name}",
            source=here.source(workload, "machines"),
            needs=needs,
            protected=here.protected(workload),
            blueprint=here.blueprint.label,
        )
        for machine, address in machines
    ]


def _configurations(here: Here, ref: Ref, workload: Stable) -> list[Unit]:
    configure = workload.model.configure
    if configure is None and not workload.ready:
        return []
    needed = here.needed(ref)
    spec, inputs = _configured(here, ref, workload)
    what = _what(here, ref, spec)
    if _refers_to_machines(workload):
        needed |= {machine.unit for machine in here.machines[ref[1]] if machine.unit}
    return [
        Unit(
            address=Address(here.site_name, here.placement, Mode.STABLE, ref[1], CONFIGURATION, machine.label),
            spec={"host": machine.name, **spec},
            inputs=inputs,
            identity=f"{machine.name}:{what}",
            source=here.source(workload, "configure" if configure else "ready"),
            needs=needed | ({machine.unit} if machine.unit else set()),
            protected=here.protected(workload),
            blueprint=here.blueprint.label,
        )
        for machine in here.machines[ref[1]]
    ]


def _configured(here: Here, ref: Ref, workload: Stable) -> tuple[dict[str, Value], dict[str, Value]]:
    """What all machines of a workload are configured with, and the inputs that make a difference."""
    configure, lookup = workload.model.configure, here.lookup(ref)
    variables = {name: each.value(lookup, here.report) for name, each in workload.vars.items()}
    folder = here.blueprint.source.folder
    spec: dict[str, Value] = {
        "playbook": _path(configure.playbook if configure else None),
        "roles": list(configure.roles) if configure else [],
        "remove": _path(configure.remove if configure else None),
        "tags": list(configure.tags) if configure else [],
        "skipTags": list(configure.skip_tags) if configure else [],
        "vars": variables,
        "ignore": list(configure.ignore) if configure else [],
        "ready": _ready(here, ref, workload),
        "folder": str(folder.root),
        "label": folder.label,
    }
    inputs: dict[str, Value] = {f"vars.{name}": value for name, value in variables.items()}
    inputs["ready"] = spec["ready"]
    inputs |= {name: spec[name] for name in ("tags", "skipTags") if spec[name]}
    if configure is not None:
        inputs |= configured_files.digests(folder.files, configure, _manifests(here))
    return spec, inputs


def _refers_to_machines(workload: Stable) -> bool:
    """Whether a configuration is told about the other machines, so that it waits for all of them."""
    fields = [*workload.vars.values(), *(each for check in workload.ready for each in check.fields.values())]
    expressions = [expression for each in fields for expression in each.expressions()]
    return any(reference.root == "machines" for each in expressions for reference in each.compiled.references)


def _path(name: str | None) -> str | None:
    return inside(name) if name else None


def _what(here: Here, ref: Ref, spec: Mapping[str, Value]) -> str:
    """What is configured, whatever the workload is called: the blueprint's playbook or roles."""
    blueprint = here.blueprint.source.document.model.metadata.name
    roles = spec["roles"]
    assert isinstance(roles, list)
    return f"{blueprint}/{spec['playbook'] or ','.join(map(str, roles)) or ref[1]}"


def _manifests(here: Here) -> frozenset[str]:
    folder = here.blueprint.source.folder
    return frozenset(file for each in here.blueprint.agile.values() for file in files_of(folder, each.model.manifests))


def _ready(here: Here, ref: Ref, workload: Stable) -> list[Value]:
    lookup = here.lookup(ref)
    found: list[Value] = []
    for check in workload.ready:
        values = {name: each.value(lookup, here.report) for name, each in check.fields.items()}
        for name in ("tcp", "port"):
            if name in check.fields:
                _check_port(here, check.fields[name], values[name])
        what: Any = {**values, **check.plain} if check.kind == "http" else values[check.kind]
        found.append({check.kind: what, "within": check.within})
    return found


def _check_port(here: Here, each: Field, value: Value) -> None:
    if isinstance(value, int) and not 1 <= value <= 65535:
        here.report(Diagnostic(each.source, f"{each.label} must be a port from 1 to 65535, not {value}"))

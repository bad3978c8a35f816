"""One placement at one site: what its expressions see, and what comes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.desired.blueprints import Agile, Blueprint, Ref, Stable, written
from orchestrator.desired.language import Failed
from orchestrator.desired.live import SECRET, expected
from orchestrator.desired.machines import Machine
from orchestrator.desired.names import Reference
from orchestrator.desired.objects import Manifest
from orchestrator.desired.templates import Templates
from orchestrator.documents.models import Site
from orchestrator.documents.providers import Provider
from orchestrator.documents.validation import did_you_mean, one_of
from orchestrator.documents.written import Written
from orchestrator.model.address import Address, Mode, WorkloadKey
from orchestrator.model.change import Known
from orchestrator.model.observation import Note
from orchestrator.model.rendering import Renderer
from orchestrator.model.source import Diagnostic, Source
from orchestrator.model.unit import Unit
from orchestrator.model.values import Unknown, Value


@dataclass(slots=True)
class Here:
    """Filled workload by workload, each after those that it needs.

    provider   how machines are had here
    render     charts and kustomizations by the real programs; None where only documents are checked
    notes      what is left out of what was rendered
    included   the workloads that `when` lets run here
    partial    agile workloads of which some objects are wrong
    cluster_kinds  custom kinds without a namespace, from the definitions among the objects so far
    outputs    missing where a workload could not be resolved; they are unknown then, which is no further error
    """

    site: Written[Site]
    placement: str
    blueprint: Blueprint
    parameters: Mapping[str, Value]
    known: Known
    templates: Templates
    report: Callable[[Diagnostic], None]
    provider: Provider | None = None
    render: Renderer | None = None
    notes: list[Note] = field(default_factory=list)
    included: frozenset[Ref] = frozenset()
    machines: dict[str, list[Machine]] = field(default_factory=dict)
    objects: dict[str, list[Manifest]] = field(default_factory=dict)
    partial: set[str] = field(default_factory=set)
    cluster_kinds: set[str] = field(default_factory=set)
    outputs: dict[Ref, dict[str, Value]] = field(default_factory=dict)
    units: dict[Ref, list[Unit]] = field(default_factory=dict)
    published: dict[Ref, list[Unit]] = field(default_factory=dict)

    @property
    def site_name(self) -> str:
        """The site's name."""
        return self.site.model.metadata.name

    def take_over(self, before: Here, ref: Ref) -> None:
        """A workload as it was resolved elsewhere; nothing where it was not there."""
        self.units[ref] = before.units.get(ref, [])
        self.outputs[ref] = before.outputs.get(ref, {})
        self.published[ref] = before.published.get(ref, [])

    def key(self, ref: Ref) -> WorkloadKey:
        """A workload of this placement at this site."""
        return WorkloadKey(self.site_name, self.placement, *ref)

    def source(self, workload: Stable | Agile, *path: str | int) -> Source:
        """A place in the workload's part of the blueprint."""
        return self.blueprint.source.document.at.of(*workload.path, *path)

    def protected(self, workload: Stable | Agile) -> Source | None:
        """Where `protect: true` is written."""
        return self.source(workload, "protect") if workload.model.protect else None

    def needed(self, ref: Ref) -> frozenset[Address]:
        """The units that come before a workload's own: those of the workloads that it needs."""
        found = frozenset(address for each in self.blueprint.needs[ref] for address in self._last(each))
        if ref[0] == Mode.AGILE:  # pods look its name up when they start
            found |= {unit.address for each in self.blueprint.needs[ref] for unit in self.published.get(each, [])}
        return found

    def last_of(self, ref: Ref) -> frozenset[Address]:
        """The units of a workload that are done last."""
        return frozenset(self._last(ref))

    def _last(self, ref: Ref) -> Iterator[Address]:
        """A workload's units that are done last; of one without units, those of what it needs itself."""
        units = self.units.get(ref, [])
        if not units:
            for each in self.blueprint.needs[ref] if ref in self.included else ():
                yield from self._last(each)
        done = [unit.address for unit in units if unit.address.kind == "configuration"]
        yield from done or [unit.address for unit in units]

    def lookup(self, ref: Ref | None) -> Callable[[Reference], Value]:
        """What the expressions of a workload (None: of the blueprint itself) see. Raises Failed."""

        def look(reference: Reference) -> Value:
            match reference.root:
                case "parameters":
                    return self.parameters[str(reference.keys[0])]
                case "site":
                    return self._site(reference)
                case "machines":
                    return self._machine(reference, ref)
                case "objects":
                    return self._object(reference, ref)
            return self._output(reference, ref)

        return look

    def _site(self, reference: Reference) -> Value:
        model = self.site.model
        match reference.keys[0]:
            case "name":
                return self.site_name
            case "capabilities":
                return (model.spec.agile if reference.keys[1] == "cluster" else model.spec.stable) is not None
            case "labels":
                return _with(model.metadata.labels, reference, f"site {self.site_name} has no label")
        return _with(model.spec.values, reference, f"site {self.site_name} has no value")

    def _machine(self, reference: Reference, ref: Ref | None) -> Value:
        machines = self.machines.get(ref[1], []) if ref else []
        everyone: list[Value] = [machine.as_value() for machine in machines]
        if not reference.keys:
            return everyone
        index = int(reference.keys[0])
        if not 0 <= index < len(everyone):
            what = f"there is no machine {index}, the workload has {len(everyone)}"
            raise Failed(what, "machines are counted from 0", reference.last)
        one = everyone[index]
        assert isinstance(one, dict)
        return one[str(reference.keys[1])] if len(reference.keys) > 1 else one

    def _object(self, reference: Reference, ref: Ref | None) -> Value:
        wanted = str(reference.keys[0])
        objects = self.objects.get(ref[1], []) if ref else []
        found = [each for each in objects if wanted in _object_names(each)]
        if not found and ref and ref[1] in self.partial:
            return Unknown("any")  # it may be in what is told to be wrong
        if len(found) != 1:
            names = sorted({name for each in objects for name in _object_names(each)[:1]})
            hint = did_you_mean(wanted, names) or one_of(names, none="the workload has no objects")
            if found:
                hint = f"write one of {', '.join(each.identity for each in found)}"
            what = f"several objects are `{wanted}`" if found else f"the workload has no object `{wanted}`"
            raise Failed(what, hint, reference.last)
        assert ref is not None
        address = Address(self.site_name, self.placement, Mode.AGILE, ref[1], found[0].kind, found[0].name)
        live = self.known.objects.get(address)
        if live is None:
            return Unknown("any", frozenset({str(address)}), secret=found[0].kind == SECRET)
        return expected(found[0].kind, found[0].name, live, found[0].data)

    def _output(self, reference: Reference, ref: Ref | None) -> Value:
        target: Ref = (Mode(reference.root), str(reference.keys[0]))
        name = str(reference.keys[1])
        if target not in self.included:
            who = f"{written(ref)} refers" if ref else "this refers"
            hint = "give both the same `when`" if ref else ""
            raise Failed(f"{written(target)} is left out here by its `when`, and {who} to it", hint, reference.at)
        return self.outputs.get(target, {}).get(name, Unknown(reference.type))


def _with(values: Mapping[str, Any], reference: Reference, what: str) -> dict[str, Value]:
    """The values, among which the referred one must be unless the expression asks whether it is. Raises Failed."""
    if reference.detail and not reference.tested and reference.detail not in values:
        hint = did_you_mean(reference.detail, values) or one_of(values)
        raise Failed(f"{what} `{reference.detail}`", hint, reference.last)
    return dict(values)


def _object_names(manifest: Manifest) -> tuple[str, ...]:
    """What an object is called in expressions: `Deployment/web`, with its group and namespace where that is needed."""
    short = manifest.kind.partition(".")[0]
    last = manifest.name.rpartition("/")[2]
    return f"{short}/{last}", f"{manifest.kind}/{last}", f"{short}/{manifest.name}", manifest.identity

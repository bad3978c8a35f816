"""From documents and what is known to units: every placement at every site that it is for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from orchestrator.desired import agile, publishing, stable
from orchestrator.desired.blueprints import Blueprint, Ref, compile_blueprint, written
from orchestrator.desired.here import Here
from orchestrator.desired.makers import with_makers
from orchestrator.desired.parameters import sites_of, values_at
from orchestrator.desired.pins import pinned_notes
from orchestrator.desired.templates import Templates, templates_of
from orchestrator.documents.loaded import Loaded, Pin
from orchestrator.documents.models import SecretRef, Site
from orchestrator.documents.written import Written
from orchestrator.model.address import Mode
from orchestrator.model.change import Known
from orchestrator.model.observation import Note
from orchestrator.model.rendering import Renderer
from orchestrator.model.source import Diagnostic
from orchestrator.model.unit import Unit
from orchestrator.model.values import Secret, Unknown, Value


@dataclass(frozen=True, slots=True)
class Desired:
    """What should be.

    outputs  (site, placement) -> the blueprint's outputs; those of workloads that are left out there are missing
    notes    what is left out where, and why
    """

    units: tuple[Unit, ...]
    outputs: Mapping[tuple[str, str], Mapping[str, Value]]
    notes: tuple[Note, ...]
    diagnostics: tuple[Diagnostic, ...]


def resolve(
    loaded: Loaded,
    known: Known,
    secrets: Mapping[SecretRef, Secret],
    sites: frozenset[str] | None = None,
    render: Renderer | None = None,
) -> Desired:
    """The units of these sites (None: of all), given what is known. What is wrong is among the diagnostics.

    `render` runs the programs for charts and kustomizations; without it such workloads have no units.
    """
    return Resolver(loaded, known, secrets, render=render).run(sites)


@dataclass(slots=True)
class Resolver:
    """Resolves an estate; each blueprint is compiled once. `told` is what was found wrong before."""

    loaded: Loaded
    known: Known
    secrets: Mapping[SecretRef, Secret]
    told: set[Diagnostic] = field(default_factory=set)
    render: Renderer | None = None
    blueprints: dict[tuple[str, str], tuple[Blueprint, Templates]] = field(default_factory=dict)
    places: dict[Diagnostic, list[str]] = field(default_factory=dict)  # where each was found, as `shop at lab`
    resolved: dict[str, list[str]] = field(default_factory=dict)  # a blueprint's label -> where it was resolved

    def run(self, sites: frozenset[str] | None) -> Desired:
        """All placements, site by site."""
        units: list[Unit] = []
        outputs: dict[tuple[str, str], Mapping[str, Value]] = {}
        notes: list[Note] = []
        for site, placement in self._pairs(sites):
            here = self._here(site, placement)
            if here is None:
                continue
            notes += [*self._resolved(here), *here.notes, *pinned_notes(self.loaded, here.site_name, placement)]
            units += [unit for ref in here.blueprint.order for unit in here.units.get(ref, [])]
            units += [unit for published in here.published.values() for unit in published]
            outputs[here.site_name, placement] = _outputs(here)
        units = with_makers(units)
        wrong = {each for blueprint, _ in self.blueprints.values() for each in blueprint.diagnostics}
        found = {*wrong, *self._told(), *_doubled(units)}
        return Desired(tuple(units), outputs, tuple(notes), tuple(sorted(found)))

    def blueprint(self, key: tuple[str, str]) -> tuple[Blueprint, Templates]:
        """A blueprint, compiled, and its templates."""
        found = self.blueprints.get(key)
        if found is None:
            source = self.loaded.blueprints[key]
            found = self.blueprints[key] = compile_blueprint(source), templates_of(source)
        return found

    def _pairs(self, sites: frozenset[str] | None) -> Iterator[tuple[Written[Site], str]]:
        """Each site with each placement that is for it, by names."""
        pairs = [
            (site.model.metadata.name, name, site)
            for name, placement in self.loaded.placements.items()
            if name in self.loaded.chosen
            for site in sites_of(self.loaded, placement.model)
            if sites is None or site.model.metadata.name in sites
        ]
        for _, placement_name, site in sorted(pairs, key=lambda pair: pair[:2]):
            yield site, placement_name

    def _here(self, site: Written[Site], placement: str, pin: Pin | None = None) -> Here | None:
        """A placement at a site (as it was when it was pinned), nothing resolved yet; None: its blueprint is wrong."""
        blueprint, templates = self.blueprint(pin.blueprint if pin else self.loaded.chosen[placement])
        if blueprint.diagnostics:
            return None
        model = blueprint.source.document.model
        document = pin.placement if pin else self.loaded.placements[placement]
        parameters = values_at(model, document.model, site.model, self.secrets)
        place = f"{placement} at {site.model.metadata.name}"
        self.resolved.setdefault(blueprint.label, []).append(place)

        def report(diagnostic: Diagnostic) -> None:
            found = self.places.setdefault(diagnostic, [])
            if place not in found:
                found.append(place)

        machines = site.model.spec.stable
        provider = self.loaded.providers.get(machines.provider) if machines else None
        return Here(site, placement, blueprint, parameters, self.known, templates, report, provider, self.render)

    def _resolved(self, here: Here) -> list[Note]:
        """Resolve all workloads here, and say which are left out."""
        left_out = [ref for ref in here.blueprint.order if not _included(here, ref)]
        here.included = frozenset(here.blueprint.order) - frozenset(left_out)
        for ref in here.blueprint.order:
            if ref not in here.included:
                continue
            if (before := self._before(here, ref)) is not None:
                here.take_over(before, ref)
            else:
                _resolve(here, ref)
        return [Note(here.site_name, here.placement, _why(here, ref)) for ref in left_out]

    def _before(self, here: Here, ref: Ref) -> Here | None:
        """The placement here as it was, where this workload is pinned to that."""
        for pin in self.loaded.pins:
            if (pin.row.site, pin.row.placement, pin.row.mode, pin.row.workload) == (
                here.site_name,
                here.placement,
                *ref,
            ):
                before = self._here(here.site, here.placement, pin)
                if before is not None:
                    before.included = frozenset(before.blueprint.order)
                    for each in before.blueprint.order:
                        _resolve(before, each)
                return before
        return None

    def _told(self) -> Iterator[Diagnostic]:
        """What was found wrong; with the places, where it is not wrong at all places of the blueprint."""
        everywhere = [set(places) for places in self.resolved.values()]
        for diagnostic, places in self.places.items():
            if diagnostic in self.told or set(places) in everywhere:
                yield diagnostic
                continue
            more = f" and {len(places) - 1} more" if len(places) > 1 else ""
            yield replace(diagnostic, message=f"{diagnostic.message} ({places[0]}{more})")


def _resolve(here: Here, ref: Ref) -> None:
    """One workload, where it can be."""
    if not _has_place(here, ref):
        return
    if ref[0] == Mode.STABLE:
        stable.resolve(here, ref)
        publishing.resolve(here, ref)
    else:
        agile.resolve(here, ref)


def _included(here: Here, ref: Ref) -> bool:
    """What `when` says; a value that is not known is one that is missing, which is told already."""
    workload = here.blueprint.workload(ref)
    value = workload.when.value(here.lookup(ref), here.report)
    if isinstance(value, Secret) or (isinstance(value, Unknown) and value.secret):
        here.report(Diagnostic(workload.when.source, "`when` cannot depend on a secret", "use a plain parameter"))
    return value is True


def _why(here: Here, ref: Ref) -> str:
    spec = here.site.model.spec
    if ref[0] == Mode.AGILE and spec.agile is None:
        return f"no cluster here: agile {ref[1]} is left out"
    if ref[0] == Mode.STABLE and spec.stable is None:
        return f"no machines here: stable {ref[1]} is left out"
    return f"{ref[0]} {ref[1]} is left out by its `when`"


def _has_place(here: Here, ref: Ref) -> bool:
    """Whether the site has what the mode needs; if not, that is an error, as `when` could have said so."""
    spec = here.site.model.spec
    part, what = (spec.stable, "machines") if ref[0] == Mode.STABLE else (spec.agile, "cluster")
    if part is not None:
        return True
    workload = here.blueprint.workload(ref)
    source = here.blueprint.source.document.at.of_key(*workload.path)
    has = "no machines (`spec.stable`)" if what == "machines" else "no cluster (`spec.agile`)"
    hint = f"leave the workload out there: `when: ${{site.capabilities.{what}}}`"
    here.report(Diagnostic(source, f"{written(ref)} has nowhere to run: site {here.site_name} has {has}", hint))
    return False


def _outputs(here: Here) -> dict[str, Value]:
    """The blueprint's outputs, but for those of workloads that are left out here."""
    found: dict[str, Value] = {}
    lookup = here.lookup(None)
    for name, each in here.blueprint.outputs.items():
        references = [r for expression in each.expressions() for r in expression.compiled.references]
        targets = {(Mode(r.root), str(r.keys[0])) for r in references if r.root in set(Mode)}
        if targets <= here.included:
            found[name] = each.value(lookup, here.report)
    return found


def _doubled(units: list[Unit]) -> Iterator[Diagnostic]:
    """Two units of one site that are one thing on their target."""
    first: dict[tuple[str, str, str], Unit] = {}
    for unit in units:
        other = first.setdefault((unit.address.site, unit.address.mode, unit.identity), unit)
        if other is not unit:
            what = f"{_thing(unit)} is declared twice at site {unit.address.site}"
            hint = f"{_owner(other)} has it at {other.source}, {_owner(unit)} here; keep one of them"
            yield Diagnostic(unit.source, what, hint)


def _thing(unit: Unit) -> str:
    if unit.address.mode == Mode.AGILE:
        return f"{unit.address.kind} {unit.address.name}"
    return f"the configuration of {unit.identity.partition(':')[0]} by {unit.identity.partition(':')[2]}"


def _owner(unit: Unit) -> str:
    address = unit.address
    return f"{address.placement}/{address.mode}/{address.workload}"

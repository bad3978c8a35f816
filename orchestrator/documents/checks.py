"""What can be wrong between documents, as far as no expression has to be understood."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import chain
from pathlib import Path, PurePosixPath

from orchestrator.documents import parameters
from orchestrator.documents.loaded import BlueprintSource, Loaded
from orchestrator.documents.models import Blueprint, Placement, Site
from orchestrator.documents.providers import check_provider
from orchestrator.documents.selecting import picks
from orchestrator.documents.validation import did_you_mean, one_of
from orchestrator.documents.versions import version
from orchestrator.documents.written import JsonPath, Positions, Written
from orchestrator.model.source import Diagnostic


def check_blueprint(document: Written[Blueprint]) -> Iterator[Diagnostic]:
    """A blueprint by itself; its paths are checked with its folder."""
    model, at = document.model, document.at
    if version(model.metadata.version) is None:
        text = model.metadata.version
        close = f"did you mean {text}.0?" if version(f"{text}.0") else "three numbers, as in 1.4.0"
        what = f"`{text[:60]}` is not a semantic version"
        yield Diagnostic(at.of("metadata", "version"), what, close)
    yield from parameters.check_declarations(document)
    known = [f"stable.{name}" for name in model.spec.stable] + [f"agile.{name}" for name in model.spec.agile]
    for mode, workloads in (("stable", model.spec.stable), ("agile", model.spec.agile)):
        for name, workload in workloads.items():
            for index, after in enumerate(workload.after):
                yield from _after(after, f"{mode}.{name}", known, at, ("spec", mode, name, "after", index))


def _after(after: str, own: str, known: list[str], at: Positions, path: JsonPath) -> Iterator[Diagnostic]:
    if after == own:
        yield Diagnostic(at.of(*path), f"{own} cannot come after itself", "leave it out")
    elif after not in known:
        hint = did_you_mean(after, known) or one_of(known)
        yield Diagnostic(at.of(*path), f"there is no workload `{after[:80]}` in this blueprint", hint)


def check_sites(loaded: Loaded, broken: Collection[str]) -> Iterator[Diagnostic]:
    """Sites: their provider, their inventory, what they bind. `broken`: kinds that could not be read whole."""
    workloads = {name for source in loaded.blueprints.values() for name in source.document.model.spec.stable}
    for written in loaded.sites.values():
        if written.model.spec.stable is not None:
            yield from check_provider(written, loaded.root)
            yield from _inventory(written, loaded)
            for name in written.model.spec.stable.bind:
                if name not in workloads and "Blueprint" not in broken:
                    source = written.at.of_key("spec", "stable", "bind", name)
                    hint = did_you_mean(name, workloads) or one_of(workloads)
                    yield Diagnostic(source, f"no blueprint has a stable workload `{name}`", hint)


def _inventory(site: Written[Site], loaded: Loaded) -> Iterator[Diagnostic]:
    stable = site.model.spec.stable
    if stable is None:
        return
    if stable.inventory is None:
        provider = loaded.providers.get(stable.provider)
        if provider is not None and not provider.manifest.provisions:
            source = site.at.of_key("spec", "stable", "provider")
            hint = f"provider `{provider.name}` makes no machines: an inventory names them"
            yield Diagnostic(source, "`inventory` is missing in `spec.stable`", hint)
        return
    folder = loaded.root / PurePosixPath(site.at.file).parent
    if not _exists(folder / stable.inventory):
        shown = folder.relative_to(loaded.root).as_posix()
        beside = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        hint = did_you_mean(stable.inventory, beside) or "its path is relative to this file"
        place = "the estate's root" if shown == "." else shown
        what = f"there is no inventory `{stable.inventory[:80]}` in {place}"
        yield Diagnostic(site.at.of("spec", "stable", "inventory"), what, hint)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, or not a path at all
        return False


def check_placements(loaded: Loaded, broken: Collection[str]) -> Iterator[Diagnostic]:
    """Placements: what they select, and the values that they give to their blueprint."""
    for name, placement in loaded.placements.items():
        selected = [site for site in loaded.sites.values() if picks(placement.model.spec.sites, site.model)]
        if not selected and "Site" not in broken:
            yield _picks_none(placement, loaded.sites)
        for index, override in enumerate(placement.model.spec.overrides):
            if selected and not (broken or any(picks(override.sites, site.model) for site in selected)):
                source = placement.at.of_key("spec", "overrides", index, "sites")
                what = "this override picks none of the placement's sites"
                yield Diagnostic(source, what, "correct its selector, or leave it out", "warning")
        if (key := loaded.chosen.get(name)) is not None:
            yield from _values(placement, loaded.blueprints[key], selected)


def _picks_none(placement: Written[Placement], sites: Mapping[str, Written[Site]]) -> Diagnostic:
    """Say which labels there are, for the keys that the selector asks for."""
    selector = placement.model.spec.sites
    asked = [*selector.match_labels, *(requirement.key for requirement in selector.match_expressions)]
    labels = [site.model.metadata.labels for site in sites.values()]
    there = sorted({f"{key}={each[key]}" for each in labels for key in asked if key in each})
    hint = f"sites have {', '.join(there[:10])}" if there else f"sites: {', '.join(sorted(sites)[:10])}"
    if not sites:
        hint = "there is no Site document"
    return Diagnostic(placement.at.of_key("spec", "sites"), "the selector picks no site", hint)


def _values(
    placement: Written[Placement], source: BlueprintSource, selected: list[Written[Site]]
) -> Iterator[Diagnostic]:
    spec, at, blueprint = placement.model.spec, placement.at, source.document.model
    yield from parameters.check_values(spec.values, ("spec", "values"), at, blueprint)
    for index, override in enumerate(spec.overrides):
        yield from parameters.check_values(override.values, ("spec", "overrides", index, "values"), at, blueprint)
    lacking: dict[str, list[str]] = {}
    for site in selected:
        overrides = [override.values for override in spec.overrides if picks(override.sites, site.model)]
        for name in parameters.missing(blueprint, set(chain(spec.values, *overrides))):
            lacking.setdefault(name, []).append(site.model.metadata.name)
    for name, sites in lacking.items():
        where = "" if len(sites) == len(selected) else f" at {', '.join(sites[:5])}"
        label = f"{blueprint.metadata.name} {blueprint.metadata.version}"
        what = f"parameter `{name}` of {label} is not given{where}"
        place = at.of_key("spec", "values") if spec.values else at.of("spec", "blueprint")
        yield Diagnostic(place, what, parameters.missing_hint(blueprint, name))

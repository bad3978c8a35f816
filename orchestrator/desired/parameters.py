"""The values of a placement's parameters at a site: defaults, values, overrides; secrets by reference."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from orchestrator.documents.loaded import Loaded
from orchestrator.documents.models import Blueprint, Placement, SecretRef, Site
from orchestrator.documents.selecting import picks
from orchestrator.documents.written import JsonPath, Written
from orchestrator.model.source import Source
from orchestrator.model.values import Secret, Unknown, Value


def sites_of(loaded: Loaded, placement: Placement) -> list[Written[Site]]:
    """The sites that a placement is for, by name."""
    return [site for _, site in sorted(loaded.sites.items()) if picks(placement.spec.sites, site.model)]


def given(placement: Placement, site: Site) -> dict[str, tuple[JsonPath, Any]]:
    """Each given value at a site and its path in the placement; of several overrides the last that fits wins."""
    found: dict[str, tuple[JsonPath, Any]] = {}
    for name, value in placement.spec.values.items():
        found[name] = (("spec", "values", name), value)
    for index, override in enumerate(placement.spec.overrides):
        if picks(override.sites, site):
            for name, value in override.values.items():
                found[name] = (("spec", "overrides", index, "values", name), value)
    return found


def values_at(
    blueprint: Blueprint, placement: Placement, site: Site, secrets: Mapping[SecretRef, Secret]
) -> dict[str, Value]:
    """All parameters at a site; what is missing (documents/ tells) is unknown, as is a secret that was not read."""
    written = given(placement, site)
    found: dict[str, Value] = {}
    for name, parameter in blueprint.spec.parameters.items():
        value = written[name][1] if name in written else parameter.default
        is_secret = parameter.type == "secret"
        found[name] = Unknown(parameter.type, secret=is_secret) if value is None else with_secrets(value, secrets)
    return found


def secret_refs(loaded: Loaded, sites: Collection[str]) -> dict[SecretRef, Source]:
    """Every secret that some placement uses at one of these sites, and where it is first named."""
    found: dict[SecretRef, Source] = {}
    for name, placement in sorted(loaded.placements.items()):
        if name in loaded.chosen:
            for site in sites_of(loaded, placement.model):
                if site.model.metadata.name in sites:
                    for ref, path in _refs(placement, site.model):
                        found.setdefault(ref, placement.at.of(*path))
    for pin in loaded.pins:
        for site in sites_of(loaded, pin.placement.model):
            if site.model.metadata.name in sites and pin.row.site in ("", site.model.metadata.name):
                for ref, path in _refs(pin.placement, site.model):
                    found.setdefault(ref, pin.placement.at.of(*path))
    return found


def settings_refs(site: Written[Site]) -> dict[SecretRef, Source]:
    """Every secret that a site's machine provider is given, and where it is first named."""
    found: dict[SecretRef, Source] = {}
    stable = site.model.spec.stable
    for ref, path in _nested(("spec", "stable", "settings"), stable.settings if stable else {}):
        found.setdefault(ref, site.at.of(*path))
    return found


def _refs(placement: Written[Placement], site: Site) -> Iterator[tuple[SecretRef, JsonPath]]:
    for path, value in given(placement.model, site).values():
        yield from _nested(path, value)


def _nested(path: JsonPath, value: Any) -> Iterator[tuple[SecretRef, JsonPath]]:
    if (ref := _reference(value)) is not None:
        yield ref, path
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _nested((*path, key), inner)
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _nested((*path, index), inner)


def _reference(value: Any) -> SecretRef | None:
    """The reference that a value is; None where it is none (or a wrong one, which documents/ tells)."""
    if not (isinstance(value, dict) and "secretRef" in value):
        return None
    try:
        return SecretRef.model_validate(value)
    except ValidationError:
        return None


def with_secrets(value: Any, secrets: Mapping[SecretRef, Secret]) -> Value:
    """The value with references replaced by the secrets themselves."""
    if (ref := _reference(value)) is not None:
        return secrets.get(ref, Unknown("secret", secret=True))
    if isinstance(value, dict):
        return {key: with_secrets(inner, secrets) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [with_secrets(inner, secrets) for inner in value]
    return value  # type: ignore[no-any-return]

"""Machine providers: folders of playbooks with a short manifest; what a site may set, what machines may have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, ValidationError

from orchestrator.documents import parameters
from orchestrator.documents.base import Model
from orchestrator.documents.models import Parameter, Site
from orchestrator.documents.scalar_types import Identifier, Text
from orchestrator.documents.validation import did_you_mean, one_of, problems_of
from orchestrator.documents.written import Positions, Written
from orchestrator.documents.yaml import read
from orchestrator.model.source import Diagnostic, Source

BUILT_IN = Path(__file__).parents[1] / "providers"
MANIFEST = "provider.yaml"
NEEDED = ("observe", "ensure", "remove")

Input: TypeAlias = Literal["cpu", "memory", "disk", "disks", "networks", "image", "labels", "cloudInit"]
How: TypeAlias = Literal["inPlace", "restart", "replace"]


class ProviderManifest(Model):
    """What a provider can do, beyond the playbooks that lie beside this file.

    machine   what a blueprint may say of machines here, and what it takes to change it
    settings  what a Site says of the place, typed as a blueprint's parameters are
    hosts     the setting that names hosts which its playbooks run on: each name -> Ansible's variables for it
    """

    title: str = ""
    provisions: bool = False
    machine: dict[Input, How] = Field(default_factory=dict)
    settings: dict[Identifier, Parameter] = Field(default_factory=dict)
    hosts: Identifier | None = None
    connection_plugins: Annotated[Text | None, Field(alias="connectionPlugins")] = None


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider: its name, its folder, its manifest and where that was written."""

    name: str
    folder: Path
    manifest: ProviderManifest
    at: Positions


def names(root: Path) -> list[str]:
    """All providers that there are: those of the estate and those that we ship."""
    parents = (root / "providers", BUILT_IN)
    return sorted({path.parent.name for parent in parents for path in parent.glob(f"*/{MANIFEST}")})


def provider_at(root: Path, name: str) -> tuple[Provider | None, list[Diagnostic]]:
    """The estate's own provider of that name, else the one that we ship; None where there is none, or a wrong one."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        return None, []
    for folder, label in ((root / "providers" / name, f"providers/{name}"), (BUILT_IN / name, f"provider:{name}")):
        if (folder / MANIFEST).is_file():
            return _read(name, folder, f"{label}/{MANIFEST}")
    return None, []


def _read(name: str, folder: Path, label: str) -> tuple[Provider | None, list[Diagnostic]]:
    try:
        reading = read((folder / MANIFEST).read_bytes(), label)
    except OSError as error:
        return None, [Diagnostic(Source(label), f"cannot be read: {error.strerror}")]
    found = list(reading.diagnostics)
    data = reading.documents[0].data if reading.documents else None
    if not isinstance(data, dict):
        return None, found or [Diagnostic(Source(label, 1, 1), "a provider's manifest is a map", "see docs/stable.md")]
    at = reading.documents[0].at
    try:
        provider = Provider(name, folder, ProviderManifest.model_validate(data), at)
    except ValidationError as error:
        return None, [*found, *problems_of(error, data, at, ProviderManifest)]
    return provider, [*found, *_wrong(provider)]


def _wrong(provider: Provider) -> Iterator[Diagnostic]:
    missing = [f"{verb}.yml" for verb in NEEDED if not (provider.folder / f"{verb}.yml").is_file()]
    if provider.manifest.provisions and missing:
        yield Diagnostic(provider.at.of_key("provisions"), f"the provider has no {', '.join(missing)}")
    hosts = provider.manifest.hosts
    if hosts is not None and getattr(provider.manifest.settings.get(hosts), "type", "") != "map":
        yield Diagnostic(provider.at.of("hosts"), f"`{hosts}` is no setting of type `map`")
    for name, setting in provider.manifest.settings.items():
        if setting.default is not None and setting.type != "secret":
            path = ("settings", name, "default")
            yield from parameters.fits(setting, setting.default, path, provider.at, f"the default of `{name}`")


def check_provider(site: Written[Site], root: Path) -> Iterator[Diagnostic]:
    """The provider that a site names, and the settings that it gives to it."""
    stable = site.model.spec.stable
    if stable is None:
        return
    provider, wrong = provider_at(root, stable.provider)
    yield from wrong
    if provider is not None:
        yield from _settings(site, provider, stable.settings)
    elif not wrong:
        known = names(root)
        source = site.at.of("spec", "stable", "provider")
        hint = did_you_mean(stable.provider, known) or one_of(known)
        yield Diagnostic(source, f"there is no machine provider `{stable.provider}`", hint)


def _settings(site: Written[Site], provider: Provider, given: dict[str, Any]) -> Iterator[Diagnostic]:
    at, declared = site.at, provider.manifest.settings
    for name, value in given.items():
        setting = declared.get(name)
        if setting is None:
            has = f"it has {', '.join(declared)}" if declared else "it has no settings"
            what = f"provider `{provider.name}` has no setting `{name[:60]}`"
            source = at.of_key("spec", "stable", "settings", name)
            yield Diagnostic(source, what, did_you_mean(name, declared) or has)
        else:
            path = ("spec", "stable", "settings", name)
            yield from parameters.fits(setting, value, path, at, f"setting `{name}`")
            yield from _hosts(at, path, value) if name == provider.manifest.hosts else ()
    for name, setting in declared.items():
        if setting.default is None and name not in given:
            described = f": {setting.description}" if setting.description else ""
            source = at.of_key("spec", "stable", "settings" if given else "provider")
            what = f"setting `{name}` of provider `{provider.name}` is not given"
            yield Diagnostic(source, what, f"add it under `stable.settings`{described}")


def _hosts(at: Positions, path: tuple[str, ...], value: Any) -> Iterator[Diagnostic]:
    """The hosts that a site names: at least one, each with a map of Ansible's variables, or nothing."""
    for name, variables in value.items() if isinstance(value, dict) else ():
        if not isinstance(variables, dict | None):
            wrong = f"`{name[:60]}` is given no map of Ansible's variables"
            yield Diagnostic(at.of(*path, name), wrong, f"{name[:60]}: {{ansible_host: ADDRESS, ansible_user: USER}}")
    if value == {}:
        yield Diagnostic(at.of_key(*path), "it names no host", "NAME: {ansible_host: ADDRESS, ansible_user: USER}")


def settings_of(provider: Provider, given: dict[str, Any]) -> dict[str, Any]:
    """All settings of a site: what it gives, else the defaults; secrets still by reference."""
    defaults = {name: setting.default for name, setting in provider.manifest.settings.items()}
    return defaults | given

"""The secrets of sites' machines: one that is not there holds the machines of its own site, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from orchestrator import desired
from orchestrator.cli.secrets import read_secret
from orchestrator.documents.loaded import Loaded
from orchestrator.documents.models import SecretRef, Site
from orchestrator.documents.written import Written
from orchestrator.model.source import Diagnostic, Source
from orchestrator.model.values import Secret


@dataclass(frozen=True, slots=True)
class SiteSecrets:
    """What sites give as `stable.vault`, and by reference in `stable.settings`.

    vaults    site -> vault id ("" for all) -> password
    settings  those of all sites' settings
    lacking   site -> the first of its references that could not be read
    """

    vaults: Mapping[str, Mapping[str, Secret]] = field(default_factory=dict)
    settings: Mapping[SecretRef, Secret] = field(default_factory=dict)
    lacking: Mapping[str, Diagnostic] = field(default_factory=dict)

    @property
    def all(self) -> list[Secret]:
        """All of them, to be kept out of every text."""
        return [*(secret for given in self.vaults.values() for secret in given.values()), *self.settings.values()]

    def vaults_of(self, site: str) -> dict[str, str]:
        """A site's vault passwords in clear, by vault id."""
        return {label: str(secret.reveal()) for label, secret in self.vaults.get(site, {}).items()}


def read_site_secrets(loaded: Loaded, sites: Iterable[str]) -> SiteSecrets:
    """Those of these sites."""
    vaults: dict[str, dict[str, Secret]] = {}
    settings: dict[SecretRef, Secret] = {}
    lacking: dict[str, Diagnostic] = {}
    for name in sites:
        site = loaded.sites[name]
        for ref, at, label in (*_of_vaults(site), *((*one, None) for one in desired.settings_refs(site).items())):
            try:
                secret = read_secret(ref, loaded.root)
            except LookupError as error:
                lacking.setdefault(name, Diagnostic(at, str(error.args[0]), str(error.args[1])))
                continue
            if label is None:
                settings[ref] = secret
            else:
                vaults.setdefault(name, {})[label] = secret
    return SiteSecrets(vaults, settings, lacking)


def _of_vaults(site: Written[Site]) -> Iterator[tuple[SecretRef, Source, str]]:
    """Each reference, where it stands, and the vault id that it is for."""
    stable = site.model.spec.stable
    vault = stable.vault if stable is not None else None
    if isinstance(vault, SecretRef):
        yield vault, site.at.of("spec", "stable", "vault"), ""
    else:
        yield from ((ref, site.at.of("spec", "stable", "vault", label), label) for label, ref in (vault or {}).items())

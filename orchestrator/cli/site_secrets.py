"""The secrets of sites' machines: one that is not there holds the machines of its own site, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from orchestrator import desired
from orchestrator.cli.secrets import found_secrets
from orchestrator.documents.loaded import Loaded
from orchestrator.documents.models import SecretRef, Site
from orchestrator.documents.written import Written
from orchestrator.model.source import Diagnostic
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
        labels, own = _vault_refs(site), desired.settings_refs(site)
        places = {ref: site.at.of("spec", "stable", "vault", *filter(None, [label])) for label, ref in labels.items()}
        found, missing = found_secrets({**places, **own}, loaded.root)
        vaults[name] = {label: found[ref] for label, ref in labels.items() if ref in found}
        settings |= {ref: found[ref] for ref in own if ref in found}
        if missing:
            lacking[name] = missing[0]
    return SiteSecrets(vaults, settings, lacking)


def _vault_refs(site: Written[Site]) -> Mapping[str, SecretRef]:
    """By vault id."""
    stable = site.model.spec.stable
    if stable is None or stable.vault is None:
        return {}
    return {"": stable.vault} if isinstance(stable.vault, SecretRef) else stable.vault

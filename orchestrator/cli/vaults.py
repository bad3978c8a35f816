"""The passwords of Ansible's vaults: one that is not there holds the machines of its own site, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from orchestrator.cli.secrets import read_secret
from orchestrator.documents.loaded import Loaded
from orchestrator.documents.models import SecretRef
from orchestrator.model.source import Diagnostic
from orchestrator.model.values import Secret


@dataclass(frozen=True, slots=True)
class Vaults:
    """What sites give as `stable.vault`.

    passwords  site -> vault id ("" for all) -> password
    lacking    site -> the first of its references that could not be read
    """

    passwords: Mapping[str, Mapping[str, Secret]] = field(default_factory=dict)
    lacking: Mapping[str, Diagnostic] = field(default_factory=dict)

    @property
    def secrets(self) -> list[Secret]:
        """All passwords, to be kept out of every text."""
        return [secret for given in self.passwords.values() for secret in given.values()]

    def of(self, site: str) -> dict[str, str]:
        """A site's passwords in clear, by vault id."""
        return {label: str(secret.reveal()) for label, secret in self.passwords.get(site, {}).items()}


def read_vaults(loaded: Loaded, sites: Iterable[str]) -> Vaults:
    """The passwords of these sites' vaults."""
    passwords: dict[str, dict[str, Secret]] = {}
    lacking: dict[str, Diagnostic] = {}
    for name in sites:
        for label, ref in _references(loaded, name).items():
            try:
                passwords.setdefault(name, {})[label] = read_secret(ref, loaded.root)
            except LookupError as error:
                at = loaded.sites[name].at.of("spec", "stable", "vault", *filter(None, [label]))
                lacking.setdefault(name, Diagnostic(at, str(error.args[0]), str(error.args[1])))
    return Vaults(passwords, lacking)


def _references(loaded: Loaded, site: str) -> Mapping[str, SecretRef]:
    stable = loaded.sites[site].model.spec.stable
    if stable is None or stable.vault is None:
        return {}
    return {"": stable.vault} if isinstance(stable.vault, SecretRef) else stable.vault

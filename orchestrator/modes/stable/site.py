"""What the stable mode has to know of a site."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.model.values import Value
from orchestrator.modes.stable.providers import Provider


@dataclass(frozen=True, slots=True)
class StableSite:
    """One site's machines and how they are had.

    root       the estate's folder: its `ansible.cfg` counts
    scratch    a folder of this site under the estate's `.orchestrator`, mode 0700; made when first needed
    provider   how its machines are had
    scrub      takes every known secret out of a text that is shown or kept
    inventory  the Ansible inventory of a provider that makes no machines
    settings   what the provider's playbooks are told of the place
    say        told what takes long before anything can be asked
    refresh    the provider is asked even where all hosts answer
    vaults     the passwords of what Ansible Vault has encrypted: vault id ("" for all) -> password
    folders    where the blueprints lie: the label that configurations have in their spec -> folder
    """

    site: str
    estate_id: str
    estate_name: str
    root: Path
    scratch: Path
    provider: Provider
    scrub: Callable[[str], str]
    inventory: Path | None = None
    vaults: Mapping[str, str] = field(default_factory=dict, repr=False)
    folders: Mapping[str, Path] = field(default_factory=dict)
    settings: Mapping[str, Value] = field(default_factory=dict)
    refresh: bool = False
    say: Callable[[str], None] = lambda line: None


def why_not_removable(root: Path, folders: Mapping[str, Path]) -> Callable[[Mapping[str, Any]], str]:
    """A function of what is known of a configuration (`remove`, `label`): why it cannot be undone, or "" if it can."""

    def why_not(spec: Mapping[str, Any]) -> str:
        if not spec.get("remove"):
            return "it has no remove playbook"
        if remove_playbook(root, folders, spec) is None:
            return f"its remove playbook {spec.get('label', '')}/{spec['remove']} is no longer there"
        return ""

    return why_not


def remove_playbook(root: Path, folders: Mapping[str, Path], spec: Mapping[str, Any]) -> tuple[Path, Path] | None:
    """The blueprint's folder and the playbook in it that undoes a configuration; None where it is not there."""
    label, name = str(spec.get("label") or ""), str(spec.get("remove") or "")
    plain = label.rpartition("@run-")[0] or label  # of a revision that is not at hand: as the blueprint is now
    folder = folders.get(label) or folders.get(plain) or root / plain
    playbook = folder / name
    if not label or not name or not playbook.is_file() or not playbook.resolve().is_relative_to(folder.resolve()):
        return None
    return folder, playbook

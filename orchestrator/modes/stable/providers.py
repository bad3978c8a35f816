"""Machine providers: folders of ordinary playbooks with a short manifest (docs/stable-providers.md)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from orchestrator.errors import DriverError

BUILT_IN = Path(__file__).with_name("providers")
MANIFEST = "provider.yaml"
_KEYS = {"name": str, "title": str, "provisions": bool, "replaceOn": list, "connectionPlugins": str}


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider: whether it makes machines, and which of their inputs cannot be changed in place.

    `plugins` is a folder with the connection plugin that its machines need, if they need one.
    """

    name: str
    folder: Path
    title: str = ""
    provisions: bool = False
    replace_on: frozenset[str] = frozenset()
    plugins: tuple[Path, ...] = ()

    def playbook(self, verb: str) -> Path | None:
        """The playbook that observes, ensures, removes or forgets machines; None where it has none."""
        path = self.folder / f"{verb}.yml"
        return path if path.is_file() else None


def load(root: Path, name: str) -> Provider:
    """The estate's own provider of that name, else the one that we ship. Raises DriverError naming those there are."""
    if re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        for parent in (root / "providers", BUILT_IN):
            if (parent / name / MANIFEST).is_file():
                return _read(parent / name)
    raise DriverError(f"there is no machine provider `{name}`", hint=f"there are: {', '.join(available(root))}")


def available(root: Path) -> list[str]:
    """The names of all providers: those of the estate and those that we ship."""
    parents = (root / "providers", BUILT_IN)
    return sorted({manifest.parent.name for parent in parents for manifest in parent.glob(f"*/{MANIFEST}")})


def _read(folder: Path) -> Provider:
    path = folder / MANIFEST
    try:
        data: Any = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise DriverError(f"{path}: cannot be read: {error}") from None
    if not isinstance(data, dict):
        raise DriverError(f"{path}: is not a mapping", hint="see docs/stable-providers.md")
    for key, value in data.items():
        if key not in _KEYS or not isinstance(value, _KEYS[key]):
            raise DriverError(f"{path}: `{key}: {value}` is not understood", hint=f"it has {', '.join(_KEYS)}")
    provider = Provider(
        name=folder.name,
        folder=folder,
        title=data.get("title", ""),
        provisions=data.get("provisions", False),
        replace_on=frozenset(str(item) for item in data.get("replaceOn", ())),
        plugins=((folder / data["connectionPlugins"]).resolve(),) if "connectionPlugins" in data else (),
    )
    missing = [verb for verb in ("observe", "ensure", "remove") if provider.playbook(verb) is None]
    if provider.provisions and missing:
        raise DriverError(f"{path}: the provider has no {', '.join(f'{verb}.yml' for verb in missing)}")
    return provider

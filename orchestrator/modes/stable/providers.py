"""Machine providers: folders of ordinary playbooks with a short manifest (docs/stable.md).

The manifest was checked when the documents were loaded; here it is only read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from orchestrator.errors import DriverError

BUILT_IN = Path(__file__).parents[2] / "providers"
MANIFEST = "provider.yaml"
REPLACE, RESTART = "replace", "restart"


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider.

    provisions   whether it makes machines
    machine      what it takes to change each of a machine's inputs: `inPlace`, `restart` or `replace`
    plugins      a folder with the connection plugin that its machines need, if they need one
    """

    name: str
    folder: Path
    provisions: bool = False
    machine: Mapping[str, str] = field(default_factory=dict)
    plugins: tuple[Path, ...] = ()

    def playbook(self, verb: str) -> Path | None:
        """The playbook that observes, ensures, removes... machines; None where it has none."""
        path = self.folder / f"{verb}.yml"
        return path if path.is_file() else None

    def how(self, difference: str) -> str:
        """What it takes to mend a difference: `disks.data.size` is one of the input `disks`."""
        return self.machine.get(difference.partition(".")[0], "")


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
        raise DriverError(f"{path}: is not a mapping", hint="see docs/stable.md")
    plugins = data.get("connectionPlugins")
    return Provider(
        name=folder.name,
        folder=folder,
        provisions=bool(data.get("provisions")),
        machine=dict(data.get("machine") or {}),
        plugins=((folder / str(plugins)).resolve(),) if plugins else (),
    )

"""Machine providers: folders of ordinary playbooks with a short manifest (docs/stable.md), as a driver uses them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

REPLACE, RESTART = "replace", "restart"


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider.

    provisions   whether it makes machines
    machine      what it takes to change each of a machine's inputs: `inPlace`, `restart` or `replace`
    plugins      a folder with the connection plugin that its machines need, if they need one
    hosts        the setting that names hosts which its playbooks run on; "" where there is none
    """

    name: str
    folder: Path
    provisions: bool = False
    machine: Mapping[str, str] = field(default_factory=dict)
    plugins: tuple[Path, ...] = ()
    hosts: str = ""

    def playbook(self, verb: str) -> Path | None:
        """The playbook that observes, ensures, removes... machines; None where it has none."""
        path = self.folder / f"{verb}.yml"
        return path if path.is_file() else None

    def how(self, difference: str) -> str:
        """What it takes to mend a difference: `disks.data.size` is one of the input `disks`."""
        return self.machine.get(difference.partition(".")[0], "")

"""Making what renders kustomizations, for the estate of one command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.model.rendering import Renderer


def renderer(root: Path) -> Renderer:
    """kubectl behind a cache beside the estate's state; nothing is started or installed before it is needed."""
    from orchestrator.rendering import ProgramRenderer
    from orchestrator.state import state_folder

    return ProgramRenderer(state_folder(root) / "renderings", _version, _program)


def _version() -> str:
    """The version that would be used: of what is there, or else the pinned one."""
    from orchestrator import toolchain

    found = toolchain.look("kubectl")
    return found.version if found else toolchain.PROGRAMS["kubectl"].version


def _program() -> Path:
    from orchestrator import toolchain

    return toolchain.ensure(["kubectl"], lambda line: None)["kubectl"]

"""Making what renders charts and kustomizations, for the estate of one command."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.model.rendering import HelmRequest, KustomizeRequest, Part, Renderer


def renderer(root: Path) -> Renderer:
    """The programs, behind a cache beside the estate's state; nothing is imported, started or installed before."""
    return _WhenNeeded(root)


class _WhenNeeded:
    def __init__(self, root: Path) -> None:
        self._root = root

    def helm(self, request: HelmRequest) -> tuple[Part, ...]:
        """See `Renderer`."""
        return self._made.helm(request)

    def kustomize(self, request: KustomizeRequest) -> str:
        """See `Renderer`."""
        return self._made.kustomize(request)

    @cached_property
    def _made(self) -> Renderer:
        from orchestrator.rendering import ProgramRenderer
        from orchestrator.state import state_folder
        from orchestrator.toolchain.cache import cache_root

        return ProgramRenderer(state_folder(self._root) / "renderings", cache_root() / "charts", _version, _program)


def _version(name: str) -> str:
    """The version that would be used: of what is there, or else the pinned one."""
    from orchestrator import toolchain

    found = toolchain.look(name)
    return found.version if found else toolchain.PROGRAMS[name].version


def _program(name: str) -> Path:
    from orchestrator import toolchain

    return toolchain.ensure([name], lambda line: None)[name]

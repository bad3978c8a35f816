"""What kustomizations are rendered from, and what comes of it: the seam between desired/ and rendering/."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class KustomizeRequest:
    """One build of the kustomization in folder `path` among these files (path -> content)."""

    files: Mapping[str, bytes] = field(repr=False)
    path: str


class RenderFailedError(Exception):
    """Nothing was rendered: why, and what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Renderer(Protocol):
    """Renders by the real program. Raises RenderFailedError, or ToolchainError where the program cannot be had."""

    def kustomize(self, request: KustomizeRequest) -> str:
        """The build's YAML."""
        ...

"""`kubectl kustomize`: kubectl is there anyway, so no further program is needed."""

from __future__ import annotations

from pathlib import Path

from orchestrator.model.rendering import RenderFailedError
from orchestrator.rendering.programs import run


def build(kubectl: Path, path: str, folder: Path) -> str:
    """Build the kustomization in `path` below `folder`, without a way to the network. Raises RenderFailedError."""
    code, output, errors = run([kubectl, "kustomize", path], folder)
    if code != 0:
        text = " ".join(line.strip() for line in errors.splitlines() if line.strip() and not line.startswith("#"))
        text = text.removeprefix("error: ").replace(str(folder), ".")
        raise RenderFailedError(f"kustomize: {text[:600] or 'it failed without a word'}")
    return output

"""Remote charts: fetched by helm, kept by digest, and used only if they are what the blueprint names."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from orchestrator.model.rendering import RemoteChart, RenderFailedError
from orchestrator.rendering.programs import online, run

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_CREDENTIALS = re.compile(r"://[^/@\s]+@")


def fetched(
    helm: Path, remote: RemoteChart, kept: Path, folder: Path, count: Callable[[], None] = lambda: None
) -> bytes:
    """The chart's .tgz; `count` is called where it has to be fetched. Raises RenderFailedError."""
    name = hashlib.sha256("\0".join([remote.chart, remote.repository, remote.version, remote.digest]).encode())
    place = kept / f"{name.hexdigest()[:32]}.tgz"
    if place.is_file():
        return place.read_bytes()
    count()
    content = _pulled(helm, remote, folder)
    if not remote.chart.startswith("oci://"):
        _verify(content, remote)
    kept.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, new = tempfile.mkstemp(dir=kept)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    Path(new).replace(place)
    return content


def _pulled(helm: Path, remote: RemoteChart, folder: Path) -> bytes:
    into = folder / "pulled"
    into.mkdir()
    command: list[str | Path] = [helm, "pull", "--destination", into]
    if remote.chart.startswith("oci://"):
        # helm checks what comes against the digest, which names the version's manifest
        command += [f"{remote.chart}:{remote.version}@{remote.digest}"]
        if urlsplit(remote.chart).hostname in _LOOPBACK:
            command += ["--plain-http"]
    else:
        command += [remote.chart, "--repo", remote.repository, "--version", remote.version]
    code, _, errors = run(command, folder, environment=online(folder))
    archives = list(into.glob("*.tgz"))
    if code != 0 or len(archives) != 1:
        text = " ".join(line.strip() for line in errors.splitlines() if line.strip()).removeprefix("Error: ")
        what = f"{_shown(remote)} cannot be fetched: {_CREDENTIALS.sub('://***@', text)[:400]}"
        raise RenderFailedError(what, "what was fetched before stays usable; is the version there, and a login needed?")
    return archives[0].read_bytes()


def _verify(content: bytes, remote: RemoteChart) -> None:
    got = f"sha256:{hashlib.sha256(content).hexdigest()}"
    if got != remote.digest:
        what = f"REFUSED: {_shown(remote)} has the digest {got}, not the one that is pinned"
        raise RenderFailedError(what, "find out who changed it before the new digest is written down")


def _shown(remote: RemoteChart) -> str:
    place = f" in {_CREDENTIALS.sub('://***@', remote.repository)}" if remote.repository else ""
    return f"{remote.chart} {remote.version}{place}"

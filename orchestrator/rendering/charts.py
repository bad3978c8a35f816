"""Remote charts: fetched by helm, kept by digest, and used only if they are what the blueprint names."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from orchestrator.model.rendering import RemoteChart, RenderFailedError
from orchestrator.model.values import MASK
from orchestrator.rendering.helm import files_of
from orchestrator.rendering.programs import online, run

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_NAME = "pinned"  # of the repository, where it has to have one
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
    environment = online(folder) | _login(remote, folder)
    command: list[str | Path] = [helm, "pull", "--destination", into]
    if remote.chart.startswith("oci://"):
        # helm checks what comes against the digest, which names the version's manifest
        command += [f"{remote.chart}:{remote.version.replace('+', '_')}@{remote.digest}"]
        if urlsplit(remote.chart).hostname in _LOOPBACK:
            command += ["--plain-http"]
    elif remote.login:
        _run([helm, "repo", "update", _NAME], remote, folder, environment)
        command += [f"{_NAME}/{remote.chart}", "--version", remote.version]
    else:
        command += [remote.chart, "--repo", remote.repository, "--version", remote.version]
    _run(command, remote, folder, environment)
    archives = list(into.glob("*.tgz"))
    if len(archives) != 1:
        raise RenderFailedError(f"{_shown(remote)} is no single chart", "look at what the registry has there")
    return archives[0].read_bytes()


def _run(command: list[str | Path], remote: RemoteChart, folder: Path, environment: Mapping[str, str]) -> None:
    code, output, errors = run(command, folder, environment=environment)
    if code == 0:
        return
    causes = [line for line in output.splitlines() if line.startswith("\t")]  # of `repo update`
    text = " ".join(line.strip() for line in causes or errors.splitlines() if line.strip()).removeprefix("Error: ")
    text = _CREDENTIALS.sub("://***@", text)
    if remote.login and remote.login.password:
        text = text.replace(remote.login.password, MASK)
    hint = "what was fetched before stays usable; is the version there, and a `login` needed?"
    if "x509: " in text:
        hint = "name a folder with the certificate of its authority in SSL_CERT_DIR"
    raise RenderFailedError(f"{_shown(remote)} cannot be fetched: {text[:400]}", hint)


def _login(remote: RemoteChart, folder: Path) -> dict[str, str]:
    """A login in files of helm's form, which are this run's own and gone with it: no command line has it."""
    if remote.login is None:
        return {}
    name, word = remote.login.username, remote.login.password
    if remote.chart.startswith("oci://"):
        pair = base64.b64encode(f"{name}:{word}".encode()).decode()
        _write(folder / "registries.json", {"auths": {urlsplit(remote.chart).netloc: {"auth": pair}}})
        return {"HELM_REGISTRY_CONFIG": str(folder / "registries.json")}
    place = {"name": _NAME, "url": remote.repository, "username": name, "password": word}
    _write(folder / "repositories.yaml", {"apiVersion": "", "repositories": [place]})
    return {"HELM_REPOSITORY_CONFIG": str(folder / "repositories.yaml")}


def _write(path: Path, data: object) -> None:
    path.touch(mode=0o600)
    path.write_text(json.dumps(data))


def _verify(content: bytes, remote: RemoteChart) -> None:
    """Of a registry helm has verified the digest, and asked for nothing else: the version is only a tag there."""
    got = f"sha256:{hashlib.sha256(content).hexdigest()}"
    if not remote.chart.startswith("oci://") and got != remote.digest:
        what = f"REFUSED: {_shown(remote)} has the digest {got}, not the one that is pinned"
        raise RenderFailedError(what, "find out who changed it before the new digest is written down")
    there = _version(content)
    if there.removeprefix("v") != remote.version.removeprefix("v"):
        what = f"REFUSED: the pinned digest of {_shown(remote)} is that of version {there}"
        raise RenderFailedError(what, "write the version and the digest of one and the same chart")


def _version(archive: bytes) -> str:
    import yaml

    try:
        data = yaml.safe_load(files_of(archive).get("Chart.yaml", b""))
    except yaml.YAMLError:
        data = None
    return str(data.get("version", "")) if isinstance(data, dict) else ""


def _shown(remote: RemoteChart) -> str:
    place = f" in {_CREDENTIALS.sub('://***@', remote.repository)}" if remote.repository else ""
    return f"{remote.chart} {remote.version}{place}"

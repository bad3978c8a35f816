"""Requests answered from the cache, or by a program: with nothing new to render none is started."""

from __future__ import annotations

import hashlib
import json
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

from orchestrator.model.rendering import HelmRequest, KustomizeRequest, Part, RenderFailedError
from orchestrator.rendering import charts, helm, kustomize
from orchestrator.rendering.cache import Cache

_FORMAT = "1"


class ProgramRenderer:
    """See `model.rendering.Renderer`. Safe to use from several threads.

    find, have   a program's version where it is there (nothing is started), and its path, installed if need be
    runs         how many programs were started
    """

    def __init__(
        self, scratch: Path, kept_charts: Path, find: Callable[[str], str], have: Callable[[str], Path]
    ) -> None:
        self._cache = Cache(scratch)
        self._charts = kept_charts
        self._find, self._have = find, have
        self._lock = threading.Lock()
        self._done: dict[str, bytes] = {}
        self.runs = 0

    def helm(self, request: HelmRequest) -> tuple[Part, ...]:
        """The chart's objects."""
        name = self._cache.name(_helm_bytes(request, self._find("helm")))
        content = self._kept(name, lambda: self._template(request), sensitive=request.sensitive)
        return tuple(Part(**each) for each in json.loads(content))

    def kustomize(self, request: KustomizeRequest) -> str:
        """The build's YAML."""
        what = ["kustomize", _FORMAT, self._find("kubectl"), request.path, _digests(request.files)]
        name = self._cache.name(json.dumps(what).encode())
        return self._kept(name, lambda: self._build(request), sensitive=False).decode()

    def _kept(self, name: str, make: Callable[[], bytes], *, sensitive: bool) -> bytes:
        found = self._done.get(name) or self._cache.get(name)
        if found is None:
            found = make()
            self._cache.put(name, found, sensitive=sensitive)
        self._done[name] = found
        return found

    def _count(self) -> None:
        with self._lock:
            self.runs += 1

    def _template(self, request: HelmRequest) -> bytes:
        program = self._have("helm")
        with tempfile.TemporaryDirectory(prefix="orchestrator-helm-") as made:
            folder = Path(made)
            archive = request.archive
            if request.remote is not None:
                archive = charts.fetched(program, request.remote, self._charts, folder, self._count)
            if archive:
                files: Mapping[str, bytes] = helm.files_of(archive)
                chart = folder / "chart.tgz"
                chart.write_bytes(archive)
            else:
                files, chart = request.files, folder / "chart"
                _write(files, chart)
            self._count()
            parts = helm.template(program, request, chart, files, folder)
            if not request.probing:
                self._count()
                _same(parts, helm.template(program, request, chart, files, folder))
        return json.dumps([{"file": p.file, "text": p.text, "template": p.template} for p in parts]).encode()

    def _build(self, request: KustomizeRequest) -> bytes:
        program = self._have("kubectl")
        with tempfile.TemporaryDirectory(prefix="orchestrator-kustomize-") as made:
            folder = Path(made)
            _write(request.files, folder)
            self._count()
            return kustomize.build(program, request.path, folder).encode()


def _same(parts: list[Part], again: list[Part]) -> None:
    """A chart that makes something up each time would differ in every plan. Raises RenderFailedError."""
    if parts == again:
        return
    for one, other in zip(parts, again, strict=False):
        if one == other:
            continue
        lines = zip(one.text.split("\n"), other.text.split("\n"), strict=False)
        key = next((mine for mine, theirs in lines if mine != theirs), "").strip().partition(":")[0]
        line = next((n for n, text in enumerate(one.template.split("\n"), 1) if text.strip().startswith(f"{key}:")), 1)
        what = f"`{key[:60]}` has another value each time that the chart is rendered"
        hint = "the chart makes it up (a random password, a certificate, the time): give it in `values`"
        raise RenderFailedError(what, hint, one.file, line)
    raise RenderFailedError("the chart renders other objects each time", "it makes something up; give it in `values`")


def _write(files: Mapping[str, bytes], root: Path) -> None:
    for name, content in files.items():
        path = root / PurePosixPath(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _digests(files: Mapping[str, bytes]) -> list[tuple[str, str]]:
    return sorted((name, hashlib.sha256(content).hexdigest()) for name, content in files.items())


def _helm_bytes(request: HelmRequest, version: str) -> bytes:
    """Everything that goes in."""
    remote = request.remote
    what = {
        "format": [_FORMAT, "helm", version, helm.KUBERNETES],
        "files": _digests(request.files),
        "archive": hashlib.sha256(request.archive).hexdigest(),
        "remote": [remote.chart, remote.repository, remote.version, remote.digest] if remote else None,
        "release": [request.release, request.namespace, request.crds, request.kube_version, request.api_versions],
        "values": request.values,
        "valuesFiles": [hashlib.sha256(content).hexdigest() for content in request.values_files],
        "how": [request.sensitive, request.probing],
    }
    return json.dumps(what, sort_keys=True).encode()

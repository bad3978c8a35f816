"""Requests answered from the cache, or by the program: with nothing new to render none is started."""

from __future__ import annotations

import hashlib
import json
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

from orchestrator.model.rendering import KustomizeRequest
from orchestrator.rendering import kustomize
from orchestrator.rendering.cache import Cache

_FORMAT = "1"


class ProgramRenderer:
    """See `model.rendering.Renderer`. Safe to use from several threads.

    version, program   kubectl's version (nothing is started for it), and its path, installed if need be
    runs               how many programs were started
    """

    def __init__(self, kept: Path, version: Callable[[], str], program: Callable[[], Path]) -> None:
        self._cache = Cache(kept)
        self._version, self._program = version, program
        self._lock = threading.Lock()
        self._done: dict[str, str] = {}
        self.runs = 0

    def kustomize(self, request: KustomizeRequest) -> str:
        """The build's YAML."""
        files = sorted((name, hashlib.sha256(content).hexdigest()) for name, content in request.files.items())
        what = ["kustomize", _FORMAT, self._version(), request.path, files]
        name = hashlib.sha256(json.dumps(what).encode()).hexdigest()
        found = self._done.get(name) or self._cache.get(name)
        if found is None:
            found = self._built(request)
            self._cache.put(name, found)
        self._done[name] = found
        return found

    def _built(self, request: KustomizeRequest) -> str:
        program = self._program()
        with self._lock:
            self.runs += 1
        with tempfile.TemporaryDirectory(prefix="orchestrator-kustomize-") as made:
            _write(request.files, Path(made))
            return kustomize.build(program, request.path, Path(made))


def _write(files: Mapping[str, bytes], root: Path) -> None:
    for name, content in files.items():
        path = root / PurePosixPath(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

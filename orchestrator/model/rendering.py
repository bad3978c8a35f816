"""What charts and kustomizations are rendered from, and what comes of it: the seam between desired/ and rendering/."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Login:
    """What a registry or repository asks for."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RemoteChart:
    """A chart to be fetched: `oci://…`, or a name in a repository; always pinned, so who fetches it does not matter."""

    chart: str
    repository: str
    version: str
    digest: str
    login: Login | None = None


@dataclass(frozen=True, slots=True)
class HelmRequest:
    """One rendering of a chart: of these files (path -> content), of a .tgz, or of a remote chart; exactly one of them.

    values   plain JSON data, secrets in clear where `sensitive` says so
    probing  a rendering with made-up values, to see what depends on them: it is only compared
    """

    release: str
    namespace: str
    values: Mapping[str, Any] = field(repr=False)
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    archive: bytes = field(default=b"", repr=False)
    remote: RemoteChart | None = None
    values_files: tuple[bytes, ...] = field(default=(), repr=False)
    crds: bool = True
    kube_version: str = ""
    api_versions: tuple[str, ...] = ()
    sensitive: bool = False
    probing: bool = False


@dataclass(frozen=True, slots=True)
class KustomizeRequest:
    """One build of the kustomization in folder `path` among these files (path -> content)."""

    files: Mapping[str, bytes] = field(repr=False)
    path: str


@dataclass(frozen=True, slots=True)
class Part:
    """Some rendered YAML, the file that it comes from ("" if the program names none), and that file's text."""

    file: str
    text: str = field(repr=False)
    template: str = field(default="", repr=False)


class RenderFailedError(Exception):
    """Nothing was rendered: the file and line (of a template, "" and 0 if not told), why, and what to do."""

    def __init__(self, message: str, hint: str = "", file: str = "", line: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.file = file
        self.line = line


class Renderer(Protocol):
    """Renders by the real programs. Raises RenderFailedError, or ToolchainError where a program cannot be had."""

    def helm(self, request: HelmRequest) -> tuple[Part, ...]:
        """The chart's objects, in the order in which the program gives them."""
        ...

    def kustomize(self, request: KustomizeRequest) -> str:
        """The build's YAML."""
        ...

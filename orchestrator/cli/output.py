"""`orchestrator output`: what placements tell the world."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from orchestrator.cli.options import estate_option, output_option, scope_options
from orchestrator.cli.session import Limits, Session, session
from orchestrator.cli.views import outputs as view
from orchestrator.model.values import Unknown, Value


@click.command()
@estate_option
@scope_options
@output_option("table", "json")
def output(estate: Path | None, limits: Limits, output: str) -> None:
    """Show the outputs of placements, as they are now; secrets are masked.

    What cannot be told now, because its site cannot be reached, is shown as it was last told.
    """
    with session(estate, limits) as it:
        found = {key: values for key, values in it.look().desired.outputs.items() if _wanted(it, key)}
        last = it.world.store.outputs()
        shown = {key: _told(values, last.get(key, {})) for key, values in found.items()}
        for (site, placement), values in shown.items():
            it.world.store.save_outputs(site, placement, values)
    click.echo(view.render(shown, output))


def _wanted(it: Session, key: tuple[str, str]) -> bool:
    return it.scope.placements is None or key[1] in it.scope.placements


def _told(values: Mapping[str, Value], last: Mapping[str, Value]) -> dict[str, Value]:
    return {name: last.get(name, value) if isinstance(value, Unknown) else value for name, value in values.items()}

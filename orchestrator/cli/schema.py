"""`orchestrator schema`: the JSON Schema of the documents."""

from __future__ import annotations

import json

import click

KINDS = ("Estate", "Blueprint", "Site", "Placement")


@click.command()
@click.argument("kind", required=False, type=click.Choice(KINDS, case_sensitive=False))
def schema(kind: str | None) -> None:
    """Print the JSON Schema of a KIND of document; without KIND, of all of them."""
    from orchestrator.documents.schema import schema as of

    click.echo(json.dumps(of(kind), indent=2))

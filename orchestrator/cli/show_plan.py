"""Printing a plan, and asking about it."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterable

import click
import yaml

from orchestrator.cli.views.plan import plan_data, plan_text
from orchestrator.model.change import Plan
from orchestrator.model.source import Diagnostic


def print_plan(plan: Plan, output: str) -> None:
    """The plan on stdout, as `table`, `json` or `yaml`."""
    if output == "json":
        click.echo(json.dumps(plan_data(plan), ensure_ascii=False))
    elif output == "yaml":
        click.echo(yaml.safe_dump(plan_data(plan), sort_keys=False, allow_unicode=True), nl=False)
    else:
        width = shutil.get_terminal_size((120, 24)).columns
        click.echo(plan_text(plan, colour=sys.stdout.isatty(), width=width, now=time.time()))


def warn(diagnostics: Iterable[Diagnostic]) -> None:
    """What is doubtful in the documents, on stderr, beside the plan that was made of them."""
    for each in diagnostics:
        click.echo(f"Warning: {each}", err=True)


def confirm(plan: Plan) -> bool:
    """Ask a person whether to go on; where nobody can answer, the answer is no."""
    changes = len(plan.acting)
    sites = len({change.address.site for change in plan.acting})
    held = plan.summary()["hold"]
    question = f"Apply {changes} {_s(changes, 'change')} at {sites} {_s(sites, 'site')}?"
    if not changes:
        question = "End what an earlier run has left?"
    if held:
        question += f" {held} {_s(held, 'unit')} {'is' if held == 1 else 'are'} held."
    if not sys.stdin.isatty():
        click.echo(f"{question} Nobody can answer here: give --yes to apply.", err=True)
        return False
    return click.confirm(question, default=False, err=True)


def _s(count: int, word: str) -> str:
    return word if count == 1 else word + "s"

"""The options that commands share, so that each is spelt, explained and read in one way."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from orchestrator.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])

ESTATE = "orchestrator.estate"
"""The key of click's `meta` under which the folder that was given is left, for the text of errors."""


def estate_option(command: F) -> F:
    """`-C/--estate DIR`, as `estate: Path | None`; None means the current folder. The root is looked for upwards."""
    return click.option(
        "-C",
        "--estate",
        envvar="ORCHESTRATOR_ESTATE",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        callback=_remember,
        help="The estate's folder, or one inside it.  [default: the current folder]",
    )(command)


def _remember(ctx: click.Context, _: click.Parameter, value: Path | None) -> Path | None:
    ctx.meta[ESTATE] = value
    return value


def output_option(*choices: str) -> Callable[[F], F]:
    """`-o/--output`, as `output: str`; the first choice is the default."""
    return click.option(
        "-o", "--output", type=click.Choice(choices), default=choices[0], show_default=True, help="How to print it."
    )


def scope_options(command: F) -> F:
    """`--site`, `--placement`, `--mode` and `--target`, as `limits: Limits`."""

    @click.option("--site", metavar="SELECTOR", help="Only sites with these labels: name=lab, tier=edge,env!=dev.")
    @click.option("--placement", "placements", metavar="NAME", multiple=True, help="Only this placement; repeatable.")
    @click.option("--mode", type=click.Choice(["stable", "agile"]), help="Only machines, or only Kubernetes.")
    @click.option(
        "--target", "targets", metavar="ADDRESS", multiple=True, help="Only this unit or what is below it; repeatable."
    )
    @functools.wraps(command)
    def limited(
        *args: Any,
        site: str | None,
        placements: tuple[str, ...],
        mode: str | None,
        targets: tuple[str, ...],
        **rest: Any,
    ) -> Any:
        # The session brings the store and the drivers: not for a help text.
        from orchestrator.cli.session import Limits

        return command(*args, limits=Limits(site, placements, mode, targets), **rest)

    return limited  # type: ignore[return-value]


def again_option(command: F) -> F:
    """`--again ADDRESS`, as a part of the `limits` of `scope_options`, which stands above it."""

    @click.option(
        "--again",
        metavar="ADDRESS",
        multiple=True,
        help="Apply this unit, or what is below it, although it is as declared; repeatable.",
    )
    @functools.wraps(command)
    def asked(*args: Any, limits: Any, again: tuple[str, ...], **rest: Any) -> Any:
        return command(*args, limits=replace(limits, again=again), **rest)

    return asked  # type: ignore[return-value]


def yes_option(command: F) -> F:
    """`-y/--yes`, as `yes: bool`."""
    return click.option("-y", "--yes", is_flag=True, help="Do not ask.")(command)


def parallel_option(command: F) -> F:
    """`--parallel N`, as `parallel: int`."""
    return click.option(
        "--parallel",
        metavar="N",
        type=click.IntRange(1, 256),
        default=8,
        show_default=True,
        help="How many sites, and workloads of a site, at the same time.",
    )(command)


def every_option(what: str) -> Callable[[F], F]:
    """`--every DURATION`, as `every: float` in seconds."""
    return click.option(
        "--every",
        default="60s",
        show_default=True,
        callback=lambda _, __, value: _seconds(value),
        help=f"{what}: a number with s, m or h.",
    )


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if not found:
        raise UsageError(f"--every {text} is no duration", hint="a number with s, m or h, as 60s")
    seconds = float(found[1]) * {"s": 1.0, "m": 60.0, "h": 3600.0}[found[2]]
    if not seconds:
        raise UsageError(f"--every {text} leaves no time between two looks", hint="as 60s; 1s is often")
    return seconds

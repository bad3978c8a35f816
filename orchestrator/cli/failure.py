"""What a person sees when a command cannot do what it was asked; imported only then."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from orchestrator import __version__
from orchestrator.cli.options import ESTATE
from orchestrator.cli.views.text import clean
from orchestrator.errors import DocumentsError, OrchestratorError


def tell(error: OrchestratorError, meta: Mapping[str, Any]) -> None:
    """The error on stderr: what is wrong, and on a line of its own what to do next."""
    if isinstance(error, DocumentsError) and error.diagnostics:
        from orchestrator.cli.views.diagnostics import diagnostics_text

        click.echo(diagnostics_text(error.diagnostics, _reader(meta), colour=_colour()), err=True)
        return
    click.echo(click.style("Error: ", fg="red", bold=True) + clean(error.message, keep_lines=True), err=True)
    if error.hint:
        click.echo("  " + clean(error.hint, keep_lines=True).replace("\n", "\n  "), err=True)


def _colour() -> bool:
    context = click.get_current_context(silent=True)
    return context is None or context.color is not False


def _reader(meta: Mapping[str, Any]) -> Any:
    """A function that gives a file's lines, so that they can be shown; nothing where there is no estate."""
    from orchestrator import documents
    from orchestrator.cli.views.diagnostics import lines_below

    try:
        return lines_below(documents.find_root(meta.get(ESTATE) or Path.cwd()))
    except OrchestratorError:
        return lambda file: ()


def no_room(error: OSError) -> int:
    """Say that a disk takes nothing more; exit code 1."""
    where = f"{error.filename}: " if error.filename else ""
    click.echo(f"Error: {where}{error.strerror}", err=True)
    click.echo("  make room, or write elsewhere, and run again: what is done already is found", err=True)
    return 1


def bug(error: Exception) -> int:
    """Say that it is a bug of ours and where to read more; exit code 1. ORCHESTRATOR_DEBUG=1 raises it instead."""
    if os.environ.get("ORCHESTRATOR_DEBUG"):
        raise error
    kind = type(error).__name__
    click.echo(f"Error: this is a bug in orchestrator {__version__}: {kind}{_place(error)}", err=True)
    try:
        click.echo(f"  Please report it with {_write_down(error)}, which names lines of code and no values.", err=True)
    except OSError as unwritable:
        click.echo(f"  Its traceback could not be written: {unwritable}", err=True)
    click.echo("  ORCHESTRATOR_DEBUG=1 shows everything, which may include values of your documents.", err=True)
    return 1


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


def _write_down(error: BaseException) -> Path:
    """The traceback in the user's state folder. Messages of exceptions are left out: they can hold secrets."""
    import platformdirs

    folder = platformdirs.user_state_path("orchestrator") / "crashes"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.txt"
    text = f"orchestrator {__version__}\n" + "\n".join(_chain(error)) + "\n"
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    return path


def _chain(error: BaseException) -> list[str]:
    """The exception's frames and kind, after those of what caused it."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    lines = [*_chain(before), "", "then:"] if before else []
    frames = "".join(traceback.format_list(traceback.extract_tb(error.__traceback__))).rstrip()
    return [*lines, frames, f"{type(error).__module__}.{type(error).__qualname__}"]

"""`orchestrator init`: a small estate to start from, which validates and, on the lab, applies."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

import click

BLUEPRINT = "hello"  # of the built-in catalogue; copied, so that it can be changed

_ESTATE = """\
# Marks the root of the estate. The id was made once and never changes: it is on everything that this estate makes.
apiVersion: orchestrator/v1alpha1
kind: Estate
metadata:
  name: {name}
  id: {id}
"""

_SITE = """\
# Sandboxed machines and a real Kubernetes API on this computer (`orchestrator lab up`).
apiVersion: orchestrator/v1alpha1
kind: Site
metadata:
  name: lab
  labels: {env: dev}
spec:
  stable: {provider: lab}
  agile: {cluster: {lab: true}}
"""

_PLACEMENT = """\
# What runs where: the blueprint in blueprints/hello, at every site with env: dev.
apiVersion: orchestrator/v1alpha1
kind: Placement
metadata: {name: hello}
spec:
  blueprint: ./blueprints/hello
  sites: {matchLabels: {env: dev}}
  values:
    greeting: Hello from {name}
"""

_README = """\
# {name}

    orchestrator lab up          # machines and a Kubernetes API on this computer
    orchestrator apply           # shows the plan, asks, makes the changes
    orchestrator status          # how everything is; then change hello.yaml or blueprints/hello, and plan again
    orchestrator destroy         # takes it all away; `orchestrator lab down` ends the lab
"""

_KEPT = ("README.md", ".gitignore")  # a fresh repository has them already; they stay as they are
_IGNORE = ".orchestrator/\n"


@click.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path, file_okay=False))
@click.option("--name", help="The estate's name.  [default: the folder's name]")
def init(folder: Path, name: str | None) -> None:
    """Start an estate in DIR (default: here): a site, a blueprint and a placement of it. Overwrites nothing."""
    from orchestrator.errors import OrchestratorError

    chosen = checked(name) if name is not None else derived(folder.absolute().name)
    refuse_inside_another(folder)
    files = {path: text for path, text in contents(chosen).items() if path not in _KEPT or not (folder / path).exists()}
    there = [path for path in files if (folder / path).exists() or (folder / path).is_symlink()]
    if there:
        raise OrchestratorError(
            f"{folder / there[0]} is there already; nothing was written",
            hint="choose another folder: orchestrator init DIR",
        )
    try:
        write(folder, files)
    except OSError as error:
        raise OrchestratorError(
            f"{error.filename}: {error.strerror}", hint="choose a folder that you may write to"
        ) from None
    click.echo(f"Estate {chosen}: {len(files)} files in {folder}.")
    into = "" if folder.absolute() == Path.cwd() else f"cd {folder} && "
    click.echo(f"Next: {into}orchestrator lab up && orchestrator apply")


def refuse_inside_another(folder: Path) -> None:
    """One estate to a folder and what is below it. Raises OrchestratorError."""
    from orchestrator.documents.finding import ROOT
    from orchestrator.errors import OrchestratorError

    above = next((parent for parent in folder.absolute().parents if (parent / ROOT).is_file()), None)
    if above is not None:
        hint = "choose a folder outside of it, or add documents to that estate"
        raise OrchestratorError(f"{folder} lies in the estate of {above}; nothing was written", hint=hint)


def checked(name: str) -> str:
    """The name that was asked for. Raises UsageError."""
    from orchestrator.errors import UsageError

    if derived(name) != name:
        raise UsageError(f"`{name}` is not a name", hint=f"lower-case letters, digits and `-`: --name {derived(name)}")
    return name


def derived(text: str) -> str:
    """A valid name, as close to the text as can be."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower())[:63].strip("-") or "estate"


def contents(name: str) -> dict[str, bytes]:
    """The estate's files by path. Raises OrchestratorError where the catalogue is missing."""
    from orchestrator.documents.finding import catalogue
    from orchestrator.errors import OrchestratorError

    place = catalogue()
    if place is None or not (place / BLUEPRINT).is_dir():
        raise OrchestratorError("the built-in blueprints are missing", hint="install orchestrator again")
    source = place / BLUEPRINT
    texts = {
        "orchestrator.yaml": _ESTATE.replace("{name}", name).replace("{id}", str(uuid.uuid4())),
        "hello.yaml": _PLACEMENT.replace("{name}", name),
        "inventories/lab/site.yaml": _SITE,
        "README.md": _README.replace("{name}", name),
        ".gitignore": _IGNORE,
    }
    files = {path: text.encode() for path, text in texts.items()}
    for path in sorted(source.rglob("*")):
        if path.is_file():
            files[f"blueprints/{BLUEPRINT}/{path.relative_to(source).as_posix()}"] = path.read_bytes()
    return files


def write(folder: Path, files: dict[str, bytes]) -> None:
    """The files, the estate's own document last: an interrupted init is no estate."""
    for path in sorted(files, key=lambda path: path == "orchestrator.yaml"):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            file.write(files[path])

"""Which blueprint a placement's `blueprint:` picks: `name`, `name@range`, or a folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from semantic_version import NpmSpec, Version

from orchestrator.documents.loaded import BlueprintSource
from orchestrator.documents.models import Placement
from orchestrator.documents.validation import did_you_mean, one_of
from orchestrator.documents.written import Written
from orchestrator.model.source import Diagnostic

Key = tuple[str, str]
_LONGEST = 200
_INSTEAD = "put a copy into the estate, or use name@range"


def version(text: str) -> Version | None:
    """The semantic version that a text is."""
    try:
        return Version(text) if len(text) <= _LONGEST else None
    except ValueError:
        return None


def choose(
    placement: Written[Placement], blueprints: Mapping[Key, BlueprintSource], folders: Mapping[Path, Key], root: Path
) -> Key | Diagnostic:
    """The key of the blueprint that a placement picks; `folders` are the estate's own, by real path."""
    text = placement.model.spec.blueprint
    if text.startswith((".", "/", "~")):
        return _by_folder(placement, text, folders, root)
    name, _, wanted = text.partition("@")
    return _by_name(placement, name.strip(), wanted.strip() or "*", blueprints)


def _by_folder(placement: Written[Placement], text: str, folders: Mapping[Path, Key], root: Path) -> Key | Diagnostic:
    source = placement.at.of("spec", "blueprint")
    here = root / PurePosixPath(placement.at.file).parent
    path = Path(os.path.normpath(here / text))
    if text.startswith("~") or not path.is_relative_to(root):
        what = f"the blueprint's folder `{text[:80]}` leaves the estate"
        return Diagnostic(source, what, _INSTEAD)
    try:
        real, is_folder = path.resolve(), path.is_dir()
    except (OSError, ValueError):  # too long, or not a path at all
        real, is_folder = path, False
    if real in folders:
        return folders[real]
    if not real.is_relative_to(root.resolve()):
        what = f"the blueprint's folder `{text[:80]}` is a symlink that leaves the estate"
        return Diagnostic(source, what, _INSTEAD)
    known = {_relative(folder, here.resolve()) for folder in folders}
    what = f"there is no folder `{text[:80]}`"
    if is_folder:
        what = f"the folder `{text[:80]}` holds no blueprint that can be used"
    return Diagnostic(source, what, did_you_mean(text, known) or one_of(known, none="paths are relative to this file"))


def _relative(folder: Path, here: Path) -> str:
    relative = PurePosixPath(os.path.relpath(folder, here)).as_posix()
    return relative if relative.startswith(".") else f"./{relative}"


def _by_name(
    placement: Written[Placement], name: str, wanted: str, blueprints: Mapping[Key, BlueprintSource]
) -> Key | Diagnostic:
    source = placement.at.of("spec", "blueprint")
    versions = [Version(key[1]) for key in blueprints if key[0] == name]
    if not versions:
        names = {key[0] for key in blueprints}
        return Diagnostic(source, f"there is no blueprint `{name[:80]}`", did_you_mean(name, names) or one_of(names))
    try:
        spec = NpmSpec(wanted[:_LONGEST])
    except ValueError:
        what = f"`{wanted[:80]}` is not a range of versions"
        return Diagnostic(source, what, "write it as 1.4.0, ^1.4, ~1.4.2, 1.x or >=1 <2")
    fitting = [each for each in versions if each in spec]
    if not fitting:
        there = ", ".join(str(each) for each in sorted(versions)[-10:])
        return Diagnostic(source, f"no version of the blueprint {name} fits `{wanted[:80]}`", f"there is {there}")
    return name, str(max(fitting))

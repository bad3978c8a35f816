"""Where an estate is, which of its files hold documents, and where the built-in catalogue lies."""

from __future__ import annotations

import itertools
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import orchestrator
from orchestrator.documents.yaml import MAX_BYTES, Reading, read
from orchestrator.errors import DocumentsError
from orchestrator.model.source import Diagnostic, Source

ROOT = "orchestrator.yaml"

_OURS = re.compile(rb"""["']?orchestrator/v\d""")  # cheap: only such files are parsed at all
_UTF16 = re.compile(rb"o\0r\0c\0h\0e\0s\0t\0r\0a\0t\0o\0r\0/\0v|\0o\0r\0c\0h\0e\0s\0t\0r\0a\0t\0o\0r\0/\0v")
_LINKED = 1_000  # files behind a linked folder that are looked at
_BLUEPRINT = re.compile(rb"""^[{ ]*["']?kind["']?\s*:\s*["']?Blueprint\b|[{,]\s*kind\s*:\s*Blueprint\b""", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Found:
    """One file with documents; `blueprint` where a Blueprint is among them: the rest of its folder is its content."""

    path: Path
    name: str  # relative to the estate's root, as in messages
    reading: Reading
    blueprint: bool


@dataclass(slots=True)
class Walk:
    """The files with documents below a folder."""

    root: Path
    prefix: str = ""  # of the names in messages
    found: list[Found] = field(default_factory=list)
    problems: list[Diagnostic] = field(default_factory=list)

    def run(self) -> Walk:
        """Visit all folders; hidden ones and what lies in blueprints' folders hold no documents."""
        for folder, folders, files in os.walk(self.root, onerror=self.unreadable):
            here = [found for name in sorted(files) if (found := self.look(Path(folder) / name)) is not None]
            blueprints = [found for found in here if found.blueprint]
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            if not blueprints or Path(folder) == self.root:
                self.linked(Path(folder), folders)
            if blueprints and Path(folder) == self.root:
                here = self.misplaced(here, blueprints)
            elif blueprints:
                here, folders[:] = self.alone(blueprints), []
            self.found += here
        return self

    def look(self, path: Path) -> Found | None:
        """The file's documents, where it has some of ours."""
        is_root = path.name == ROOT and path.parent == self.root
        if not path.name.endswith((".yaml", ".yml")) or path.name.startswith("."):
            return None
        name = self.prefix + path.relative_to(self.root).as_posix()
        content = self.content(path, name)
        if content is None or not (is_root or _OURS.search(content) or _UTF16.search(content)):
            return None
        if path.is_symlink() and not path.resolve().is_relative_to(self.root.resolve()):
            hint = "put a copy of the file here"
            self.problems.append(Diagnostic(Source(name), "a document behind a symlink that leaves the estate", hint))
            return None
        reading = read(content, name)
        return Found(path, name, reading, bool(_BLUEPRINT.search(content)))

    def content(self, path: Path, name: str) -> bytes | None:
        """The file's bytes, up to what is read at all; None for what is not a regular file."""
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                return None
            with path.open("rb") as file:
                return file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            if path.is_symlink():  # it may have held documents: what they declared must not seem to be gone
                self.problems.append(Diagnostic(Source(name), "a symlink that leads nowhere", "mend it, or remove it"))
            return None
        except OSError as error:
            self.problems.append(
                Diagnostic(Source(name), f"the file cannot be read: {error.strerror}", "check its mode")
            )
            return None

    def linked(self, folder: Path, names: list[str]) -> None:
        """Folders behind symlinks are not visited; sites and placements outside would be overlooked without a word."""
        for path in (folder / name for name in names):
            outside = path.is_symlink() and not path.resolve().is_relative_to(self.root.resolve())
            if outside and _holds_documents(path):
                name = self.prefix + path.relative_to(self.root).as_posix()
                what = "a symlink to a folder outside of the estate, whose documents are not read"
                self.problems.append(Diagnostic(Source(name), what, "put a copy of the folder here"))

    def misplaced(self, here: list[Found], blueprints: list[Found]) -> list[Found]:
        """A Blueprint at the root would make the whole estate its content."""
        for each in blueprints:
            hint = "put it and its files into a folder such as blueprints/NAME/"
            self.problems.append(Diagnostic(Source(each.name, 1, 1), "a Blueprint in the estate's root folder", hint))
        return [found for found in here if not found.blueprint]

    def alone(self, blueprints: list[Found]) -> list[Found]:
        """One blueprint to a folder."""
        for each in blueprints[1:]:
            hint = f"the first is {blueprints[0].name}; give each a folder"
            self.problems.append(Diagnostic(Source(each.name, 1, 1), "a second Blueprint in one folder", hint))
        return blueprints[:1]

    def unreadable(self, error: OSError) -> None:
        """A folder that cannot be listed: it might hold documents, so nothing may be concluded from their absence."""
        name = os.path.relpath(error.filename, self.root)
        self.problems.append(Diagnostic(Source(name), f"the folder cannot be read: {error.strerror}", "check its mode"))


def _holds_documents(folder: Path) -> bool:
    """Whether a site or placement is among the first files below a folder; blueprints are missed by name."""
    files = (Path(at) / name for at, _, names in os.walk(folder) for name in names)
    for path in itertools.islice(files, _LINKED):
        if path.name.endswith((".yaml", ".yml")) and path.is_file() and os.access(path, os.R_OK):
            with path.open("rb") as file:
                content = file.read(MAX_BYTES)
            if _OURS.search(content) and not _BLUEPRINT.search(content):
                return True
    return False


def find_root(start: Path) -> Path:
    """The root of the estate that `start` (a folder or a file) lies in. Raises DocumentsError where there is none."""
    start = start.resolve()
    if not start.exists():
        raise DocumentsError([Diagnostic(Source(str(start)), "there is no such folder")])
    for folder in _upwards(start):
        if (folder / ROOT).is_file():
            return folder
    hint = "`orchestrator init` makes one; or name its folder"
    raise DocumentsError([Diagnostic(Source(str(start)), f"no estate here: no {ROOT} in this folder or above", hint)])


def _upwards(start: Path) -> Iterator[Path]:
    if start.is_dir():
        yield start
    yield from start.parents


def catalogue() -> Path | None:
    """The folder of the built-in blueprints: inside the package where it is installed, beside it in a source tree."""
    package = Path(orchestrator.__file__).parent
    places = (package / "blueprints", package.parent / "blueprints")
    return next((place for place in places if place.is_dir()), None)

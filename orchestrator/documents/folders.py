"""The content of a blueprint's folder, read whole and within limits, and the paths in it that a blueprint names."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.documents.loaded import Folder
from orchestrator.documents.models import Blueprint
from orchestrator.documents.playbooks import playbook_problems
from orchestrator.documents.source_paths import inside, source_problems
from orchestrator.documents.validation import did_you_mean
from orchestrator.documents.written import JsonPath, Written
from orchestrator.model.source import Diagnostic, Source

MAX_FILES = 10_000
MAX_BYTES = 64 * 1024 * 1024  # of a whole folder

MANIFESTS = (".yaml", ".yml", ".json", ".yaml.j2", ".yml.j2", ".json.j2")
PROGRAM_FILE = "__main__.py"
_ENDINGS = f"manifests end with {', '.join(MANIFESTS)}"

_NOT_CONTENT = frozenset({".git", ".hg", ".svn", "__pycache__", ".orchestrator", ".DS_Store", ".venv", "venv"})
_LEFTOVERS = (".pyc", "~", ".swp", ".swo", ".retry")


def read_folder(root: Path, label: str, within: Path) -> tuple[Folder, list[Diagnostic]]:
    """All regular files below `root`; a symlink may lead anywhere `within` the estate, not out of it."""
    reading = _Reading(root, label, within.resolve())
    reading.visit(root, "", frozenset({root.resolve()}))
    return Folder(root.resolve(), label, reading.files), reading.problems


@dataclass(slots=True)
class _Reading:
    """A folder that is being read."""

    root: Path
    label: str
    within: Path
    files: dict[str, bytes] = field(default_factory=dict)
    problems: list[Diagnostic] = field(default_factory=list)
    size: int = 0
    seen: int = 0

    def visit(self, folder: Path, prefix: str, above: frozenset[Path]) -> None:
        """One folder; `above` are the real folders it lies in, so that a symlink to one of them is no endless loop."""
        for entry in sorted(folder.iterdir()) if self.readable(folder, prefix) else ():
            name = prefix + entry.name
            self.seen += 1
            if self.seen > MAX_FILES or self.size > MAX_BYTES:
                self.too_much()
                return
            if entry.name in _NOT_CONTENT or entry.name.endswith(_LEFTOVERS):
                continue
            if entry.is_symlink() and not self.stays(entry, name):
                continue
            real = entry.resolve()
            if entry.is_dir():
                if real not in above:
                    self.visit(entry, f"{name}/", above | {real})
            elif stat.S_ISREG(entry.stat().st_mode):
                self.take(entry, name)

    def readable(self, folder: Path, name: str) -> bool:
        """Whether the folder can be listed."""
        if os.access(folder, os.R_OK | os.X_OK):
            return True
        self.problem(name, "the folder cannot be read", "check its mode")
        return False

    def stays(self, link: Path, name: str) -> bool:
        """Whether a symlink leads to something that is there, inside of the estate."""
        try:
            target = link.resolve(strict=True)
        except (OSError, RuntimeError):
            self.problem(name, "a symlink that leads nowhere", "remove it")
            return False
        if target.is_relative_to(self.within):
            return True
        self.problem(name, "a symlink that leaves the estate", "put a copy of the file here")
        return False

    def take(self, path: Path, name: str) -> None:
        """One file."""
        size = path.stat().st_size
        self.size += size
        if self.size > MAX_BYTES:
            self.too_much()
            return
        try:
            self.files[name] = path.read_bytes()
        except OSError as error:
            self.problem(name, f"the file cannot be read: {error.strerror}", "check its mode")

    def too_much(self) -> None:
        """Said once, however many files there are."""
        if not any(problem.source.file == self.label for problem in self.problems):
            what = f"the folder has more than {MAX_FILES:,} files or {MAX_BYTES >> 20} MiB"
            hint = "keep large files elsewhere and fetch them in the playbook"
            self.problems.append(Diagnostic(Source(self.label), what, hint))

    def problem(self, name: str, message: str, hint: str) -> None:
        """Note what is wrong with one entry."""
        self.problems.append(Diagnostic(Source(f"{self.label}/{name}".rstrip("/")), message, hint))


def check_paths(document: Written[Blueprint], folder: Folder) -> Iterator[Diagnostic]:
    """Paths that a blueprint names and that are not in its folder, and playbooks that are not YAML."""
    for name, stable in document.model.spec.stable.items():
        if (configure := stable.configure) is None:
            continue
        path: JsonPath = ("spec", "stable", name, "configure")
        if configure.playbook is not None:
            yield from _playbook(document, folder, (*path, "playbook"), configure.playbook, configure.vars)
        if configure.remove is not None:
            yield from _playbook(document, folder, (*path, "remove"), configure.remove, ())
        for index, role in enumerate(configure.roles):
            yield from _role(document, folder, (*path, "roles", index), role)
    for name, agile in document.model.spec.agile.items():
        for index, manifest in enumerate(agile.manifests):
            yield from _manifest(document, folder, ("spec", "agile", name, "manifests", index), manifest)
        if agile.program is not None:
            yield from _program(document, folder, ("spec", "agile", name, "program"), agile.program)
        yield from source_problems(document, folder, ("spec", "agile", name), agile)


def _playbook(
    document: Written[Blueprint], folder: Folder, at: JsonPath, name: str, given: Collection[str]
) -> Iterator[Diagnostic]:
    inner = inside(name)
    if inner is None:
        yield _leaves(document, at, name)
    elif inner not in folder.files:
        hint = did_you_mean(inner, folder.files) or "paths are relative to the blueprint's folder"
        yield Diagnostic(document.at.of(*at), f"there is no file `{name}` in {folder.label}", hint)
    else:
        yield from playbook_problems(folder.files[inner], f"{folder.label}/{inner}", given)


def _role(document: Written[Blueprint], folder: Folder, at: JsonPath, name: str) -> Iterator[Diagnostic]:
    inner = inside(name)
    if inner is None:
        yield _leaves(document, at, name)
    elif name.count(".") >= 2 and "/" not in name:
        return  # a collection's role, ns.collection.role; Ansible knows where it is
    elif any(file.rpartition("/")[2] in ("requirements.yml", "requirements.yaml") for file in folder.files):
        return  # it may be one that they list
    elif not _below(folder, f"roles/{inner}") and not _below(folder, inner):
        roles = {file.split("/")[1] for file in folder.files if file.startswith("roles/") and file.count("/") > 1}
        hint = did_you_mean(inner, roles) or f"put it into {folder.label}/roles/{inner}"
        yield Diagnostic(document.at.of(*at), f"there is no role `{name}` in {folder.label}", hint)


def _manifest(document: Written[Blueprint], folder: Folder, at: JsonPath, name: str) -> Iterator[Diagnostic]:
    inner = inside(name)
    if inner is None:
        yield _leaves(document, at, name)
    elif inner in folder.files:
        if not inner.endswith(MANIFESTS):
            yield Diagnostic(document.at.of(*at), f"`{name}` is not a manifest", _ENDINGS)
    elif not (below := _below(folder, inner)):
        folders = {str(Path(file).parent) for file in folder.files}
        hint = did_you_mean(inner, {*folder.files, *folders}) or "paths are relative to the blueprint's folder"
        yield Diagnostic(document.at.of(*at), f"there is no file or folder `{name}` in {folder.label}", hint)
    elif not any(file.endswith(MANIFESTS) for file in below):
        yield Diagnostic(document.at.of(*at), f"the folder `{name}` has no manifests", _ENDINGS)


def _program(document: Written[Blueprint], folder: Folder, at: JsonPath, name: str) -> Iterator[Diagnostic]:
    inner = inside(name)
    if inner is None:
        yield _leaves(document, at, name)
    elif inner in folder.files:
        yield Diagnostic(document.at.of(*at), f"`{name}` is a file", "name the program's folder")
    elif not _below(folder, inner):
        folders = {str(Path(file).parent) for file in folder.files if file.endswith(f"/{PROGRAM_FILE}")}
        hint = did_you_mean(inner, folders) or "paths are relative to the blueprint's folder"
        yield Diagnostic(document.at.of(*at), f"there is no folder `{name}` in {folder.label}", hint)
    elif posixpath.join(inner, PROGRAM_FILE) not in folder.files:
        what = f"the folder `{name}` has no {PROGRAM_FILE}"
        hint = "a Pulumi program in Python begins there; other languages are not run"
        yield Diagnostic(document.at.of(*at), what, hint)


def _below(folder: Folder, name: str) -> list[str]:
    return [file for file in folder.files if not name or file.startswith(f"{name}/")]


def _leaves(document: Written[Blueprint], at: JsonPath, name: str) -> Diagnostic:
    what = f"the path `{name[:80]}` leaves the blueprint's folder"
    return Diagnostic(document.at.of(*at), what, "name a file inside it, relative to it")

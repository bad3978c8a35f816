"""Revisions: what a placement is resolved from, kept as data, and documents made of that again."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from orchestrator.documents.finding import Walk
from orchestrator.documents.loaded import BlueprintSource, Loaded
from orchestrator.documents.loading import Shelf
from orchestrator.documents.models import Placement
from orchestrator.documents.written import Positions, Written
from orchestrator.errors import DocumentsError
from orchestrator.model.revision import Revision
from orchestrator.model.source import Diagnostic, Source
from orchestrator.model.values import digest


def revision_digest(loaded: Loaded, placement: str) -> str:
    """The digest of the revision that the documents make of a placement; "" where it has no blueprint.

    How it is to be changed (`change:`) does not count: that is not what should be.
    """
    key = loaded.chosen.get(placement)
    if key is None:
        return ""
    source = loaded.blueprints[key]
    return digest({"placement": _placement(loaded, placement), "blueprint": source.digest})


def revision_of(loaded: Loaded, placement: str) -> Revision:
    """The revision itself; the placement must have a blueprint."""
    source = loaded.blueprints[loaded.chosen[placement]]
    contents = {hashlib.sha256(content).hexdigest(): content for content in source.folder.files.values()}
    metadata = source.document.model.metadata
    blueprint = {
        "name": metadata.name,
        "version": metadata.version,
        "label": source.folder.label,
        "own": PurePosixPath(source.document.at.file).name,
        "files": {path: _file(source, path, content) for path, content in source.folder.files.items()},
    }
    file = loaded.placements[placement].at.file
    data = {"placement": _placement(loaded, placement), "file": file, "blueprint": blueprint}
    return Revision(revision_digest(loaded, placement), data, contents)


def restored(
    data: Mapping[str, Any], content: Callable[[str], bytes], folder: Path, label: str
) -> tuple[Written[Placement], BlueprintSource]:
    """A revision's documents. Its blueprint's files are put into `folder`, once; `label` is what people call it.

    Raises DocumentsError where they are not valid any more.
    """
    blueprint = data["blueprint"]
    if not folder.is_dir():
        _write(folder, blueprint["files"], content)
    shelf, walk = Shelf(folder), Walk(folder, f"{label}/")
    own = walk.look(folder / blueprint["own"])
    walk.found = [own] if own else []
    shelf.add_all(walk)
    found = shelf.blueprints.get((blueprint["name"], blueprint["version"]))
    if found is None or shelf.problems:
        problems = shelf.problems or [Diagnostic(Source(label), "its blueprint cannot be read any more")]
        raise DocumentsError(sorted(set(problems)))
    placement = Placement.model_validate_json(json.dumps(data["placement"]))
    return Written(placement, Positions(str(data["file"]))), found


def _placement(loaded: Loaded, placement: str) -> Any:
    model = loaded.placements[placement].model
    data = model.model_dump(mode="json", by_alias=True, exclude_none=True)
    data["spec"].pop("change", None)
    return data


def _file(source: BlueprintSource, path: str, content: bytes) -> dict[str, Any]:
    return {
        "digest": hashlib.sha256(content).hexdigest(),
        "run": os.access(source.folder.root / PurePosixPath(path), os.X_OK),
    }


def _write(folder: Path, files: Mapping[str, Mapping[str, Any]], content: Callable[[str], bytes]) -> None:
    """All of it or nothing: the folder appears when its last file is written."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        for path, file in files.items():
            place = made / PurePosixPath(path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content(file["digest"]))
            place.chmod(0o700 if file["run"] else 0o600)
        made.rename(folder)
    except FileExistsError:
        shutil.rmtree(made)  # another process was faster
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise

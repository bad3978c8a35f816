"""The files that a playbook can use: a change in one of them is a change of the configuration."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from functools import lru_cache

from orchestrator.documents.source_paths import inside
from orchestrator.documents.workloads import Configure

# Where teams list the roles and collections that a playbook needs.
REQUIREMENTS = tuple(
    f"{folder}requirements.{end}" for folder in ("", "roles/", "collections/") for end in ("yml", "yaml")
)


def digests(files: Mapping[str, bytes], configure: Configure, manifests: Collection[str]) -> dict[str, str]:
    """Path -> SHA-256 of each: the playbook, all in folders beside it, roles, requirements, and neighbours that these
    name.

    `manifests` are files of agile workloads, which no playbook uses.
    """
    remove = inside(configure.remove) if configure.remove else None
    candidates = [name for name in files if name != remove and name not in manifests]
    used = {name for name in candidates if name.startswith("roles/") or name in REQUIREMENTS}
    playbook = inside(configure.playbook) if configure.playbook else None
    if playbook is not None and playbook in files:
        folder = playbook.rpartition("/")[0]
        prefix = f"{folder}/" if folder else ""
        beside = [name for name in candidates if name.startswith(prefix)]
        used |= {
            playbook,
            *(name for name in beside if "/" in name[len(prefix) :] or name[len(prefix) :] in REQUIREMENTS),
        }
        used |= _named(files, used, {name for name in beside if "/" not in name[len(prefix) :]})
    return {name: _digest(files[name]) for name in sorted(used)}


def _named(files: Mapping[str, bytes], used: Collection[str], neighbours: Collection[str]) -> set[str]:
    """The neighbours whose file name stands in the text of a used file, or of another that does."""
    found: set[str] = set()
    todo = list(used)
    while todo:
        content = files[todo.pop()]
        for name in neighbours:
            if name not in found and name not in used and name.rpartition("/")[2].encode() in content:
                found.add(name)
                todo.append(name)
    return found


@lru_cache(maxsize=4096)
def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

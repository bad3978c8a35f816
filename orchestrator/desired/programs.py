"""The unit of an agile workload that is a Pulumi program, and its outputs: the program's exports."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

from orchestrator.desired.blueprints import Agile, Ref
from orchestrator.desired.here import Here
from orchestrator.desired.types import fits, type_of
from orchestrator.documents import yaml
from orchestrator.documents.loaded import Folder
from orchestrator.documents.source_paths import inside
from orchestrator.model.address import PROGRAM, Address, Mode
from orchestrator.model.source import Diagnostic, Source
from orchestrator.model.unit import Unit
from orchestrator.model.values import Secret, Unknown, Value

_PROJECT = ("Pulumi.yaml", "Pulumi.yml")
_OTHER_STACKS = re.compile(r"Pulumi\.[^/]+\.ya?ml")  # the author's own; ours is made of `vars`
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")


def resolve(here: Here, ref: Ref, workload: Agile, namespace: str) -> None:
    """The workload's one unit, and its outputs as they are known."""
    lookup = here.lookup(ref)
    variables = {name: each.value(lookup, here.report) for name, each in workload.vars.items()}
    folder = here.blueprint.source.folder
    path = inside(workload.model.program or "") or ""
    files = _files(folder, path)
    project = _project(here, folder, path, ref[1])
    address = Address(here.site_name, here.placement, Mode.AGILE, ref[1], PROGRAM, f"{namespace}/{ref[1]}")
    inputs: dict[str, Value] = {f"{path}/{name}".lstrip("/"): digest for name, digest in files.items()}
    inputs |= {f"vars.{name}": value for name, value in variables.items()}
    outputs: dict[str, Value] = {name: str(each.type) for name, each in workload.model.outputs.items()}
    here.objects[ref[1]] = []
    here.units[ref] = [
        Unit(
            address=address,
            spec={
                "root": str(folder.root),
                "path": path,
                "where": f"{folder.label}/{path}".rstrip("/"),
                "files": dict(files),
                "vars": dict(variables),
                "outputs": outputs,
                "project": project,
                "namespace": namespace,
                "timeout": workload.timeout,
            },
            inputs=inputs,
            identity=f"program/{address.name}/{here.placement}",
            source=here.source(workload, "program"),
            needs=here.needed(ref),
            protected=here.protected(workload),
            blueprint=here.blueprint.label,
        )
    ]
    here.outputs[ref] = _outputs(here, workload, address)


def _files(folder: Folder, path: str) -> dict[str, str]:
    """The program's files, below its folder, with their digests."""
    prefix = f"{path}/" if path else ""
    names = [name for name in sorted(folder.files) if name.startswith(prefix)]
    kept = [name for name in names if not _OTHER_STACKS.fullmatch(name.removeprefix(prefix))]
    return {name.removeprefix(prefix): _digest(folder.files[name]) for name in kept}


@lru_cache(maxsize=4096)
def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _project(here: Here, folder: Folder, path: str, workload: str) -> str:
    """The project's name, by which its configuration is read: that of its Pulumi.yaml, else the workload's."""
    for name in _PROJECT:
        file = f"{path}/{name}".lstrip("/")
        if file not in folder.files:
            continue
        reading = yaml.read(folder.files[file], f"{folder.label}/{file}", manifest=True)
        data = reading.documents[0].data if reading.documents else None
        given = data.get("name") if isinstance(data, dict) else None
        if isinstance(given, str) and _NAME.fullmatch(given):
            return given
        what = "the project has no name that Pulumi takes"
        here.report(Diagnostic(Source(f"{folder.label}/{file}", 1, 1), what, "write `name:` in it, or remove the file"))
    return workload


def _outputs(here: Here, workload: Agile, address: Address) -> dict[str, Value]:
    """What it exports, of the declared types; not known where it was not applied as it is declared now."""
    live = here.known.objects.get(address) or {}
    exports = live.get("outputs") or {}
    found: dict[str, Value] = {}
    for name, output in workload.model.outputs.items():
        value = exports.get(name, Unknown("any"))
        if isinstance(value, Unknown) or not fits(output.type, type_of(value)):
            is_secret = output.type == "secret" or (isinstance(value, Unknown) and value.secret)
            found[name] = Unknown(output.type, frozenset({str(address)}), is_secret)
        elif output.type == "secret" and not isinstance(value, Secret):
            found[name] = Secret(value, f"output {name}")
        else:
            found[name] = value
    return found

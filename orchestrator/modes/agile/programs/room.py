"""The folder in which the engine runs one stack: its project, its configuration, its file backend."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from orchestrator.errors import DriverError
from orchestrator.model.values import Secret, Value, has_secret, revealed
from orchestrator.modes.agile.programs.checkpoint import Checkpoint
from orchestrator.modes.agile.programs.secrets import Vault

_KEPT_OF_PROJECT = ("description", "config", "plugins", "options")
_SALTED = "encryptionsalt"


@dataclass(frozen=True, slots=True)
class Room:
    """One stack's folder. `work` is the program's own folder while it runs, a copy of the blueprint's."""

    folder: Path
    project: str
    stack: str

    @property
    def work(self) -> Path:
        """Where the program and the project file are."""
        return self.folder / "work"

    @property
    def _file(self) -> Path:
        return self.folder / "state" / ".pulumi" / "stacks" / self.project / f"{self.stack}.json"

    def prepare(self, checkpoint: Checkpoint) -> None:
        """Make the folders, with this state; a lock that a killed run has left goes: we hold the site's lease."""
        for name in ("home", "tmp"):
            (self.folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("locks", "history", "backups"):
            shutil.rmtree(self.folder / "state" / ".pulumi" / name, ignore_errors=True)
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        content = checkpoint.content if checkpoint.serial else Checkpoint.empty(self.project, self.stack).content
        self._file.write_bytes(content)
        (self.folder / "base.json").write_text(json.dumps({"serial": checkpoint.serial, "digest": _digest(content)}))
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(mode=0o700)

    def left(self) -> tuple[Checkpoint, int] | None:
        """What the engine has left here that was never taken over, and the serial of the state that it began from."""
        try:
            base = json.loads((self.folder / "base.json").read_text())
            content = self._file.read_bytes()
            serial = int(base["serial"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        found = Checkpoint(content, serial + 1)
        return (found, serial) if _digest(content) != base["digest"] and found.is_readable else None

    def taken_over(self, serial: int) -> None:
        """What the engine has left is kept by now."""
        base = {"serial": serial, "digest": _digest(self._file.read_bytes())}
        (self.folder / "base.json").write_text(json.dumps(base))

    def result(self, serial: int) -> Checkpoint:
        """The state as the engine has left it."""
        return Checkpoint(self._file.read_bytes(), serial)

    def copy_program(self, source: Path, files: Mapping[str, str]) -> None:
        """Put the program's files here. Raises DriverError where one is not what was planned with."""
        for name, digest in files.items():
            content = _read(source / name)
            if hashlib.sha256(content).hexdigest() != digest:
                raise DriverError(f"{name} has changed since the documents were read", hint="plan and apply again")
            target = self.work / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)

    def write_project(self) -> None:
        """Our own project file over the author's, of which what is no matter of ours is kept."""
        theirs = project_of(self.work)
        backend = {"url": f"file://{quote(str(self.folder / 'state'))}"}
        kept = {key: theirs[key] for key in _KEPT_OF_PROJECT if key in theirs}
        ours = {**kept, "name": self.project, "runtime": "python", "backend": backend}
        (self.work / "Pulumi.yaml").write_text(json.dumps(ours))

    def write_config(self, config: Mapping[str, Value], vault: Vault) -> None:
        """The configuration of the stack: secrets encrypted, maps and lists as JSON, as Pulumi has them."""
        texts: dict[str, Any] = {}
        for key, value in config.items():
            if value is None:
                continue
            text = _text(revealed(value))
            texts[key if ":" in key else f"{self.project}:{key}"] = (
                {"secure": vault.encrypt(text)} if has_secret(value) else text
            )
        path = self.work / f"Pulumi.{self.stack}.yaml"
        path.touch(mode=0o600)
        path.write_text(json.dumps({_SALTED: vault.state, "config": texts}))


def project_of(folder: Path) -> dict[str, Any]:
    """The author's Pulumi.yaml; empty where there is none."""
    for name in ("Pulumi.yaml", "Pulumi.yml"):
        if (folder / name).is_file():
            data = yaml.safe_load((folder / name).read_text())
            return data if isinstance(data, dict) else {}
    return {}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value)


def secret_texts(config: Mapping[str, Value]) -> set[str]:
    """The secret values of a configuration in clear, to be taken out of what is shown."""
    found: set[str] = set()

    def walk(value: Value) -> None:
        if isinstance(value, Secret):
            found.add(_text(value.reveal()))
        elif isinstance(value, Mapping):
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(dict(config))
    return found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DriverError(f"{path.name} cannot be read any more: {error.strerror}", hint="plan again") from None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

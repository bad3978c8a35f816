"""The lab's folder: where it is, that it is ours, one writer at a time, and its removal.

HOME/lab.json                 the mark that makes a folder a lab, with its id; nothing is written or removed without it
HOME/cluster/                 the control plane: data, keys, logs, kubeconfig, members.json
HOME/machines/NAME/           machine.json, agent.sock, log, and `disk`, the machine's own folders
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import LabError

MARK = "lab.json"

# In the environment of every process of a lab: whose it is (the lab's id), for finding it when its record is lost.
MARK_VARIABLE = "ORCHESTRATOR_LAB"

_ELSEWHERE = "a lab needs a folder of its own; name another one with ORCHESTRATOR_LAB_HOME"


def default_home() -> Path:
    """ORCHESTRATOR_LAB_HOME, or `lab` in the user's state folder for orchestrator."""
    given = os.environ.get("ORCHESTRATOR_LAB_HOME")
    if given:
        return Path(given).absolute()
    import platformdirs

    return platformdirs.user_state_path("orchestrator") / "lab"


@dataclass(frozen=True, slots=True)
class Home:
    """A lab's folder."""

    path: Path

    @property
    def machines(self) -> Path:
        return self.path / "machines"

    @property
    def cluster(self) -> Path:
        return self.path / "cluster"

    def machine(self, name: str) -> Path:
        return self.machines / name

    def exists(self) -> bool:
        return (self.path / MARK).is_file()

    def id(self) -> str:
        """The lab's id, made with the folder: tells a lab from another one that was at this path before."""
        return str(read_json(self.path / MARK)["id"])

    def make(self) -> None:
        """Makes the folder a lab if it is not one. Raises LabError for a folder that is somebody else's."""
        with self.locked():
            pass

    @contextlib.contextmanager
    def locked(self, *, make: bool = True) -> Iterator[bool]:
        """One writer at a time -> whether there is a lab; one is made unless `make` is False.

        The lock is on the folder itself, so that nothing has to be left behind when the folder goes.
        Raises LabError for a folder that is somebody else's.
        """
        descriptor = self._lock(make)
        if descriptor is None:
            yield False
            return
        try:
            if make and not self.exists():
                self._mark()
            yield self.exists()
        finally:
            os.close(descriptor)

    def _lock(self, make: bool) -> int | None:
        """The open, locked folder; None when it is not there and is not to be made."""
        while True:
            try:
                if make:
                    self._make_folder()
                descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except FileNotFoundError:
                if not make:
                    return None
                if self.path.is_symlink():
                    raise LabError(f"{self.path}: is a link to nothing", hint=_ELSEWHERE) from None
                continue  # removed since
            except OSError as error:
                raise LabError(f"{self.path}: {error.strerror}", hint=_ELSEWHERE) from None
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if self._is(descriptor):
                return descriptor
            os.close(descriptor)  # it was removed, and perhaps made again, while we waited

    def _make_folder(self) -> None:
        # Not `exist_ok`: that looks again whether it is a folder, and another writer may have removed it by then.
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            self.path.mkdir(mode=0o700)

    def _is(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self.path.stat())
        except FileNotFoundError:
            return False

    def _mark(self) -> None:
        try:
            if any(not inner.name.startswith(f".{MARK}") for inner in self.path.iterdir()):
                raise LabError(f"{self.path}: is not empty and not a lab", hint=_ELSEWHERE)
            self.path.chmod(0o700)
            write_json(self.path / MARK, {"lab": 1, "id": secrets.token_hex(8)})
        except OSError as error:
            raise LabError(f"{self.path}: {error.strerror}", hint=_ELSEWHERE) from None

    def remove(self) -> None:
        """Removes the folder with all that is in it; only a lab's folder is ever removed."""
        if not self.exists():
            raise LabError(f"{self.path}: is not a lab, nothing was removed")
        for inner in sorted(self.path.iterdir(), key=lambda inner: inner.name == MARK):
            remove_tree(inner)
        self.path.rmdir()


def remove_tree(path: Path) -> None:
    """Removes a file or folder, also where a folder inside forbids its owner to enter it."""
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    if os.geteuid() != 0:
        for folder, names, _ in os.walk(path):
            for name in names:
                inner = Path(folder, name)
                mode = inner.lstat().st_mode
                if stat.S_ISDIR(mode) and mode & 0o700 != 0o700:
                    inner.chmod(0o700)
    shutil.rmtree(path)


def read_json(path: Path) -> dict[str, Any]:
    """Raises FileNotFoundError; LabError when the file is damaged."""
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except ValueError:
        raise LabError(f"{path}: is damaged", hint="orchestrator lab down, then up again") from None
    return found


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Writes a file of mode 0600 as a whole or not at all."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(data, file, indent=1, sort_keys=True)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise

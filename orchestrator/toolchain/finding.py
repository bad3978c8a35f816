"""Finding a program that is there already: on PATH, in our own environment, or in the cache.

No network and, but for the first sight of a program on PATH, no process: what a program on PATH says
of its version is remembered by its path, size and modification time.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from orchestrator.errors import ToolchainError
from orchestrator.toolchain.cache import read_receipt, toolchain_root, version_folder
from orchestrator.toolchain.programs import PROGRAMS, Program, parse_version

Way = Literal["path", "environment", "downloaded", "built", "pypi"]

_VERSION_TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Found:
    """A program that can be used: where it is, its version, and the way it came."""

    name: str
    version: str
    path: Path
    way: Way

    @property
    def size(self) -> int:
        """Bytes of the program file."""
        return self.path.stat().st_size


def program(name: str) -> Program:
    """The pin of a program. Raises ToolchainError for a name that is not ours."""
    try:
        return PROGRAMS[name]
    except KeyError:
        raise ToolchainError(f"toolchain: no program named {name!r}", hint=f"there are {', '.join(PROGRAMS)}") from None


def find(name: str) -> Path | None:
    """The program's path, or None when it has to be installed first. Raises ToolchainError for an unknown name."""
    found = look(name)
    return found.path if found else None


def look(name: str) -> Found | None:
    """The program that would be used, with its version and the way it came; None when it is not there."""
    pin = program(name)
    for path, way in candidates(name):
        version = version_of(path, pin.version_command)
        if version is not None and pin.is_acceptable(version):
            return Found(name, version, path, way)
    return look_in_cache(name, pin.version)


def look_in_cache(name: str, version: str, file: str = "") -> Found | None:
    """The installed program, if it is whole; `file` is its path in the version's folder where not just its name."""
    folder = version_folder(name, version)
    receipt = read_receipt(folder)
    path = folder / (file or name)
    try:
        whole = receipt is not None and path.stat().st_size == receipt["size"] and os.access(path, os.X_OK)
    except (OSError, KeyError):
        return None
    return Found(name, version, path, receipt["way"]) if whole and receipt else None


def rejected(name: str) -> list[str]:
    """Why each program of that name on PATH does not do, for an error message."""
    pin = program(name)
    reasons = []
    for path, _ in candidates(name):
        version = version_of(path, pin.version_command)
        if version is None:
            reasons.append(f"{path} does not tell its version")
        elif not pin.is_acceptable(version):
            reasons.append(f"{path} is {version}, needed is {pin.accepted}")
    return reasons


def candidates(name: str) -> Iterator[tuple[Path, Way]]:
    """Every executable of that name on PATH, then in the folder of our own interpreter."""
    seen: set[Path] = set()
    environment = Path(sys.executable).parent
    on_path = [Path(entry) for entry in os.environ.get("PATH", "").split(os.pathsep)]
    for folder in [*(entry for entry in on_path if entry.is_absolute()), environment]:
        path = folder / name
        if path not in seen and os.access(path, os.X_OK) and path.is_file():  # is_file raises where we may not look
            seen.add(path)
            yield path, "environment" if folder == environment else "path"


def version_of(path: Path, version_command: tuple[str, ...]) -> str | None:
    """The version that the program prints, asked once per file; None when it prints none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    key = f"{path.resolve()}:{stat.st_size}:{stat.st_mtime_ns}"
    remembered = _remembered()
    if key not in remembered:
        version = ask_version(path, version_command)
        if version is None:
            return None  # perhaps only this time (no memory, no time): not worth remembering
        _remember(key, version)
        return version
    return remembered[key]


def ask_version(path: Path, version_command: tuple[str, ...]) -> str | None:
    """Run the program for its version."""
    # the system's folders only for programs that need a shell; no secrets of ours in its environment
    environment = {"PATH": os.defpath, "HOME": tempfile.gettempdir(), "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        done = subprocess.run(
            [path, *version_command],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_VERSION_TIMEOUT_SECONDS,
            stdin=subprocess.DEVNULL,
            env=environment,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    parsed = parse_version(done.stdout or done.stderr) if done.returncode == 0 else None
    return ".".join(map(str, parsed)) if parsed else None


def _memory() -> Path:
    return toolchain_root() / "path-versions.json"


def _remembered() -> dict[str, str]:
    try:
        content = json.loads(_memory().read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _remember(key: str, version: str) -> None:
    """A cache only: when it cannot be written, the program is asked again next time."""
    memory = _memory()
    with contextlib.suppress(OSError):
        memory.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=memory.parent, prefix=".path-versions-")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({**_remembered(), key: version}, file)
        Path(name).replace(memory)

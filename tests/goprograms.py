"""Programs that only tests use, built with Go from their folder, once, into the cache of programs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from orchestrator.toolchain.cache import install_lock, toolchain_root
from orchestrator.toolchain.golang import have_go


def built(name: str, source: Path, *, stamp: str = "", embedded: tuple[str, Sequence[str]] | None = None) -> Path:
    """The program of the folder `source`, which has a main.go and a go.mod.

    stamp     NAME=VALUE for the linker
    embedded  a module and files of it, which main.go embeds
    """
    key = hashlib.sha256(b"".join((source / file).read_bytes() for file in ("main.go", "go.sum"))).hexdigest()[:16]
    program = toolchain_root() / name / key / name
    with install_lock(name, print):
        if not program.exists():
            with tempfile.TemporaryDirectory(prefix=f"build-{name}-") as made:
                folder = Path(shutil.copytree(source, made, dirs_exist_ok=True))
                if embedded is not None:
                    _fetch(folder, *embedded)
                flags = " ".join(["-s", "-w", *(["-X", stamp] if stamp else [])])
                _go(folder, "build", "-trimpath", "-ldflags", flags, "-o", f"{program}.new", ".")
            Path(f"{program}.new").rename(program)
    return program


def _fetch(folder: Path, module: str, files: Sequence[str]) -> None:
    there = Path(json.loads(_go(folder, "mod", "download", "-json", module))["Dir"])
    for file in files:
        shutil.copyfile(there / file, folder / Path(file).name)


def _go(folder: Path, *arguments: str) -> str:
    command = [have_go(print).path, *arguments]
    done = subprocess.run(
        command, cwd=folder, check=True, stdout=subprocess.PIPE, env={**os.environ, "CGO_ENABLED": "0"}
    )
    return done.stdout.decode()

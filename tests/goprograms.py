"""Programs that only tests use, built with Go from their folder, once, into the cache of programs."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

from orchestrator.toolchain.cache import install_lock, toolchain_root
from orchestrator.toolchain.golang import have_go


def built(name: str, source: Path) -> Path:
    """The program of the folder `source`, which has a main.go and a go.mod."""
    key = hashlib.sha256(b"".join((source / file).read_bytes() for file in ("main.go", "go.sum"))).hexdigest()[:16]
    program = toolchain_root() / name / key / name
    with install_lock(name, print):
        if not program.exists():
            build = [have_go(print).path, "build", "-trimpath", "-ldflags", "-s -w", "-o", f"{program}.new", "."]
            subprocess.run(build, cwd=source, check=True, env={**os.environ, "CGO_ENABLED": "0"})
            Path(f"{program}.new").rename(program)
    return program

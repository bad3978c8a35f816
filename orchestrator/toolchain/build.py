"""Building a program with Go from the pinned go.mod folder that ships with us.

The user's own module and build caches are used, so that nothing is fetched or compiled twice; go.sum
and Go's checksum database verify what is fetched.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from orchestrator.toolchain.cache import Report, cache_root, remove_tree
from orchestrator.toolchain.finding import Found
from orchestrator.toolchain.golang import have_go
from orchestrator.toolchain.programs import Program
from orchestrator.toolchain.running import run_long
from orchestrator.toolchain.ways import WayFailed

MODULES = Path(__file__).parent / "modules"


def build(pin: Program, folder: Path, report: Report) -> dict[str, Any]:
    """Build the program to `folder/<name>`; returns what its receipt says of the origin. Raises WayFailed."""
    go = have_go(report)
    work = folder / "work"
    work.mkdir()
    report(f"{pin.name}: building {pin.version} with Go {go.version} ({go.path}); from nothing this takes minutes")
    progress = _Progress(pin.name, report)
    run_long(
        build_command(go, pin, folder / pin.name),
        environment=build_environment(go, work),
        cwd=MODULES / pin.build.module,
        on_line=progress.line,
        on_beat=progress.beat,
    )
    remove_tree(work)
    return {"way": "built", "package": pin.build.package, "go": go.version}


def build_command(go: Found, pin: Program, target: Path) -> list[str | Path]:
    """The command line; the flags decide what the build cache can share, so they never vary."""
    link = " ".join(["-s", "-w", *(f"-X {stamp}" for stamp in pin.build.stamps)])
    return [go.path, "build", "-v", "-trimpath", "-ldflags", link, "-o", target, pin.build.package]


def build_environment(go: Found, work: Path) -> dict[str, str]:
    """The environment of a build: the user's own, less what would make it another program."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("GOOS", "GOARCH", "GOROOT")}
    caches = _own_caches_if_needed(go, inherited)
    flags = "-mod=readonly -modcacherw" if caches else "-mod=readonly"
    ours = {"CGO_ENABLED": "0", "GOFLAGS": flags, "GOTOOLCHAIN": "local", "GOWORK": "off", "GOTMPDIR": str(work)}
    return {**inherited, **caches, **ours}


def _own_caches_if_needed(go: Found, environment: dict[str, str]) -> dict[str, str]:
    """Caches in our folder where the user has none to write to (no HOME, a read-only one); else nothing."""
    done = subprocess.run(
        [go.path, "env", "-json", "GOCACHE", "GOMODCACHE"],
        capture_output=True,
        text=True,
        env={**environment, "GOTOOLCHAIN": "local"},
        cwd="/",
        check=False,
    )
    try:
        theirs = json.loads(done.stdout)
    except ValueError:
        raise WayFailed(f"{go.path} does not work: {done.stderr.strip()}") from None
    if all(_can_write(theirs.get(name, "")) for name in ("GOCACHE", "GOMODCACHE")):
        return {}
    ours = cache_root() / "go"
    return {"GOCACHE": str(ours / "build"), "GOMODCACHE": str(ours / "modules"), "GOPATH": str(ours)}


def _can_write(folder: str) -> bool:
    """Whether `folder` can be written to, or be made."""
    path = Path(folder)
    if not path.is_absolute() or path == Path(os.devnull):
        return False
    nearest = next(parent for parent in [path, *path.parents] if parent.exists())
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


class _Progress:
    """Counts what `go build -v` prints: modules fetched, packages compiled."""

    def __init__(self, name: str, report: Report) -> None:
        self._name, self._report = name, report
        self._modules = self._packages = 0

    def line(self, line: str) -> bool:
        if line.startswith("go: downloading "):
            self._modules += 1
            return True
        if " " not in line and "\t" not in line:  # a package's import path, alone on its line
            self._packages += 1
            return True
        return False

    def beat(self, seconds: float) -> None:
        minutes, rest = divmod(int(seconds), 60)
        elapsed = f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
        fetched = f"{self._modules} modules fetched, " if self._modules else ""
        self._report(f"{self._name}: building, {elapsed}, {fetched}{self._packages} packages compiled")

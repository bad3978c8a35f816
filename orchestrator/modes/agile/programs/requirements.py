"""The Python that a program runs in: ours where it asks for nothing, else an environment of its own, made once."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from orchestrator.errors import DriverError
from orchestrator.toolchain.cache import cache_root, install_lock, remove_tree

FILE = "requirements.txt"
_MINUTES = 15
_PULUMI = re.compile(r"^\s*pulumi\s*(\[.*\])?\s*([<>=!~;@#]|$)", re.MULTILINE)
_LOCAL = re.compile(r"^\s*(-r|-c|-e|--requirement|--constraint|--editable|\.|/|file:)", re.MULTILINE)
# What an installer needs to know of us: where packages come from, and the way there.
_PASSED = re.compile(r"(PIP_|UV_|SSL_CERT_|REQUESTS_CA_BUNDLE|LANG|LC_|(HTTPS?|ALL|NO)_PROXY)", re.IGNORECASE)


def python_for(folder: Path, files: Mapping[str, str]) -> Path:
    """The interpreter for a program in `folder`, whose files have these digests.

    Raises DriverError where what it requires cannot be had.
    """
    if FILE not in files:
        return Path(sys.executable)
    text = (folder / FILE).read_text(encoding="utf-8")
    pinned = "" if _PULUMI.search(text) else f"pulumi=={version('pulumi')}"
    key = _key(text, pinned, files)
    home = cache_root() / "programs" / key
    python, whole = home / "bin" / "python", home / "whole.json"
    if whole.exists() and python.exists():
        return python
    with install_lock(f"program-{key[:12]}", lambda line: None):
        if not whole.exists():
            remove_tree(home)
            _make(home, folder, pinned)
            whole.write_text(json.dumps({"requirements": text}))
    return python


def _key(text: str, pinned: str, files: Mapping[str, str]) -> str:
    """Where requirements lead to other files of the program, all of these count."""
    what = [text, pinned, sys.version, sys.executable, sorted(files.items()) if _LOCAL.search(text) else []]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:24]


def _make(home: Path, folder: Path, pinned: str) -> None:
    more = [pinned] if pinned else []
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}")
    if uv:
        _run([uv, "venv", "--quiet", "--python", sys.executable, str(home)], folder)
        _run([uv, "pip", "install", "--quiet", "--python", str(home / "bin/python"), "-r", FILE, *more], folder)
        return
    if importlib.util.find_spec("ensurepip") is None:
        raise DriverError(
            "a program's requirements cannot be installed: neither uv nor Python's venv is here",
            hint="install uv, or the package python3-venv",
        )
    _run([sys.executable, "-m", "venv", str(home)], folder)
    pip = [str(home / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, "-r", FILE, *more], folder)


def _run(command: list[str], folder: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if _PASSED.match(name)}
    environment |= {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(Path.home()), "UV_SYSTEM_CERTS": "1"}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_MINUTES * 60,
            check=False,
        )
        said = "" if done.returncode == 0 else (done.stderr or done.stdout).strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        said = str(error)
    if said:
        last = " | ".join(line.strip() for line in said.splitlines()[-6:])
        raise DriverError(
            f"the program's {FILE} cannot be installed: {last}", hint=f"mend {FILE}, or let it be reached"
        )

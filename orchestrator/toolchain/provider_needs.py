"""What a machine provider's playbooks need beside Ansible: Python packages and collections, kept by their content.

<cache>/toolchain/provider-python/KEY/bin/python           packages of a requirements.txt, in a Python of their own
<cache>/toolchain/collections/KEY/ansible_collections/…    collections of a requirements.yml

Cloud SDKs want other versions of what we share with them; so they never come into our own environment. Collections
come from where ansible-galaxy takes them, else out of the PyPI package `ansible`, which carries most of them.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from orchestrator.errors import ToolchainError
from orchestrator.toolchain.cache import Report, install_lock, publish, read_receipt, staging, version_folder
from orchestrator.toolchain.golang import installers
from orchestrator.toolchain.running import run_long
from orchestrator.toolchain.ways import WayFailed

ANSIBLE_PACKAGE = "ansible==12.3.0 --hash=sha256:cd156f82fa87f7a899212b0efa9f7ca3a24d609212de9f78428a572eb01e5414"
GALAXY_TIMEOUT_S = 30


def python_with(requirements: Path, report: Report) -> Path:
    """A Python that has these packages (pip's format, with hashes). Raises ToolchainError."""
    key = _key(requirements.read_bytes(), sys.version.encode(), sys.prefix.encode())

    def make(folder: Path) -> dict[str, Any]:
        venv.create(folder, with_pip=False, symlinks=True)
        packages = next((folder / "lib").glob("python3*")) / "site-packages"
        _install(requirements.read_text(), packages, folder, report)
        subprocess.run([folder / "bin" / "python", "-m", "compileall", "-q", packages], check=False)
        return {"way": "pypi"}

    return _have("provider-python", key, [("PyPI", make)], report) / "bin" / "python"


def collections_of(requirements: Path, root: Path, report: Report) -> Path:
    """A folder for ANSIBLE_COLLECTIONS_PATH with what a requirements.yml names. Raises ToolchainError.

    `root` is the estate's folder: its ansible.cfg may name another server than Ansible's.
    """
    text = requirements.read_bytes()
    ways: list[tuple[str, Callable[[Path], dict[str, Any]]]] = [
        ("ansible-galaxy", lambda folder: _from_galaxy(requirements, folder, root, report)),
        ("PyPI's ansible", lambda folder: _from_pypi(yaml.safe_load(text), folder, report)),
    ]
    return _have("collections", _key(text), ways, report)


def _have(name: str, key: str, ways: list[tuple[str, Callable[[Path], dict[str, Any]]]], report: Report) -> Path:
    """The folder of that content, made by the first way that works."""
    final = version_folder(name, key)
    if read_receipt(final) is not None:
        return final
    failures = []
    with install_lock(name, report):
        if read_receipt(final) is not None:
            return final
        for label, way in ways:
            with staging(name) as folder:
                try:
                    publish(folder, final, way(folder))
                except (WayFailed, OSError) as failure:
                    failures.append(f"{label}: {failure}")
                    continue
                return final
    raise ToolchainError(
        "what the machine provider needs could not be had\n" + "\n".join(f"  {failure}" for failure in failures),
        hint="make a package index (UV_DEFAULT_INDEX, PIP_INDEX_URL) or a Galaxy server (ansible.cfg) reachable",
    )


def _key(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _install(requirements: str, target: Path, folder: Path, report: Report) -> None:
    """Install packages with hashes into a folder, by the installer that is there."""
    file = folder / "requirements.txt"
    file.write_text(requirements)
    options = ["--target", str(target), "--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", str(file)]
    failures = []
    for installer in installers():
        try:
            report("machine provider: installing its Python packages")
            run_long(
                [*installer, *options],
                environment={"UV_SYSTEM_CERTS": "1", **os.environ},
                on_beat=lambda seconds: report(f"machine provider: installing, {seconds:.0f} s"),
            )
        except WayFailed as error:
            failures.append(str(error))
        else:
            return
    raise WayFailed("; ".join(failures) or "neither uv nor pip is there to fetch them")


def _from_galaxy(requirements: Path, folder: Path, root: Path, report: Report) -> dict[str, Any]:
    report("machine provider: installing its Ansible collections")
    galaxy = Path(sys.executable).with_name("ansible-galaxy")
    options = ["-r", str(requirements), "-p", str(folder), "--timeout", str(GALAXY_TIMEOUT_S)]
    run_long(
        [galaxy, "collection", "install", *options],
        environment={**os.environ, "ANSIBLE_NOCOLOR": "1"},
        on_beat=lambda seconds: report(f"machine provider: collections, {seconds:.0f} s"),
        cwd=root,
    )
    return {"way": "galaxy"}


def _from_pypi(wanted: Any, folder: Path, report: Report) -> dict[str, Any]:
    """Out of the PyPI package, only what is wanted, at the versions that are wanted."""
    whole = folder / "whole"
    whole.mkdir()
    _install(ANSIBLE_PACKAGE, whole, folder, report)
    for collection in wanted["collections"]:
        name, version = str(collection["name"]), str(collection.get("version", ""))
        source = whole / "ansible_collections" / name.replace(".", "/")
        manifest = source / "MANIFEST.json"
        if not manifest.is_file():
            raise WayFailed(f"it has no {name}")
        has = str(json.loads(manifest.read_text())["collection_info"]["version"])
        if re.fullmatch(r"(==)?[\d.]+", version) and version.lstrip("=") != has:
            raise WayFailed(f"it has {name} {has}, not {version}")
        shutil.move(source, folder / "ansible_collections" / name.replace(".", "/"))
    shutil.rmtree(whole)
    return {"way": "pypi"}

"""Getting what is missing: way after way, one program at a time, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from orchestrator.errors import ToolchainError
from orchestrator.toolchain.build import build
from orchestrator.toolchain.cache import Report, install_lock, publish, staging, version_folder
from orchestrator.toolchain.download import Downloads
from orchestrator.toolchain.finding import Found, ask_version, look_in_cache, rejected
from orchestrator.toolchain.programs import Program, parse_version
from orchestrator.toolchain.ways import WayFailed


def install(pins: Iterable[Program], report: Report) -> dict[str, Found]:
    """Install each program. Raises ToolchainError naming every way that was tried and why it failed."""
    downloads = Downloads(report)
    return {pin.name: _install(pin, downloads, report) for pin in pins}


def _install(pin: Program, downloads: Downloads, report: Report) -> Found:
    try:
        with install_lock(pin.name, report):
            # whoever held the lock before us may have installed it
            return look_in_cache(pin.name, pin.version) or _get(pin, downloads, report)
    except OSError as error:
        place = error.filename or version_folder(pin.name, pin.version)
        raise ToolchainError(
            f"{pin.name} {pin.version} cannot be installed: {place}: {error.strerror or error}",
            hint="make room or set ORCHESTRATOR_CACHE to a folder that can be written to",
        ) from error


def _get(pin: Program, downloads: Downloads, report: Report) -> Found:
    """Try the ways in their order; the lock is held."""
    ways: dict[str, Callable[[Program, Path], dict[str, Any]]] = {
        "release download": downloads.fetch,
        "build with Go": lambda pin, folder: build(pin, folder, report),
    }
    failures = [f"on PATH: {'; '.join(rejected(pin.name)) or 'not there'}"]
    for label, way in ways.items():
        with staging(pin.name) as folder:
            try:
                receipt = way(pin, folder)
                _check(pin, folder)
            except WayFailed as failure:
                failures.append(f"{label}: {failure}")
                report(f"{pin.name}: {label} is not possible: {failure}")
                continue
            return _publish(pin, folder, receipt, report)
    raise ToolchainError(
        f"{pin.name} {pin.version} could not be had\n" + "\n".join(f"  {failure}" for failure in failures),
        hint=f"put {pin.name} {pin.accepted} on PATH, or let one of these ways work (ORCHESTRATOR_MIRROR names "
        "a server that has the releases, GOPROXY a proxy that has the Go modules); `orchestrator doctor` shows more",
    )


def _check(pin: Program, folder: Path) -> None:
    """What was got must run here and be the pinned version."""
    version = ask_version(folder / pin.name, pin.version_command)
    if version is None:
        raise WayFailed(f"what came does not run here (`{pin.name} {' '.join(pin.version_command)}` fails)")
    if parse_version(version) != parse_version(pin.version):
        raise WayFailed(f"what came is version {version}")


def _publish(pin: Program, folder: Path, receipt: dict[str, Any], report: Report) -> Found:
    size = (folder / pin.name).stat().st_size
    publish(folder, version_folder(pin.name, pin.version), {"version": pin.version, "size": size, **receipt})
    found = look_in_cache(pin.name, pin.version)
    if found is None:
        raise ToolchainError(f"{pin.name} was installed and is gone again", hint="is something cleaning the cache?")
    report(f"{pin.name}: {found.way} {found.version}, {size / 1e6:.0f} MB, {found.path}")
    return found

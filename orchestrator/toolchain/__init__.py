"""The external programs: pinned, found, downloaded or built, and kept in a cache by version.

    ensure(names, report)   every program's path, installing what is missing
    find(name)              the path if it is there already; nothing is installed, no network
    look(name)              the same with the version and the way it came
    PROGRAMS                the pins

Ways, in this order: on PATH (or in our own Python environment) at an acceptable version, already in
the cache, the official release verified against the vendor's published checksum, built with Go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from orchestrator.toolchain.finding import Found, find, look, program
from orchestrator.toolchain.programs import PROGRAMS, Program

__all__ = ["PROGRAMS", "Found", "Program", "ensure", "find", "look"]


def ensure(names: Iterable[str], report: Callable[[str], None]) -> dict[str, Path]:
    """The path of each named program, installing what is missing.

    `report` gets one line at a time: the way taken, and how far it is; nothing for what is there.
    Raises ToolchainError naming every way that was tried and why it failed.
    """
    pins = [program(name) for name in dict.fromkeys(names)]
    found = {pin.name: look(pin.name) for pin in pins}
    missing = [pin for pin in pins if found[pin.name] is None]
    if missing:
        from orchestrator.toolchain.install import install  # needs an HTTP client; finding must stay quick

        found |= install(missing, report)
    return {name: there.path for name, there in found.items() if there}

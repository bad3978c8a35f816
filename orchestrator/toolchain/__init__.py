"""The external programs: pinned, found, downloaded or built, and kept in a cache by version.

    ensure(names, report)   every program's path, installing what is missing
    find(name)              the path if it is there already; nothing is installed, no network
    look(name)              the same with the version and the way it came
    PROGRAMS                the pins

Ways, in this order: on PATH (or in our own Python environment) at an acceptable version, already in
the cache, the official release verified against the vendor's published checksum, built with Go.
"""

from orchestrator.toolchain.finding import Found, find, look
from orchestrator.toolchain.install import ensure
from orchestrator.toolchain.programs import PROGRAMS, Program

__all__ = ["PROGRAMS", "Found", "Program", "ensure", "find", "look"]

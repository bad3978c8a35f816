"""The environment of the processes that run Ansible for us."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path


def environment_for(root: Path, scrub: Callable[[str], str]) -> dict[str, str]:
    """Our own environment without what holds a secret, with our programs first on PATH.

    Ansible's settings are those of ANSIBLE_CONFIG, else `ansible.cfg` at the estate's root, else where Ansible looks.
    """
    kept = {name: value for name, value in os.environ.items() if scrub(value) == value}
    kept["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
    kept["ANSIBLE_NOCOLOR"] = "1"
    kept.pop("ANSIBLE_FORCE_COLOR", None)
    kept.pop("ANSIBLE_STDOUT_CALLBACK", None)
    if "ANSIBLE_CONFIG" not in kept and (settings := root / "ansible.cfg").is_file():
        kept["ANSIBLE_CONFIG"] = str(settings)
    # Ansible refuses to start where the locale is not UTF-8.
    if "UTF-8" not in kept.get("LC_ALL", kept.get("LANG", "")).upper().replace("UTF8", "UTF-8"):
        kept["LC_ALL"] = "C.UTF-8"
    return kept

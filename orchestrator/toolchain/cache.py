"""Where installed programs live, and how one gets there whole or not at all.

<cache>/toolchain/<name>/<version>/<name>           the program
<cache>/toolchain/<name>/<version>/installed.json   the way it came, its size and origin
<cache>/toolchain/<name>/.staging-*                 an install under way (or one that was interrupted)
<cache>/toolchain/<name>.lock                       held by the one that installs it
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

RECEIPT = "installed.json"
_STAGING_PREFIX = ".staging-"
_LOCK_POLL_SECONDS = 15.0

Report = Callable[[str], None]


def cache_root() -> Path:
    """The folder of everything that can be had again: ORCHESTRATOR_CACHE, or the XDG cache."""
    if override := os.environ.get("ORCHESTRATOR_CACHE"):
        return Path(override).absolute()
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg).absolute() / "orchestrator"
    # HOME may be empty or unset in a container or a service; the password database knows
    home = os.environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir
    return Path(home) / ".cache" / "orchestrator"


def toolchain_root() -> Path:
    """The folder of the programs."""
    return cache_root() / "toolchain"


def version_folder(name: str, version: str) -> Path:
    """Where this program at this version is, or will be."""
    return toolchain_root() / name / version


def read_receipt(folder: Path) -> dict[str, Any] | None:
    """What an install left about itself; None when there is no whole install in `folder`."""
    try:
        receipt = json.loads((folder / RECEIPT).read_bytes())
    except (OSError, ValueError):
        return None
    return receipt if isinstance(receipt, dict) else None


@contextlib.contextmanager
def install_lock(name: str, report: Report) -> Iterator[None]:
    """Hold the right to install `name`, waiting (and saying so) while somebody else installs it."""
    import filelock

    root = toolchain_root()
    root.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(root / f"{name}.lock")
    patience = 0.0
    while not lock.is_locked:
        try:
            lock.acquire(timeout=patience)
        except filelock.Timeout:
            report(f"{name}: somebody else is installing it, waiting")
            patience = _LOCK_POLL_SECONDS
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def staging(name: str) -> Iterator[Path]:
    """A fresh folder beside the final one, gone afterwards; call with the lock held.

    With the lock held any other staging folder is the rest of an interrupted install: removed.
    """
    parent = toolchain_root() / name
    parent.mkdir(parents=True, exist_ok=True)
    for stale in parent.glob(f"{_STAGING_PREFIX}*"):
        remove_tree(stale)
    folder = Path(tempfile.mkdtemp(prefix=_STAGING_PREFIX, dir=parent))
    try:
        yield folder
    finally:
        remove_tree(folder)


def publish(staged: Path, final: Path, receipt: dict[str, Any]) -> None:
    """Make the staged folder the installed one, in one step; what was there (a broken install) goes."""
    staged.chmod(0o755)
    (staged / RECEIPT).write_text(json.dumps(receipt, indent=1) + "\n", encoding="utf-8")
    if final.exists():
        remove_tree(final)
    staged.rename(final)


def remove_tree(folder: Path) -> None:
    """Remove a folder, also one with read-only parts; missing is fine."""
    if not folder.exists():
        return
    for root, _, _ in os.walk(folder):
        with contextlib.suppress(OSError):
            Path(root).chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)

"""The passphrase that encrypts secrets in Pulumi's state: by reference, or from a private key outside the estate.

Nothing is lost with it: state that cannot be decrypted is made anew from what is on the cluster.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from orchestrator.errors import DriverError

VARIABLE = "ORCHESTRATOR_PASSPHRASE"
FILE_VARIABLE = "ORCHESTRATOR_PASSPHRASE_FILE"


def passphrase(estate_id: str, environment: Mapping[str, str] = os.environ) -> str:
    """ORCHESTRATOR_PASSPHRASE, the first line of ORCHESTRATOR_PASSPHRASE_FILE, or this computer's key for the estate.

    The key is made when it is first needed, readable by its owner only. Raises DriverError where it cannot be had.
    """
    if given := environment.get(VARIABLE):
        return given
    try:
        if file := environment.get(FILE_VARIABLE):
            return _first_line(Path(file))
        return _own_key(_keys_folder(environment), estate_id)
    except OSError as error:
        raise DriverError(
            f"the passphrase for Pulumi's state: {error.filename}: {error.strerror}",
            hint=f"give it with {VARIABLE} or {FILE_VARIABLE}",
        ) from None


def _keys_folder(environment: Mapping[str, str]) -> Path:
    if xdg := environment.get("XDG_DATA_HOME"):
        return Path(xdg) / "orchestrator" / "keys"
    return Path.home() / ".local" / "share" / "orchestrator" / "keys"


def _own_key(folder: Path, estate_id: str) -> str:
    path = folder / f"{estate_id}.key"
    if not path.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mine = folder / f".{estate_id}.{secrets.token_hex(4)}"
        mine.touch(mode=0o600)
        mine.write_text(secrets.token_urlsafe(32) + "\n")
        try:
            os.link(mine, path)  # the first of two that start at once wins, whole
        except FileExistsError:
            pass
        finally:
            mine.unlink()
    return _first_line(path)


def _first_line(path: Path) -> str:
    lines = path.read_text().splitlines()
    if not lines or not lines[0].strip():
        raise DriverError(
            f"{path}: the passphrase for Pulumi's state is empty", hint="remove the file, or write one in it"
        )
    return lines[0].strip()

"""What was rendered, kept by a digest of everything that went in.

A rendering can hold secrets, and its name could be tried against guesses of them: so names are keyed, and what was
made with secrets is encrypted, with a random key of this user's that is kept beside the state. Without the key nothing
is lost but time.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import tempfile
from pathlib import Path

MOST = 1000  # renderings; the oldest go first
_PLAIN, _SEALED = b"0", b"1"


class Cache:
    """Renderings in a private folder. Safe to use from several threads and processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key: bytes | None = None

    def name(self, request: bytes) -> str:
        """The name of what is rendered from these bytes."""
        return hmac.new(self._secret(), request, hashlib.sha256).hexdigest()

    def get(self, name: str) -> bytes | None:
        """What was kept; None where it is not there, or cannot be read."""
        path = self._folder / name
        try:
            content = path.read_bytes()
        except OSError:
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        if content[:1] == _SEALED:
            return self._opened(name, content[1:])
        return content[1:] if content[:1] == _PLAIN else None

    def put(self, name: str, content: bytes, *, sensitive: bool) -> None:
        """Keep it; a folder that cannot be written to is no error."""
        data = _SEALED + self._sealed(name, content) if sensitive else _PLAIN + content
        with contextlib.suppress(OSError):
            _write(self._folder / name, data)
            self._tidy()

    def _tidy(self) -> None:
        there = [path for path in self._folder.iterdir() if len(path.name) == 64]
        if len(there) > MOST:
            for path in sorted(there, key=lambda each: each.stat().st_mtime)[: len(there) - MOST]:
                path.unlink(missing_ok=True)

    def _secret(self) -> bytes:
        """The key; made where it is missing. One that cannot be kept serves this process."""
        if self._key is None:
            path = self._folder / "key"
            with contextlib.suppress(OSError):
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                if not path.exists():
                    _write(path, os.urandom(32), replace=False)
                self._key = path.read_bytes()
            if self._key is None or len(self._key) != 32:
                self._key = os.urandom(32)
        return self._key

    def _sealed(self, name: str, content: bytes) -> bytes:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = os.urandom(12)
        return nonce + AESGCM(self._secret()).encrypt(nonce, content, name.encode())

    def _opened(self, name: str, content: bytes) -> bytes | None:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            return AESGCM(self._secret()).decrypt(content[:12], content[12:], name.encode())
        except (InvalidTag, ValueError):
            return None


def _write(path: Path, content: bytes, *, replace: bool = True) -> None:
    """Whole or not at all, for this user alone; without `replace` what another process has written stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        if replace:
            Path(name).replace(path)
        else:
            with contextlib.suppress(FileExistsError):
                os.link(name, path)
    finally:
        Path(name).unlink(missing_ok=True)

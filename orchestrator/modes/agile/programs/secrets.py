"""Secrets in Pulumi's own form: what its passphrase provider encrypts in configurations and checkpoints.

So a configuration is written, and an output read, without starting pulumi and without a secret on a command line.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import os
from typing import Any

_ITERATIONS, _KEY_BYTES, _NONCE_BYTES, _SALT_BYTES = 1_000_000, 32, 12, 8
_SIGNATURE = "4dabf18193072939515e22adb298388d"  # Pulumi's mark of a special value
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - and the one that says: secret


class WrongPassphrase(Exception):  # noqa: N818 - told by who knows whose passphrase it is
    """It does not open what was encrypted."""


class Vault:
    """Encrypts and decrypts with one passphrase and one salt; `state` is the salt as Pulumi writes it."""

    def __init__(self, passphrase: str, state: str) -> None:
        """Raises WrongPassphrase where the salt was made with another passphrase, ValueError where it is none."""
        version, salt, check = state.split(":", 2)
        if version != "v1":
            raise ValueError(f"a salt of version {version}")
        self.state = state
        self._key = _key(passphrase, salt)
        self.decrypt(check)

    @classmethod
    def new(cls, passphrase: str) -> Vault:
        """One with a salt of its own."""
        salt = base64.b64encode(os.urandom(_SALT_BYTES)).decode()
        return cls(passphrase, f"v1:{salt}:{_encrypted(_key(passphrase, salt), 'pulumi')}")

    def encrypt(self, text: str) -> str:
        """`v1:NONCE:CIPHERTEXT`."""
        return _encrypted(self._key, text)

    def decrypt(self, text: str) -> str:
        """The plain text. Raises WrongPassphrase."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        _, nonce, sealed = text.split(":")
        try:
            return AESGCM(self._key).decrypt(base64.b64decode(nonce), base64.b64decode(sealed), None).decode()
        except InvalidTag:
            raise WrongPassphrase from None


@functools.lru_cache(maxsize=64)
def _key(passphrase: str, salt: str) -> bytes:
    """Slow by intention; kept while we run."""
    return hashlib.pbkdf2_hmac("sha256", passphrase.encode(), base64.b64decode(salt), _ITERATIONS, _KEY_BYTES)


def _encrypted(key: bytes, text: str) -> str:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(_NONCE_BYTES)
    sealed = AESGCM(key).encrypt(nonce, text.encode(), None)
    return f"v1:{base64.b64encode(nonce).decode()}:{base64.b64encode(sealed).decode()}"


def ciphertext_of(value: Any) -> str | None:
    """What is encrypted in a checkpoint's value; None where it is no secret."""
    if isinstance(value, dict) and value.get(_SIGNATURE) == _SECRET:
        return str(value.get("ciphertext") or "")
    return None

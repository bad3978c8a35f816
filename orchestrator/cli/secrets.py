"""Reading secrets from where the documents say they are, and keeping them out of every text."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from orchestrator.documents.models import SecretRef
from orchestrator.errors import DocumentsError
from orchestrator.model.source import Diagnostic, Source
from orchestrator.model.values import MASK, Secret

# Shorter secrets are not searched for in texts: replacing every "a" would hide nothing and make them unreadable.
_SHORTEST = 4


def read_secrets(refs: Mapping[SecretRef, Source], root: Path) -> dict[SecretRef, Secret]:
    """The value of each reference. Raises DocumentsError naming every one that cannot be read, and who asks for it."""
    found, missing = found_secrets(refs, root)
    if missing:
        raise DocumentsError(sorted(missing))
    return found


def found_secrets(refs: Mapping[SecretRef, Source], root: Path) -> tuple[dict[SecretRef, Secret], list[Diagnostic]]:
    """The value of each reference that can be read; what is wrong with the others, where they are asked for."""
    found: dict[SecretRef, Secret] = {}
    missing: list[Diagnostic] = []
    for ref, source in refs.items():
        try:
            found[ref] = read_secret(ref, root)
        except LookupError as error:
            missing.append(Diagnostic(source, str(error.args[0]), str(error.args[1])))
    return found, missing


def read_secret(ref: SecretRef, root: Path) -> Secret:
    """One secret. Raises LookupError(what, hint) where it is not there."""
    source = ref.secret_ref
    if source.env is not None:
        value = os.environ.get(source.env)
        if not value:
            raise LookupError(f"the secret's environment variable {source.env} is not set", f"export {source.env}=…")
        return Secret(value, f"env {source.env}")
    path = root / (source.file or "")
    try:
        return Secret(path.read_text().rstrip("\n"), f"file {source.file}")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise LookupError(
            f"the secret's file {source.file} cannot be read: {reason}", "check its path and mode"
        ) from None


def scrubber(secrets: Iterable[Secret]) -> Callable[[str], str]:
    """A function that replaces every secret in a text, also in base64, by `(secret)`."""
    plain = {str(secret.reveal()) for secret in secrets}
    forms = {form for text in plain if len(text) >= _SHORTEST for form in _forms(text)}
    if not forms:
        return lambda text: text
    pattern = re.compile("|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)))
    return lambda text: pattern.sub(MASK, text)


def _forms(text: str) -> set[str]:
    """The secret, its base64, and what of it is in the base64 of any longer text, whatever stands before it."""
    raw = text.encode()
    inner = set()
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")
        whole = (shift + len(raw)) * 8 // 6
        inner.add(encoded[-(-shift * 8 // 6) : whole])
    return {text, base64.b64encode(raw).decode()} | {form for form in inner if len(form) >= 2 * _SHORTEST}

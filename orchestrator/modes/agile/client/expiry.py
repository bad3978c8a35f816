"""Whether what we authenticate with has run out, told from itself: a token's `exp`, a certificate's `notAfter`.

It is looked at only where an API server has refused us: its clock decides, not ours. Nothing but the time is told.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime


def of_token(token: str) -> float | None:
    """Until when a token is good, in seconds since the epoch; None where it does not say, or is no JWT."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return float(claims["exp"])
    except (ValueError, KeyError, TypeError):
        return None


def of_certificate(pem: bytes) -> float | None:
    """Until when a certificate is good, in seconds since the epoch; None where it cannot be read."""
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()
    except ValueError:
        return None


def told(what: str, until: float | None, now: float) -> str:
    """`the token has expired (2026-11-25 21:47 UTC)`; empty where that is not known to be so."""
    if until is None or until > now:
        return ""
    try:
        return f"{what} has expired ({datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M} UTC)"
    except (ValueError, OverflowError, OSError):  # a number that is no time
        return ""

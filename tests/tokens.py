"""JSON Web Tokens, signed as servers sign them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(key: ec.EllipticCurvePrivateKey, head: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    """A token with these claims, by a P-256 key."""
    text = ".".join(encoded(json.dumps(part).encode()) for part in ({"alg": "ES256", **head}, claims))
    r, s = utils.decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{text}.{encoded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

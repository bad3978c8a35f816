"""What a token and a certificate say themselves of how long they are good."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.modes.agile.client.expiry import of_certificate, of_token, told
from tests.agile.servers import DAY, Authority


def token(claims: Any) -> str:
    middle = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{middle}.x"


@pytest.mark.parametrize(
    ("given", "until"),
    [
        (token({"exp": 1000}), 1000.0),
        (token({"sub": "ann"}), None),
        (token({"exp": "soon"}), None),
        (token([1]), None),
        ("opaque", None),
        ("a.b.c", None),
        ("", None),
    ],
)
def test_a_token_says_until_when_it_is_good_if_it_is_one_that_can(given: str, until: float | None) -> None:
    assert of_token(given) == until


def test_a_certificate_says_until_when_it_is_good(tmp_path: Path) -> None:
    found = of_certificate(Authority(tmp_path).pair("ann", until=-DAY).certificate.read_bytes())
    assert found is not None
    assert told("the certificate", found, found + 1).startswith("the certificate has expired (20")
    assert of_certificate(b"none") is None


@pytest.mark.parametrize("until", [None, 2000.0, float("-inf"), float("nan"), -1e300])
def test_what_is_still_good_or_no_time_at_all_is_not_said_to_have_expired(until: float | None) -> None:
    assert told("the token", until, 1000.0) == ""
    assert told("the token", 0.0, 1000.0) == "the token has expired (1970-01-01 00:00 UTC)"

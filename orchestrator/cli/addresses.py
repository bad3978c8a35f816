"""Addresses as people type them."""

from __future__ import annotations

from orchestrator.errors import UsageError
from orchestrator.model.address import Address


def parse_address(text: str) -> Address:
    """The unit's address. Raises UsageError."""
    try:
        return Address.parse(text)
    except ValueError as error:
        raise UsageError(str(error), hint="`orchestrator plan -o json` and `render` show addresses") from None

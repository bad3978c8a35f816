"""For all tests: the fast ones first, those that need a lab last."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A stable sort: within each kind the order stays."""
    items.sort(key=lambda item: item.get_closest_marker("lab") is not None)

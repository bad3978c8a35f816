"""Label selectors as they are typed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.desired.selectors import matches, parse
from orchestrator.errors import UsageError

LABELS = {"tier": "edge", "env": "prod", "gpu": "", "example.com/rack": "r1"}


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("tier=edge", True),
        ("tier==edge", True),
        ("tier = edge , env = prod", True),
        ("tier=edge,env=dev", False),
        ("tier!=edge", False),
        ("region!=west", True),  # a label that is not there has no value
        ("env in (dev, prod)", True),
        ("env in (dev)", False),
        ("env notin (dev)", True),
        ("region notin (west)", True),
        ("gpu", True),
        ("!gpu", False),
        ("!region", True),
        ("region", False),
        ("gpu=", True),
        ("example.com/rack=r1,tier in (edge),!region", True),
        ("in", False),
    ],
)
def test_selectors_pick_as_kubernetes_does(text: str, fits: bool) -> None:
    assert matches(parse(text), LABELS) is fits


@pytest.mark.parametrize(
    "text", ["", ",", "tier=edge,", "tier=edge env=prod", "env in (a", "=x", "a b", "-x=1", "a,,b"]
)
def test_what_is_no_selector_is_refused_with_the_form_to_write(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert "is not a label selector" in caught.value.message
    assert "tier=edge" in caught.value.hint


@given(st.text("abc=!,() innot\t", max_size=30))
def test_any_text_is_a_selector_or_refused(text: str) -> None:
    try:
        selector = parse(text)
    except UsageError:
        return
    assert matches(selector, {}) in (True, False)

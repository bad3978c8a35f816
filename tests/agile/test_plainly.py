"""What is plainly as declared is told quickly, and never where the whole comparison would find a difference."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.model.values import Secret
from orchestrator.modes.agile.diff import differing
from orchestrator.modes.agile.diff.plainly import is_plainly_as

scalars = st.one_of(st.booleans(), st.integers(0, 2), st.sampled_from(["", "a", "1"]))
names = st.sampled_from(["a", "b", "name"])
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(names, inner, max_size=3)),
    max_leaves=8,
)


def tree_of(value: Any) -> dict[str, Any]:
    """Everything in a value as our own applied fields."""
    if isinstance(value, dict):
        return {f"f:{key}": tree_of(inner) for key, inner in value.items()}
    if isinstance(value, list) and value and all(isinstance(item, dict) and "name" in item for item in value):
        return {f"k:{json.dumps({'name': item['name']})}": {".": {}, **tree_of(item)} for item in value}
    return {}


def whole(spec: Any, applied: Any = None) -> dict[str, Any]:
    found = {"apiVersion": "v1", "kind": "Thing", "spec": spec, "metadata": {"name": "x"}}
    if applied is not None:
        entry = {"manager": "orchestrator", "operation": "Apply", "apiVersion": "v1", "fieldsV1": tree_of(applied)}
        found["metadata"] = {"name": "x", "managedFields": [entry]}
    return found


@settings(max_examples=400, deadline=None)
@given(wanted=values, live=values, before=values, same=st.booleans())
def test_what_is_plainly_as_declared_has_no_difference(wanted: Any, live: Any, before: Any, same: bool) -> None:
    declared = whole(wanted)
    lives = whole(wanted if same else live, {"spec": before})
    if is_plainly_as(declared, lives, tree_of({"spec": before})):
        start = differing.Point(
            lives, differing.Masks(lambda text: False, all_text=False), differing.fields.owners(lives, "v1")
        )
        assert [*differing._changed(declared, lives, start), *differing._left(declared, lives, start)] == []


@pytest.mark.parametrize(
    ("wanted", "live"),
    [
        ({"a": 1}, {"a": True}),
        ({"a": 1}, {"a": "1"}),
        ({"a": Secret("x")}, {"a": "x"}),
        ({"a": None}, {}),
        ({"a": [1]}, {"a": [1, 2]}),
        ({"a": {}}, {}),
    ],
)
def test_what_needs_a_closer_look_is_left_to_it(wanted: dict[str, Any], live: dict[str, Any]) -> None:
    assert not is_plainly_as(wanted, live, {})


def test_a_field_of_ours_that_is_declared_no_more_needs_a_closer_look() -> None:
    live = {"spec": {"list": [{"name": "web", "old": 1}], "kept": 1}}
    ours = tree_of(live)
    assert is_plainly_as(live, live, ours)
    assert not is_plainly_as({"spec": {"list": [{"name": "web"}], "kept": 1}}, live, ours)
    assert not is_plainly_as({"spec": {"list": [{"name": "web", "old": 1}]}}, live, ours)


def test_what_others_added_is_none_of_ours() -> None:
    wanted = {"spec": {"list": [{"name": "web"}]}}
    assert is_plainly_as(wanted, {"spec": {"list": [{"name": "web", "default": 1}], "more": 2}}, tree_of(wanted))

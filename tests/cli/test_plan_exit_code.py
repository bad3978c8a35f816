"""How `plan` ends, for a pipeline that goes by it."""

from __future__ import annotations

import pytest

from orchestrator.cli.plan import exit_code
from orchestrator.model.change import Action
from tests.cli.values import WEB, change, plan


@pytest.mark.parametrize(
    ("actions", "code", "detailed"),
    [
        ((Action.NONE,), 0, 0),
        ((Action.NONE, Action.HOLD), 0, 3),
        ((Action.HOLD, Action.UPDATE), 0, 2),
        ((Action.UPDATE, Action.CONFLICT), 1, 1),
        ((Action.HOLD, Action.CONFLICT), 1, 1),
    ],
)
def test_what_is_refused_comes_before_differences_and_those_before_what_is_held(
    actions: tuple[Action, ...], code: int, detailed: int
) -> None:
    made = plan(*(change(f"{WEB}ConfigMap/shop/c{index}", action) for index, action in enumerate(actions)))
    assert (exit_code(made, detailed=False), exit_code(made, detailed=True)) == (code, detailed)

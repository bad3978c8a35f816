"""Whatever a plan holds, no view ever shows a secret's value, plain or in base64."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli.views import drift, outputs, status
from orchestrator.cli.views.apply import JsonView, PlainView
from orchestrator.cli.views.plan import plan_data, plan_text
from orchestrator.model.address import Address
from orchestrator.model.change import Action, Change, Plan
from orchestrator.model.observation import Difference, Present
from orchestrator.model.source import Source
from orchestrator.model.unit import Unit
from orchestrator.model.values import Secret, Unknown
from tests.cli.values import DB, NOW, WEB, plan

CANARY = "canary-3f9c1e77aa"
FORMS = (CANARY, base64.b64encode(CANARY.encode()).decode())

secrets = st.just(Secret(CANARY, "env SHOP_DB_PASSWORD"))
plain = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just(Unknown("string"))
values: st.SearchStrategy[Any] = st.recursive(
    secrets | plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def differences(draw: st.DrawFn) -> Difference:
    """Both sides drawn alike; and, as a live object has it, the old side in plain where the new one is secret."""
    new = draw(values)
    old = draw(values | st.just(_in_plain(new)))
    return Difference(
        draw(st.sampled_from(["data.password", "spec", "vars.x"])), old, new, draw(st.sampled_from(["", "kubectl"]))
    )


def _in_plain(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, dict):
        return {key: _in_plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_in_plain(inner) for inner in value]
    return value


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    changes = []
    for i, where in enumerate((DB + "db-a", WEB + "Secret/shop/s", WEB + "Deployment.apps/shop/web")):
        address = Address.parse(where)
        inputs = {"object": draw(values)}
        changes.append(
            Change(
                address,
                draw(st.sampled_from(list(Action))),
                "changed: its manifest",
                unit=Unit(address, {"object": inputs["object"]}, inputs, f"id{i}", Source("a.yaml", 1, 1)),
                seen=Present(None, facts={"data": CANARY}),
                differences=tuple(draw(st.lists(differences(), max_size=3))),
                wave=i,
                drift=draw(st.booleans()),
            )
        )
    return plan(*changes)


@given(plans(), values)
def test_no_view_shows_a_secret(shown: Plan, output: Any) -> None:
    lines = io.StringIO()
    JsonView(lines, clock=lambda: NOW).started(shown)
    PlainView(lambda text: print(text, file=lines), colour=False).started(shown)
    outs = {("lab", "shop"): {"x": output}}
    texts = [
        plan_text(shown, colour=True, width=120, now=NOW),
        json.dumps(plan_data(shown)),
        *(drift.render(shown, form) for form in ("table", "json", "name")),
        *(status.render(status.rows(shown, {}, NOW), form) for form in ("table", "json")),
        *(outputs.render(outs, form) for form in ("table", "json")),
        lines.getvalue(),
    ]
    for text in texts:
        assert not any(form in text for form in FORMS), text


def test_the_check_would_see_a_secret() -> None:
    leaking = Difference("data.password", "x", _in_plain(Secret(CANARY)))
    change = Change(Address.parse(DB + "db-a"), Action.UPDATE, "changed", differences=(leaking,))
    assert CANARY in json.dumps(plan_data(plan(change)))

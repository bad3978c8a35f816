"""The plan as people and programs read it."""

from __future__ import annotations

import json
import re
from textwrap import dedent

from orchestrator.cli.views.plan import plan_data, plan_text
from orchestrator.model.change import Action, Change, Plan
from orchestrator.model.observation import Coverage, Difference, Note, Present, Tally, Unreachable
from orchestrator.model.record import Record
from orchestrator.model.values import Secret, Unknown
from tests.cli.values import DB, NOW, WEB, change, plan


def text(shown: Plan, *, colour: bool = False, width: int = 120) -> str:
    return plan_text(shown, colour=colour, width=width, now=NOW)


def expected(block: str) -> str:
    return dedent(block).strip("\n")


REASON = "changed: vars.port 6379 → 6380, templates/orders-db.conf.j2"


def of_the_design() -> Plan:
    held = change(
        "store-0001/shop/stable/orders-db/configuration/db-a",
        Action.HOLD,
        "held: unreachable (ssh 10.9.1.11:22: timed out after 10 s)",
        seen=Unreachable("timed out"),
    )
    return plan(
        change(DB + "db-a", Action.UPDATE, REASON, wave=1, differences=(Difference("vars.port", 6379, 6380),)),
        change(DB + "db-b", Action.UPDATE, REASON, wave=1),
        change(
            WEB + "Deployment.apps/shop/web",
            Action.UPDATE,
            'changed: spec.env[DB] "a:6379" → "a:6380"; drifted: spec.replicas 8 → 3 (kubectl)',
            wave=2,
            differences=(Difference("spec.env[DB]", "a:6379", "a:6380"), Difference("spec.replicas", 3, 8, "kubectl")),
        ),
        change(WEB + "ConfigMap/shop/banner", Action.DELETE, "removed from the blueprint", wave=2),
        change(WEB + "Service/shop/web", Action.NONE),
        held,
        notes=(Note("shanghai-dc", "shop", "webshop 1.4.0 → 1.5.0"),),
        tally=Tally(units=48, seconds=0.6),
    )


def test_a_plan_is_a_tree_of_what_changes_with_reasons_waves_and_sum() -> None:
    assert text(of_the_design()) == expected("""
        Estate acme · 2 sites · 1 placement · checked 48 units in 0.6 s

        shanghai-dc
          shop                            webshop 1.4.0 → 1.5.0
            stable  orders-db
              ~ configuration db-a        changed: vars.port 6379 → 6380, templates/orders-db.conf.j2
              ~ configuration db-b        changed: vars.port 6379 → 6380, templates/orders-db.conf.j2
            agile   web
              - ConfigMap banner          removed from the blueprint
              ~ Deployment web            changed: spec.env[DB] "a:6379" → "a:6380"
                                          drifted: spec.replicas 8 → 3 (kubectl)
        store-0001
          shop
            stable  orders-db
              ! configuration db-a        held: unreachable (ssh 10.9.1.11:22: timed out after 10 s)

        Waves: 1 stable orders-db → 2 agile web
        Plan: 3 to change, 1 to delete, 1 held, 1 as declared.
        """)


def test_colour_adds_nothing_but_colour() -> None:
    coloured = text(of_the_design(), colour=True)
    assert "\x1b[33m~\x1b[0m" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured) == text(of_the_design())


def test_no_changes_is_one_line_with_what_it_has_cost() -> None:
    none = plan(change(DB + "db-a", Action.NONE), change(WEB + "Service/shop/web", Action.NONE))
    assert text(none) == "No changes. 2 units at 1 site are as declared (0.6 s; 12 requests, no Ansible, no Pulumi)."


def test_no_changes_still_tells_the_notes() -> None:
    none = plan(change(DB + "db-a", Action.NONE), notes=(Note("edge", "shop", "no cluster here: web is left out"),))
    assert text(none).splitlines()[0] == "edge  shop  no cluster here: web is left out"


def test_an_empty_estate_says_so() -> None:
    assert text(plan()) == "No changes. There are no units here."


def test_one_cause_that_holds_many_units_is_said_once() -> None:
    held = [
        change(f"edge/shop/agile/web/ConfigMap/shop/c{i}", Action.HOLD, "held: unreachable (https://edge: refused)")
        for i in range(7)
    ]
    assert text(plan(*held), width=100) == expected("""
        Estate acme · 1 site · 1 placement · checked 7 units in 0.6 s

        edge
          ! 7 units held: unreachable (https://edge: refused)
              shop  agile  web  ConfigMap c0, ConfigMap c1, ConfigMap c2, ConfigMap c3, ConfigMap c4,
              ConfigMap c5 and 1 more

        Plan: nothing to change, 7 held.
        """)


def test_a_held_unit_says_when_it_was_last_seen() -> None:
    record = Record(change(DB + "db-a", Action.HOLD).address, "", "", seen_at=NOW - 7300)
    held = change(DB + "db-a", Action.HOLD, "held: unreachable (x)", seen=Unreachable("x"), record=record)
    assert "held: unreachable (x); last seen 2 h ago" in text(plan(held))


def test_a_difference_that_the_reason_does_not_tell_whole_has_its_own_line() -> None:
    shown = one(
        "changed: data, spec.replicas 3 → 4",
        Difference("data", {"a": 1}, {"a": 2}),
        Difference("spec.replicas", 3, 4),
        Difference("spec", None, 5),
    )
    lines = [line.strip() for line in shown.splitlines()]
    assert 'data {"a": 1} → {"a": 2}' in lines
    assert "spec (none) → 5" in lines
    assert shown.count("spec.replicas") == 1


def test_a_long_list_of_differences_is_cut_with_a_count() -> None:
    shown = one("drifted: a lot", *(Difference(f"field{i}", i, -i) for i in range(1, 31)))
    assert "field10 10 → -10" in shown
    assert "field11" not in shown
    assert "and 20 more: -o json has them all" in shown


def test_of_a_programs_resources_the_names_are_told_whole() -> None:
    differences = (
        Difference("kubernetes:NetworkPolicy blue-traffic", None, {"spec": {}}),
        Difference("kubernetes:Namespace blue", {"spec": {}}, None),
        Difference("kubernetes:ResourceQuota red-pods: spec.hard.pods", "10", "15"),
    )
    lines = text(plan(change(WEB + "program/shop/web", Action.UPDATE, "Pulumi: …", differences=differences)))
    assert "kubernetes:NetworkPolicy blue-traffic: to create" in lines
    assert "kubernetes:Namespace blue: to delete" in lines
    assert 'kubernetes:ResourceQuota red-pods: spec.hard.pods "10" → "15"' in lines


def test_secrets_are_masked_on_both_sides_even_where_only_one_is_known_to_be_secret() -> None:
    shown = one("changed: its manifest", Difference("data.password", "old-plain", Secret("new-plain")))
    assert "data.password (secret, changed)" in shown
    assert "plain" not in shown


def test_values_of_the_target_cannot_play_tricks_on_the_terminal() -> None:
    shown = one("drifted: \x1b[2Jx\u202e", Difference("a\rb", "\x1b]0;owned\x07", "two\nlines"))
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert r"drifted: \x1b[2Jx\u202e" in shown
    assert r"a\rb" in shown
    assert not [line for line in shown.splitlines() if line.startswith("lines")]


def test_two_objects_of_one_name_are_told_apart() -> None:
    shown = text(
        plan(
            change(WEB + "ConfigMap/shop/c", Action.CREATE, "not there yet", wave=1),
            change(WEB + "ConfigMap/other/c", Action.CREATE, "not there yet", wave=1),
        )
    )
    assert "+ ConfigMap shop/c" in shown
    assert "+ ConfigMap other/c" in shown


def test_long_reasons_are_wrapped_below_themselves() -> None:
    shown = one("changed: " + ", ".join(f"vars.name{i}" for i in range(20)), width=80)
    lines = [line for line in shown.splitlines() if "vars.name" in line]
    assert len(lines) > 2
    assert all(len(line) <= 80 for line in lines)
    assert len({line.index(line.split()[0]) for line in lines[1:]}) == 1


def one(reason: str, *differences: Difference, width: int = 120) -> str:
    shown = change(WEB + "Deployment.apps/shop/web", Action.UPDATE, reason, wave=1, differences=differences)
    return text(plan(shown), width=width)


def test_the_data_has_the_promised_fields() -> None:
    data = json.loads(json.dumps(plan_data(of_the_design())))
    assert data["estate"] == {"name": "acme", "id": "7d0c"}
    assert {
        "create",
        "update",
        "replace",
        "delete",
        "adopt",
        "later",
        "wait",
        "forget",
        "conflict",
        "hold",
        "none",
    } == set(data["summary"])
    assert data["summary"]["update"] == 3
    assert data["observed"] == {"units": 48, "seconds": 0.6, "requests": 0, "ansible_runs": 0, "pulumi_runs": 0}
    web = next(c for c in data["changes"] if c["workload"] == "web" and c["action"] == "update")
    assert web["address"] == "shanghai-dc/shop/agile/web/Deployment.apps/shop/web"
    assert (web["site"], web["placement"], web["mode"], web["wave"]) == ("shanghai-dc", "shop", "agile", 2)
    scaled = {"path": "spec.replicas", "old": 3, "new": 8, "by": "kubectl", "replace": False}
    assert {**scaled, "healed": 0, "kept": False, "since": None} in web["differences"]


def test_the_data_leaves_out_what_is_as_declared() -> None:
    assert "none" not in {c["action"] for c in plan_data(of_the_design())["changes"]}


def test_the_serial_names_what_a_plan_does() -> None:
    def serial(*changes: Change) -> str:
        return str(plan_data(plan(*changes))["serial"])

    create = change(WEB + "ConfigMap/shop/c", Action.CREATE, "not there yet", wave=1)
    assert serial(create) == serial(create, change(DB + "db-a", Action.NONE))
    assert serial(create) != serial(change(WEB + "ConfigMap/shop/c", Action.DELETE, "removed", wave=1))


def test_secrets_and_unknowns_are_masked_in_the_data() -> None:
    nested = Difference("data", {"user": "u", "password": "was-plain"}, {"user": "u", "password": Secret("s3cret")})
    later = Difference("host", None, Unknown("string", frozenset({"x"})))
    shown = plan(change(WEB + "Secret/shop/s", Action.UPDATE, "changed", differences=(nested, later)))
    differences = plan_data(shown)["changes"][0]["differences"]
    assert differences[0]["old"] == differences[0]["new"] == {"user": "u", "password": "(secret)"}
    assert differences[1]["new"] == "(known later)"


def test_coverage_is_in_the_data() -> None:
    seen = Present(None, coverage=Coverage(23, 25, ("a", "b")))
    data = plan_data(plan(change(DB + "db-a", Action.UPDATE, "drifted", seen=seen)))
    assert data["changes"][0]["coverage"] == {"verified": 23, "total": 25, "unverified": ["a", "b"]}

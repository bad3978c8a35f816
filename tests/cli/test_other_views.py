"""Status, drift, history, outputs and diagnostics as people and programs read them."""

from __future__ import annotations

import json
from dataclasses import replace
from textwrap import dedent

from orchestrator.cli.views import drift, history, outputs, status
from orchestrator.cli.views.diagnostics import diagnostics_data, diagnostics_text
from orchestrator.model.change import Action
from orchestrator.model.history import RunRow, StepRow
from orchestrator.model.observation import Coverage, Difference, Present, Tally, Unreachable
from orchestrator.model.record import Record
from orchestrator.model.source import Diagnostic, Source
from orchestrator.model.values import Secret, Unknown
from tests.cli.values import DB, NOW, WEB, change, plan

SEEN = Present(None, seen_at=NOW - 12)
RUN = RunRow(41, "apply", NOW - 150, NOW - 135.8, "done", {"done": 4, "held": 1})


def text(block: str) -> str:
    return dedent(block).strip("\n")


def test_status_counts_each_mode_and_says_when_it_was_seen() -> None:
    far = "store-0001/shop/stable/orders-db/configuration/db-a"
    gone = change(far, Action.HOLD, "held", seen=Unreachable("timed out"))
    gone = replace(gone, record=Record(gone.address, "", "", seen_at=NOW - 9000))
    shown = plan(
        change(DB + "db-a", Action.NONE, seen=SEEN),
        change(DB + "db-b", Action.UPDATE, "drifted", seen=SEEN, drift=True),
        change(WEB + "Service/shop/web", Action.NONE, seen=SEEN),
        change(WEB + "Deployment.apps/shop/web", Action.WAIT, "as declared, not ready", seen=SEEN),
        gone,
    )
    found = status.rows(shown, {"shanghai-dc": RUN}, NOW)
    assert status.render(found, "table") == text("""
        SITE         PLACEMENT  STABLE          AGILE             LAST RUN        SEEN
        shanghai-dc  shop       1 ok 1 drifted  1 ok 1 not ready  41 ✓ 2 min ago  12 s ago
        store-0001   shop       1 held          –                 –               unreachable, last seen 2 h ago
        """)
    data = json.loads(status.render(found, "json"))["placements"]
    assert data[0]["stable"] == {"ok": 1, "drifted": 1}
    assert data[0]["last_run"] == {"run": 41, "result": "done"}
    assert (data[1]["reachable"], data[1]["last_run"]) == (False, None)


def test_status_of_nothing_says_so() -> None:
    assert "no placement picks a site" in status.render([], "table")
    assert json.loads(status.render([], "json")) == {"placements": [], "pins": []}


def drifted_plan() -> object:
    seen = Present(None, coverage=Coverage(23, 25, ("a", "b")))
    return plan(
        change(
            DB + "db-a",
            Action.UPDATE,
            "drifted: /etc/orders-db.conf content",
            drift=True,
            seen=seen,
            differences=(Difference("/etc/orders-db.conf content"),),
        ),
        change(
            WEB + "Deployment.apps/shop/web",
            Action.UPDATE,
            "drifted: spec.replicas 3 → 7 (kubectl)",
            drift=True,
            differences=(Difference("spec.replicas", 7, 3, "kubectl"),),
        ),
        change("edge/shop/agile/web/Service/shop/web", Action.HOLD, "held: unreachable (refused)"),
        tally=Tally(units=48),
    )


def test_drift_reads_from_how_it_was_left_to_how_it_is() -> None:
    shown = drifted_plan()
    assert drift.render(shown, "table") == text("""
        shanghai-dc  shop  stable  configuration db-a  /etc/orders-db.conf content
        shanghai-dc  shop  agile   Deployment web      spec.replicas 3 → 7 (kubectl)
        edge  1 unit held: unreachable (refused)
        shanghai-dc  shop  orders-db  23 of 25 tasks verifiable; not: a, b
        2 units drifted at 1 site; 45 as they were left; 1 could not be seen.
        """)  # type: ignore[arg-type]


def test_drift_for_programs_has_the_shape_of_a_plan_and_addresses_alone() -> None:
    shown = drifted_plan()
    data = json.loads(drift.render(shown, "json"))  # type: ignore[arg-type]
    assert [c["action"] for c in data["changes"]] == ["hold", "update", "update"]
    assert drift.render(shown, "name").splitlines() == [  # type: ignore[arg-type]
        DB + "db-a",
        WEB + "Deployment.apps/shop/web",
    ]


def test_no_drift_says_so() -> None:
    assert drift.render(plan(tally=Tally(units=48)), "table") == "Nothing drifted; 48 as they were left."


def test_the_history_lists_runs_and_one_that_never_ended_is_under_way() -> None:
    killed = RunRow(42, "reconcile", NOW)
    assert history.render_runs([killed, RUN], "table") == text("""
        RUN  COMMAND    STARTED               TOOK    RESULT       STEPS
        42   reconcile  2027-01-15T08:00:00Z  –       ! under way  –
        41   apply      2027-01-15T07:57:30Z  14.2 s  ✓ done       4 done, 1 held
        """)
    data = json.loads(history.render_runs([killed, RUN], "json"))["runs"]
    assert (data[0]["result"], data[0]["ended"]) == (None, None)
    assert data[1]["counts"] == {"done": 4, "held": 1}


def test_a_run_is_shown_step_by_step() -> None:
    steps = (
        StepRow(DB + "db-a", "update", "changed: x", 1, NOW, NOW + 6.1, "done", "ready: tcp 6380"),
        StepRow(DB + "db-b", "update", "changed: x", 1, NOW, NOW + 6.1, "failed", "no such file\nand a long log"),
    )
    run = replace(RUN, result="failed", steps=steps)
    assert history.render_run(run, "table") == text("""
        Run 41: apply, 2027-01-15T07:57:30Z, failed in 14.2 s
           WAVE  ADDRESS                                               ACTION  TOOK   WHAT HAPPENED
        ✓  1     shanghai-dc/shop/stable/orders-db/configuration/db-a  update  6.1 s  ready: tcp 6380
        ✗  1     shanghai-dc/shop/stable/orders-db/configuration/db-b  update  6.1 s  no such file
        The full log of a step: orchestrator show 41 --log ADDRESS
        """)
    assert json.loads(history.render_run(run, "json"))["steps"][1]["message"] == "no such file\nand a long log"


def test_outputs_are_masked_and_what_is_not_known_is_null_for_programs() -> None:
    found = {("lab", "shop"): {"url": "http://x", "port": 80, "password": Secret("s3cret"), "later": Unknown("string")}}
    assert outputs.render(found, "table") == text("""
        SITE  PLACEMENT  OUTPUT    VALUE
        lab   shop       url       http://x
        lab   shop       port      80
        lab   shop       password  (secret)
        lab   shop       later     (known later)
        """)
    assert json.loads(outputs.render(found, "json")) == {
        "outputs": {"lab": {"shop": {"url": "http://x", "port": 80, "password": "(secret)", "later": None}}}
    }


LINES = {
    "shop.yaml": ["kind: Placement", "\tvalues:", "  名前: ${x.hots}", "a" * 400],
}


def lines(file: str) -> list[str]:
    return LINES.get(file, [])


def test_a_diagnostic_shows_its_line_and_a_caret() -> None:
    found = [
        Diagnostic(Source("shop.yaml", 3, 11), "unknown output `hots`", "did you mean `host`?"),
        Diagnostic(Source("orchestrator.yaml", 1), "no `id`", severity="warning"),
    ]
    assert diagnostics_text(found, lines, files=9) == text("""
        orchestrator.yaml:1: warning: no `id`
        shop.yaml:3:11: unknown output `hots`; did you mean `host`?
            3 |   名前: ${x.hots}
                            ^
        1 error and 1 warning in 2 of 9 files.
        """)


def test_a_long_line_is_shown_around_its_column() -> None:
    shown = diagnostics_text([Diagnostic(Source("shop.yaml", 4, 300), "x")], lines)
    assert max(len(line) for line in shown.splitlines()) < 130
    assert "^" in shown


def test_a_diagnostic_that_points_outside_of_its_file_is_still_told() -> None:
    for line, column in ((99, 1), (0, 0), (1, 999)):
        shown = diagnostics_text([Diagnostic(Source("shop.yaml", line, column), "wrong")], lines)
        assert "wrong" in shown
        assert "^" not in shown


def test_diagnostics_as_data() -> None:
    data = diagnostics_data([Diagnostic(Source("a.yaml", 1, 2), "wrong", "right")])
    assert data == {
        "diagnostics": [
            {"file": "a.yaml", "line": 1, "column": 2, "severity": "error", "message": "wrong", "hint": "right"}
        ]
    }

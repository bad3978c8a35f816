"""A run while it goes on, in its three forms."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import dataclass, field
from textwrap import dedent

from orchestrator.cli.views.apply import JsonView, PlainView, RunSummary
from orchestrator.model.change import Action, Change
from orchestrator.model.observation import Tally
from orchestrator.model.outcome import Outcome, Progress, Result
from tests.cli.values import DB, WEB, change, plan

UPDATE = change(DB + "db-a", Action.UPDATE, "changed: vars.port", wave=1)
SECOND = change(DB + "db-b", Action.UPDATE, "changed: vars.port", wave=1)
DEPLOYMENT = change(WEB + "Deployment.apps/shop/web", Action.UPDATE, "drifted", wave=2)
BANNER = change(WEB + "ConfigMap/shop/banner", Action.DELETE, "removed from the blueprint", wave=2)


def ended(of: Change, result: Result, message: str = "", **rest: object) -> tuple[Change, Outcome]:
    return of, Outcome(of.address, result, message, **rest)  # type: ignore[arg-type]


def summary(code: int = 0, *, stopped: str = "", sites: frozenset[str] = frozenset(), **counts: int) -> RunSummary:
    by_result = {Result(name): count for name, count in counts.items()}
    return RunSummary(41, by_result, 14.2, stopped, code, Tally(requests=12, pulumi_runs=1), sites)


@dataclass
class Watched:
    """A plain view, what it has printed, and its clock."""

    lines: list[str] = field(default_factory=list)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.view = PlainView(self.lines.append, colour=False, clock=lambda: self.now)

    def text(self) -> str:
        return "\n".join(self.lines)


def test_each_step_that_ends_is_a_line_and_the_sum_is_last() -> None:
    it = Watched()
    it.view.outcome(*ended(UPDATE, Result.DONE, "ready: tcp 6380", seconds=6.1))
    it.view.outcome(*ended(BANNER, Result.DONE, seconds=0.2))
    it.view.finished(summary(done=2))
    assert it.text() == dedent("""\
        ✓ shanghai-dc  configuration db-a        6.1 s   ready: tcp 6380
        ✓ shanghai-dc  ConfigMap banner          deleted
        Run 41: 2 changed in 14.2 s.   orchestrator show 41""")


def test_one_cause_is_told_once_for_all_hosts_of_a_workload() -> None:
    it = Watched()
    why = {"task": "Settings", "where": "blueprints/shop/db.yaml:4"}
    it.view.outcome(*ended(UPDATE, Result.FAILED, "not found\n\tin a", **why))
    it.view.outcome(*ended(SECOND, Result.FAILED, "not found\n\tin a", **why))
    it.view.outcome(*ended(DEPLOYMENT, Result.FAILED, "not found\n\tin a", **why))
    assert it.text() == dedent("""\
        ✗ shanghai-dc  configuration db-a        failed at "Settings", stable orders-db
            blueprints/shop/db.yaml:4
            not found
              in a
        ✗ shanghai-dc  configuration db-b        failed as configuration db-a
        ✗ shanghai-dc  Deployment web            failed at "Settings", agile web
            blueprints/shop/db.yaml:4
            not found
              in a""")


def test_a_log_is_named_only_where_there_is_one() -> None:
    it = Watched()
    it.view.outcome(*ended(DEPLOYMENT, Result.FAILED, "namespace shop is being deleted"))
    it.view.finished(summary(1, failed=1))
    assert it.text().splitlines()[-1] == "Nothing else was changed. Mend it and apply again."


def test_a_failure_says_where_what_why_and_what_now() -> None:
    it = Watched()
    it.view.outcome(*ended(UPDATE, Result.DONE, seconds=6.1))
    failed = ended(
        SECOND,
        Result.FAILED,
        "Could not find or access 'orders-db.conf.j2'",
        task="Settings of the orders database",
        where="blueprints/webshop/stable/orders-db.yaml:3",
        log="TASK [Settings of the orders database]\n",
    )
    it.view.outcome(*failed)
    it.view.outcome(*ended(DEPLOYMENT, Result.HELD, "not started: configuration db-b is not done"))
    it.view.finished(summary(1, done=1, failed=1, held=1))
    assert it.text() == dedent("""\
        ✓ shanghai-dc  configuration db-a        6.1 s
        ✗ shanghai-dc  configuration db-b        failed at "Settings of the orders database", stable orders-db
            blueprints/webshop/stable/orders-db.yaml:3
            Could not find or access 'orders-db.conf.j2'
        ! shanghai-dc  Deployment web            not started: configuration db-b is not done
        Run 41: 1 changed, 1 failed, 1 held in 14.2 s.   orchestrator show 41
        What is done stays as it is; not started: Deployment web. Mend it and apply again, or read on:
          orchestrator show 41 --log shanghai-dc/shop/stable/orders-db/configuration/db-b""")


def test_many_units_held_for_one_reason_are_one_line() -> None:
    it = Watched()
    for i in range(500):
        it.view.outcome(*ended(change(WEB + f"ConfigMap/shop/c{i}", Action.UPDATE), Result.HELD, "not started: x"))
    it.view.finished(summary(3, held=500))
    assert len(it.text().splitlines()) == 2
    assert "not started: x (and 499 more)" in it.text()


def test_what_takes_long_is_said_now_and_then_not_all_the_time() -> None:
    it = Watched()
    for _ in range(25):
        it.view.progress(Progress(DEPLOYMENT.address, "waiting: 1 of 3 replicas ready"))
        it.now += 1.0
    assert it.lines == ["· shanghai-dc  Deployment web            waiting: 1 of 3 replicas ready"] * 2


def test_a_site_that_is_stopped_says_why() -> None:
    it = Watched()
    it.view.stopped("edge", "the plan has changed since it was shown")
    assert it.lines == ["! edge  stopped: the plan has changed since it was shown"]


def test_two_runs_at_once_do_not_mix_what_was_held() -> None:
    it = Watched()
    it.view.outcome(*ended(DEPLOYMENT, Result.HELD, "not started: here"))
    elsewhere = change("edge/shop/agile/web/Service/shop/web", Action.UPDATE)
    it.view.outcome(*ended(elsewhere, Result.HELD, "not started: there"))
    it.view.finished(summary(3, held=1, sites=frozenset({"edge"})))
    assert "there" in it.text()
    assert "here" not in it.text().replace("there", "")
    it.view.finished(summary(3, held=1, sites=frozenset({"shanghai-dc"})))
    assert "not started: here" in it.lines[-1]


def test_messages_of_targets_are_made_harmless_and_cut() -> None:
    it = Watched()
    it.view.outcome(*ended(UPDATE, Result.FAILED, "\x1b[2J" + "\n".join(f"line {i}" for i in range(100)), task="t"))
    assert "\x1b" not in it.text()
    assert len(it.text().splitlines()) < 20


def test_json_lines_begin_with_the_plan_and_end_with_the_result() -> None:
    stream = io.StringIO()
    view = JsonView(stream, clock=lambda: 1_800_000_000.0)
    view.started(plan(UPDATE))
    view.progress(Progress(UPDATE.address, "playbook"))
    view.outcome(*ended(UPDATE, Result.DONE, "ready", seconds=6.1))
    view.stopped("edge", "why")
    view.finished(summary(done=1))
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [e["event"] for e in events] == ["plan", "progress", "outcome", "stopped", "result"]
    assert events[0]["estate"]["name"] == "acme"
    assert events[0]["time"] == "2027-01-15T08:00:00.000Z"
    assert (events[2]["address"], events[2]["result"], events[2]["seconds"]) == (DB + "db-a", "done", 6.1)
    assert events[-1]["counts"]["done"] == 1
    assert (events[-1]["run"], events[-1]["exit_code"], events[-1]["pulumi_runs"]) == (41, 0, 1)


def test_a_reader_that_leaves_does_not_end_the_run() -> None:
    script = dedent("""\
        import sys
        from orchestrator.cli.views.apply import Printer
        write = Printer(sys.stdout)
        for i in range(20000):
            write(f"line {i}")
        print("the run went on", file=sys.stderr)
        """)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.readline()
        run.stdout.close()
        said = run.stderr.read().decode()
    assert run.returncode == 0
    assert said == "the run went on\n"


def test_on_a_terminal_what_is_under_way_is_shown_and_the_cursor_comes_back() -> None:
    script = dedent("""\
        import time
        from orchestrator.cli.running import make_view
        from orchestrator.model.outcome import Outcome, Progress, Result
        from tests.cli.test_apply_view import DEPLOYMENT, ended, summary
        view = make_view("table")
        view.progress(Progress(DEPLOYMENT.address, "waiting: 1 of 3"))
        time.sleep(0.5)
        view.outcome(*ended(DEPLOYMENT, Result.DONE, "ready"))
        view.finished(summary(done=1))
        """)
    inside = "import pty, sys; sys.exit(pty.spawn([sys.executable, '-c', sys.argv[1]]) >> 8)"
    done = subprocess.run(
        [sys.executable, "-c", inside, script],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
        env={"PATH": "/usr/bin:/bin", "TERM": "xterm-256color", "PYTHONPATH": ":".join(sys.path), "LANG": "C.UTF-8"},
    )
    printed = done.stdout.decode()
    assert done.returncode == 0, printed
    assert "waiting: 1 of 3" in printed
    assert "Run 41: 1 changed" in printed
    assert printed.rindex("\x1b[?25h") > printed.rindex("\x1b[?25l")

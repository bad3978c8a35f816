"""Configurations on real (local) hosts with real Ansible."""

from __future__ import annotations

import base64
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator.model.change import Action, Change
from orchestrator.model.observation import Absent, Observed, Present, Unreachable
from orchestrator.model.outcome import Progress, Result
from orchestrator.model.values import Secret
from tests.e2e.watching import Processes, command_lines

pytestmark = pytest.mark.lab

CONF = """
    - name: Database
      hosts: all
      gather_facts: false
      tasks:
        - name: Settings
          ansible.builtin.template:
            src: db.conf.j2
            dest: "{{ base }}/db.conf"
          notify: Restart
      handlers:
        - name: Restart
          ansible.builtin.shell: echo restarted >> {{ base }}/restarts
"""

GONE = """
    - hosts: all
      gather_facts: false
      tasks: [{ansible.builtin.file: {path: '{{ base }}/db.conf', state: absent}}]
"""


@pytest.fixture
def database(estate: Any) -> Any:
    estate.write("play.yaml", CONF)
    estate.write("templates/db.conf.j2", "port {{ port }}\npassword {{ password | default('none') }}\n")
    return estate


def test_a_workload_is_applied_to_all_its_hosts_in_one_run_and_stamped(database: Any, tools: Any) -> None:
    driver = database.driver()
    units = [database.unit(host, vars={"port": 6379}) for host in ("h1", "h2")]
    assert all(isinstance(seen, Absent) for seen in driver.observe(units, []).units.values())
    told: list[Progress] = []
    seen = driver.observe(units, [])
    outcomes = list(driver.apply(tools.changes_for(units, seen), told.append))
    assert [o.result for o in outcomes] == [Result.DONE, Result.DONE], outcomes
    assert driver.spent().ansible_runs == 1
    assert {p.text for p in told} >= {"Settings"}
    assert (database.host("h2") / "db.conf").read_text().startswith("port 6379")
    again = database.driver()
    after = again.observe(units, [])
    for unit in units:
        found = tools.present(after, unit)
        assert found.stamp is not None
        assert found.stamp.digest == unit.digest(found.stamp.salt)
        assert (found.ready, found.differences, found.pending) == (True, (), ())
        assert found.coverage is not None
        assert (found.coverage.verified, found.coverage.total) == (1, 1)
    assert after.tally.ansible_runs == 0
    assert after.tally.requests == 2


def test_a_run_that_was_prepared_is_the_one_that_is_made(database: Any, tools: Any) -> None:
    driver, unit = database.driver(), database.unit(vars={"port": 6379})
    changes = tools.changes_for([unit], driver.observe([unit], []))
    driver.prepare(changes)
    (prepared,) = begun_workers()
    assert driver.spent().ansible_runs == 0
    with Processes(os.getpid()) as processes:
        assert [o.result for o in driver.apply(changes, lambda progress: None)] == [Result.DONE]
    assert {line for line in processes.seen if WORKER in line} == {prepared}
    assert driver.spent().ansible_runs == 1
    assert workers() == []


def test_a_run_that_was_prepared_in_vain_ends_with_the_driver(database: Any, tools: Any) -> None:
    driver, unit = database.driver(), database.unit(vars={"port": 6379})
    driver.prepare(tools.changes_for([unit], driver.observe([unit], [])))
    assert len(begun_workers()) == len(run_folders()) == 1
    driver.close()
    assert (workers(), run_folders()) == ([], [])
    assert not (database.host("h1") / "db.conf").exists()


WORKER = "orchestrator.modes.stable.playbooks.worker"


def workers() -> list[str]:
    """The processes of ours that run ansible-runner, or are about to."""
    return [line for line in command_lines(os.getpid()) if WORKER in line]


def begun_workers() -> list[str]:
    """The same, once they have begun: a process that has just been started has no command line for a moment."""
    end = time.monotonic() + 10
    while not (found := workers()) and time.monotonic() < end:
        time.sleep(0.01)
    return found


def run_folders() -> list[Path]:
    """What runs of ours have laid down, secrets among it."""
    return list(Path("/dev/shm").glob(f"orchestrator-run-{os.getpid()}-*"))


def test_a_file_edited_by_hand_is_drift_and_is_healed(database: Any, tools: Any) -> None:
    driver, unit = database.driver(), database.unit(vars={"port": 6379})
    assert tools.apply(driver, [unit])["h1"].result == Result.DONE
    conf = database.host("h1") / "db.conf"
    conf.write_text("port 1\n")
    (difference,) = tools.present(driver.observe([unit], []), unit).differences
    assert difference.path == f"{conf} content"
    assert len(str(difference.old)) == len(str(difference.new)) == 8
    assert tools.apply(driver, [unit])["h1"].result == Result.DONE
    assert conf.read_text().startswith("port 6379")
    assert tools.present(driver.observe([unit], []), unit).differences == ()
    conf.unlink()
    (difference,) = tools.present(driver.observe([unit], []), unit).differences
    assert (difference.path, difference.old, difference.new) == (str(conf), "absent", "file")


def test_a_difference_that_no_task_mends_is_told_and_stays_one(database: Any, tools: Any) -> None:
    driver, unit = database.driver(), database.unit(vars={"port": 6379})
    tools.apply(driver, [unit])
    conf = database.host("h1") / "db.conf"
    conf.chmod(0o600)
    seen = tools.present(driver.observe([unit], []), unit)
    assert [d.path for d in seen.differences] == [f"{conf} mode"]
    outcome = tools.apply(driver, [unit])["h1"]
    assert outcome.result == Result.DONE
    assert f"no task mends {conf} mode: 0644 → 0600" in outcome.message
    assert [d.path for d in tools.present(driver.observe([unit], []), unit).differences] == [f"{conf} mode"]


def test_one_failing_host_does_not_spoil_the_other(database: Any, tools: Any) -> None:
    database.write(
        "play.yaml",
        """
        - hosts: all
          gather_facts: false
          tasks:
            - name: Settings
              ansible.builtin.template: {src: db.conf.j2, dest: "{{ base }}/ok.conf"}
            - name: Only one can
              ansible.builtin.shell: echo to stderr >&2; test {{ inventory_hostname }} = h1
        """,
    )
    driver = database.driver()
    units = [database.unit(host, vars={"port": 1}) for host in ("h1", "h2")]
    outcomes = tools.apply(driver, units)
    assert outcomes["h1"].result == Result.DONE
    failed = outcomes["h2"]
    assert (failed.result, failed.task, failed.where) == (Result.FAILED, "Only one can", "bp/play.yaml:6")
    assert "exit code 1" in failed.message
    assert "to stderr" in failed.message
    assert "fatal: [h2]" in failed.log
    assert "[h1]" not in failed.log.split("PLAY RECAP")[0]
    seen = driver.observe(units, [])
    assert tools.present(seen, units[0]).stamp is not None
    assert isinstance(seen.units[units[1].address], Absent)


def test_an_unreachable_host_is_unreachable_and_the_other_is_done(database: Any, tools: Any) -> None:
    database.write_inventory({"h2": {"ansible_connection": "ssh", "ansible_port": 1}})
    driver = database.driver()
    units = [database.unit(host, vars={"port": 1}) for host in ("h1", "h2")]
    outcomes = tools.apply(driver, units)
    assert outcomes["h1"].result == Result.DONE
    assert outcomes["h2"].result == Result.UNREACHABLE
    assert outcomes["h2"].message == "ssh 127.0.0.1:1: Connection refused"
    lost = driver.observe(units, []).units[units[1].address]
    assert isinstance(lost, Unreachable)
    assert lost.why == "ssh 127.0.0.1:1: Connection refused"


@pytest.mark.parametrize(
    ("playbook", "says", "where"),
    [
        (
            "- hosts: nobody\n  gather_facts: false\n  tasks: [{ansible.builtin.ping: }]\n",
            "matches no host",
            "bp/play.yaml:1",
        ),
        (
            "- hosts: h2\n  gather_facts: false\n  tasks: [{ansible.builtin.ping: }]\n",
            "no play of the playbook ran",
            "bp/play.yaml:1",
        ),
        ("- hosts: all\n  tasks: [{nope: x: y}]\n", "bp/play.yaml:2", ""),
        ("- hosts: all\n  gather_facts: false\n  roles: [nope]\n", "role 'nope' was not found", ""),
        (
            "- hosts: all\n  gather_facts: false\n  tasks:\n"
            "    - {ansible.builtin.command: 'touch {{ base }}/x', notify: N}\n",
            "handler `N`, which its play does not have; there is: none",
            "bp/play.yaml:4",
        ),
    ],
    ids=["no-such-host", "not-this-host", "syntax", "no-role", "no-handler"],
)
def test_a_playbook_that_does_nothing_here_has_failed(
    estate: Any, tools: Any, playbook: str, says: str, where: str
) -> None:
    estate.write("play.yaml", playbook)
    driver, unit = estate.driver(), estate.unit()
    outcome = tools.apply(driver, [unit])["h1"]
    assert outcome.result == Result.FAILED
    assert says in outcome.message
    assert outcome.where == where
    assert not (estate.host("h1") / "x").exists()
    assert isinstance(driver.observe([unit], []).units[unit.address], Absent)


def test_handlers_that_only_the_run_can_tell_are_left_to_it(estate: Any, tools: Any) -> None:
    estate.write("roles/late/handlers/main.yml", "- {name: Late, ansible.builtin.shell: 'touch {{ base }}/late'}\n")
    estate.write("roles/late/tasks/main.yml", "- ansible.builtin.ping:\n")
    estate.write(
        "roles/early/handlers/main.yml", "- {name: E, listen: topic, ansible.builtin.shell: 'touch {{ base }}/e'}\n"
    )
    play = """
        - hosts: all
          gather_facts: false
          roles: [early]
          tasks:
            - {ansible.builtin.command: 'true', notify: ['early : E', topic]}
        - hosts: all
          gather_facts: false
          tasks:
            - {ansible.builtin.include_role: {name: late}}
            - {ansible.builtin.command: 'true', notify: Late}
    """
    estate.write("play.yaml", play)
    outcome = tools.apply(estate.driver(), [estate.unit()])["h1"]
    assert outcome.result == Result.DONE, outcome
    assert {path.name for path in estate.host("h1").iterdir()} >= {"late", "e"}


def test_a_failed_play_leaves_its_handlers_pending_and_the_next_apply_runs_them(database: Any, tools: Any) -> None:
    broken = "        - name: Broken\n          ansible.builtin.command: test -e {{ base }}/mended\n      handlers:\n"
    database.write("play.yaml", CONF.replace("      handlers:\n", broken))
    driver, unit = database.driver(), database.unit(vars={"port": 6379})
    assert tools.apply(driver, [unit])["h1"].result == Result.FAILED
    restarts = database.host("h1") / "restarts"
    assert not restarts.exists()
    # Somebody else's clone, which has no journal, is told by the host.
    found = tools.present(database.driver().observe([unit], []), unit)
    assert (found.stamp, found.pending) == (None, ("Restart",))
    (database.host("h1") / "mended").touch()
    assert tools.apply(driver, [unit])["h1"].result == Result.DONE
    assert restarts.read_text() == "restarted\n"
    assert tools.present(driver.observe([unit], []), unit).pending == ()
    assert tools.apply(driver, [unit])["h1"].result == Result.DONE
    assert restarts.read_text() == "restarted\n"


def test_roles_are_found_in_the_blueprint(estate: Any, tools: Any) -> None:
    estate.write("roles/one/tasks/main.yaml", "- ansible.builtin.copy: {content: hi, dest: '{{ base }}/{{ name }}'}\n")
    unit = estate.unit(playbook=None, roles=["one"], vars={"name": "file"})
    assert tools.apply(estate.driver(), [unit])["h1"].result == Result.DONE
    assert (estate.host("h1") / "file").read_text() == "hi"


def test_not_ready_in_time_is_a_failure_without_a_stamp(database: Any, tools: Any) -> None:
    checks = [{"command": "echo starting; test -e " + str(database.host("h1") / "up"), "within": 1.5}]
    driver, unit = database.driver(), database.unit(vars={"port": 6379}, ready=checks)
    outcome = tools.apply(driver, [unit])["h1"]
    assert outcome.result == Result.FAILED
    assert outcome.message.startswith("not ready within 1.5 s: command ")
    assert outcome.message.endswith("exit code 1: starting")
    assert isinstance(driver.observe([unit], []).units[unit.address], Absent)
    (database.host("h1") / "up").touch()
    assert tools.apply(driver, [unit])["h1"].message == "ready: command"
    (database.host("h1") / "up").unlink()
    seen = tools.present(driver.observe([unit], []), unit)
    assert not seen.ready
    assert "exit code 1" in seen.because


def test_a_remove_playbook_undoes_and_without_a_state_folder_too(database: Any, tools: Any) -> None:
    database.write("gone.yaml", GONE)
    driver, unit = database.driver(), database.unit(vars={"port": 6379}, remove="gone.yaml")
    tools.apply(driver, [unit])
    other = database.unit("h1", workload="other", playbook=None)
    seen = database.driver().observe([other], [])
    stray = seen.units[unit.address]
    assert isinstance(stray, Present)
    assert stray.facts == {"host": "h1", "playbook": "play.yaml", "remove": "gone.yaml", "label": "bp"}
    removal = Change(unit.address, Action.DELETE, "for a test", seen=stray)
    (outcome,) = database.driver().apply([removal], lambda progress: None)
    assert (outcome.result, outcome.message) == (Result.DONE, "undone by its remove playbook")
    assert not (database.host("h1") / "db.conf").exists()
    assert unit.address not in database.driver().observe([other], []).units


def test_what_is_let_go_of_stays_without_its_stamp(database: Any, tools: Any) -> None:
    driver, unit = database.driver(), database.unit(vars={"port": 6379})
    tools.apply(driver, [unit])
    seen = driver.observe([], [tools.record_of(unit)])
    change = Change(
        unit.address, Action.FORGET, "for a test", seen=seen.units[unit.address], record=tools.record_of(unit)
    )
    (outcome,) = driver.apply([change], lambda progress: None)
    assert outcome.result == Result.DONE
    assert (database.host("h1") / "db.conf").exists()
    assert isinstance(driver.observe([], [tools.record_of(unit)]).units[unit.address], Absent)


def test_a_renamed_workload_moves_its_stamp(database: Any, tools: Any) -> None:
    driver = database.driver()
    old, new = (database.unit(vars={"port": 1}, workload=name) for name in ("db", "database"))
    tools.apply(driver, [old])
    seen = driver.observe([new], [tools.record_of(old)])
    assert tools.present(seen, new).stamp.address == old.address
    assert tools.apply(driver, [new])["h1"].result == Result.DONE
    after: Observed = driver.observe([new], [tools.record_of(old)])
    assert tools.present(after, new).stamp.address == new.address
    assert isinstance(after.units[old.address], Absent)


def test_a_secret_is_on_the_host_and_nowhere_else(database: Any, tools: Any, tmp_path: Path) -> None:
    secret = "c4n{{ary\"'x$1"
    driver = database.driver()
    database.write(
        "play.yaml",
        CONF
        + """
        - name: Loud
          hosts: all
          gather_facts: false
          tasks:
            - ansible.builtin.debug: {msg: "it is {{ password }} {{ password | b64encode }}"}
            - name: "Named {{ password }}"
              ansible.builtin.shell: cat {{ base }}/db.conf; false
    """.replace("\n    ", "\n"),
    )
    unit = database.unit(vars={"port": 1, "password": Secret(secret, "env CANARY")})
    told: list[Progress] = []
    seen = driver.observe([unit], [])
    outcomes = list(driver.apply(tools.changes_for([unit], seen), told.append))
    assert outcomes[0].result == Result.FAILED
    assert secret in (database.host("h1") / "db.conf").read_text()
    kept = repr(outcomes) + repr(told) + outcomes[0].log
    forms = (secret, base64.b64encode(secret.encode()).decode(), json.dumps(secret)[1:-1])
    assert "(secret)" in outcomes[0].log
    assert not [form for form in forms if form in kept]
    raw = [form.encode() for form in forms]
    places = [tmp_path / ".orchestrator", Path("/dev/shm"), Path.home() / ".ansible" / "tmp"]
    for place in places:
        for path in place.rglob("*") if place.exists() else ():
            if path.is_file() and os.access(path, os.R_OK):  # in /dev/shm others may have something of theirs
                assert not [form for form in raw if form in path.read_bytes()], path
    for folder, _, files in os.walk(tmp_path / "hosts"):
        for name in files:
            if name.endswith(".json"):
                assert not [form for form in raw if form in Path(folder, name).read_bytes()]


def test_a_host_whose_play_was_broken_off_because_of_another_is_not_done(estate: Any, tools: Any) -> None:
    estate.write(
        "play.yaml",
        """
        - hosts: all
          gather_facts: false
          any_errors_fatal: true
          tasks:
            - name: One cannot
              ansible.builtin.command: test {{ inventory_hostname }} = h1
            - name: Never begun
              ansible.builtin.copy: {content: x, dest: "{{ base }}/x"}
        """,
    )
    outcomes = tools.apply(estate.driver(), [estate.unit("h1"), estate.unit("h2")])
    assert (outcomes["h2"].result, outcomes["h2"].task) == (Result.FAILED, "One cannot")
    assert outcomes["h1"].result == Result.FAILED
    assert outcomes["h1"].message == "its play was broken off because of h2"


def test_plays_on_localhost_run_and_their_failure_fails_the_hosts(estate: Any, tools: Any) -> None:
    play = """
        - hosts: localhost
          gather_facts: false
          tasks:
            - name: Here
              ansible.builtin.command: test -e {root}/mended
        - hosts: all
          gather_facts: false
          tasks: [{{ansible.builtin.copy: {{content: x, dest: "{{{{ base }}}}/x"}}}}]
    """
    estate.write("play.yaml", play.format(root=estate.root))
    driver, unit = estate.driver(), estate.unit("h1")
    outcome = tools.apply(driver, [unit])["h1"]
    assert (outcome.result, outcome.task, outcome.where) == (Result.FAILED, "Here", "bp/play.yaml:4")
    (estate.root / "mended").touch()
    assert tools.apply(driver, [unit])["h1"].result == Result.DONE


def test_what_a_run_teaches_is_counted_and_what_is_elsewhere_is_left_out(estate: Any, tools: Any) -> None:
    estate.write(
        "play.yaml",
        """
        - hosts: all
          gather_facts: false
          tasks:
            - {name: loop, ansible.builtin.copy: {content: "{{ item }}", dest: "{{ base }}/{{ item }}"}, loop: [a, b]}
            - {name: hidden, ansible.builtin.copy: {content: x, dest: "{{ base }}/c"}, no_log: true}
            - {name: gone, ansible.builtin.file: {path: "{{ base }}/d", state: absent}}
            - {name: elsewhere, ansible.builtin.copy: {content: x, dest: "{{ base }}/e"}, delegate_to: h2}
            - {name: only looked, ansible.builtin.copy: {content: x, dest: "{{ base }}/f"}, check_mode: true}
            - {name: a command, ansible.builtin.command: "true"}
            - {name: a question, ansible.builtin.command: "true", changed_when: false}
            - {name: skipped, ansible.builtin.command: "true", when: false}
        """,
    )
    driver, unit = estate.driver(), estate.unit("h1")
    outcome = tools.apply(driver, [unit])["h1"]
    assert outcome.result == Result.DONE, outcome
    assert outcome.coverage is not None
    assert (outcome.coverage.verified, outcome.coverage.total) == (3, 4)
    assert outcome.coverage.unverified == ("a command",)
    base = estate.host("h1")
    for name in "abcef":
        (base / name).write_text("changed")
    (base / "d").touch()
    found = tools.present(driver.observe([unit], []), unit).differences
    assert sorted(d.path for d in found) == [f"{base}/a content", f"{base}/b content", f"{base}/c content", f"{base}/d"]

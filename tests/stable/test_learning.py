"""What tasks manage, learnt from their arguments and results; and the readers of it that need no real host."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.modes.stable import learning
from orchestrator.modes.stable.drifting import Looks, difference_of, ignored
from orchestrator.modes.stable.probe import files, system, things

TASK = learning.Task("A task", 1, "k", "", lambda path: None)


def learn(action: str, args: dict[str, Any], result: dict[str, Any] | None = None) -> Any:
    return learning.learn(action, args, result or {}, TASK)


def read(thing: dict[str, Any]) -> dict[str, str]:
    return things.values_of(thing, "k", system.Host([]))


def test_a_file_is_verified_as_far_as_its_task_manages_it() -> None:
    (conf,) = learn("ansible.builtin.template", {"dest": "/etc/x", "mode": "0640"}, {"dest": "/etc/x", "checksum": "c"})
    assert (conf["scope"], conf["enforced"]) == ("whole", ["mode", "type", "content", "size"])
    (once,) = learn("copy", {"dest": "/etc/x", "force": False}, {"dest": "/etc/x", "checksum": "c"})
    assert (once["scope"], once["enforced"]) == ("meta", ["type"])
    (link,) = learn("file", {"path": "/x", "state": "link", "src": "/y"}, {"dest": "/x", "state": "link"})
    assert link["enforced"] == ["type", "target"]
    (mode,) = learn("file", {"path": "/etc/x", "owner": "root"}, {"path": "/etc/x", "state": "file"})
    assert learning.merged(conf, mode)["scope"] == "whole"
    assert learning.merged(conf, mode)["enforced"] == ["content", "mode", "owner", "size", "type"]
    (gone,) = learn("file", {"path": "/etc/x", "state": "absent"}, {"path": "/etc/x", "state": "absent"})
    assert learning.merged(conf, gone)["scope"] == "absent"
    assert learning.merged(gone, conf)["scope"] == "whole"


@pytest.mark.parametrize(
    ("action", "args"),
    [
        ("copy", {"dest": "/srv", "src": "folder", "remote_src": True}),
        ("file", {"path": "/srv", "state": "directory", "recurse": True}),
        ("lineinfile", {"path": "/x", "regexp": "(a)", "line": r"\1", "backrefs": True}),
        ("apt", {"deb": "/tmp/x.deb"}),
        ("apt", {"upgrade": "dist"}),
        ("pip", {"requirements": "/srv/requirements.txt"}),
        ("authorized_key", {"user": "root", "key": "https://example.org/keys"}),
        ("unarchive", {"src": "https://example.org/x.tgz", "dest": "/srv", "remote_src": True}),
        ("command", {"_raw_params": "make install"}),
        ("command", {"creates": "/srv/*.done"}),
        ("debconf", {"name": "x", "question": "x/secret", "vtype": "password"}),
        ("community.postgresql.postgresql_db", {"name": "orders"}),
        ("example.own.file", {"path": "/x"}),
    ],
)
def test_what_cannot_be_verified_is_not_called_verified(action: str, args: dict[str, Any]) -> None:
    assert learn(action, args) is None


@pytest.mark.parametrize("action", ["debug", "ansible.builtin.stat", "community.general.x_info", "systemd", "apt"])
def test_what_leaves_nothing_behind_is_not_counted(action: str) -> None:
    assert learn(action, {"daemon_reload": True, "update_cache": True}) == []


def test_no_secret_leaves_a_learner_in_clear() -> None:
    secret = "hunter2"
    tasks = [
        ("lineinfile", {"path": "/x", "line": f"password={secret}"}),
        ("blockinfile", {"path": "/x", "block": secret}),
        ("ini_file", {"path": "/x", "section": "s", "option": "o", "value": secret}),
        ("user", {"name": "app", "password": secret}),
        ("copy", {"dest": "/x", "content": secret}),
        ("cron", {"name": "n", "job": secret}),
        ("docker_container", {"name": "c", "env": {"A": secret}}),
    ]
    for action, args in tasks:
        assert secret not in json.dumps(learn(action, args, {"dest": "/x", "checksum": "c"})), action


def test_the_managed_part_of_a_file_is_all_that_is_compared(tmp_path: Path) -> None:
    path = tmp_path / "conf"
    path.write_text("a\n# BEGIN ANSIBLE MANAGED BLOCK\nx\ny\n# END ANSIBLE MANAGED BLOCK\n[s]\no = 1\nold=2\n")
    cases = [
        ("lineinfile", {"line": "a"}),
        ("lineinfile", {"line": "a", "regexp": "^a"}),
        ("lineinfile", {"regexp": "^zzz", "state": "absent"}),
        ("blockinfile", {"block": "x\ny\n"}),
        ("ini_file", {"section": "s", "option": "o", "value": "1"}),
        ("ini_file", {"section": "s", "option": "p", "state": "absent"}),
        ("replace", {"regexp": "new=", "replace": "old="}),
    ]
    things = [learn(action, {"path": str(path), **args})[0] for action, args in cases]
    for thing in things:
        assert read(thing) == {"state": thing["expect"]["state"][0]}, thing
    path.write_text("other\n" + path.read_text() + "[more]\no=3\n")
    for thing in things:
        assert read(thing) == {"state": thing["expect"]["state"][0]}, thing
    path.write_text("ab\n# BEGIN ANSIBLE MANAGED BLOCK\nx\n# END ANSIBLE MANAGED BLOCK\n[s]\no=2\np=1\nnew=2\nzzz\n")
    told = [read(thing)["state"] for thing in things]
    assert told == ["absent", "another line", "there", "another content", "another value", "there", "to be done again"]


def test_a_container_is_compared_by_what_its_engine_tells() -> None:
    one = {
        "State": {"Status": "running"},
        "Config": {"Image": "nginx:1.29", "Env": ["PASSWORD=hunter2"], "Cmd": ["nginx"]},
        "HostConfig": {"RestartPolicy": {"Name": "always"}, "Binds": ["/srv:/srv"]},
    }
    found = system.container_state(json.dumps([one]), "k")
    assert (found["state"], found["image"], found["restart policy"]) == ("running", "nginx:1.29", "always")
    assert "hunter2" not in json.dumps(found)
    one["Config"]["Env"] = ["PASSWORD=other"]
    assert system.container_state(json.dumps([one]), "k")["declaration"] != found["declaration"]
    (thing,) = learn("community.docker.docker_container", {"name": "web"})
    assert (thing["engine"], thing["expect"]) == ("docker", {"state": ["running"]})
    (kept,) = learn("docker_container", {"name": "web", "state": "present"})
    assert learning.merged(thing, kept)["asked"] == ["running"], "one task says that it runs"
    assert "running" in learning.merged(thing, kept)["expect"]["state"]


def test_a_container_of_another_engine_or_user_is_not_looked_for_here() -> None:
    assert learn("docker_container", {"name": "web", "docker_host": "tcp://10.0.0.7:2376", "state": "absent"}) is None
    rootless = learning.Task("A task", 1, "k", "app", lambda path: None)
    assert learning.learn("podman_container", {"name": "web", "state": "absent"}, {}, rootless) is None
    assert learn("podman_container", {"name": "web", "state": "quadlet"}) is None
    (own,) = learn("podman_container", {"name": "web", "executable": "/opt/podman"})
    assert own["engine"] == "/opt/podman"


def test_what_is_not_as_its_task_says_is_not_verified(tmp_path: Path) -> None:
    """We may have misunderstood the task: better not to count it than to tell drift for ever."""
    (thing,) = learn("user", {"name": "nobody-of-that-name"})
    unmended, unsure = things.fingerprint([thing], "k", [])
    assert (unmended, unsure) == ([], [thing])
    coverage = {"verified": 2, "total": 3, "unverified": ["Other"]}
    assert things.lessened(coverage, unsure) == {"verified": 1, "total": 3, "unverified": ["A task", "Other"]}


def test_a_thing_that_cannot_be_read_hides_no_other() -> None:
    assert read({"kind": "line", "path": "/etc/hosts"})["state"].startswith("unreadable")


def test_patterns_fit_a_thing_or_one_of_its_aspects() -> None:
    one = {"label": "/run/app/state", "aspect": "content", "old": "a" * 64, "new": "b" * 64}
    assert ignored(one, ["/run/*"])
    assert ignored(one, ["/run/app/state content"])
    assert not ignored(one, ["/run/app/state mode", "/etc/*"])
    assert difference_of(one).old == "a" * 8


def test_since_when_and_how_often_is_known_from_earlier_looks(tmp_path: Path) -> None:
    looks = Looks(tmp_path)
    path = "/etc/x content"
    for at, differs in ((10.0, False), (20.0, True), (30.0, True), (40.0, False), (50.0, True), (60.0, False)):
        looks.add("a", [path] if differs else [], at)
        if at == 30.0:
            assert looks.since("a", path, 0.0) == (10.0, 20.0)
            assert looks.since("a", path, 15.0) == (15.0, 15.0)
            assert looks.since("a", path, 25.0) == (10.0, 20.0), "changed again since"
    assert looks.flapping("a") == ()
    looks.add("a", [path], 70.0)
    looks.save()
    (found,) = Looks(tmp_path).flapping("a")
    assert (found.path, found.times, found.looks) == (path, 3, 6)
    for at in range(80, 180, 10):
        looks.add("a", [], float(at))
    assert looks.flapping("a") == ()


def test_cron_entries_are_found_by_their_name(tmp_path: Path) -> None:
    table = tmp_path / "table"
    table.write_text("#Ansible: other\n* * * * * false\n#Ansible: nightly\n3 4 * * * true\n")
    (thing,) = learn("cron", {"name": "nightly", "cron_file": str(table)})
    before = files.read_cron(thing, "k")
    assert before["state"] == "there"
    table.write_text(table.read_text().replace("true", "false"))
    assert files.read_cron(thing, "k") != before

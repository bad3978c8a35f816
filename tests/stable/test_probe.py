"""The probe's functions on a folder of this computer."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator.modes.stable.probe import program, serving

STAMP = {"address": "here/shop/stable/db/configuration/h1", "identity": "h1:play", "estate": "e", "digest": "d"}


@pytest.fixture
def request_of(tmp_path: Path) -> Any:
    return lambda **more: {"estate": "e", "folder": str(tmp_path / "state"), **more}


def thing(path: Path, scope: str = "whole", enforced: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    one = {"kind": "file", "label": str(path), "path": str(path), "scope": scope, "expect": {}, "tasks": ["A task"]}
    return {**one, "enforced": list(enforced), **more}


def commit(request_of: Any, things: list[dict[str, Any]], **more: Any) -> Any:
    slot = {"stamp": STAMP, "undo": {}, "coverage": None, "things": things}
    return serving.commit(request_of(slot=slot, key="k", **more))


def differences(request_of: Any) -> list[tuple[str, Any, Any]]:
    (slot,) = serving.look(request_of())["slots"]
    return [(d["aspect"] or "there", d["old"], d["new"]) for d in slot["differences"]]


def test_the_probe_is_understood_by_python_3_6() -> None:
    ast.parse(program.text(), feature_version=(3, 6))


def test_it_runs_from_stdin_and_answers_each_request_between_marks(tmp_path: Path) -> None:
    ask = {"do": "look", "estate": "e", "folder": str(tmp_path)}
    command = [sys.executable, "-I", "-S", "-c", program.STARTER]
    given = program.stdin(ask) + program.request(ask)
    told = subprocess.run(command, input=given, capture_output=True, check=True)
    first, second = told.stdout.decode().splitlines()
    assert first == second
    assert json.loads(first.removeprefix(serving.BEGIN).removesuffix(serving.END)) == {
        "answer": {"slots": [], "intents": [], "others": []}
    }


def test_every_aspect_of_a_file_is_compared(request_of: Any, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("a")
    path.chmod(0o640)
    commit(request_of, [thing(path)])
    assert differences(request_of) == []
    path.write_text("b")
    path.chmod(0o600)
    found = differences(request_of)
    assert [aspect for aspect, _, _ in found] == ["content", "mode"]
    assert found[1] == ("mode", "0600", "0640")
    path.unlink()
    assert differences(request_of) == [("there", "absent", "file")]
    path.symlink_to("/etc/hostname")
    assert differences(request_of) == [("there", "link", "file")]


def test_a_content_is_kept_as_a_keyed_hash_only(request_of: Any, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("pin 1234")
    commit(request_of, [thing(path)])
    (kept,) = (tmp_path / "state" / "e").glob("*.json")
    assert hashlib.sha256(b"pin 1234").hexdigest() not in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.parent.stat().st_mode & 0o777 == 0o700


def test_what_must_not_be_there_and_links_and_folders_are_compared(request_of: Any, tmp_path: Path) -> None:
    link, folder, absent = tmp_path / "link", tmp_path / "folder", tmp_path / "absent"
    link.symlink_to("a")
    folder.mkdir(mode=0o755)
    commit(request_of, [thing(link, "meta"), thing(folder, "meta"), thing(absent, "absent")])
    assert differences(request_of) == []
    link.unlink()
    link.symlink_to("b")
    folder.chmod(0o700)
    absent.touch()
    assert differences(request_of) == [("target", "b", "a"), ("mode", "0700", "0755"), ("there", "file", "absent")]


def test_a_difference_that_is_still_there_is_not_blessed_unless_a_task_sets_it(request_of: Any, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("a")
    path.chmod(0o640)
    commit(request_of, [thing(path)])
    path.chmod(0o600)
    (before,) = serving.look(request_of())["slots"]
    told = commit(request_of, [thing(path)], before=before["differences"])
    assert [(d["aspect"], d["old"]) for d in told["unmended"]] == [("mode", "0600")]
    assert differences(request_of) == [("mode", "0600", "0640")]
    told = commit(request_of, [thing(path, enforced=("mode",))], before=before["differences"])
    assert told["unmended"] == []
    assert differences(request_of) == []


def test_a_damaged_slot_counts_as_none(request_of: Any, tmp_path: Path) -> None:
    commit(request_of, [])
    (kept,) = (tmp_path / "state" / "e").glob("*.json")
    kept.write_text('{"stamp": ')
    assert serving.look(request_of())["slots"] == []


def test_stamps_of_other_estates_are_told_apart(request_of: Any) -> None:
    commit(request_of, [])
    seen = serving.look({**request_of(), "estate": "another"})
    assert seen["slots"] == []
    assert seen["others"] == [STAMP]


def test_a_command_that_hangs_is_killed_with_what_it_started(tmp_path: Path) -> None:
    (why,) = serving.run_commands([f"sleep 300 & echo $! > {tmp_path}/pid; wait"], 0.5)
    assert why.endswith("did not end within 0.5 s")
    pid = int((tmp_path / "pid").read_text())
    time.sleep(0.2)
    assert not Path(f"/proc/{pid}").exists() or " Z " in Path(f"/proc/{pid}/stat").read_text()


def lease(request_of: Any, holder: str, seconds: float = 60.0, **more: Any) -> Any:
    mine = {"site": "here", "holder": holder, "run": 1, "token": 1, "since": 5.0}
    return serving.lease(request_of(lease=mine, seconds=seconds, **{"dead": [], **more}))["held"]


def test_a_lease_is_held_until_it_is_released_runs_out_or_its_holder_is_dead(request_of: Any) -> None:
    assert lease(request_of, "a") is None
    assert lease(request_of, "a") is None, "renewed"
    held = lease(request_of, "b")
    assert (held["holder"], held["since"]) == ("a", 5.0)
    assert 50 < held["left"] <= 60
    lease(request_of, "b", release=True)
    assert lease(request_of, "b")["holder"] == "a", "only its holder releases it"
    assert lease(request_of, "b", dead=["a"]) is None
    lease(request_of, "b", release=True)
    assert lease(request_of, "c", seconds=-1.0) is None
    assert lease(request_of, "d") is None, "it has run out"


def test_a_folder_that_cannot_be_written_is_an_error_not_a_traceback(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "file").touch()
    slot = {"stamp": STAMP, "undo": {}, "coverage": None, "things": []}
    ask = {"do": "commit", "estate": "e", "folder": str(tmp_path / "file"), "slot": slot, "key": "k"}
    mask = os.umask(0)
    os.umask(mask)
    try:
        serving.main(json.dumps(ask))
    finally:
        os.umask(mask)
    assert "Not a directory" in capsys.readouterr().out

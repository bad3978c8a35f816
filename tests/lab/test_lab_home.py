from __future__ import annotations

import stat
import threading
import time
from pathlib import Path

import pytest

from orchestrator.errors import LabError
from orchestrator.lab import whole
from orchestrator.lab.home import Home, default_home, remove_tree


def test_the_home_can_be_named_and_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ORCHESTRATOR_LAB_HOME", str(tmp_path / "a folder"))
    home = Home(default_home())
    home.make()
    assert stat.S_IMODE((tmp_path / "a folder").stat().st_mode) == 0o700
    assert home.exists()


def test_a_folder_with_somebody_elses_files_is_refused_and_left_alone(tmp_path: Path):
    (tmp_path / "precious").write_text("x")
    home = Home(tmp_path)
    with pytest.raises(LabError, match="not empty and not a lab"):
        home.make()
    assert whole.down(home) is False
    with pytest.raises(LabError, match="is not a lab"):
        home.remove()
    assert (tmp_path / "precious").read_text() == "x"


@pytest.mark.parametrize("kind", ["file", "link to nothing"])
def test_what_is_no_folder_is_refused_with_another_way(tmp_path: Path, kind: str):
    there = tmp_path / "lab"
    if kind == "file":
        there.write_text("x")
    else:
        there.symlink_to(tmp_path / "gone")
    with pytest.raises(LabError, match="lab: ") as refused:
        Home(there).make()
    assert "ORCHESTRATOR_LAB_HOME" in refused.value.hint


def test_a_lab_leaves_nothing_behind(tmp_path: Path):
    home = Home(tmp_path / "lab")
    home.make()
    assert whole.down(home) is True
    assert not home.path.exists()
    assert whole.down(home) is False


def test_one_writer_at_a_time_also_when_the_folder_is_removed_and_made_again(tmp_path: Path):
    home, inside, most = Home(tmp_path / "lab"), 0, 0
    guard = threading.Lock()

    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            enter(number)
        except Exception as error:  # noqa: BLE001 - a thread may only tell
            failures.append(error)

    def enter(number: int) -> None:
        nonlocal inside, most
        with home.locked() as there:
            assert there
            with guard:
                inside += 1
                most = max(most, inside)
            time.sleep(0.002)
            with guard:
                inside -= 1
            if number % 3 == 0:
                home.remove()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not failures
    assert most == 1


def test_a_lab_that_is_not_there_is_not_made_by_looking(tmp_path: Path):
    home = Home(tmp_path / "lab")
    assert whole.status(home).as_data()["machines"] == []
    with home.locked(make=False) as there:
        assert not there
    assert not home.path.exists()


def test_a_folder_that_its_owner_may_not_enter_is_removed_too(tmp_path: Path):
    closed = tmp_path / "tree" / "closed"
    (closed / "inner").mkdir(parents=True)
    closed.chmod(0)
    remove_tree(tmp_path / "tree")
    assert not (tmp_path / "tree").exists()

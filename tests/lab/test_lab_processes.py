from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.errors import LabError
from orchestrator.lab.processes import Process, start_daemon, stop, tail, trim, with_environment


@pytest.fixture
def sleeper():
    popen = subprocess.Popen(["sleep", "60"])
    yield popen
    popen.kill()
    popen.wait()


def test_a_recycled_pid_is_neither_alive_nor_touched(sleeper):
    other = replace(Process.of(sleeper.pid), started=1)
    assert not other.alive()
    assert stop([other], grace=0) == []
    other.signal(signal.SIGKILL)
    assert sleeper.poll() is None


def test_a_process_of_an_earlier_boot_is_neither_alive_nor_touched(sleeper):
    other = replace(Process.of(sleeper.pid), boot="another")
    assert not other.alive()
    other.signal(signal.SIGKILL)
    assert sleeper.poll() is None


def test_a_process_that_ended_but_was_not_reaped_is_not_alive(sleeper):
    process = Process.of(sleeper.pid)
    assert process.alive()
    os.kill(sleeper.pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while process.alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not process.alive()


def test_stop_kills_what_ignores_the_polite_signal():
    popen = subprocess.Popen(
        ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"], stdout=subprocess.PIPE
    )
    assert popen.stdout is not None
    popen.stdout.readline()
    assert stop([Process.of(popen.pid)], grace=0.2) == []
    popen.stdout.close()


def test_a_process_survives_a_round_trip_through_its_data(sleeper):
    process = Process.of(sleeper.pid)
    assert Process.from_data(process.as_data()) == process


def test_marked_processes_are_found_and_others_are_not(sleeper):
    marked = subprocess.Popen(["sleep", "60"], env={**os.environ, "LAB_TEST_MARK": "here"})
    try:
        assert [process.pid for process in with_environment("LAB_TEST_MARK", "here")] == [marked.pid]
    finally:
        marked.kill()
        marked.wait()


def test_a_program_that_cannot_be_started_is_named(tmp_path: Path):
    with pytest.raises(LabError, match="no-such-program"):
        start_daemon(["/no-such-program"], tmp_path / "log")


def test_a_log_is_shortened_while_its_writer_goes_on(tmp_path: Path):
    log = tmp_path / "log"
    process, popen = start_daemon(["sh", "-c", "while echo 0123456789; do sleep 0.01; done"], log)
    try:
        deadline = time.monotonic() + 10
        while log.stat().st_size < 200 and time.monotonic() < deadline:
            time.sleep(0.01)
        trim(log, limit=100)
        assert log.stat().st_size < 100
        time.sleep(0.1)
        assert b"\0" not in log.read_bytes()
        assert tail(log, 1) == "0123456789"
    finally:
        stop([process], grace=0)
        popen.wait()

"""Real processes: two at once, one that is killed, one that died with a lease."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from orchestrator.errors import LeaseHeldError
from orchestrator.holders import is_alive, is_dead
from orchestrator.state import Store, open_store
from tests.state.conftest import CHANGE, PLAN, WEB

PRELUDE = f"""
import socket, sys, time
from pathlib import Path
from orchestrator.model.address import Address
from orchestrator.model.change import Action, Change, Plan
from orchestrator.model.outcome import Outcome, Result
from orchestrator.state import open_store

root = Path(sys.argv[1])
change = Change(Address.parse("{WEB}"), Action.UPDATE, "because", wave=1)
plan = Plan("acme", "id-1", (change,))
started = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
holder = f"me@{{socket.gethostname()}} pid {{__import__('os').getpid()}} started {{started}}"
"""


def process(root: Path, body: str) -> subprocess.Popen[str]:
    code = PRELUDE + textwrap.dedent(body)
    return subprocess.Popen([sys.executable, "-c", code, str(root)], stdout=subprocess.PIPE, text=True)


def line(one: subprocess.Popen[str]) -> str:
    assert one.stdout is not None
    return one.stdout.readline().strip()


def test_two_processes_make_the_store_at_once(tmp_path: Path) -> None:
    body = """
        with open_store(root) as store:
            for _ in range(20):
                print(store.begin_run("apply", plan), flush=True)
    """
    running = [process(tmp_path, body) for _ in range(4)]
    numbers = [int(text) for one in running for text in one.communicate(timeout=60)[0].split()]
    assert [one.returncode for one in running] == [0] * 4
    assert sorted(numbers) == list(range(1, 81))


def test_killed_between_intend_and_finish_leaves_the_step_open_and_the_lease_falls(tmp_path: Path) -> None:
    body = """
        store = open_store(root)
        run = store.begin_run("apply", plan)
        lease = store.take("s", holder, run, 600)
        store.intend(run, change, lease)
        print(run, flush=True)
        time.sleep(600)
    """
    one = process(tmp_path, body)
    run = int(line(one))
    with open_store(tmp_path) as store:
        assert store.run(run).result == ""
        with pytest.raises(LeaseHeldError, match=rf"\(pid {one.pid}\)"):
            store.take("s", "me", 0, 60)
        one.send_signal(signal.SIGKILL)
        one.wait()
        assert store.run(run).result == "interrupted"
        [left] = store.unfinished()
        assert [(step.address, step.ended) for step in left.steps] == [(str(WEB), None)]
        lease = store.take("s", "me", run + 1, 60)
        store.intend(store.begin_run("apply", PLAN), CHANGE, lease)


def test_a_recycled_pid_is_not_the_holder() -> None:
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    host, pid, started = socket.gethostname(), os.getpid(), int(fields[19])
    assert not is_dead(f"me@{host} pid {pid} started {started}")
    assert is_dead(f"me@{host} pid {pid} started {started + 1}")
    assert not is_dead(f"me@elsewhere.{host} pid {pid} started {started + 1}")
    assert not is_dead("somebody")
    assert is_alive(f"me@{host} pid {pid} started {started}")
    assert not is_alive(f"me@{host} pid {pid} started {started + 1}")
    assert not is_alive(f"me@elsewhere.{host} pid {pid} started {started}")
    assert not is_alive("somebody")
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert is_dead(f"me@{host} pid {gone.pid} started 1")


def test_a_run_that_holds_no_lease_yet_is_under_way_while_its_process_lives(tmp_path: Path) -> None:
    body = """
        print(open_store(root).begin_run("apply", plan, holder), flush=True)
        time.sleep(600)
    """
    one = process(tmp_path, body)
    run = int(line(one))
    with open_store(tmp_path) as store:
        assert store.run(run).result == ""
        one.send_signal(signal.SIGKILL)
        one.wait()
        assert store.run(run).result == "interrupted"


def test_a_dead_holders_lease_falls_before_it_runs_out(store: Store) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    store.take("s", f"me@{socket.gethostname()} pid {gone.pid} started 1", 1, 600)
    assert store.take("s", "another", 2, 60).holder == "another"

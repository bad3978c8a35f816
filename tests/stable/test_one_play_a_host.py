"""Two plays are never on one host at once, also where two workloads share it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from orchestrator.model.outcome import Result

pytestmark = pytest.mark.lab

PLAY = """\
- hosts: all
  gather_facts: false
  tasks:
    - name: Alone here
      ansible.builtin.shell: mkdir {{ base }}/busy && sleep 1 && rmdir {{ base }}/busy
"""


def test_workloads_of_one_host_take_turns(estate: Any, tools: Any) -> None:
    driver = estate.driver()
    for name in ("db.yaml", "app.yaml"):
        estate.write(name, PLAY)
    units = [estate.unit("h1", workload=name, playbook=f"{name}.yaml") for name in ("db", "app")]
    driver.observe(units, [])
    with ThreadPoolExecutor(max_workers=2) as pool:
        ended = [pool.submit(tools.apply, driver, [unit]) for unit in units]
        outcomes = [one.result()["h1"] for one in ended]
    assert [outcome.result for outcome in outcomes] == [Result.DONE] * 2, outcomes

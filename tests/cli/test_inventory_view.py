"""Machines and hosts as people, programs and Ansible read them."""

from __future__ import annotations

import json
from textwrap import dedent

import pytest
import yaml

from orchestrator.cli.views import inventory
from orchestrator.errors import UsageError
from orchestrator.model.address import Address
from orchestrator.model.change import Action
from orchestrator.model.observation import Coverage, Present, Unreachable
from orchestrator.model.record import Record
from tests.cli.values import DB, NOW, change, plan

HOSTS = {"shanghai-dc": {"db-a": {"address": "10.1.0.11"}, "spare": {"address": "10.1.0.99"}}}
APPLIED = Record(
    Address.parse(DB + "db-a"), "d", "db-a:x", spec={"host": "db-a", "coverage": [23, 25]}, run=41, seen_at=NOW - 12
)


def test_what_is_remembered_is_told_with_the_hosts_that_nothing_is_placed_on() -> None:
    rows = inventory.rows_of_records([], {APPLIED.address: APPLIED}, HOSTS)
    assert inventory.render(rows, "table", NOW) == dedent("""\
        SITE         HOST   MODE    PLACEMENT  WORKLOAD   STATE               ADDRESS    SEEN      COVERAGE
        shanghai-dc  db-a   stable  shop       orders-db  left the documents  10.1.0.11  12 s ago  23/25
        shanghai-dc  spare  stable  –          –          not bound           10.1.0.99  –         –""")
    assert inventory.render(rows, "name", NOW) == "shanghai-dc/db-a\nshanghai-dc/spare"
    data = json.loads(inventory.render(rows, "json", NOW))
    assert data["hosts"][0]["coverage"] == {"verified": 23, "total": 25}
    assert yaml.safe_load(inventory.render(rows, "yaml", NOW)) == data
    assert APPLIED.address.workload in inventory.render(rows, "wide", NOW)


def test_a_host_that_does_not_answer_keeps_when_it_was_last_seen() -> None:
    found = plan(
        change(DB + "db-a", Action.NONE, seen=Present(None, coverage=Coverage(1, 2), seen_at=NOW)),
        change(DB + "db-b", Action.HOLD, "held", seen=Unreachable("timed out")),
    )
    rows = inventory.rows_of_plan(found, {})
    assert [(row.state, row.coverage, row.seen_at) for row in rows] == [("ok", (1, 2), NOW), ("unreachable", None, 0.0)]


def test_a_dynamic_inventory_has_groups_by_site_and_workload_and_no_plain_password() -> None:
    vaulted = {"__ansible_vault": "$ANSIBLE_VAULT;1.1;AES256\n61"}
    hostvars = {"db-a": {"ansible_password": "plain", "ansible_become_password": vaulted, "port": 1}, "spare": {}}
    read = {"_meta": {"hostvars": hostvars}, "all": {"children": ["db"]}, "db": {"hosts": ["db-a"]}}
    rows = inventory.rows_of_records([], {APPLIED.address: APPLIED}, HOSTS)
    found = inventory.for_ansible(rows, {"shanghai-dc": read}, {})
    assert found["_meta"]["hostvars"]["db-a"] == {"ansible_become_password": vaulted, "port": 1}
    assert found["site_shanghai_dc"] == {"hosts": ["db-a", "spare"]}
    assert (found["workload_orders_db"], found["db"]) == ({"hosts": ["db-a"]}, {"hosts": ["db-a"]})
    other = {"_meta": {"hostvars": {"db-a": {"port": 2}}}}
    with pytest.raises(UsageError, match="two sites have a host `db-a`"):
        inventory.for_ansible(rows, {"shanghai-dc": read, "store-0001": other}, {})

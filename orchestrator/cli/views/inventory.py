"""The machines and hosts of an estate: a line for each workload on each, or an inventory for Ansible."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

from orchestrator.cli.views import text as t
from orchestrator.cli.views.history import time_text
from orchestrator.cli.views.status import word_of
from orchestrator.errors import UsageError
from orchestrator.model.address import MACHINE, Address, Mode
from orchestrator.model.change import Plan
from orchestrator.model.observation import Present, Unreachable
from orchestrator.model.record import Record
from orchestrator.model.unit import Unit
from orchestrator.timetext import ago

_HEAD = ("SITE", "HOST", "MODE", "PLACEMENT", "WORKLOAD", "STATE", "ADDRESS", "SEEN", "COVERAGE")
_WIDE = (*_HEAD, "KIND", "RUN", "UNIT")
_NONE = "–"
# Variables that are secrets where they are not vaulted: they are left out of what is printed.
_SECRET = re.compile(r"^ansible_.*(pass|password|passphrase|private_key)$")

Hosts = Mapping[str, Mapping[str, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class HostRow:
    """One unit of a machine or host; a host of an inventory that nothing is placed on has no `unit`.

    coverage  (tasks that can be verified, all that change something)
    """

    site: str
    host: str
    state: str
    address: str = ""
    unit: Address | None = None
    seen_at: float = 0.0
    coverage: tuple[int, int] | None = None
    run: int = 0


def rows_of_plan(plan: Plan, hosts: Hosts) -> list[HostRow]:
    """As everything was found just now."""
    rows = []
    for change in plan.changes:
        if change.address.mode != Mode.STABLE:
            continue
        seen, record = change.seen, change.record
        lost = isinstance(seen, Unreachable)
        host = _host(change.address, change.unit, record)
        facts = seen.facts if isinstance(seen, Present) else {}
        coverage = seen.coverage if isinstance(seen, Present) else None
        rows.append(
            HostRow(
                site=change.address.site,
                host=host,
                state="unreachable" if lost else word_of(change),
                address=str(facts.get("address") or _address(hosts, change.address.site, host)),
                unit=change.address,
                seen_at=(record.seen_at if record else 0.0) if lost or seen is None else seen.seen_at,
                coverage=(coverage.verified, coverage.total) if coverage else None,
                run=record.run if record else 0,
            )
        )
    return _whole(rows, hosts)


def rows_of_records(units: Iterable[Unit], records: Mapping[Address, Record], hosts: Hosts) -> list[HostRow]:
    """As everything is remembered; nothing is asked."""
    declared = {unit.address: unit for unit in units if unit.address.mode == Mode.STABLE}
    left = {address for address in records if address.mode == Mode.STABLE} - set(declared)
    rows = []
    for address in {*declared, *left}:
        unit, record = declared.get(address), records.get(address)
        host = _host(address, unit, record)
        state = "left the documents" if unit is None else "applied" if record else "not applied"
        coverage = record.spec.get("coverage") if record else None
        rows.append(
            HostRow(
                site=address.site,
                host=host,
                state=state,
                address=str((record.facts.get("address") if record else "") or _address(hosts, address.site, host)),
                unit=address,
                seen_at=record.seen_at if record else 0.0,
                coverage=(int(coverage[0]), int(coverage[1])) if coverage else None,
                run=record.run if record else 0,
            )
        )
    return _whole(rows, hosts)


def _host(address: Address, unit: Unit | None, record: Record | None) -> str:
    """The inventory name of the machine that a unit is, or is on."""
    if address.kind == MACHINE:
        return (unit.identity if unit else record.identity if record else address.name).partition(":")[2]
    spec = unit.spec if unit else record.spec if record else {}
    return str(spec.get("host") or address.name)


def _address(hosts: Hosts, site: str, host: str) -> str:
    return str(hosts.get(site, {}).get(host, {}).get("address", ""))


def _whole(rows: Sequence[HostRow], hosts: Hosts) -> list[HostRow]:
    """The rows in order, with the hosts of inventories that nothing is placed on; a machine's own address for all."""
    addresses = {(row.site, row.host): row.address for row in rows if row.address}
    taken = {(row.site, row.host) for row in rows}
    free = [
        HostRow(site, name, "not bound", str(host.get("address", "")))
        for site, listed in hosts.items()
        for name, host in listed.items()
        if (site, name) not in taken
    ]
    full = [replace(row, address=row.address or addresses.get((row.site, row.host), "")) for row in rows]
    return sorted([*full, *free], key=lambda row: (row.site, _natural(row.host), str(row.unit or "")))


def _natural(name: str) -> list[tuple[int, str]]:
    """db-2 stands before db-10."""
    return [(int(part or 0), part) if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


def render(rows: Sequence[HostRow], output: str, now: float) -> str:
    """The rows as `table`, `wide`, `json`, `yaml` or `name` (site/host). `now` is seconds since the epoch."""
    if output == "name":
        return "\n".join(dict.fromkeys(f"{row.site}/{row.host}" for row in rows))
    if output == "json":
        return json.dumps({"hosts": [_data(row) for row in rows]}, ensure_ascii=False)
    if output == "yaml":
        return yaml.safe_dump({"hosts": [_data(row) for row in rows]}, sort_keys=False, allow_unicode=True).rstrip()
    if not rows:
        return "There are no machines: no site has a stable half."
    wide = output == "wide"
    return t.table(_WIDE if wide else _HEAD, [tuple(map(t.clean, _cells(row, now, wide))) for row in rows])


def _data(row: HostRow) -> dict[str, Any]:
    return {
        "site": row.site,
        "host": row.host,
        "mode": "stable",
        "placement": row.unit.placement if row.unit else None,
        "workload": row.unit.workload if row.unit else None,
        "kind": row.unit.kind if row.unit else None,
        "unit": str(row.unit) if row.unit else None,
        "state": row.state,
        "address": row.address or None,
        "seen": time_text(row.seen_at) if row.seen_at else None,
        "coverage": {"verified": row.coverage[0], "total": row.coverage[1]} if row.coverage else None,
        "run": row.run or None,
    }


def _cells(row: HostRow, now: float, wide: bool) -> tuple[str, ...]:
    unit = row.unit
    coverage = f"{row.coverage[0]}/{row.coverage[1]}" if row.coverage else _NONE
    cells = (
        *(row.site, row.host, "stable", unit.placement if unit else _NONE, unit.workload if unit else _NONE),
        *(row.state, row.address or _NONE, ago(now - row.seen_at) if row.seen_at else _NONE, coverage),
    )
    if not wide:
        return cells
    return (*cells, unit.kind if unit else "host", str(row.run or _NONE), str(unit or _NONE))


def for_ansible(
    rows: Sequence[HostRow], read: Mapping[str, Mapping[str, Any]], records: Mapping[Address, Record]
) -> dict[str, Any]:
    """What a dynamic inventory answers to `--list`.

    `read` has each site's own inventory. Groups: its own, and `site_NAME`, `placement_NAME`, `workload_NAME`; dashes
    become underscores, as Ansible wants it. Raises UsageError where two sites have different hosts of one name.
    """
    hostvars: dict[str, Any] = {}
    groups: dict[str, dict[str, Any]] = {}
    for site, found in read.items():
        _merge(site, found, hostvars, groups)
    for address, record in records.items():
        if address.kind == MACHINE:
            name = record.identity.partition(":")[2]
            if any(row.host == name and row.site == address.site for row in rows):
                hostvars[name] = _plain(dict(record.facts.get("vars") or {}))
    for row in rows:
        for name in _groups(row) if row.host in hostvars else ():
            listed = groups.setdefault(name, {}).setdefault("hosts", [])
            if row.host not in listed:
                listed.append(row.host)
    return {"_meta": {"hostvars": hostvars}, **groups}


def _groups(row: HostRow) -> list[str]:
    names = [f"site_{row.site}"]
    if row.unit:
        names += [f"placement_{row.unit.placement}", f"workload_{row.unit.workload}"]
    return [re.sub(r"\W", "_", name) for name in names]


def _merge(site: str, found: Mapping[str, Any], hostvars: dict[str, Any], groups: dict[str, dict[str, Any]]) -> None:
    for name, variables in found.get("_meta", {}).get("hostvars", {}).items():
        plain = _plain(variables)
        if hostvars.setdefault(name, plain) != plain:
            raise UsageError(f"two sites have a host `{name}`", hint=f"one at a time: --site name={site}")
    for group, told in found.items():
        if group == "_meta":
            continue
        mine = groups.setdefault(group, {})
        for key in ("hosts", "children"):
            if told.get(key):
                mine[key] = list(dict.fromkeys([*mine.get(key, []), *told[key]]))


def _plain(variables: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in variables.items()
        if not _SECRET.match(name) or (isinstance(value, dict) and "__ansible_vault" in value)
    }

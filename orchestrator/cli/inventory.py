"""`orchestrator inventory`: the machines and hosts of all sites, for people, programs and Ansible."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from orchestrator import desired
from orchestrator.cli import drivers
from orchestrator.cli.options import estate_option, output_option, parallel_option
from orchestrator.cli.secrets import scrubber
from orchestrator.cli.session import Limits, Session, reached, session
from orchestrator.cli.views import inventory as view
from orchestrator.errors import UsageError
from orchestrator.model.address import MACHINE
from orchestrator.model.change import Known


@click.command()
@estate_option
@click.option("--site", metavar="SELECTOR", help="Only sites with these labels: name=lab, tier=edge,env!=dev.")
@click.option("--refresh", is_flag=True, help="Ask the hosts how they are, instead of telling what is remembered.")
@click.option("--ansible", is_flag=True, help="Print an inventory for Ansible, as a dynamic inventory does.")
@click.option("--list", "all_hosts", is_flag=True, help="With --ansible: all hosts (as without it).")
@click.option("--host", metavar="NAME", help="With --ansible: the variables of one host.")
@parallel_option
@output_option("table", "wide", "json", "yaml", "name")
def inventory(
    estate: Path | None,
    site: str | None,
    refresh: bool,
    ansible: bool,
    all_hosts: bool,
    host: str | None,
    parallel: int,
    output: str,
) -> None:
    """Show the machines and hosts of all sites. Contacts nothing, unless it is asked to --refresh.

    For `ansible-playbook -i`, an executable file with two lines is enough:
    `#!/bin/sh` and `exec orchestrator inventory -C ESTATE --ansible "$@"`.
    """
    if (all_hosts or host) and not ansible:
        raise UsageError("--list and --host are for --ansible", hint="orchestrator inventory --ansible --list")
    with session(estate, Limits(site=site), parallel=parallel) as it:
        if ansible:
            found = _for_ansible(it)
            variables = found["_meta"]["hostvars"]
            click.echo(json.dumps(variables.get(host, {}) if host else found, ensure_ascii=False, indent=1))
            return
        click.echo(view.render(_refreshed(it) if refresh else _remembered(it), output, it.world.clock()))


def _refreshed(it: Session) -> list[view.HostRow]:
    plan = it.plan()
    return view.rows_of_plan(plan, it.world.hosts)


def _remembered(it: Session) -> list[view.HostRow]:
    sites = reached(it.loaded, it.scope)
    records = {address: record for address, record in it.world.store.records().items() if address.site in sites}
    machines = {address: record.facts for address, record in records.items() if address.kind == MACHINE}
    known = Known(machines=machines, hosts=it.world.hosts)
    units = desired.resolve(it.loaded, known, it.world.secrets, sites, it.world.render).units
    return view.rows_of_records(units, records, it.world.hosts)


def _for_ansible(it: Session) -> dict[str, Any]:
    from orchestrator.modes.stable.inventory import exported

    scrub = scrubber(it.world.secrets.values())
    paths = drivers.inventories(it.loaded, reached(it.loaded, it.scope))
    read = {path: exported(it.loaded.root, path, scrub) for path in sorted(set(paths.values()))}
    records = it.world.store.records()
    return view.for_ansible(_remembered(it), {site: read[path] for site, path in paths.items()}, records)

"""`orchestrator lab`: a local estate to try blueprints on."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from orchestrator.errors import LabError, UsageError

if TYPE_CHECKING:
    from orchestrator.lab.client import Session
    from orchestrator.lab.home import Home
    from orchestrator.lab.whole import Status

_NOT_STARTED = 127
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


@click.group()
def lab() -> None:
    """A local estate to try blueprints on: sandboxed machines and a real Kubernetes API.

    It lives in ORCHESTRATOR_LAB_HOME, or in your state folder; machines are made on demand by an apply to a
    site with `provider: lab`.
    """


@lab.command()
def up() -> None:
    """Start the lab, or what of it does not run.

    Starts etcd, the API server, the controllers and a simulated node, all on loopback, and the machines that
    were made before. A lab that runs is left as it is.
    """
    from orchestrator.lab import sandbox, whole

    home = _home()
    kubeconfig, started = whole.up(home, _progress)
    for machine in started:
        _progress(f"started machine {machine.name}")
    try:
        if weaker := sandbox.choose().weaker:
            _progress(f"machines here are weaker than real ones: {weaker}")
    except LabError as error:
        _progress(f"no machines can be made here, only Kubernetes works: {error.message}; {error.hint}")
    click.echo(f"The lab is up: export KUBECONFIG={kubeconfig}")


@lab.command()
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", help="How to print it.")
def status(output: str) -> None:
    """Show what of the lab runs and what does not."""
    from orchestrator.lab import whole

    seen = whole.status(_home())
    click.echo(json.dumps(seen.as_data(), indent=2) if output == "json" else _as_text(seen))


@lab.command(name="exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("machine")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND [ARG]...")
def exec_(machine: str, command: tuple[str, ...]) -> None:
    """Run a command as root in a machine, with this terminal as its input and output.

    MACHINE may be any beginning or end of the name that fits only one. The exit code is the command's own.
    """
    from orchestrator.lab import client, machines

    words = command[1:] if command[0] == "--" else command
    if not words:
        raise UsageError("lab exec: no command given", hint="orchestrator lab exec MACHINE -- COMMAND [ARG]...")
    home = _home()
    name = machines.find(home, machine).name
    environment = {"TERM": os.environ.get("TERM", "dumb")}
    down = "`orchestrator lab up` starts what does not run"
    try:
        with _signals_kept():
            session = client.start(home.machine(name), words, (0, 1, 2), env=environment, timeout=10.0)
            _forward_signals(session)
        raise SystemExit(session.wait())
    except client.MachineDownError as error:
        raise LabError(f"machine {name}: {error}", hint=down) from None
    except OSError as error:
        click.echo(f"machine {name}: {error}", err=True)
        raise SystemExit(_NOT_STARTED) from None


@lab.command()
def down() -> None:
    """Stop the lab and remove everything in it: processes, machines with their files, Kubernetes data."""
    from orchestrator.lab import whole

    home = _home()
    click.echo(f"The lab in {home.path} is gone." if whole.down(home) else f"There is no lab in {home.path}.")


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Holds back what would end us until there is a command to tell it to."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)


def _forward_signals(session: Session) -> None:
    """From now on the command gets our signals, and we wait for what it makes of them."""
    for number in _FORWARDED:
        signal.signal(number, lambda got, _: session.signal(got))


def _as_text(seen: Status) -> str:
    if not seen.exists:
        return f"There is no lab in {seen.home}.\n`orchestrator lab up` makes one."
    states = {state for _, _, state in seen.members}
    kubernetes = "running" if states == {"running"} else "damaged" if "running" in states else "not running"
    lines = [f"Kubernetes   {kubernetes}"]
    if seen.kubeconfig:
        lines.append(f"  kubeconfig {seen.kubeconfig}")
    lines += [f"  {name:<26}{state:<10}{f'pid {pid}' if pid else ''}".rstrip() for name, pid, state in seen.members]
    lines.append(f"Machines     {len(seen.machines) or 'none yet: an apply to a site with `provider: lab` makes them'}")
    width = max((len(machine.name) for machine in seen.machines), default=0)
    lines += [f"  {one.name:<{width}}  {one.address:<15}  {one.state():<8}  {one.kind}" for one in seen.machines]
    if states != {"running"} or any(one.state() != "running" for one in seen.machines):
        lines.append("`orchestrator lab up` starts what does not run.")
    return "\n".join(lines)


def _home() -> Home:
    from orchestrator.lab.home import Home, default_home

    return Home(default_home())


def _progress(line: str) -> None:
    click.echo(line, err=True)
    sys.stderr.flush()

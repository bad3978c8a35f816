"""Runs of the real engine over a program: preview, up, refresh, destroy; each to its end or to its timeout."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.modes.agile.programs import events, kubernetes, language
from orchestrator.modes.agile.programs.events import Log
from orchestrator.modes.agile.programs.room import Room
from orchestrator.modes.agile.stacks.process import Pulumi

_TERMINAL = ("TERM", "COLORTERM", "NO_COLOR", "LANG", "LC_ALL", "COLUMNS", "LINES")
_WITH_PROGRAM = ("up", "update", "preview", "pre", "refresh", "destroy", "import", "watch")
_GRACE = 15.0  # seconds that the engine has to end in order, once it is asked
_COMMON = ("--color=never", "--suppress-progress", "--suppress-outputs", "--exec-kind=auto.inline")
_COMMANDS: Mapping[str, tuple[str, ...]] = {
    "preview": ("preview", "--show-reads"),
    "drift": ("refresh", "--preview-only"),
    "up": ("up", "--yes", "--skip-preview"),
    "refresh": ("refresh", "--yes", "--skip-preview", "--clear-pending-creates"),
    "destroy": ("destroy", "--yes", "--skip-preview"),
}
SETTINGS: Mapping[str, str] = {
    "PULUMI_SKIP_UPDATE_CHECK": "true",
    "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    "PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS": "true",
    "PULUMI_DEBUG_COMMANDS": "true",  # the log of events is an option of these
}
# What a program can ask for and what is no wish of its author: our own, and that of the libraries that it imports.
_NOT_ASKED = ("PULUMI_", "GRPC_", "OTEL_", "PYTHON", "PROTOCOL_BUFFERS", "TEMPORARILY_", "TRACEPARENT", "TMP", "TEMP")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the engine needs to run a stack.

    program      None where none is run (destroy)
    cluster      who serves `kubernetes:`; None for Pulumi's own plugin
    environment  what the Site allows, for the engine, its plugins and the program
    home         Pulumi's own folder: where plugins are looked for
    timeout      seconds for all of it
    """

    room: Room
    home: Path
    program: language.Program | None
    cluster: kubernetes.Cluster | None
    environment: Mapping[str, str]
    passphrase: str
    timeout: float
    scrub: Callable[[str], str]


@dataclass(slots=True)
class Ended:
    """How a run has ended. `failure` is the program's own (see launcher.py); `error` is empty where all went well."""

    log: Log
    failure: Mapping[str, Any] = field(default_factory=dict)
    printed: tuple[str, ...] = ()
    error: str = ""
    timed_out: bool = False


def run(
    pulumi: Pulumi, command: str, asked: Asked, *, more: tuple[str, ...] = (), told: Callable[[str], None] | None = None
) -> Ended:
    """Run one command; what goes wrong is told, not raised."""
    from pulumi.automation import CommandError

    log_file = asked.room.folder / "events.json"
    log_file.unlink(missing_ok=True)
    program = asked.program or language.Program(asked.room.work, language.OWN_PYTHON, {})
    service = language.Language(program)
    ended = Ended(Log())
    with ExitStack() as stack:
        port = stack.enter_context(language.serving(service))
        settings = dict(_environment(asked))
        if asked.cluster is not None:
            settings["PULUMI_DEBUG_PROVIDERS"] = f"kubernetes:{stack.enter_context(kubernetes.serving(asked.cluster))}"
        arguments = [*_COMMANDS[command], *_COMMON, *more, f"--stack={asked.room.stack}"]
        arguments += [f"--client=127.0.0.1:{port}", f"--event-log={log_file}"]
        stack.enter_context(_limited(asked.timeout, pulumi, service, ended))
        try:
            pulumi.run(arguments, str(asked.room.work), settings, told)
        except CommandError as error:
            ended.error = _said(str(error), asked.scrub)
    ended.log = events.read(log_file, asked.scrub)
    ended.failure = service.ran.failure
    ended.printed = tuple(asked.scrub(line) for line in service.ran.printed)
    return ended


def hand_over(program: Path, arguments: Sequence[str], asked: Asked) -> int:
    """Run pulumi at the terminal that we have; its exit code. An interrupt there is its own to handle."""
    service = language.Language(asked.program or language.Program(asked.room.work, language.OWN_PYTHON, {}))
    settings = {name: os.environ[name] for name in _TERMINAL if name in os.environ} | dict(_environment(asked))
    settings["PULUMI_STACK"] = asked.room.stack
    with ExitStack() as stack:
        port = stack.enter_context(language.serving(service))
        if asked.cluster is not None:
            settings["PULUMI_DEBUG_PROVIDERS"] = f"kubernetes:{stack.enter_context(kubernetes.serving(asked.cluster))}"
        runs_it = any(word in _WITH_PROGRAM for word in arguments)
        more = [f"--client=127.0.0.1:{port}"] if runs_it else []
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            done = subprocess.run([program, *arguments, *more], cwd=asked.room.work, env=settings, check=False)
        finally:
            signal.signal(signal.SIGINT, before)
    if service.ran.failure.get("traceback"):
        print(asked.scrub(str(service.ran.failure["traceback"])), file=sys.stderr)
    return done.returncode


def _environment(asked: Asked) -> Iterator[tuple[str, str]]:
    folder = asked.room.folder
    yield from {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp")}.items()
    yield from asked.environment.items()
    yield from SETTINGS.items()
    yield "PULUMI_HOME", str(asked.home)
    yield "PULUMI_CONFIG_PASSPHRASE", asked.passphrase


@contextmanager
def _limited(seconds: float, pulumi: Pulumi, service: language.Language, ended: Ended) -> Iterator[None]:
    """Within this time; then the program is ended, the engine asked to end in order, and at last killed."""
    done = threading.Event()

    def watch() -> None:
        if done.wait(seconds):
            return
        ended.timed_out = True
        service.end()
        pulumi.interrupt()
        if not done.wait(_GRACE):
            pulumi.end()

    watcher = threading.Thread(target=watch, daemon=True, name="limit")
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _said(text: str, scrub: Callable[[str], str]) -> str:
    """What the engine says on its standard error, without its whole output."""
    lines = [line.strip().removeprefix("stderr: ") for line in text.splitlines()]  # so its first line begins
    errors = [line for line in lines if line.startswith("error:")]
    found = [
        line.removeprefix("error:").strip() for line in errors if "BAIL" not in line and "update failed" not in line
    ]
    return scrub("; ".join(dict.fromkeys(found[-3:])) or "the engine failed")


def wished(failure: Mapping[str, Any]) -> list[str]:
    """The environment variables that a program that failed had asked for in vain, but for those of libraries."""
    asked = [str(name) for name in failure.get("asked") or ()]
    return [name for name in asked if not name.startswith(_NOT_ASKED) and name != "HOME"]

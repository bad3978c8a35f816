"""One program at one site: its preview, update and removal, each a run of the real engine on the state that is kept."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.errors import DriverError
from orchestrator.model.values import MASK, Value
from orchestrator.modes.agile.client import incluster
from orchestrator.modes.agile.client.api import Api
from orchestrator.modes.agile.client.discovery import Kinds
from orchestrator.modes.agile.programs import engine, plugins, requirements
from orchestrator.modes.agile.programs.checkpoint import Checkpoint
from orchestrator.modes.agile.programs.engine import Asked, Ended
from orchestrator.modes.agile.programs.kubernetes import Cluster
from orchestrator.modes.agile.programs.language import Program
from orchestrator.modes.agile.programs.room import Room, secret_texts
from orchestrator.modes.agile.programs.secrets import Vault, WrongPassphrase
from orchestrator.modes.agile.programs.targets import RunFailed, Target
from orchestrator.modes.agile.site import AgileSite
from orchestrator.modes.agile.stacks.process import Pulumi

_NO_PLUGIN = re.compile(r"no resource plugin '(pulumi-resource-[\w-]+)")
_SHORTEST = 4  # as everywhere: shorter secrets are not searched for in texts
_READY_SECONDS = 300.0


class Runner:
    """Runs programs of one site; several at once."""

    def __init__(self, site: AgileSite, api: Api, kinds: Kinds, closing: threading.Event) -> None:
        self._site = site
        self._api = api
        self._kinds = kinds
        self._closing = closing
        self._running: set[Pulumi] = set()
        self._fresh: Vault | None = None
        self._lock = threading.Lock()
        self.runs = 0

    def preview(self, target: Target, checkpoint: Checkpoint, *, refresh: bool) -> Ended:
        """What an update would do. Raises RunFailed."""
        return self._aside("preview", target, checkpoint, *(["--refresh"] if refresh else []))

    def drift(self, target: Target, checkpoint: Checkpoint) -> Ended:
        """What providers find otherwise than it was left; the program is not run. Raises RunFailed."""
        return self._aside("drift", target, checkpoint)

    def _aside(self, command: str, target: Target, checkpoint: Checkpoint, *more: str) -> Ended:
        """On a copy of the state, in a folder that is gone afterwards."""
        home = target.home(self._site.scratch)
        room = Room(home / f"{command}-{os.getpid()}-{secrets.token_hex(4)}", target.project, target.stack)
        try:
            return self._run(command, target, room, checkpoint, more=more)
        finally:
            shutil.rmtree(room.folder, ignore_errors=True)

    def change(
        self, command: str, target: Target, checkpoint: Checkpoint, *, refresh: bool, told: Callable[[str], None]
    ) -> Ended:
        """`up`, `refresh` or `destroy`, in the stack's own folder; its state is there, however this ends.

        Raises RunFailed, where also a run that was begun may have changed something.
        """
        more = ("--refresh",) if refresh and command != "refresh" else ()
        return self._run(command, target, target.room(self._site.scratch), checkpoint, more=more, told=told)

    def hand_over(self, target: Target, checkpoint: Checkpoint, arguments: Sequence[str]) -> int:
        """Run pulumi with these arguments for a person, at the person's terminal; its exit code. Raises RunFailed."""
        return engine.hand_over(
            self._site.pulumi(), arguments, self.asked(target, target.room(self._site.scratch), checkpoint)
        )

    def end(self) -> None:
        """Ask all that run to end in order."""
        with self._lock:
            for pulumi in self._running:
                pulumi.interrupt()

    def asked(self, target: Target, room: Room, checkpoint: Checkpoint) -> Asked:
        """Everything that a run needs, made ready in its room. Raises RunFailed."""
        official = self._site.official
        home = self._site.scratch / "programs" / "home"
        environment = dict(self._site.environment)
        try:
            vault = self._vault(checkpoint)
            room.prepare(checkpoint)
            program = self._program(target, room)
            room.write_project()
            room.write_config(self._config(target), vault)
            python = program.python if program else Path(os.devnull)
            wanted = plugins.required(python, checkpoint.providers, official=official)
            troubles = plugins.make_ready(home, wanted, target.folder)
        except DriverError as error:
            raise RunFailed(str(error), where=target.folder) from None
        if troubles:
            raise RunFailed("; ".join(troubles), where=target.folder)
        return Asked(
            room=room,
            home=home,
            program=program,
            cluster=None if official else self._cluster(target),
            environment=environment,
            passphrase=self._site.passphrase(),
            timeout=target.seconds,
            scrub=self._scrub(target),
        )

    def _run(
        self,
        command: str,
        target: Target,
        room: Room,
        checkpoint: Checkpoint,
        *,
        more: tuple[str, ...] = (),
        told: Callable[[str], None] | None = None,
    ) -> Ended:
        asked = self.asked(target, room, checkpoint)
        pulumi = Pulumi(self._site.pulumi())
        with self._lock:
            self.runs += 1
            self._running.add(pulumi)
        try:
            if self._closing.is_set():
                raise RunFailed("interrupted before it began")
            ended = engine.run(pulumi, command, asked, more=more, told=told)
        finally:
            with self._lock:
                self._running.discard(pulumi)
        if trouble := self._trouble(target, asked, ended):
            raise trouble
        return ended

    def _vault(self, checkpoint: Checkpoint) -> Vault:
        word = self._site.passphrase()
        try:
            if checkpoint.salt:
                return Vault(word, checkpoint.salt)
            with self._lock:  # one for all new stacks: making it takes half a second by intention
                self._fresh = self._fresh or Vault.new(word)
                return self._fresh
        except WrongPassphrase:
            raise RunFailed(
                "the secrets in its state were encrypted with another passphrase; "
                "give that one with ORCHESTRATOR_PASSPHRASE or ORCHESTRATOR_PASSPHRASE_FILE"
            ) from None

    def _program(self, target: Target, room: Room) -> Program | None:
        unit = target.unit
        if unit is None:
            return None
        source = Path(str(unit.spec["root"])) / str(unit.spec["path"])
        room.copy_program(source, target.files)
        python = requirements.python_for(room.work, target.files)
        own = {"HOME": str(room.folder / "home"), "TMPDIR": str(room.folder / "tmp")}
        return Program(room.work, python, {**own, **self._site.environment})

    def _config(self, target: Target) -> Mapping[str, Value]:
        """The author's; Pulumi's own plugin is told which cluster."""
        if not self._site.official:
            return target.config
        own = self._site.kubeconfig
        cluster = {
            "kubernetes:namespace": target.namespace,
            "kubernetes:kubeconfig": str(own) if own is not None else incluster.kubeconfig(),
        }
        if self._site.context:
            cluster["kubernetes:context"] = self._site.context
        return {**cluster, **target.config}

    def _cluster(self, target: Target) -> Cluster:
        return Cluster(
            api=self._api,
            kinds=self._kinds,
            estate_id=self._site.estate_id,
            address=target.address,
            namespace=target.namespace,
            timeout=min(target.seconds, _READY_SECONDS),
            closing=threading.Event(),
            scrub=self._scrub(target),
        )

    def _scrub(self, target: Target) -> Callable[[str], str]:
        """Takes what is known to be secret out of a text: also what expressions have made of it."""
        texts = sorted((t for t in secret_texts(target.config) if len(t) >= _SHORTEST), key=len, reverse=True)

        def scrub(text: str) -> str:
            for secret in texts:
                text = text.replace(secret, MASK)
            return self._site.scrub(text)

        return scrub

    def _trouble(self, target: Target, asked: Asked, ended: Ended) -> RunFailed | None:
        """What went wrong, in the order of what a person needs to know first."""
        log = "\n".join([*ended.log.errors, *ended.log.notes, *ended.printed])
        failure = ended.failure
        if ended.timed_out:
            last = f"; it printed last: {ended.printed[-1]}" if ended.printed else ""
            text = f"did not end within {target.seconds:.0f} s and was ended{last}; raise `timeout` if it needs longer"
            return RunFailed(text, where=target.folder, log=log)
        if failure.get("kind") not in (None, "engine"):
            return self._raised(target, asked, failure, log)
        if ended.error or ended.log.errors:
            said = [line for line in ended.log.errors if not line.startswith("update failed")]
            text = " | ".join(said[:3]) or ended.error
            if missing := _NO_PLUGIN.search(text):
                name = missing[1]
                text += f"; put {name} on PATH, or: orchestrator toolchain install {name}@VERSION"
            return RunFailed(text, where=target.folder, log=log, task=", ".join(_labels(ended)[:3]))
        return None

    def _raised(self, target: Target, asked: Asked, failure: Mapping[str, Any], log: str) -> RunFailed:
        work = f"{asked.room.work}/"
        message = asked.scrub(str(failure.get("error")).replace(work, f"{target.folder}/"))
        where = target.folder
        if failure.get("file"):
            where = f"{target.folder}/{str(failure['file']).removeprefix(work)}:{failure['line']}"
        if missing := [n for n in engine.wished(failure) if n in os.environ or n == failure.get("key")]:
            message += (
                f"; it asked for the environment {'variable' if len(missing) == 1 else 'variables'} "
                f"{', '.join(missing)}, which site {self._site.site} does not allow; "
                f"in the Site: `agile.programs.environment: [{', '.join(missing)}]`"
            )
        trace = asked.scrub(str(failure.get("traceback") or "").replace(work, f"{target.folder}/"))
        return RunFailed(message, where=where, log="\n".join(part for part in (trace, log) if part))


def _labels(ended: Ended) -> list[str]:
    from orchestrator.modes.agile.programs.events import label_of

    return [label_of(urn) for urn in ended.log.failed]

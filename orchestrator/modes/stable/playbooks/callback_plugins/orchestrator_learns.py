"""What a playbook run teaches us, learnt inside ansible-playbook beside ansible-runner's own callback plugin.

- What tasks manage, so that the probe can fingerprint it (see the package `learning`); in check mode instead: which
  tasks would change something.
- The handlers that were notified and have not run. They are written down at every step, before the task that may notify
  them starts, so that whatever kills the run, the next one knows; those of an earlier run are notified again.
- Plays whose hosts match nothing in the whole inventory, and hosts that were dropped from a play because another host
  failed (any_errors_fatal, run_once): Ansible counts no failure for them.
- Before the first task: handlers that are notified and that no play has. Ansible finds that out when the task that
  notifies has changed the host already; here the run is refused, and nothing has been changed.

It works in the folder that ORCHESTRATOR_RUN names: reads `orders.json`, writes `learnt.json` at the end and the
handlers' journal to the path that the orders give. It also lets the run die with whoever started it.
"""

from __future__ import annotations

import ctypes
import json
import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible import context
from ansible.errors import AnsibleError
from ansible.playbook.block import Block
from ansible.playbook.handler import Handler
from ansible.plugins.callback import CallbackBase
from ansible.template import Templar, trust_as_template

from orchestrator.modes.stable import learning

DOCUMENTATION = """
name: orchestrator_learns
type: notification
short_description: learns what a run manages
description: [Used by orchestrator alone.]
"""

ALL = "*"  # the handlers of an interrupted run of which only this much is known
PR_SET_PDEATHSIG = 1


def die_with_parent(number: int) -> None:
    """Ask the kernel for a signal when the process that started this one ends."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)


def unknown_handler(play: Any) -> dict[str, str] | None:
    """The first task that notifies a handler which its play does not have: {"task", "where", "message"}.

    None too where only the run tells: what is included while it goes on may bring handlers, and names may be templates.
    """
    tasks = list(tasks_in(play.compile()))
    handlers = list(tasks_in([*play.compile_roles_handlers(), *play.handlers]))
    known = {name for handler in handlers for name in names_of(handler)}
    if any("{{" in name for name in known) or any(is_include(task) for task in (*tasks, *handlers)):
        return None
    for task in tasks:
        for name in map(str, [task.notify] if isinstance(task.notify, str) else task.notify or ()):
            if "{{" not in name and name not in known:
                there = ", ".join(sorted(str(handler.name) for handler in handlers if handler.name)) or "none"
                message = f"it notifies the handler `{name}`, which its play does not have; there is: {there}"
                return {"task": task.get_name(), "where": task.get_path(), "message": message}
    return None


def tasks_in(blocks: Any) -> Iterator[Any]:
    """All tasks of blocks, and of the blocks in them."""
    for one in blocks:
        if isinstance(one, Block):
            yield from tasks_in([*one.block, *one.rescue, *one.always])
        else:
            yield one


def is_include(task: Any) -> bool:
    """Whether a task brings others with it while the run goes on."""
    return str(task.action).rpartition(".")[2] in ("include_role", "include_tasks", "import_role", "import_tasks")


def names_of(handler: Any) -> set[str]:
    """Everything under which a handler can be notified."""
    names = [handler.name, handler.get_name(include_role_fqcn=False), handler.get_name(), *handler.listen]
    return {str(name) for name in names if name}


class Handlers:
    """Which handlers each host still has to run; every step is written to the journal at once."""

    def __init__(self, journal: Path, token: str, carried: dict[str, list[str]]) -> None:
        self.journal = journal
        self.token = token
        self.pending = {host: set(names) for host, names in carried.items()}
        self.underway: dict[str, set[str]] = {}  # of tasks that have started and may notify
        self.write()

    def write(self) -> None:
        hosts = {
            host: sorted(self.pending.get(host, set()) | self.underway.get(host, set()))
            for host in {*self.pending, *self.underway}
        }
        part = self.journal.with_suffix(".part")
        part.touch(mode=0o600)
        part.write_text(json.dumps({"token": self.token, "hosts": hosts}))
        part.replace(self.journal)

    def starts(self, host: str, names: set[str]) -> None:
        if names:
            self.underway[host] = names
            self.write()

    def ends(self, host: str, names: set[str], *, notified: bool) -> None:
        if names:
            self.underway.pop(host, None)
            if notified:
                self.pending.setdefault(host, set()).update(names)
            self.write()

    def ran(self, host: str, name: str) -> None:
        if name in self.pending.get(host, ()):
            self.pending[host].discard(name)
            self.write()


class CallbackModule(CallbackBase):  # type: ignore[misc] # Ansible has no types
    """Called by Ansible in the order of events, in its main process."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "orchestrator_learns"
    CALLBACK_NEEDS_ENABLED = False

    def __init__(self) -> None:
        super().__init__()
        self.disabled = "ORCHESTRATOR_RUN" not in os.environ
        if self.disabled:
            return
        die_with_parent(signal.SIGTERM)
        os.register_at_fork(after_in_child=lambda: die_with_parent(signal.SIGKILL))
        self.folder = Path(os.environ["ORCHESTRATOR_RUN"])
        orders = json.loads((self.folder / "orders.json").read_text())
        self.handlers = Handlers(Path(orders["journal"]), orders["token"], orders["carried"])
        self.play: Any = None
        self.plays: list[Any] = []
        self.unmatched: list[dict[str, Any]] = []
        self.unstarted: list[str] = []
        self.key = secrets.token_hex(32)
        self.things: dict[str, dict[str, dict[str, Any]]] = {}
        self.tasks: dict[str, dict[str, dict[str, Any]]] = {}
        self.would: dict[str, list[dict[str, str]]] = {}

    def v2_playbook_on_start(self, playbook: Any) -> None:
        self.unstarted = [play.get_path() for play in playbook.get_plays()]
        for play in playbook.get_plays():
            if refused := unknown_handler(play):
                (self.folder / "learnt.json").write_text(json.dumps({"refused": refused}))
                # An exception of ours would only be a warning to Ansible.
                raise SystemExit(refused["message"])

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self.play = play
        self.plays.append(play)
        self.unstarted = [path for path in self.unstarted if path != play.get_path()]
        carried = {host: names for host, names in self.handlers.pending.items() if names}
        for handler in self._handlers() if carried else ():
            names = self._names(handler)
            hosts = [host for host, pending in carried.items() if ALL in pending or names & pending]
            if hosts and handler.name:
                play.tasks = [*play.tasks, self._notifying(handler, hosts)]

    def v2_playbook_on_no_hosts_matched(self) -> None:
        pattern = self.play.hosts
        inventory = self.play.get_variable_manager()._inventory
        anywhere = bool(inventory.get_hosts(pattern, ignore_limits=True, ignore_restrictions=True))
        self.unmatched.append({"play": self.play.get_name(), "path": self.play.get_path(), "anywhere": anywhere})

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        self.handlers.starts(host.get_name(), self._notified(task.notify))

    def v2_runner_on_ok(self, result: Any) -> None:
        self._settle(result)
        self._learn(result, item=False)

    def v2_runner_item_on_ok(self, result: Any) -> None:
        self._learn(result, item=True)

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._settle(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        host = result.host.get_name()
        names = self._notified(self._fields(result).get("notify") or result.task.notify)
        self.handlers.ends(host, names, notified=bool(result.result.get("changed")))

    def v2_playbook_on_stats(self, stats: Any) -> None:
        hosts = {}
        for host in sorted({*self.things, *self.tasks}):
            counted = [task for task in self.tasks.get(host, {}).values() if task["verified"] is not None]
            hosts[host] = {
                "things": list(self.things.get(host, {}).values()),
                "verified": sum(1 for task in counted if task["verified"]),
                "total": len(counted),
                "unverified": sorted({task["name"] for task in counted if not task["verified"]}),
                "would": self.would.get(host, []),
            }
        dropped = sorted({str(host) for play in self.plays for host in play._removed_hosts})
        told = {"hosts": hosts, "unmatched": self.unmatched, "stopped": dropped, "unstarted": self.unstarted}
        (self.folder / "learnt.json").write_text(json.dumps(told))

    def _settle(self, result: Any) -> None:
        """A task has ended well or was skipped on a host."""
        host, task = result.host.get_name(), result.task
        names = self._notified(self._fields(result).get("notify") or task.notify)
        self.handlers.ends(host, names, notified=bool(result.result.get("changed")))
        if isinstance(task, Handler):
            self.handlers.ran(host, str(task.get_name()))

    def _learn(self, result: Any, *, item: bool) -> None:
        fields, task = self._fields(result), result.task
        host = result.host.get_name()
        known = self.tasks.setdefault(host, {})
        if not item and task._uuid in known:
            return  # the sum of a loop's items
        before = known.get(task._uuid, {"verified": None, "number": 0})
        name, action = str(task.get_name()), str(task.resolved_action or task.action)
        told, number = dict(result.result), before["number"] + 1
        if context.CLIARGS.get("check"):
            if told.get("changed") and not isinstance(task, Handler):
                self.would.setdefault(host, []).append({"task": name, "where": str(task.get_path())})
            things: list[dict[str, Any]] | None = []
        elif self._leaves_nothing(fields, task, action, host):
            things = []
        else:
            one = learning.Task(name, number, self.key, self._user(fields), lambda path: self._local(task, path))
            things = learning.learn(action, dict(fields.get("args") or {}), told, one)
        for thing in things or ():
            kept = self.things.setdefault(host, {})
            kept[thing["label"]] = learning.merged(kept.get(thing["label"]), thing)
        verified = None if things == [] else things is not None
        if verified is None or before["verified"] is False:
            verified = before["verified"]
        known[task._uuid] = {"name": name, "verified": verified, "number": number}

    @staticmethod
    def _leaves_nothing(fields: dict[str, Any], task: Any, action: str, host: str) -> bool:
        unchanged = fields.get("changed_when") in ([False], False) and not learning.manages(action)
        elsewhere = fields.get("delegate_to") not in (None, host)
        return bool(unchanged or elsewhere or isinstance(task, Handler) or fields.get("check_mode"))

    @staticmethod
    def _user(fields: dict[str, Any]) -> str:
        """The user that a task becomes, where that is not the one of the whole host."""
        return str(fields["become_user"]) if fields.get("become") and fields.get("become_user") else ""

    @staticmethod
    def _local(task: Any, path: str) -> Path | None:
        """A file on this computer, found as its task finds it."""
        try:
            found = task.get_loader().path_dwim_relative_stack(task.get_search_path(), "files", path.rstrip("/"))
        except AnsibleError:
            return None
        return Path(found) if found else None

    @staticmethod
    def _fields(result: Any) -> dict[str, Any]:
        return dict(result.task_fields or {})

    def _handlers(self) -> list[Any]:
        return [handler for block in self.play.handlers for handler in block.block] if self.play else []

    def _names(self, handler: Any) -> set[str]:
        """Everything under which a handler can be notified, and the name under which it is written down."""
        return {self._text(name) for name in names_of(handler)}

    def _text(self, name: str) -> str:
        """A handler's name may be a template of the play's variables."""
        if "{{" not in name:
            return str(name)
        variables = self.play.get_variable_manager().get_vars(play=self.play)
        try:
            return str(Templar(loader=self.play.get_loader(), variables=variables).template(name))
        except Exception:  # noqa: BLE001 - Ansible itself says that such a handler cannot be used
            return str(name)

    def _notified(self, notify: Any) -> set[str]:
        """The handlers behind what a task notifies: names and topics become the names that are written down."""
        wanted = {self._text(str(one)) for one in ([notify] if isinstance(notify, str) else notify or ())}
        found = [handler for handler in self._handlers() if self._names(handler) & wanted] if wanted else []
        return {self._text(handler.get_name()) for handler in found}

    def _notifying(self, handler: Any, hosts: list[str]) -> Any:
        """A block at the play's end that notifies a handler on hosts where an earlier run could not run it."""
        name = self._text(handler.get_name())
        task = {
            "name": f"Pending from an interrupted run: {name}",
            "ansible.builtin.debug": {"msg": "its handler runs now"},
            "changed_when": True,
            "notify": [name],
            "when": trust_as_template(f"inventory_hostname in {json.dumps(hosts)}"),
        }
        play = self.play
        return Block.load(
            {"block": [task]}, play=play, variable_manager=play.get_variable_manager(), loader=play.get_loader()
        )

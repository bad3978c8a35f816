"""The agile mode's driver: one site's cluster, observed by us, changed through Pulumi."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import DriverError
from orchestrator.holders import shown
from orchestrator.model.address import PROGRAM, Address, Mode, WorkloadKey
from orchestrator.model.change import Action, Change
from orchestrator.model.observation import Absent, Observation, Observed, Present, Tally, Unreachable
from orchestrator.model.outcome import Lease, Outcome, Report, Result
from orchestrator.model.record import Record
from orchestrator.model.unit import Unit
from orchestrator.modes.agile.acting import Actor
from orchestrator.modes.agile.client import incluster, kubeconfig
from orchestrator.modes.agile.client.api import Api, RefusedError, UnreachedError
from orchestrator.modes.agile.client.connection import Connection
from orchestrator.modes.agile.client.discovery import Kinds
from orchestrator.modes.agile.diff.comparing import Comparer
from orchestrator.modes.agile.inventory import Inventory
from orchestrator.modes.agile.leases import Leases
from orchestrator.modes.agile.namespaces import Namespaces
from orchestrator.modes.agile.objects import ESTATE, estate_of, metadata, split_name
from orchestrator.modes.agile.observing import Reader, Seen
from orchestrator.modes.agile.site import AgileSite
from orchestrator.modes.agile.watching import Watch
from orchestrator.modes.driver import NoSnapshots

if TYPE_CHECKING:
    from orchestrator.modes.agile.programs.programs import Programs
    from orchestrator.modes.agile.programs.targets import Drift
    from orchestrator.modes.agile.stacks.stack import Stack

_CHANGED_BY_PULUMI = (Action.CREATE, Action.UPDATE, Action.REPLACE, Action.ADOPT, Action.DELETE)


@dataclass(frozen=True, slots=True)
class _Reach:
    """What is made once the cluster is first needed."""

    connection: Connection
    api: Api
    kinds: Kinds
    comparer: Comparer
    actor: Actor
    namespaces: Namespaces


class AgileDriver(NoSnapshots):
    """See `modes.driver.Driver`. Safe to use from several threads."""

    def __init__(self, site: AgileSite) -> None:
        self._site = site
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._made: _Reach | None = None
        self._made_programs: Programs | None = None
        self._seen = Seen()
        self._units: tuple[Unit, ...] = ()
        self._observed: Mapping[Address, Observation] = {}
        self._pulumi_runs = 0
        self._watch: Watch | None = None
        self._untaken: Lease | None = None  # asked for while the cluster could not be reached
        self._other: Lease | None = None  # who had it when it was last asked for

    def observe(self, units: Sequence[Unit], known: Sequence[Record]) -> Observed:
        """See `Driver.observe`. Nothing of Pulumi is used. A kubeconfig that cannot be used: a cluster out of reach."""
        try:
            reach = self._reach()
        except UnreachedError as unreached:
            return Observed(self._nothing_seen(units, known, unreached.cause))
        before, runs = reach.api.requests, self._made_programs.runs if self._made_programs else 0
        site = self._site
        reader = Reader(reach.api, reach.kinds, site.estate_id, site.site, site.scrub, reach.comparer)
        reach.kinds.expire()
        reach.actor.look(_without_programs(units, known)[0])
        try:
            found, seen = reader.observe(*_without_programs(units, known))
            found |= self._observe_programs(reach, units, known, seen)
        except UnreachedError as unreached:
            found, seen = self._nothing_seen(units, known, unreached.cause), Seen()
        except RefusedError as refused:
            why = f"Kubernetes API {reach.api.server}: {refused.message}"
            found, seen = self._nothing_seen(units, known, why), Seen()
        with self._lock:
            self._units, self._observed, self._seen = tuple(units), found, seen
        if self._watch is not None:
            self._watch.cover(self._watched())
        pulumi_runs = (self._made_programs.runs if self._made_programs else 0) - runs
        return Observed(found, tally=Tally(requests=reach.api.requests - before, pulumi_runs=pulumi_runs))

    def _observe_programs(
        self, reach: _Reach, units: Sequence[Unit], known: Sequence[Record], seen: Seen
    ) -> Mapping[Address, Observation]:
        programs = [unit for unit in units if unit.address.kind == PROGRAM]
        records = [record for record in known if record.address.kind == PROGRAM]
        if not programs and not records and not any(PROGRAM in i.kinds for i in seen.inventories):
            return {}
        return self._programs(reach).observe(programs, records, seen.inventories)

    def watch(self, changed: Callable[[], None]) -> bool:
        """See `Driver.watch`: the kinds that were seen, and those that later looks add."""
        try:
            reach = self._reach()
        except UnreachedError:
            return False
        with self._lock:
            self._watch = Watch(reach.api, reach.kinds, f"{ESTATE}={self._site.estate_id}", changed)
        self._watch.cover(self._watched())
        return True

    def _watched(self) -> dict[str, set[str]]:
        """The kinds to watch, with the namespaces that they are in."""
        places: dict[str, set[str]] = {"Namespace": set()}
        for address in [*(unit.address for unit in self._units), *self._observed]:
            if address.kind != PROGRAM:
                places.setdefault(address.kind, set()).add(split_name(address.name)[0])
        places["ConfigMap"] = set[str]().union(*places.values())  # inventories are there
        return places

    def _nothing_seen(self, units: Sequence[Unit], known: Sequence[Record], why: str) -> dict[Address, Observation]:
        seen = Unreachable(why, cause=why, seen_at=time.time())
        return dict.fromkeys([*(u.address for u in units), *(r.address for r in known)], seen)

    def prepare(self, changes: Sequence[Change]) -> None:
        """Nothing: Pulumi's library is loaded in our own process, where it would only slow down what goes on."""

    def apply(self, changes: Sequence[Change], report: Report) -> Iterator[Outcome]:
        """See `Driver.apply`. Raises ToolchainError where Pulumi cannot be had."""
        if (trouble := self._without_lease()) is not None:
            for change in changes:
                yield Outcome(change.address, trouble.result, trouble.message)
            return
        reach = self._reach()  # the lease was taken through it
        done: list[Outcome] = []
        for change in changes:
            if change.address.kind == PROGRAM:
                done.append(self._apply_program(reach, change, report))
                yield done[-1]
            elif change.action == Action.FORGET:
                yield reach.actor.forget(change)
        through = [change for change in changes if change.action in _CHANGED_BY_PULUMI]
        through = [change for change in through if change.address.kind != PROGRAM]
        if through:
            for outcome in self._through_pulumi(reach, through, report):
                done.append(outcome)
                yield outcome
        for change in changes:
            if change.action == Action.WAIT:
                yield reach.actor.wait(change, report)
        self._tidy(reach, [change for change in changes if change.action in _CHANGED_BY_PULUMI], done)

    def _apply_program(self, reach: _Reach, change: Change, report: Report) -> Outcome:
        def prepare(address: Address, namespace: str) -> str:
            return self._prepare(reach, [change]).get(namespace, "")

        return self._programs(reach).apply(change, prepare, report)

    def _through_pulumi(self, reach: _Reach, changes: Sequence[Change], report: Report) -> Iterator[Outcome]:
        from orchestrator.modes.agile.stacks.stackrun import Hands, StackRun

        hands = Hands(
            make=lambda change: reach.actor.apply(change, report),
            unmake=lambda change: reach.actor.delete(change, report),
            prepare=lambda: self._prepare(reach, changes),
            closing=self._closing,
        )
        run = StackRun(self._stack(changes[0].address.workload_key), changes, hands, self._site.scrub)
        with self._lock:
            self._pulumi_runs += 1
        yield from run.run(self._site.pulumi(), {"PULUMI_CONFIG_PASSPHRASE": self._site.passphrase()})

    def _prepare(self, reach: _Reach, changes: Sequence[Change]) -> dict[str, str]:
        """Make missing namespaces and write down what will be where -> why a namespace cannot be used, by name."""
        coming = [change.unit for change in changes if change.unit is not None]
        declared = {split_name(u.address.name)[1] for u in [*self._units, *coming] if u.address.kind == "Namespace"}
        wanted = {str(u.spec["namespace"]) for u in coming} | {split_name(u.address.name)[0] for u in coming}
        with reach.namespaces.held(wanted - {""}):
            troubles = reach.namespaces.ensure(wanted - declared - {""})
            if not troubles:
                troubles = self._write_inventory(reach, coming)
        reach.actor.prepare(changes)
        return troubles

    def _write_inventory(self, reach: _Reach, coming: Sequence[Unit]) -> dict[str, str]:
        key, namespace = coming[0].address.workload_key, str(coming[0].spec["namespace"])
        before = [i for i in self._seen.inventories if (i.workload, i.namespace) == (key, namespace)]
        there = [address for address, seen in self._observed.items() if isinstance(seen, Present)]
        here = [a for a in [*there, *(u.address for u in (*self._units, *coming))] if a.workload_key == key]
        # What could not be read may still be there: then nothing is taken out.
        inventory = before[0] if before and self._seen.unseen else Inventory(key, namespace)
        inventory = inventory.including(here)
        try:
            if inventory not in before:
                reach.api.apply(inventory.path, inventory.manifest(self._site.estate_id), force=True)
        except RefusedError as refused:
            return dict.fromkeys({namespace}, f"cannot write the inventory of {key}: {refused.message}")
        return {}

    def _tidy(self, reach: _Reach, changes: Sequence[Change], outcomes: Sequence[Outcome]) -> None:
        """Remove inventories, stacks and namespaces of ours that nothing is left in; what cannot be, another time."""
        done = {outcome.address for outcome in outcomes if outcome.result == Result.DONE}
        deleted = {c.address for c in changes if c.action == Action.DELETE and c.address in done}
        there = {address for address, seen in self._observed.items() if not isinstance(seen, Absent)}
        left = {a.workload_key for a in (there | done) - deleted}
        own = {change.address.workload_key for change in changes}
        declared = {unit.address.workload_key for unit in self._units} - own
        homes = {u.address.workload_key: str(u.spec["namespace"]) for u in self._units}
        emptied = {split_name(address.name)[0] for address in deleted}
        try:
            for inventory in self._inventories(own, homes):
                key = inventory.workload
                moved = key in left and homes.get(key, inventory.namespace) != inventory.namespace
                if (key not in left | declared) or (moved and key in own):
                    self._remove_inventory(reach, inventory)
                    emptied.add(inventory.namespace)
                if key not in left | declared:
                    self._stack(key).remove()
            used = {split_name(a.name)[0] for a in (there | done) - deleted}
            reach.namespaces.remove_empty(emptied - used - {""})
        except (RefusedError, UnreachedError):
            return

    def _inventories(self, own: Iterable[WorkloadKey], homes: Mapping[WorkloadKey, str]) -> list[Inventory]:
        """Those that were seen, and those that may have been written since."""
        seen = list(self._seen.inventories)
        known = {(i.workload, i.namespace) for i in seen}
        return seen + [Inventory(key, homes[key]) for key in own if key in homes and (key, homes[key]) not in known]

    def _remove_inventory(self, reach: _Reach, inventory: Inventory) -> None:
        live = reach.api.find(inventory.path)
        if live is not None and estate_of(live) == self._site.estate_id:
            reach.api.delete(inventory.path, uid=str(metadata(live).get("uid")))

    def _stack(self, key: WorkloadKey) -> Stack:
        from orchestrator.modes.agile.stacks.stack import Stack

        return Stack(key, self._site.scratch / "stacks")

    def drift(self, units: Sequence[Unit]) -> dict[Address, Drift]:
        """What is otherwise than these programs have left it, by the engine's refresh. Raises DriverError."""
        return self._programs(self._reach()).drift(units)

    def hand_over(self, address: Address, unit: Unit | None, arguments: Sequence[str]) -> int:
        """Run pulumi for a program's stack, for a person; its exit code. The site's lease is its caller's.

        Raises DriverError where it cannot be run.
        """
        try:
            reach = self._reach()
        except UnreachedError as unreached:
            raise DriverError(unreached.cause) from None

        def prepare(address: Address, namespace: str) -> str:
            coming = Change(address, Action.UPDATE, "by hand", unit=unit)
            return self._prepare(reach, [coming]).get(namespace, "") if unit else ""

        return self._programs(reach).hand_over(address, unit, arguments, prepare)

    def take(self, lease: Lease) -> Lease | None:
        """See `Driver.take`. A cluster that cannot be reached has no lease taken: nothing is changed there either."""
        try:
            self._other, self._untaken = self._leases().take(lease), None
        except UnreachedError:
            self._untaken = lease
        return self._other

    def release(self, lease: Lease) -> None:
        """See `Driver.release`. One that cannot be taken off runs out."""
        self._untaken = None
        with contextlib.suppress(UnreachedError, RefusedError):
            if self._made is not None:
                self._made.namespaces.wait()
        with contextlib.suppress(UnreachedError, DriverError):
            self._leases().release(lease)

    def unlock(self) -> None:
        """Take the lease off the cluster, whosever it is. Raises DriverError where that cannot be done."""
        try:
            self._leases().remove()
        except UnreachedError as unreached:
            raise DriverError(unreached.cause, hint="unlock it again when the cluster can be reached") from None

    def _without_lease(self) -> Outcome | None:
        """Why nothing may be changed: the lease could not be taken before, and cannot now, or is another's by now."""
        anything = Address(self._site.site, "-", Mode.AGILE, "-", "-", "-")
        if self._untaken is not None and self.take(self._untaken) is None and self._untaken is not None:
            return Outcome(anything, Result.UNREACHABLE, "the cluster cannot be reached")
        if self._other is not None:
            return Outcome(
                anything, Result.FAILED, f"not started: the site is being applied to by {shown(self._other.holder)}"
            )
        return None

    def spent(self) -> Tally:
        """See `Driver.spent`."""
        requests = self._made.api.requests if self._made else 0
        programs = self._made_programs.runs if self._made_programs else 0
        return Tally(requests=requests, pulumi_runs=self._pulumi_runs + programs)

    def close(self) -> None:
        """End the connections, and whoever still waits."""
        self._closing.set()
        if self._made_programs:
            self._made_programs.end()
        if self._watch is not None:
            self._watch.close()
        if self._made:
            self._made.connection.close()

    def _programs(self, reach: _Reach) -> Programs:
        """Made once they are first needed: they import Pulumi."""
        from orchestrator.modes.agile.programs.programs import Programs

        with self._lock:
            if self._made_programs is None:
                self._made_programs = Programs(self._site, reach.api, reach.kinds, self._closing)
            return self._made_programs

    def _leases(self) -> Leases:
        return Leases(self._reach().api, self._site.estate_id, self._site.site, time.time)

    def _access(self) -> kubeconfig.Access:
        site = self._site
        if site.kubeconfig is None:
            return incluster.access()
        return kubeconfig.read(site.kubeconfig, site.context, site.allowed_exec)

    def _reach(self) -> _Reach:
        """Raises UnreachedError for a kubeconfig that cannot be used; it is read again the next time."""
        site = self._site
        with self._lock:
            if self._made is None:
                try:
                    connection = Connection(self._access(), site.scratch)
                except DriverError as error:
                    raise UnreachedError(str(error)) from None
                api = Api(connection, self._closing)
                kinds = Kinds(api, site.scratch)
                comparer = Comparer(api, kinds, site.estate_id, site.scrub)
                actor = Actor(api, kinds, comparer, site.estate_id, site.scrub, self._closing)
                namespaces = Namespaces(api, kinds, site.estate_id, self._closing)
                self._made = _Reach(connection, api, kinds, comparer, actor, namespaces)
            return self._made


def _without_programs(units: Sequence[Unit], known: Sequence[Record]) -> tuple[list[Unit], list[Record]]:
    """What stands for objects of the cluster."""
    return [u for u in units if u.address.kind != PROGRAM], [r for r in known if r.address.kind != PROGRAM]

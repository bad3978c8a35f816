"""The store of one estate: records, the journal, leases, outputs and places. Never a secret: values come in masked."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from orchestrator.errors import UsageError
from orchestrator.model.address import Address, WorkloadKey
from orchestrator.model.change import Change, Plan
from orchestrator.model.history import RunRow, StateRow
from orchestrator.model.outcome import Lease, Outcome
from orchestrator.model.record import Record
from orchestrator.model.revision import Good, PinRow, Revision
from orchestrator.model.values import masked
from orchestrator.planning import saved
from orchestrator.state import journal, leases, revisions, schema, stacks
from orchestrator.state.database import Database, state_folder

_RECORDS = select(*(schema.records.c[each.name] for each in fields(Record))).order_by(schema.records.c.address)
_PUT_RECORD, _PUT_LOG = schema.put(schema.records), schema.put(schema.logs)
_PUT_OUTPUTS, _PUT_PLACE = schema.put(schema.outputs), schema.put(schema.places)
_FORGET = delete(schema.records).where(schema.records.c.address == bindparam("forgotten"))
_BEGIN_RUN, _INTEND = insert(schema.runs), insert(schema.steps)
_FINISH = update(schema.steps).where(schema.steps.c.step == bindparam("finished"))


def open_store(root: Path, *, clock: Callable[[], float] = time.time) -> Store:
    """The store of the estate at `root`, made or migrated where needed. Raises StateError."""
    return Store(Database(state_folder(root)), clock)


class Store:
    """What is remembered of an estate. Every write is on the disk when its call returns; threads may share it.

    Writes of a run carry its site's lease: with one that is another's by now they raise LeaseHeldError and write
    nothing. All calls raise StateError where the database cannot be used.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def now(self) -> float:
        """The time by the store's clock, in seconds since the epoch."""
        return self._clock()

    @contextmanager
    def together(self) -> Iterator[None]:
        """What this thread writes in the block is written at its end, all of it or nothing."""
        with self._database.writing():
            yield

    # records

    def records(self, site: str | None = None) -> dict[Address, Record]:
        """What is remembered of units, of one site or of all."""
        query = _RECORDS
        if site is not None:
            query = query.where(schema.records.c.site == site)
        with self._database.reading() as connection:
            found = [Record(Address.parse(row[0]), *row[1:]) for row in connection.execute(query)]
        return {record.address: record for record in found}

    def save(self, record: Record, lease: Lease | None) -> None:
        """Remember a unit.

        Without a lease the writer has only looked: while somebody applies to the site, nothing is written.
        """
        values = _row(record)
        with self._database.writing() as connection:
            if self._may_write(connection, record.address.site, lease):
                connection.execute(_PUT_RECORD, values)

    def forget(self, address: Address, lease: Lease | None) -> None:
        """Drop what is remembered of a unit; without a lease as in `save`."""
        with self._database.writing() as connection:
            if self._may_write(connection, address.site, lease):
                connection.execute(_FORGET, {"forgotten": str(address)})

    # the journal

    def begin_run(self, kind: str, shown: Plan, holder: str = "") -> int:
        """Write down that a run begins, what was agreed to and who carries it out (as `take` names it); its number."""
        planned = saved.save(replace(shown, changes=shown.acting))
        values = {
            "kind": kind,
            "started": self._clock(),
            "result": "",
            "counts": {},
            "planned": planned,
            "holder": holder,
        }
        with self._database.writing() as connection:
            return _number(connection.execute(_BEGIN_RUN, values).inserted_primary_key)

    def intend(self, run: int, change: Change, lease: Lease, *, step: str = "") -> int:
        """Write down that a step is about to be taken; its number. It may be taken once this has returned.

        `step` names one that is no action of a plan.
        """
        values = {
            "run": run,
            "address": str(change.address),
            "site": change.address.site,
            "action": step or str(change.action),
            "reason": change.reason,
            "wave": change.wave,
            "started": self._clock(),
            "result": "",
            "message": "",
            "task": "",
            "place": "",
        }
        with self._database.writing() as connection:
            leases.check(connection, lease)
            return _number(connection.execute(_INTEND, values).inserted_primary_key)

    def finish(self, step: int, outcome: Outcome, lease: Lease) -> None:
        """Write down what became of a step."""
        values = {
            "ended": self._clock(),
            "result": str(outcome.result),
            "message": outcome.message,
            "task": outcome.task,
            "place": outcome.where,
        }
        with self._database.writing() as connection:
            leases.check(connection, lease)
            connection.execute(_FINISH, {"finished": step, **values})
            if outcome.log:
                connection.execute(_PUT_LOG, {"step": step, "text": outcome.log})

    def end_run(self, run: int, result: str, counts: Mapping[str, int]) -> None:
        """Write down how a run has ended: `done`, `failed` or `interrupted`."""
        values = {"ended": self._clock(), "result": result, "counts": dict(counts)}
        with self._database.writing() as connection:
            connection.execute(update(schema.runs).where(schema.runs.c.run == run).values(values))

    def runs(self, limit: int) -> list[RunRow]:
        """The last runs, newest first, without their steps."""
        with self._database.reading() as connection:
            return journal.newest(connection, limit, self._clock())

    def run(self, number: int) -> RunRow:
        """One run with its steps. Raises UsageError where there is none."""
        with self._database.reading() as connection:
            found = journal.one(connection, number, self._clock())
        if found is None:
            raise UsageError(f"there is no run {number}", hint="orchestrator history lists them")
        return found

    def last_runs(self) -> dict[str, RunRow]:
        """The last run that took a step at each site, by the site's name."""
        with self._database.reading() as connection:
            return journal.last_by_site(connection, self._clock())

    def unfinished(self) -> list[RunRow]:
        """Runs whose process is gone without an end, each with the steps that were begun and never ended."""
        with self._database.reading() as connection:
            return journal.unfinished(connection, self._clock())

    def planned(self, run: int) -> dict[str, Any]:
        """What was agreed to for a run, in the form of a saved plan."""
        with self._database.reading() as connection:
            return dict(connection.execute(select(schema.runs.c.planned).where(schema.runs.c.run == run)).scalar_one())

    def snapshots(self, site: str) -> dict[Address, tuple[str, str]]:
        """Machines with snapshots that are not known to be dropped -> the last step about them and its result."""
        with self._database.reading() as connection:
            return journal.snapshots(connection, site)

    def log(self, run: int, address: str) -> str | None:
        """The full text of a run's last step at an address."""
        query = (
            select(schema.logs.c.text)
            .join(schema.steps, schema.steps.c.step == schema.logs.c.step)
            .where(schema.steps.c.run == run, schema.steps.c.address == address)
            .order_by(schema.steps.c.step.desc())
        )
        with self._database.reading() as connection:
            return connection.execute(query.limit(1)).scalar()

    # revisions and pins

    def keep(self, run: int, revision: Revision, workloads: Iterable[WorkloadKey]) -> None:
        """Keep what a placement was resolved from, and which workloads a run has left as it wants them.

        Of each workload at each site the last ten different revisions are kept, and those that something is pinned to.
        """
        with self._database.writing() as connection:
            dropped = revisions.keep(connection, run, revision, workloads)
        for digest in dropped:
            shutil.rmtree(self.folder_of(digest), ignore_errors=True)

    def folder_of(self, revision: str) -> Path:
        """Where a revision's files lie while something is pinned to it; the folder is there or not."""
        return self._database.path.parent / "revisions" / revision

    def goods(self, placement: str, *, whole: bool = False) -> list[Good]:
        """What was left as a revision of a placement wanted it, newest first; `whole`: only by runs that were done."""
        with self._database.reading() as connection:
            return revisions.goods(connection, placement, whole=whole)

    def revision(self, digest: str) -> Mapping[str, Any]:
        """A revision's data, as `Revision.data`. Raises StateError where it is not kept."""
        with self._database.reading() as connection:
            return revisions.revision_data(connection, digest)

    def content(self, digest: str) -> bytes:
        """The content of a file of a revision. Raises StateError where it is not kept."""
        with self._database.reading() as connection:
            return revisions.content(connection, digest)

    def pin(self, row: PinRow) -> None:
        """Let a placement, or a workload of it at a site, stay at a revision; a placement's pin replaces its others."""
        with self._database.writing() as connection:
            revisions.pin(connection, row)

    def unpin(self, placement: str) -> None:
        """End all pins of a placement."""
        with self._database.writing() as connection:
            revisions.unpin(connection, placement)

    def pins(self) -> list[PinRow]:
        """All pins."""
        with self._database.reading() as connection:
            return revisions.pins(connection)

    # leases

    def take(self, site: str, holder: str, run: int, ttl: float) -> Lease:
        """The right to change a site, for `ttl` seconds unless renewed.

        A holder `user@host pid N started T` of this machine that has died loses its lease at once. Raises
        LeaseHeldError, saying who and since when.
        """
        now = self._clock()
        with self._database.writing() as connection:
            return leases.take(connection, Lease(site, holder, run, 0, now, now + ttl))

    def renew(self, lease: Lease, ttl: float) -> Lease:
        """The same lease for `ttl` seconds from now. Raises LeaseHeldError where it is another's by now."""
        with self._database.writing() as connection:
            return leases.renew(connection, lease, self._clock() + ttl)

    def release(self, lease: Lease) -> None:
        """Give a lease back; nothing happens if it is another's by now."""
        with self._database.writing() as connection:
            leases.release(connection, lease)

    def lease(self, site: str) -> Lease | None:
        """Who has a site, dead or alive."""
        with self._database.reading() as connection:
            return leases.held(connection, site)

    def unlock(self, site: str) -> None:
        """Take a site's lease from its holder, whose next write fails."""
        with self._database.writing() as connection:
            leases.unlock(connection, site)

    # the states of stacks

    def save_state(self, key: WorkloadKey, serial: int, packed: bytes, about: Mapping[str, Any]) -> None:
        """Keep a state of a workload's stack, compressed; `about` tells of it. The last ones of each are kept."""
        with self._database.writing() as connection:
            stacks.save(connection, key, serial, packed, about, self._clock())

    def newest_state(self, key: WorkloadKey) -> tuple[int, bytes, Mapping[str, Any]] | None:
        """The last state of a workload's stack: its serial, the state, what tells of it."""
        with self._database.reading() as connection:
            return stacks.newest(connection, key)

    def states(self, key: str | None = None, since: float = 0.0, until: float = math.inf) -> list[StateRow]:
        """The states that were kept of one stack (or of all) in a time, newest first."""
        with self._database.reading() as connection:
            return stacks.listed(connection, key, since, until)

    def state(self, number: int) -> bytes | None:
        """One state, compressed."""
        with self._database.reading() as connection:
            return stacks.content(connection, number)

    # outputs and places

    def save_outputs(self, site: str, placement: str, values: Mapping[str, Any]) -> None:
        """Remember what a placement at a site tells the world; secrets are masked."""
        row = {"site": site, "placement": placement, "values": masked(dict(values))}
        with self._database.writing() as connection:
            connection.execute(_PUT_OUTPUTS, row)

    def outputs(self) -> dict[tuple[str, str], dict[str, Any]]:
        """What placements last told, by site and placement."""
        with self._database.reading() as connection:
            rows = connection.execute(select(schema.outputs)).all()
        return {(row.site, row.placement): row._mapping["values"] for row in rows}

    def remember_place(self, site: str, data: Mapping[str, Any]) -> None:
        """Remember how a site is reached: references to secrets, never secrets."""
        row = {"site": site, "data": masked(dict(data))}
        with self._database.writing() as connection:
            connection.execute(_PUT_PLACE, row)

    def places(self) -> dict[str, dict[str, Any]]:
        """How sites are, or were, reached."""
        with self._database.reading() as connection:
            rows = connection.execute(select(schema.places.c.site, schema.places.c.data)).all()
        return {row.site: row.data for row in rows}

    def _may_write(self, connection: Connection, site: str, lease: Lease | None) -> bool:
        if lease is not None:
            leases.check(connection, lease)
            return True
        return not leases.is_held(connection, site, self._clock())


def _row(record: Record) -> dict[str, Any]:
    return {
        "address": str(record.address),
        "site": record.address.site,
        "digest": record.digest,
        "identity": record.identity,
        "inputs": masked(dict(record.inputs)),
        "facts": masked(dict(record.facts)),
        "spec": masked(dict(record.spec)),
        "uid": record.uid,
        "blueprint": record.blueprint,
        "protected": record.protected,
        "run": record.run,
        "seen_at": record.seen_at,
    }


def _number(key: Any) -> int:
    return int(key[0])

"""Revisions by their digests, the workloads that runs have left as they wanted it, and pins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, func, insert, select

from orchestrator.errors import StateError
from orchestrator.model.address import Mode, WorkloadKey
from orchestrator.model.revision import Good, PinRow, Revision
from orchestrator.state import schema

MOST_KEPT = 10  # different revisions of each workload at each site

_WORKLOAD = ("site", "placement", "mode", "workload")
_GOODS = schema.goods.c
_OF_IT = and_(*(_GOODS[name] == bindparam(f"its_{name}") for name in _WORKLOAD))
_LAST = select(_GOODS.revision).where(_OF_IT).group_by(_GOODS.revision).order_by(func.max(_GOODS.good).desc())
# where a workload was left as revisions wanted it that are older than its last few different ones
_FORGET_OLD = delete(schema.goods).where(_OF_IT, _GOODS.revision.not_in(_LAST.limit(MOST_KEPT)))
_PUT_CONTENT, _PUT_PIN = schema.put(schema.contents), schema.put(schema.pins)
_IN_HISTORY = "take it from the history of the estate's own folder"


def keep(connection: Connection, run: int, revision: Revision, workloads: Iterable[WorkloadKey]) -> list[str]:
    """Write a revision down, once, and which workloads are as it wants them; the revisions that are dropped for it."""
    known = select(schema.revisions.c.digest).where(schema.revisions.c.digest == revision.digest)
    if connection.execute(known).first() is None:
        for digest, content in revision.contents.items():
            connection.execute(_PUT_CONTENT, {"digest": digest, "content": content})
        connection.execute(insert(schema.revisions), {"digest": revision.digest, "data": dict(revision.data)})
    if rows := [{name: str(getattr(key, name)) for name in _WORKLOAD} for key in workloads]:
        connection.execute(insert(schema.goods), [{"run": run, "revision": revision.digest, **row} for row in rows])
        connection.execute(_FORGET_OLD, [{f"its_{name}": value for name, value in row.items()} for row in rows])
    return _drop_unused(connection)


def _drop_unused(connection: Connection) -> list[str]:
    """Drop the revisions that nothing was left at and nothing is pinned to, with the files that no other one has."""
    revisions = schema.revisions
    used = select(schema.goods.c.revision).union(select(schema.pins.c.revision))
    unused = list(connection.execute(select(revisions).where(revisions.c.digest.not_in(used))))
    if not unused:
        return []
    gone = [row.digest for row in unused]
    connection.execute(delete(revisions).where(revisions.c.digest.in_(gone)))
    left = {digest for data in connection.execute(select(revisions.c.data)).scalars() for digest in _files(data)}
    files = {digest for row in unused for digest in _files(row.data)} - left
    for digest in files:
        connection.execute(delete(schema.contents).where(schema.contents.c.digest == digest))
    return gone


def _files(data: Mapping[str, Any]) -> Iterator[str]:
    """The digests of a revision's files."""
    return (str(file["digest"]) for file in data["blueprint"]["files"].values())


def goods(connection: Connection, placement: str, *, whole: bool) -> list[Good]:
    """What runs have left as a revision of a placement wanted it, newest first; `whole`: of runs that were done."""
    query = (
        select(schema.goods, schema.runs.c.result, schema.runs.c.ended)
        .join(schema.runs, schema.runs.c.run == schema.goods.c.run)
        .where(schema.goods.c.placement == placement)
        .order_by(schema.goods.c.good.desc())
    )
    return [
        Good(
            run=row.run,
            workload=WorkloadKey(row.site, row.placement, Mode(row.mode), row.workload),
            revision=row.revision,
        )
        for row in connection.execute(query)
        if row.result == "done" or not whole
    ]


def revision_data(connection: Connection, digest: str) -> Mapping[str, Any]:
    """A revision's data. Raises StateError where it is not kept."""
    query = select(schema.revisions.c.data).where(schema.revisions.c.digest == digest)
    found: Mapping[str, Any] | None = connection.execute(query).scalar()
    if found is None:
        raise StateError(f"the revision {digest} is not kept any more", hint=_IN_HISTORY)
    return found


def content(connection: Connection, digest: str) -> bytes:
    """A file's content. Raises StateError where it is not kept."""
    query = select(schema.contents.c.content).where(schema.contents.c.digest == digest)
    found: bytes | None = connection.execute(query).scalar()
    if found is None:
        raise StateError(f"the content {digest} is not kept any more", hint=_IN_HISTORY)
    return found


def pin(connection: Connection, row: PinRow) -> None:
    """Pin a placement (which ends its workloads' own pins), or a workload."""
    if not row.workload:
        unpin(connection, row.placement)
    connection.execute(_PUT_PIN, asdict(row))


def unpin(connection: Connection, placement: str) -> None:
    """End all pins of a placement."""
    connection.execute(delete(schema.pins).where(schema.pins.c.placement == placement))


def pins(connection: Connection) -> list[PinRow]:
    """All pins."""
    query = select(schema.pins).order_by(*schema.pins.primary_key.columns)
    return [PinRow(**row._asdict()) for row in connection.execute(query)]

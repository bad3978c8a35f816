"""How much of what is managed can be verified: a line for each workload of which a part cannot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.cli.views import text as t
from orchestrator.model.address import PROGRAM
from orchestrator.model.change import Change
from orchestrator.model.observation import Coverage, Present


@dataclass(frozen=True, slots=True)
class WorkloadCoverage:
    """One workload's coverage: of the host where it is lowest; the unverified tasks are those of all its hosts.

    what  `task`, or `resource` of a Pulumi program
    """

    site: str
    placement: str
    workload: str
    what: str
    coverage: Coverage


def coverages(changes: Iterable[Change]) -> list[WorkloadCoverage]:
    """The coverage of each workload whose hosts were seen, in order."""
    found: dict[tuple[str, str, str, str], list[Coverage]] = {}
    for change in changes:
        if isinstance(change.seen, Present) and change.seen.coverage is not None:
            a = change.address
            what = "resource" if a.kind == PROGRAM else "task"
            found.setdefault((a.site, a.placement, a.workload, what), []).append(change.seen.coverage)
    return [WorkloadCoverage(*key, _together(each)) for key, each in sorted(found.items())]


def _together(hosts: Sequence[Coverage]) -> Coverage:
    lowest = min(hosts, key=lambda one: one.verified / one.total if one.total else 1.0)
    return Coverage(lowest.verified, lowest.total, tuple(sorted({name for one in hosts for name in one.unverified})))


def coverage_lines(found: Iterable[WorkloadCoverage]) -> list[str]:
    """`shanghai-dc  shop  orders-db  23 of 25 tasks verifiable; not: Migrate, Warm up`"""
    return [
        t.clean(f"{one.site}  {one.placement}  {one.workload}  {_counts(one)}")
        for one in found
        if one.coverage.unverified
    ]


def _counts(one: WorkloadCoverage) -> str:
    of = one.coverage
    if one.what == "resource":
        return f"{t.counted(of.total, 'resource')} of a program: only `drift --deep` asks its providers"
    return f"{of.verified} of {t.counted(of.total, 'task')} verifiable; not: {', '.join(of.unverified)}"


def coverage_data(found: Iterable[WorkloadCoverage]) -> list[dict[str, Any]]:
    """`[{"site", "placement", "workload", "verified", "total", "unverified"}]`"""
    return [
        {
            "site": one.site,
            "placement": one.placement,
            "workload": one.workload,
            "verified": one.coverage.verified,
            "total": one.coverage.total,
            "unverified": list(one.coverage.unverified),
        }
        for one in found
    ]

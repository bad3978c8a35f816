"""How everything is: a line for each placement at each site."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.cli.views import text as t
from orchestrator.cli.views.coverage import WorkloadCoverage, coverage_data, coverage_lines, coverages
from orchestrator.cli.views.history import mark, time_text
from orchestrator.model.address import Mode
from orchestrator.model.change import Action, Change, Plan
from orchestrator.model.history import RunRow
from orchestrator.model.observation import Unreachable
from orchestrator.model.revision import PinRow
from orchestrator.timetext import ago

_HEAD = ("SITE", "PLACEMENT", "STABLE", "AGILE", "LAST RUN", "SEEN")
_NONE = "–"

# In the order in which a cell names them.
_WORDS = ("ok", "drifted", "to change", "known later", "not ready", "conflict", "held")


@dataclass(frozen=True, slots=True)
class StatusRow:
    """One placement at one site.

    stable, agile  how many units are in which state, by the words of `_WORDS`
    last           the last run that touched the site
    seen_at        when the targets last answered; None: never
    reachable      whether anything answered this time
    """

    site: str
    placement: str
    stable: Mapping[str, int]
    agile: Mapping[str, int]
    last: RunRow | None
    seen_at: float | None
    reachable: bool
    now: float
    coverage: tuple[WorkloadCoverage, ...] = ()


def rows(plan: Plan, last_runs: Mapping[str, RunRow], now: float) -> list[StatusRow]:
    """The rows of a plan. `last_runs` has the last run of each site; `now` is seconds since the epoch."""
    places: dict[tuple[str, str], list[Change]] = {}
    for change in plan.changes:
        places.setdefault((change.address.site, change.address.placement), []).append(change)
    return [
        StatusRow(
            site=site,
            placement=placement,
            stable=_counts(changes, Mode.STABLE),
            agile=_counts(changes, Mode.AGILE),
            last=last_runs.get(site),
            seen_at=_seen_at(changes),
            reachable=not all(isinstance(change.seen, Unreachable) for change in changes),
            now=now,
            coverage=tuple(coverages(changes)),
        )
        for (site, placement), changes in sorted(places.items())
    ]


def render(found: Sequence[StatusRow], output: str, pins: Sequence[PinRow] = ()) -> str:
    """The rows as `table` or `json`, and what is pinned."""
    if output == "json":
        return json.dumps({**status_data(found), "pins": [_pin_data(pin) for pin in pins]}, ensure_ascii=False)
    if not found:
        return "Nothing is placed anywhere: no placement picks a site."
    places = [f"{pin.site}  {pin.placement}" if pin.site else pin.placement for pin in pins]
    told = [t.clean(f"{place}  {pin.told}") for place, pin in zip(places, pins, strict=True)]
    known = coverage_lines(one for row in found for one in row.coverage)
    return "\n".join([t.table(_HEAD, [_cells(row) for row in found]), *told, *known])


def _pin_data(pin: PinRow) -> dict[str, Any]:
    whole = {"placement": pin.placement, "run": pin.run, "since": time_text(pin.since), "why": pin.why}
    return {**whole, "site": pin.site or None, "mode": pin.mode or None, "workload": pin.workload or None}


def status_data(found: Sequence[StatusRow]) -> dict[str, Any]:
    """`{"placements": [{"site", "placement", "stable", "agile", "last_run", "reachable", "seen", "coverage"}]}`"""
    return {
        "placements": [
            {
                "site": row.site,
                "placement": row.placement,
                "stable": dict(row.stable),
                "agile": dict(row.agile),
                "last_run": {"run": row.last.run, "result": row.last.result} if row.last else None,
                "reachable": row.reachable,
                "seen": time_text(row.seen_at) if row.seen_at else None,
                "coverage": coverage_data(row.coverage),
            }
            for row in found
        ]
    }


def _counts(changes: Iterable[Change], mode: Mode) -> dict[str, int]:
    found = Counter(word_of(change) for change in changes if change.address.mode == mode)
    return {word: found[word] for word in _WORDS if found[word]}


def word_of(change: Change) -> str:
    """How a unit is, by one of the words of `_WORDS`."""
    match change.action:
        case Action.NONE:
            return "ok"
        case Action.HOLD:
            return "held"
        case Action.CONFLICT:
            return "conflict"
        case Action.WAIT:
            return "not ready"
        case Action.LATER:
            return "known later"
        case _:
            return "drifted" if change.drift else "to change"


def _seen_at(changes: Iterable[Change]) -> float | None:
    """When the oldest of what was seen was seen; of what does not answer, when it last did."""
    times = []
    for change in changes:
        if change.seen is not None and not isinstance(change.seen, Unreachable):
            times.append(change.seen.seen_at)
        elif change.record is not None:
            times.append(change.record.seen_at)
    return min((time for time in times if time), default=None)


def _cells(row: StatusRow) -> tuple[str, ...]:
    last = f"{row.last.run} {mark(row.last.result)} {ago(row.now - row.last.started)}" if row.last else _NONE
    return (row.site, row.placement, _cell(row.stable), _cell(row.agile), last, _seen(row))


def _cell(counts: Mapping[str, int]) -> str:
    return " ".join(f"{count} {word}" for word, count in counts.items()) or _NONE


def _seen(row: StatusRow) -> str:
    seen = ago(row.now - row.seen_at) if row.seen_at else ""
    if row.reachable:
        return seen or _NONE
    return f"unreachable, last seen {seen}" if seen else "unreachable"

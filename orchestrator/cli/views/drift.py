"""What is not as it was left: a line for each, and the sum."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from orchestrator.cli.views import text as t
from orchestrator.cli.views.coverage import coverage_data, coverage_lines, coverages
from orchestrator.cli.views.history import time_text
from orchestrator.cli.views.plan import difference_text, held_text, labels, plan_data
from orchestrator.model.change import Action, Change, Plan, in_order
from orchestrator.model.observation import Present

_MOST = 10


def render(plan: Plan, output: str, whole: Plan | None = None) -> str:
    """A plan that has only what drifted or could not be seen, as `table`, `json` (the plan's shape) or `name`.

    `whole` is the plan with all units: it tells what can be verified, and what comes and goes.
    """
    every = (whole or plan).changes
    if output == "json":
        more = {"coverage": coverage_data(coverages(every)), "flapping": _flapping_data(every)}
        more |= {"restarted": _restarted_data(every)}
        return json.dumps(plan_data(plan) | more, ensure_ascii=False)
    if output == "name":
        return "\n".join(str(change.address) for change in in_order(plan.changes) if change.drift)
    return drift_text(plan, every)


def drift_text(plan: Plan, every: Sequence[Change] = ()) -> str:
    """One line for each drifted unit and field, one for each cause why units could not be seen, and the sum."""
    changes = [change for change in in_order(plan.changes) if change.shown]
    names = labels(plan.changes)
    seen = [change for change in changes if change.action != Action.HOLD]
    heads = [(c.address.site, c.address.placement, str(c.address.mode), names[c.address]) for c in seen]
    lines = _aligned([(head, line) for c, head in zip(seen, heads, strict=True) for line in details(c)])
    known = [*coverage_lines(coverages(every)), *_flapping_lines(every), *_restarted_lines(every)]
    return "\n".join([*lines, *_unseen(changes), *known, _sum(plan, changes)])


def _flapping_lines(changes: Iterable[Change]) -> list[str]:
    return [
        t.clean(f"{change.address}: {one.path} came {one.times} times in the last {one.looks} looks; to leave it out: ")
        + t.clean(f"configure.ignore: [{json.dumps(one.path, ensure_ascii=False)}]")
        for change in changes
        if isinstance(change.seen, Present)
        for one in change.seen.flapping
    ]


def _flapping_data(changes: Iterable[Change]) -> list[dict[str, Any]]:
    return [
        {"address": str(change.address), "path": one.path, "times": one.times, "looks": one.looks}
        for change in changes
        if isinstance(change.seen, Present)
        for one in change.seen.flapping
    ]


def _restarted_lines(changes: Iterable[Change]) -> list[str]:
    return [
        t.clean(f"{change.address}: {one.what} was started again at {_minute(one.at)}{_by_itself(one.itself)}")
        for change in changes
        if isinstance(change.seen, Present)
        for one in change.seen.restarted
    ]


def _by_itself(times: int) -> str:
    return f" ({t.counted(times, 'time')} by systemd itself)" if times else ""


def _restarted_data(changes: Iterable[Change]) -> list[dict[str, Any]]:
    return [
        {"address": str(change.address), "what": one.what, "at": time_text(one.at), "itself": one.itself}
        for change in changes
        if isinstance(change.seen, Present)
        for one in change.seen.restarted
    ]


def details(change: Change) -> list[str]:
    """What drifted, field by field as it was left and as it is; else the reason why it is listed."""
    if not change.drift or not change.differences:
        lines = [t.clean(change.reason)]
    else:
        lines = [_drifted(change, i) for i in range(min(len(change.differences), _MOST))]
        if len(change.differences) > _MOST:
            lines.append(f"and {len(change.differences) - _MOST} more: -o json has them all")
    return lines


def _drifted(change: Change, index: int) -> str:
    """Drift reads from how it was left to how it is, the other way round than what a plan will do about it."""
    difference = change.differences[index]
    text = difference_text(replace(difference, old=difference.new, new=difference.old))
    return f"{text}, {_since(*difference.since)}" if difference.since else text


def _since(first: float, last: float) -> str:
    """`since 2026-11-23 21:47`, or `since between … and …`, in local time."""
    times = list(dict.fromkeys((_minute(first), _minute(last))))
    return f"since {times[0]}" if len(times) == 1 else f"since between {times[0]} and {times[1]}"


def _minute(time: float) -> str:
    return f"{datetime.fromtimestamp(time):%Y-%m-%d %H:%M}"


def _aligned(rows: list[tuple[tuple[str, ...], str]]) -> list[str]:
    if not rows:
        return []
    widths = [max(t.width_of(t.clean(head[i])) for head, _ in rows) for i in range(len(rows[0][0]))]
    before: tuple[str, ...] = ()
    lines = []
    for head, text in rows:
        cells = [t.padded("" if head == before else t.clean(c), w) for c, w in zip(head, widths, strict=True)]
        lines.append("  ".join([*cells, text]))
        before = head
    return lines


def _unseen(changes: list[Change]) -> list[str]:
    causes: dict[tuple[str, str], int] = {}
    for change in changes:
        if change.action == Action.HOLD:
            key = (change.address.site, change.reason)
            causes[key] = causes.get(key, 0) + 1
    return [f"{t.clean(site)}  {held_text(count, why)}" for (site, why), count in causes.items()]


def _sum(plan: Plan, changes: list[Change]) -> str:
    """`2 units drifted at 1 site; 45 as declared; 1 could not be seen.`"""
    drifted = [change for change in changes if change.drift]
    unseen = sum(change.action == Action.HOLD for change in changes)
    others = len(changes) - len(drifted) - unseen
    parts = [_count(drifted)]
    if others:
        parts.append(f"{others} not ready")
    parts.append(f"{max(0, plan.tally.units - len(changes))} as they were left")
    if unseen:
        parts.append(f"{unseen} could not be seen")
    return "; ".join(parts) + "."


def _count(drifted: list[Change]) -> str:
    if not drifted:
        return "Nothing drifted"
    sites = len({change.address.site for change in drifted})
    return f"{t.counted(len(drifted), 'unit')} drifted at {t.counted(sites, 'site')}"

"""What is not as it was left: a line for each, and the sum."""

from __future__ import annotations

import json
from dataclasses import replace

from orchestrator.cli.views import text as t
from orchestrator.cli.views.plan import difference_text, held_text, labels, plan_data
from orchestrator.model.change import Action, Change, Plan, in_order
from orchestrator.model.observation import Present

_MOST = 10


def render(plan: Plan, output: str) -> str:
    """A plan that has only what drifted or could not be seen, as `table`, `json` (the plan's shape) or `name`."""
    if output == "json":
        return json.dumps(plan_data(plan), ensure_ascii=False)
    if output == "name":
        return "\n".join(str(change.address) for change in in_order(plan.changes) if change.drift)
    return drift_text(plan)


def drift_text(plan: Plan) -> str:
    """One line for each drifted unit and field, one for each cause why units could not be seen, and the sum."""
    changes = [change for change in in_order(plan.changes) if change.shown]
    names = labels(plan.changes)
    seen = [change for change in changes if change.action != Action.HOLD]
    heads = [(c.address.site, c.address.placement, str(c.address.mode), names[c.address]) for c in seen]
    lines = _aligned([(head, line) for c, head in zip(seen, heads, strict=True) for line in details(c)])
    return "\n".join([*lines, *_unseen(changes), _sum(plan, changes)])


def details(change: Change) -> list[str]:
    """What drifted, field by field as it was left and as it is; else the reason why it is listed."""
    if not change.drift or not change.differences:
        lines = [t.clean(change.reason)]
    else:
        lines = [_drifted(change, i) for i in range(min(len(change.differences), _MOST))]
        if len(change.differences) > _MOST:
            lines.append(f"and {len(change.differences) - _MOST} more: -o json has them all")
    coverage = change.seen.coverage if isinstance(change.seen, Present) else None
    if coverage is not None and coverage.verified < coverage.total:
        lines[0] += f" ({coverage.verified} of {t.counted(coverage.total, 'task')} verifiable)"
    return lines


def _drifted(change: Change, index: int) -> str:
    """Drift reads from how it was left to how it is, the other way round than what a plan will do about it."""
    difference = change.differences[index]
    return difference_text(replace(difference, old=difference.new, new=difference.old))


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

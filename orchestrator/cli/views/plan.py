"""A plan for people, as a tree, and for programs, as data whose field names are a promise."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.cli.views import text as t
from orchestrator.cli.views.history import time_text
from orchestrator.model.address import PROGRAM, Address, Mode
from orchestrator.model.change import Action, Change, Plan, in_order
from orchestrator.model.observation import Absent, Difference, Present, Refusal, Unreachable
from orchestrator.model.values import MASK
from orchestrator.planning.wording import blamed
from orchestrator.timetext import ago

SYMBOLS: Mapping[Action, tuple[str, str]] = {
    Action.CREATE: ("+", t.GREEN),
    Action.UPDATE: ("~", t.YELLOW),
    Action.REPLACE: ("±", t.MAGENTA),
    Action.DELETE: ("-", t.RED),
    Action.ADOPT: ("~", t.CYAN),
    Action.LATER: ("?", t.CYAN),
    Action.WAIT: ("~", t.CYAN),
    Action.FORGET: ("-", t.YELLOW),
    Action.CONFLICT: ("!", t.RED),
    Action.HOLD: ("!", t.RED),
    Action.NONE: ("=", t.DIM),  # only where it is reported that somebody else has changed it
}

_SUMMARY = (
    (Action.CREATE, "to create"),
    (Action.UPDATE, "to change"),
    (Action.REPLACE, "to replace"),
    (Action.DELETE, "to delete"),
    (Action.ADOPT, "to adopt"),
    (Action.LATER, "known later"),
    (Action.WAIT, "to wait for"),
    (Action.FORGET, "to forget"),
    (Action.CONFLICT, "in conflict"),
    (Action.HOLD, "held"),
    (Action.NONE, "as declared"),
)

MOST_DIFFERENCES = 10
MOST_NAMES = 6
_LABEL_WIDTH = 24  # of the tree's units, before their reasons
_LABEL_AT_MOST = 44
_PATH_WIDTH = 48
_NARROWEST = 40  # what reasons get on any terminal

_REASONS = re.compile(r"; (?=changed: |drifted: |cannot be changed in place|pending handlers: |unfinished: |Pulumi: )")


def plan_text(plan: Plan, *, colour: bool, width: int, now: float) -> str:
    """The plan as a tree, its waves and its sum, for a terminal of `width` columns.

    `now` is seconds since the epoch: what was seen longer ago than a minute says so.
    """
    shown = [change for change in in_order(plan.changes) if change.shown]
    notes = [_note_line(note.site, note.placement, note.text) for note in plan.notes]
    if not shown:
        return "\n".join([*notes, _nothing_to_do(plan)])
    tree = _Tree(plan, colour, max(width, 60), now)
    return "\n".join([tree.header(), "", *tree.lines(shown), "", *_waves(shown), sum_line(plan)])


def plan_data(plan: Plan) -> dict[str, Any]:
    """The plan as JSON data: everything but the units that are as declared; secrets and unknowns masked."""
    changes = [change_data(change) for change in in_order(plan.changes) if change.shown]
    return {
        "estate": {"name": plan.estate, "id": plan.estate_id},
        "serial": _serial(plan.estate_id, changes),
        "changes": changes,
        "summary": plan.summary(),
        "observed": {
            "units": plan.tally.units,
            "seconds": round(plan.tally.seconds, 3),
            "requests": plan.tally.requests,
            "ansible_runs": plan.tally.ansible_runs,
            "pulumi_runs": plan.tally.pulumi_runs,
        },
        "notes": [{"site": n.site, "placement": n.placement, "text": n.text} for n in plan.notes],
    }


def change_data(change: Change) -> dict[str, Any]:
    """One change as JSON data."""
    address = change.address
    data = {
        "address": str(address),
        "site": address.site,
        "placement": address.placement,
        "mode": str(address.mode),
        "workload": address.workload,
        "action": str(change.action),
        "reason": change.reason,
        "wave": change.wave,
        "drift": change.drift,
        "batch": {"number": change.batch.number, "of": change.batch.of} if change.batch else None,
        "differences": [_difference_data(difference) for difference in change.differences],
    }
    if found := _refused(change):
        data["refused"] = [{"message": each.why, "where": each.where} for each in found]
    if isinstance(change.seen, Present) and change.seen.coverage is not None:
        coverage = change.seen.coverage
        data["coverage"] = {
            "verified": coverage.verified,
            "total": coverage.total,
            "unverified": list(coverage.unverified),
        }
    return data


def _refused(change: Change) -> tuple[Refusal, ...]:
    """What its target has against what is declared, where that is why nothing is done."""
    seen = change.seen
    return seen.refused if change.action == Action.CONFLICT and isinstance(seen, Present | Absent) else ()


def _difference_data(difference: Difference) -> dict[str, Any]:
    old, new = t.veiled(difference.old, difference.new)
    return {
        "path": difference.path,
        "old": old,
        "new": new,
        "by": difference.by,
        "replace": difference.replace,
        "healed": difference.healed,
        "kept": difference.kept,
        "since": [time_text(time) for time in difference.since] if difference.since else None,
    }


def _serial(estate_id: str, changes: Sequence[Mapping[str, Any]]) -> str:
    """Names what the plan does: two plans with one serial do the same."""
    does = [{**change, "differences": [{**d, "since": None} for d in change["differences"]]} for change in changes]
    what = json.dumps([estate_id, *does], sort_keys=True, default=str).encode()
    return hashlib.sha256(what).hexdigest()[:16]


def sum_line(plan: Plan) -> str:
    """`Plan: 3 to change, 1 to delete, 1 held, 43 as declared.`"""
    counts = plan.summary()
    reported = sum(change.action == Action.NONE and change.drift for change in plan.changes)
    counts[Action.NONE] -= reported
    parts = [f"{counts[action]} {words}" for action, words in _SUMMARY if counts[action]]
    if reported:
        parts.append(f"{reported} only reported")
    if not plan.acting:
        parts.insert(0, "nothing to change")
    return f"Plan: {', '.join(parts)}."


def labels(changes: Iterable[Change]) -> dict[Address, str]:
    """A short name for each unit, with its group and namespace only where it would be another's as well."""
    meant: dict[tuple[object, str], set[Address]] = defaultdict(set)
    for change in changes:
        meant[change.address.workload_key, change.address.label].add(change.address)
    names = {}
    for (_, label), addresses in meant.items():
        for a in addresses:
            names[a] = t.clean(label if len(addresses) == 1 else f"{a.kind} {a.name}")
    return names


def difference_text(difference: Difference) -> str:
    """`spec.replicas 3 → 8 (kubectl)`: what is there, what should be, and whose it was."""
    resource, colon, path = t.clean(difference.path).rpartition(": ")  # of a program; others have only a path
    path = f"{resource}{colon}{t.cut_middle(path, _PATH_WIDTH)}"
    by = t.clean(blamed(difference))
    if difference.old is None and difference.new is None:
        return path + by
    old, new = t.veiled(difference.old, difference.new)
    if old == new or MASK in (old, new):  # different, but behind the mask
        return f"{path} (secret, changed){by}"
    return f"{path} {t.shown(old)} → {t.shown(new)}{by}"


def _is_whole(change: Change, difference: Difference) -> bool:
    """Whether a program's whole resource comes or goes: then its properties are in -o json only."""
    return change.address.kind == PROGRAM and ": " not in difference.path


def _resource_text(difference: Difference) -> str:
    return f"{t.clean(difference.path)}: {'to create' if difference.old is None else 'to delete'}"


def _nothing_to_do(plan: Plan) -> str:
    tally, count = plan.tally, len(plan.changes)
    if not count:
        return "No changes. There are no units here."
    sites = len({change.address.site for change in plan.changes})
    programs = ", ".join(
        f"{name} ran {t.counted(runs, 'time')}" if runs else f"no {name}"
        for name, runs in (("Ansible", tally.ansible_runs), ("Pulumi", tally.pulumi_runs))
    )
    are = "is" if count == 1 else "are"
    cost = f"{t.duration(tally.seconds)}; {t.counted(tally.requests, 'request')}, {programs}"
    return f"No changes. {t.counted(count, 'unit')} at {t.counted(sites, 'site')} {are} as declared ({cost})."


def _note_line(site: str, placement: str, text: str) -> str:
    return t.clean(f"{site}  {placement}  {text}")


def _waves(shown: Sequence[Change]) -> list[str]:
    """`Waves: 1 stable orders-db → 2 agile web`; nothing where there is only one."""
    waves: dict[int, list[str]] = defaultdict(list)
    for change in shown:
        batch = f" ({change.batch})" if change.batch else ""
        name = f"{change.address.mode} {t.clean(change.address.workload)}{batch}"
        if change.wave and name not in waves[change.wave]:
            waves[change.wave].append(name)
    if not waves:
        return []
    return ["Waves: " + " → ".join(f"{number} {_few(waves[number], ', ', 4)}" for number in sorted(waves))]


def _few(names: Sequence[str], separator: str, most: int) -> str:
    more = len(names) - most
    return separator.join(names[:most]) + (f" and {more} more" if more > 0 else "")


@dataclass(frozen=True, slots=True)
class _Held:
    """Several units of a site that wait for one and the same thing: said once."""

    site: str
    reason: str
    changes: tuple[Change, ...]


def _held_together(shown: Iterable[Change]) -> list[_Held]:
    groups: dict[tuple[str, str], list[Change]] = defaultdict(list)
    for change in shown:
        if change.action == Action.HOLD:
            groups[change.address.site, change.reason].append(change)
    return [_Held(site, why, tuple(changes)) for (site, why), changes in groups.items() if len(changes) > 1]


def held_text(count: int, reason: str) -> str:
    """`9 units held: unreachable (…)`"""
    return f"{t.counted(count, 'unit')} held: {t.clean(reason).removeprefix('held: ')}"


class _Tree:
    """The lines of the tree: site, placement, workload, unit."""

    def __init__(self, plan: Plan, colour: bool, width: int, now: float) -> None:
        self.plan, self.colour, self.width, self.now = plan, colour, width, now
        self.names = labels(plan.changes)
        wanted = max((t.width_of(self.names[c.address]) for c in plan.changes if c.shown), default=0)
        self.label_width = min(max(_LABEL_WIDTH, wanted), _LABEL_AT_MOST)
        self.reason_at = 8 + self.label_width + 2

    def header(self) -> str:
        """`Estate acme · 3 sites · 2 placements · checked 48 units in 0.6 s`"""
        addresses = [change.address for change in self.plan.changes]
        parts = (
            f"Estate {t.clean(self.plan.estate)}",
            t.counted(len({a.site for a in addresses}), "site"),
            t.counted(len({a.placement for a in addresses}), "placement"),
            f"checked {t.counted(self.plan.tally.units, 'unit')} in {t.duration(self.plan.tally.seconds)}",
        )
        return " · ".join(parts)

    def lines(self, shown: Sequence[Change]) -> list[str]:
        """All of the tree."""
        held = _held_together(shown)
        together = {change.address for group in held for change in group.changes}
        single = [change for change in shown if change.address not in together]
        noted = {note.site for note in self.plan.notes}
        lines: list[str] = []
        for site in sorted({change.address.site for change in shown} | noted):
            lines.append(self._bold(site))
            here = [change for change in single if change.address.site == site]
            placed = {n.placement for n in self.plan.notes if n.site == site}
            for placement in sorted({change.address.placement for change in here} | placed):
                lines += self._placement(site, placement, [c for c in here if c.address.placement == placement])
            for group in held:
                if group.site == site:
                    lines += self._held(group)
        return lines

    def _placement(self, site: str, placement: str, changes: Sequence[Change]) -> list[str]:
        notes = [t.clean(n.text) for n in self.plan.notes if (n.site, n.placement) == (site, placement)]
        first = "  " + t.clean(placement)
        lines = [t.padded(first, self.reason_at) + notes[0] if notes else first]
        lines += [" " * self.reason_at + note for note in notes[1:]]
        workload: tuple[Mode, str] | None = None
        for change in changes:
            if workload != (change.address.mode, change.address.workload):
                workload = (change.address.mode, change.address.workload)
                lines.append(f"    {workload[0]:<6}  {t.clean(workload[1])}")
            lines += self._unit(change)
        return lines

    def _unit(self, change: Change) -> list[str]:
        label = self.names[change.address]
        head = f"      {self._symbol(change.action)} {t.padded(label, self.label_width)}  "
        details = [line for piece in self._details(change) for line in t.wrapped(piece, self._room())]
        if t.width_of(label) > self.label_width:  # a name too long for its column has a line of its own
            return [head.rstrip(), *(" " * self.reason_at + line for line in details)]
        return [(head + details[0]).rstrip(), *(" " * self.reason_at + line for line in details[1:])]

    def _details(self, change: Change) -> list[str]:
        """The reason, then the differences that it does not tell whole."""
        reason = t.clean(change.reason)
        pieces = _REASONS.split(reason) if change.action in (Action.UPDATE, Action.REPLACE) else [reason]
        if len(found := _refused(change)) > 1:
            pieces = ["the cluster refuses it:", *(t.clean(str(each)) for each in found)]
        if change.action == Action.HOLD and isinstance(change.seen, Unreachable):
            pieces[-1] += self._last_seen(change)
        if change.batch is not None:
            pieces[-1] += f" ({change.batch})"
        untold = [d for d in change.differences if not _told(d, reason)]
        pieces += [_resource_text(d) if _is_whole(change, d) else difference_text(d) for d in untold[:MOST_DIFFERENCES]]
        if len(untold) > MOST_DIFFERENCES:
            pieces.append(f"and {len(untold) - MOST_DIFFERENCES} more: -o json has them all")
        return pieces

    def _last_seen(self, change: Change) -> str:
        seen_at = change.record.seen_at if change.record else 0.0
        return f"; last seen {ago(self.now - seen_at)}" if seen_at else ""

    def _held(self, group: _Held) -> list[str]:
        """One cause, once, and below it who waits for it."""
        lines = t.wrapped(held_text(len(group.changes), group.reason), self.width - 4)
        out = [f"  {self._symbol(Action.HOLD)} {lines[0]}", *(f"    {line}" for line in lines[1:])]
        by_workload: dict[str, list[str]] = defaultdict(list)
        for change in group.changes:
            a = change.address
            by_workload[f"{a.placement}  {a.mode}  {a.workload}"].append(self.names[a])
        for workload, names in by_workload.items():
            text = f"{t.clean(workload)}  {_few(names, ', ', MOST_NAMES)}"
            out += [f"      {line}" for line in t.wrapped(text, self.width - 6)]
        return out

    def _room(self) -> int:
        return max(_NARROWEST, self.width - self.reason_at)

    def _symbol(self, action: Action) -> str:
        symbol, style = SYMBOLS[action]
        return t.painted(symbol, style, self.colour)

    def _bold(self, text: str) -> str:
        return t.painted(t.clean(text), t.BOLD, self.colour)


def _told(difference: Difference, reason: str) -> bool:
    """Whether the reason says all of it: reasons name paths with short values, never with maps, lists or long texts."""
    if not all(t.is_short(side) for side in (difference.old, difference.new)):
        return False
    return re.search(rf"(?<!\S){re.escape(t.clean(difference.path))}(?![^\s,;])", reason) is not None

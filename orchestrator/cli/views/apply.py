"""A run while it goes on: as lines, as a live display on a terminal (live.py), or as a JSON object per event.

All forms are told from several threads at once, and none of them ends a run because nobody reads it any more.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, TextIO

from orchestrator.cli.views import text as t
from orchestrator.cli.views.plan import SYMBOLS, plan_data
from orchestrator.model.address import Address, WorkloadKey
from orchestrator.model.change import Action, Change, Plan, in_order
from orchestrator.model.observation import Tally
from orchestrator.model.outcome import Outcome, Progress, Result

DONE, FAILED, HELD = "✓", "✗", "!"

# How often, in seconds, plain lines say again what a step waits for.
_PATIENCE = 10.0
_LABEL_WIDTH = 24
_MOST_LOGS = 3
_MOST_NAMES = 6
_MOST_LINES = 12  # of a failure's message; the log has all

_DONE_WORDS = {Action.DELETE: "deleted", Action.FORGET: "let go", Action.ADOPT: "adopted"}

_COUNTS = (
    (Result.DONE, "changed"),
    (Result.FAILED, "failed"),
    (Result.UNREACHABLE, "unreachable"),
    (Result.HELD, "held"),
    (Result.INTERRUPTED, "interrupted"),
)


@dataclass(frozen=True, slots=True)
class RunSummary:
    """How a run ended.

    seconds  its length
    stopped  why nothing more was started, where that is so
    sites    the sites it was about; needed where one view shows several runs at once
    """

    run: int
    counts: Mapping[Result, int]
    seconds: float
    stopped: str
    exit_code: int
    tally: Tally
    sites: frozenset[str] = frozenset()


class ApplyView(Protocol):
    """Who shows a run. One view may show several runs, one after the other or at once (`reconcile`)."""

    def started(self, plan: Plan) -> None:
        """A plan that is about to be carried out and was not shown otherwise."""

    def progress(self, progress: Progress) -> None:
        """A word about a step that is under way."""

    def outcome(self, change: Change, outcome: Outcome) -> None:
        """A step has ended."""

    def stopped(self, site: str, why: str) -> None:
        """Nothing more is started at a site."""

    def went_back(self, workload: WorkloadKey, text: str, well: bool) -> None:
        """What failed goes back, or is back, to how it was; or that went wrong."""

    def finished(self, summary: RunSummary) -> None:
        """The run has ended."""


class Printer:
    """Prints lines whole, also from several threads; goes silent where the reader has left."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._left = False

    def __call__(self, text: str) -> None:
        """Print the text and a line's end."""
        with self._lock:
            if self._left:
                return
            try:
                self._stream.write(text + "\n")
                self._stream.flush()
            except BrokenPipeError:
                self._left = True
                # What Python still has to write at its end would fail again, with a traceback.
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())


class JsonView:
    """One JSON object per line: the plan, each event, and a `result` at the end of each run."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.time) -> None:
        self._print = Printer(stream)
        self._clock = clock

    def _event(self, kind: str, data: Mapping[str, Any]) -> None:
        at = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._print(json.dumps({"event": kind, "time": at, **data}, ensure_ascii=False))

    def started(self, plan: Plan) -> None:
        """The plan, in the form of `plan -o json`."""
        self._event("plan", plan_data(plan))

    def progress(self, progress: Progress) -> None:
        """`{"event": "progress", "address", "site", "text"}`"""
        self._event(
            "progress", {"address": str(progress.address), "site": progress.address.site, "text": progress.text}
        )

    def outcome(self, change: Change, outcome: Outcome) -> None:
        """`{"event": "outcome", "address", "site", "action", "result", "message", "task", "where", "seconds"}`"""
        data = {
            "address": str(change.address),
            "site": change.address.site,
            "action": str(change.action),
            "result": str(outcome.result),
            "message": outcome.message,
            "task": outcome.task,
            "where": outcome.where,
            "seconds": round(outcome.seconds, 3),
        }
        self._event("outcome", data)

    def stopped(self, site: str, why: str) -> None:
        """`{"event": "stopped", "site", "why"}`"""
        self._event("stopped", {"site": site, "why": why})

    def went_back(self, workload: WorkloadKey, text: str, well: bool) -> None:
        """`{"event": "back", "workload", "site", "text", "well"}`"""
        self._event("back", {"workload": str(workload), "site": workload.site, "text": text, "well": well})

    def finished(self, summary: RunSummary) -> None:
        """`{"event": "result", "run", "counts", "seconds", "stopped", "exit_code", ...}`, always the last of a run."""
        data = {
            "run": summary.run,
            "counts": {str(result): summary.counts.get(result, 0) for result in Result},
            "seconds": round(summary.seconds, 3),
            "stopped": summary.stopped,
            "exit_code": summary.exit_code,
            "requests": summary.tally.requests,
            "ansible_runs": summary.tally.ansible_runs,
            "pulumi_runs": summary.tally.pulumi_runs,
        }
        self._event("result", data)


class PlainView:
    """A line for each step that ends; for one that takes long, now and then what it waits for."""

    def __init__(self, write: Callable[[str], None], *, colour: bool, clock: Callable[[], float] = time.time) -> None:
        self.colour = colour
        self._write = write
        self._clock = clock
        self._lock = threading.RLock()
        self._said: dict[Address, float] = {}
        self._outcomes: list[tuple[Change, Outcome]] = []
        self._site_width = 0
        self._label_width = _LABEL_WIDTH

    def started(self, plan: Plan) -> None:
        """A line for each change that is about to be made, with its reason."""
        for change in in_order(plan.acting):
            symbol, style = SYMBOLS[change.action]
            self._write(self._line(symbol, style, change.address, t.clean(change.why)))

    def progress(self, progress: Progress) -> None:
        """Says what a step waits for where it takes long."""
        now = self._clock()
        with self._lock:
            since = self._said.setdefault(progress.address, now)
            if now - since < _PATIENCE:
                return
            self._said[progress.address] = now
            self._write(self._line("·", t.DIM, progress.address, t.clean(progress.text)))

    def outcome(self, change: Change, outcome: Outcome) -> None:
        """A line, or the block of a failure. What was held is said at the end, together."""
        with self._lock:
            self._said.pop(change.address, None)
            before = self._outcomes if outcome.result == Result.FAILED else ()
            alike = next((c.address for c, told in before if _same_failure(c, told, change, outcome)), None)
            self._outcomes.append((change, outcome))
            if alike is not None:
                self._write(self._line(FAILED, t.RED, change.address, f"{outcome.result} as {t.clean(alike.label)}"))
            elif outcome.result != Result.HELD:
                self._write("\n".join(self._ended(change, outcome)))

    def stopped(self, site: str, why: str) -> None:
        """Says why nothing more is started at a site."""
        with self._lock:
            self._write(f"{t.painted(HELD, t.RED, self.colour)} {t.clean(site)}  stopped: {t.clean(why)}")

    def went_back(self, workload: WorkloadKey, text: str, well: bool) -> None:
        """Says what goes back, and that it is back."""
        style = t.YELLOW if well else t.RED
        name = f"{workload.placement} {workload.mode} {workload.workload}"
        with self._lock:
            self._write(
                f"{t.painted(HELD, style, self.colour)} {t.clean(workload.site)}  {t.clean(name)}  {t.clean(text)}"
            )

    def finished(self, summary: RunSummary) -> None:
        """What was held, the sum, and what a person can do now."""
        with self._lock:
            ours: list[tuple[Change, Outcome]] = []
            others: list[tuple[Change, Outcome]] = []
            for one in self._outcomes:
                (ours if not summary.sites or one[0].address.site in summary.sites else others).append(one)
            self._outcomes = others
            self._write("\n".join([*self._held(ours), *closing(summary, ours)]))

    def _ended(self, change: Change, outcome: Outcome) -> list[str]:
        if outcome.result == Result.DONE:
            took = t.duration(outcome.seconds) if outcome.seconds else ""
            parts = (_DONE_WORDS.get(change.action, took), t.clean(outcome.message))
            text = "   ".join(part for part in dict.fromkeys(parts) if part)
            return [self._line(DONE, t.GREEN, change.address, text)]
        symbol, style = (HELD, t.YELLOW) if outcome.result == Result.UNREACHABLE else (FAILED, t.RED)
        head = str(outcome.result) + (f' at "{t.clean(outcome.task)}"' if outcome.task else "")
        told = (outcome.where, *outcome.message.expandtabs(2).split("\n"))
        details = [t.clean(line) for line in told if line.strip()]
        if len(details) == 1 and not outcome.task:  # nothing that would earn a block of its own
            return [self._line(symbol, style, change.address, f"{head}: {details[0]}")]
        if len(details) > _MOST_LINES:
            details = [*details[:_MOST_LINES], "…"]
        head = f"{head}, {change.address.mode} {t.clean(change.address.workload)}"
        return [self._line(symbol, style, change.address, head), *(f"    {line}" for line in details)]

    def _held(self, outcomes: Sequence[tuple[Change, Outcome]]) -> list[str]:
        groups: dict[tuple[str, str], list[Address]] = defaultdict(list)
        for change, outcome in outcomes:
            if outcome.result == Result.HELD:
                groups[change.address.site, outcome.message].append(change.address)
        lines = []
        for (_, why), addresses in groups.items():
            more = len(addresses) - 1
            also = f" (and {more} more)" if more else ""
            lines.append(self._line(HELD, t.YELLOW, addresses[0], t.clean(why) + also))
        return lines

    def _line(self, symbol: str, style: str, address: Address, text: str) -> str:
        site, label = t.clean(address.site), t.clean(address.label)
        self._site_width = max(self._site_width, t.width_of(site))
        self._label_width = max(self._label_width, t.width_of(label))
        mark = t.painted(symbol, style, self.colour)
        return f"{mark} {t.padded(site, self._site_width)}  {t.padded(label, self._label_width)}  {text}".rstrip()


def _same_failure(one: Change, told: Outcome, other: Change, outcome: Outcome) -> bool:
    """Whether both failed for the same reason, as all hosts of a workload do where its playbook is broken."""
    return (
        outcome.result == told.result == Result.FAILED
        and one.address.workload_key == other.address.workload_key
        and (told.task, told.where, told.message) == (outcome.task, outcome.where, outcome.message)
    )


def closing(summary: RunSummary, outcomes: Sequence[tuple[Change, Outcome]]) -> list[str]:
    """The sum of a run; after failures also what stays as it is, what was not started, and where to read on."""
    parts = [f"{summary.counts[result]} {word}" for result, word in _COUNTS if summary.counts.get(result)]
    done = f"Run {summary.run}: {', '.join(parts) or 'nothing changed'} in {t.duration(summary.seconds)}."
    lines = [f"{done}   orchestrator show {summary.run}"]
    failed = [one for one in outcomes if one[1].result in (Result.FAILED, Result.INTERRUPTED)]
    logged = [change.address for change, outcome in failed if outcome.log.strip()]
    if summary.stopped:
        lines.append(f"Stopped: {t.clean(summary.stopped)}.")
    if failed:
        results = Counter(outcome.result for _, outcome in outcomes)
        stays = "What is done stays as it is" if results[Result.DONE] else "Nothing else was changed"
        read_on = ", or read on:" if logged else "."
        lines.append(f"{stays}{_not_started(outcomes)}. Mend it and apply again{read_on}")
        lines += [f"  orchestrator show {summary.run} --log {t.clean(str(a))}" for a in logged[:_MOST_LOGS]]
    return lines


def _not_started(outcomes: Sequence[tuple[Change, Outcome]]) -> str:
    held = [t.clean(change.address.label) for change, outcome in outcomes if outcome.result == Result.HELD]
    if not held:
        return ""
    more = len(held) - _MOST_NAMES
    return f"; not started: {', '.join(held[:_MOST_NAMES])}" + (f" and {more} more" if more > 0 else "")

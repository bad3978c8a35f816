"""Undoing configurations by their remove playbooks, and letting go of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from orchestrator.errors import DriverError
from orchestrator.model.address import Address
from orchestrator.model.change import Action, Change
from orchestrator.model.observation import Present, Unreachable
from orchestrator.model.outcome import Outcome, Progress, Report, Result
from orchestrator.modes.stable.place import Place
from orchestrator.modes.stable.playbooks import requirements
from orchestrator.modes.stable.playbooks.runs import Playbook, Ran
from orchestrator.modes.stable.playbooks.verdicts import failed_outcome
from orchestrator.modes.stable.site import remove_playbook


class Removals:
    """One site's configurations that are no longer declared."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def apply(self, changes: Sequence[Change], report: Report) -> Iterator[Outcome]:
        """Run the remove playbooks of what is to go, all hosts of one playbook at once; take stamps away."""
        for change in changes:
            if change.action == Action.FORGET:
                yield self._forget(change)
        groups: dict[tuple[Path, Path], list[Change]] = {}
        for change in changes:
            if change.action != Action.DELETE:
                continue
            found = remove_playbook(self._place.site.root, self._place.site.folders, _undo(change))
            if found is None:
                yield Outcome(change.address, Result.FAILED, _nothing_to_run(change))
            else:
                groups.setdefault(found, []).append(change)
        for (folder, playbook), group in groups.items():
            with self._place.held(host_of(change) for change in group):
                yield from self._undo(folder, playbook, group, report)

    def _undo(self, folder: Path, playbook: Path, changes: Sequence[Change], report: Report) -> Iterator[Outcome]:
        there: list[Change] = []
        answers = self._place.ask({host_of(change): {"do": "look"} for change in changes})
        for change in changes:
            answer = answers[host_of(change)]
            if isinstance(answer, Unreachable):
                yield Outcome(change.address, Result.UNREACHABLE, answer.why)
            elif any(one["stamp"]["address"] == str(change.address) for one in answer["slots"] + answer["intents"]):
                report(Progress(change.address, "removing"))
                there.append(change)
            else:
                yield Outcome(change.address, Result.DONE, "its stamp was gone already")
        if not there:
            return
        ran = self._undone(there, folder, playbook)
        label = str(_undo(there[0]).get("label") or "")
        for change in there:
            failed = failed_outcome(change.address, host_of(change), ran, str(folder), label)
            yield failed or self._unstamp(change, "undone by its remove playbook", ran.log(host_of(change)))

    def _undone(self, there: Sequence[Change], folder: Path, playbook: Path) -> Ran:
        place = self._place
        try:
            beside = str(playbook.relative_to(folder))
            needed = requirements.installed(place.site.root, folder, place.site.scrub, beside)
        except DriverError as error:
            return Ran(complaint=place.site.scrub(str(error)))
        return place.runs.run(
            Playbook(
                cwd=folder,
                path=playbook,
                inventory=place.inventory,
                hosts="" if place.inventory else place.inventory_text(),
                limit=place.limit_to(host_of(change) for change in there),
                roles=(folder / "roles", *needed.roles),
                collections=needed.collections,
                plugins=place.provider.plugins,
            )
        )

    def _forget(self, change: Change) -> Outcome:
        outcome = self._unstamp(change, "stays on the host")
        if outcome.result == Result.UNREACHABLE:
            return Outcome(change.address, Result.DONE, f"let go of; its stamp stays: {outcome.message}")
        return outcome

    def _unstamp(self, change: Change, message: str, log: str = "") -> Outcome:
        address = str(_stamped(change))
        answer = self._place.ask({host_of(change): {"do": "remove", "address": address}})[host_of(change)]
        if isinstance(answer, Unreachable):
            return Outcome(change.address, Result.UNREACHABLE, answer.why, log=log)
        return Outcome(change.address, Result.DONE, message, log=log)


def _undo(change: Change) -> dict[str, Any]:
    """What is known of how to undo it: what lies on the host, and over it what we remember."""
    facts = dict(change.seen.facts) if isinstance(change.seen, Present) else {}
    return facts | {key: value for key, value in (change.record.spec if change.record else {}).items() if value}


def host_of(change: Change) -> str:
    """The host of a configuration that is no longer declared."""
    return str(_undo(change).get("host") or change.address.name)


def _stamped(change: Change) -> Address:
    stamp = change.seen.stamp if isinstance(change.seen, Present) else None
    return stamp.address if stamp else change.address


def _nothing_to_run(change: Change) -> str:
    undo = _undo(change)
    if not undo.get("remove"):
        return f"it has no remove playbook; to leave it as it is: orchestrator forget {change.address}"
    name = f"{undo.get('label', '')}/{undo['remove']}"
    return f"its remove playbook {name} is not there; put it back, or: orchestrator forget {change.address}"

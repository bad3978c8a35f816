"""What the engine tells of a preview or an update: its log of events, as steps and differences of ours."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.model.observation import Difference
from orchestrator.model.values import Secret, Value, has_secret, masked
from orchestrator.modes.agile.programs import values

_ROOT = "pulumi:pulumi:Stack"
_PROVIDERS = "pulumi:providers:"
_ACTING = ("create", "update", "replace", "delete", "import", "discard", "import-replacement")
_TERMINAL = re.compile(r"\x1b\[[0-9;]*m|<\{%[a-z]+%\}>")

_COUNT = re.compile(r"^1 error occurred:\s*\*\s*")


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to one resource: `create`, `update`, `replace`, `delete` or `import`."""

    op: str
    urn: str
    differences: tuple[Difference, ...] = ()

    @property
    def label(self) -> str:
        """`aws:Bucket assets`: package, kind and name."""
        return label_of(self.urn)


@dataclass(slots=True)
class Log:
    """One run of the engine.

    outputs  what the program exports, as far as it is known; None where it never came so far
    errors   what the engine and the providers say went wrong, with the resource's label where there is one
    notes    what it warns of
    done     steps that have ended, and those that have failed
    drifted  what a refresh has found: from what it is to what it was left as
    """

    steps: list[Step] = field(default_factory=list)
    outputs: Mapping[str, Value] | None = None
    errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    drifted: list[Difference] = field(default_factory=list)

    @property
    def differences(self) -> tuple[Difference, ...]:
        """All of them, resource by resource."""
        return tuple(difference for step in self.steps for difference in step.differences)

    def counts(self) -> dict[str, int]:
        """How many resources each operation has."""
        found: dict[str, int] = {}
        for step in self.steps:
            found[step.op] = found.get(step.op, 0) + 1
        return found


def label_of(urn: str) -> str:
    """`aws:Bucket assets` of a resource's URN."""
    parts = urn.split("::", 3)
    if len(parts) < 4:
        return urn
    kind = parts[2].split("$")[-1].split(":")
    return f"{kind[0]}:{kind[-1]} {parts[3]}"


def read(path: Path, scrub: Callable[[str], str]) -> Log:
    """The log of a run, as far as it was written; secrets are nowhere in it."""
    log, refreshing = Log(), set[str]()
    for event in _events(path):
        if metadata := (event.get("resourcePreEvent") or {}).get("metadata"):
            if metadata.get("op") == "refresh":
                refreshing.add(str(metadata["urn"]))
            _take_step(metadata, log, scrub)
        elif metadata := (event.get("resOutputsEvent") or {}).get("metadata"):
            if metadata["urn"] in refreshing:
                refreshing.remove(metadata["urn"])
                log.drifted += _drifted(metadata, scrub)
            else:
                _take_end(metadata, log)
        elif metadata := (event.get("resOpFailedEvent") or {}).get("metadata"):
            log.failed.append(str(metadata["urn"]))
        elif diagnostic := event.get("diagnosticEvent"):
            _take_diagnostic(diagnostic, log, scrub)
        elif policy := event.get("policyEvent"):
            log.errors.append(scrub(str(policy.get("message", "")).strip()))
    return log


def _events(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in text.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue  # the last one of a run that was killed
        if isinstance(event, dict):
            yield event


def _take_step(metadata: Mapping[str, Any], log: Log, scrub: Callable[[str], str]) -> None:
    op, kind = str(metadata.get("op")), str(metadata.get("type"))
    if op not in _ACTING or kind == _ROOT or kind.startswith(_PROVIDERS):
        return
    urn = str(metadata["urn"])
    step = Step(op, urn, tuple(_differences(metadata, op, scrub)))
    for index, before in enumerate(log.steps):
        if before.urn == urn:  # of a replacement that begins with its deletion
            log.steps[index] = step if op == "replace" else before
            return
    log.steps.append(step)


def _take_end(metadata: Mapping[str, Any], log: Log) -> None:
    if metadata.get("type") == _ROOT and metadata.get("op") != "delete":
        given = (metadata.get("new") or {}).get("outputs")
        if given is not None:
            log.outputs = {str(name): values.read(value, values.hidden) for name, value in given.items()}
    elif metadata.get("op") in _ACTING:
        log.done.append(str(metadata["urn"]))


def _take_diagnostic(diagnostic: Mapping[str, Any], log: Log, scrub: Callable[[str], str]) -> None:
    text = _COUNT.sub("", _TERMINAL.sub("", str(diagnostic.get("message", ""))).strip())
    severity, urn = diagnostic.get("severity"), str(diagnostic.get("urn") or "")
    if not text or text.startswith("BAIL:") or severity not in ("error", "warning"):
        return
    if urn and not urn.rpartition("::")[0].endswith(_ROOT):
        text = f"{label_of(urn)}: {text}"
    told = log.errors if severity == "error" else log.notes
    if (line := scrub(text)) not in told:
        told.append(line)


def _differences(metadata: Mapping[str, Any], op: str, scrub: Callable[[str], str]) -> Iterator[Difference]:
    label = label_of(str(metadata["urn"]))
    old, new = metadata.get("old") or {}, metadata.get("new") or {}
    before, after = _shown(old.get("inputs"), scrub), _shown(new.get("inputs"), scrub)
    if op not in ("update", "replace"):
        is_gone = op == "delete"
        yield Difference(label, masked(before) if is_gone else None, None if is_gone else masked(after))
        return
    outputs = _shown(old.get("outputs"), scrub)
    keys = {str(key) for key in metadata.get("keys") or ()}
    for path, kind, from_inputs in sorted(_paths(metadata, before, after)):
        was = values.at(before if from_inputs else outputs, path)
        replaces = op == "replace" and ("replace" in kind or path in keys)
        yield Difference(f"{label}: {path}", was, values.at(after, path), replace=replaces)


def _drifted(metadata: Mapping[str, Any], scrub: Callable[[str], str]) -> Iterator[Difference]:
    """What is there is the new state here, what was left the old one."""
    label, op = label_of(str(metadata["urn"])), metadata.get("op")
    if str(metadata.get("type")).startswith((_ROOT, _PROVIDERS)):
        return
    if op == "delete":
        yield Difference(f"{label}: was deleted outside")
    if op != "update":
        return
    old, new = metadata.get("old") or {}, metadata.get("new") or {}
    left, found = _shown(old.get("inputs"), scrub), _shown(new.get("inputs"), scrub)
    left_out, found_out = _shown(old.get("outputs"), scrub), _shown(new.get("outputs"), scrub)
    for path, _, from_inputs in sorted(_paths(metadata, left, found)):
        was, now = (left, found) if from_inputs else (left_out, found_out)
        was, now = values.at(was, path), values.at(now, path)
        if was != now or has_secret(was):  # of secrets nobody sees here what differs
            yield Difference(f"{label}: {path}", now, was)


def _paths(metadata: Mapping[str, Any], before: Value, after: Value) -> Iterator[tuple[str, str, bool]]:
    """Property path, kind of difference, and whether it is one of inputs."""
    if detailed := metadata.get("detailedDiff"):
        for path, one in detailed.items():
            yield str(path), str(one.get("diffKind", "")), bool(one.get("inputDiff", False))
        return
    named = {str(key) for key in [*(metadata.get("diffs") or ()), *(metadata.get("keys") or ())]}
    if not named and isinstance(before, dict) and isinstance(after, dict):
        named = {key for key in {*before, *after} if before.get(key) != after.get(key)}
    for key in named:
        yield key, "replace" if key in (metadata.get("keys") or ()) else "", True


def _shown(inputs: Any, scrub: Callable[[str], str]) -> Value:
    """Inputs or outputs for showing: secrets masked, those too that the engine does not know as such."""
    return _veiled(values.read(inputs or {}, values.hidden), scrub)


def _veiled(value: Value, scrub: Callable[[str], str]) -> Value:
    if isinstance(value, dict):
        return {key: _veiled(inner, scrub) for key, inner in value.items() if not key.startswith("__")}
    if isinstance(value, list):
        return [_veiled(inner, scrub) for inner in value]
    return Secret(None) if isinstance(value, str) and scrub(value) != value else value

"""Things as the probe wants them, and what learners are told of a task."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Thing = dict[str, Any]
Args = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Task:
    """One task, or one item of its loop, on one host.

    name, number  the task's name, and which of its items this is, from 1
    key           for HMACs; new with each run
    user          the user that it becomes, or ""
    local         finds a file on this computer as the task would (`files/` of its role first); None if it is not there
    """

    name: str
    number: int
    key: str
    user: str
    local: Callable[[str], Path | None]

    def mac(self, text: str) -> str:
        """A keyed hash of a text that may be secret."""
        return hmac.new(self.key.encode(), text.encode(), hashlib.sha256).hexdigest()

    @property
    def quoted(self) -> str:
        """How a person finds it."""
        return f'"{self.name}"' if self.number == 1 else f'"{self.name}" #{self.number}'

    def home(self, path: str) -> str:
        """A path with `~` as the task's user has it."""
        return f"~{self.user}{path[1:]}" if self.user and (path == "~" or path.startswith("~/")) else path


def thing(kind: str, label: str, task: Task, **more: Any) -> Thing:
    """A thing; `enforced` and `expect` are empty unless given."""
    return {"kind": kind, "label": label, "enforced": [], "expect": {}, "tasks": [task.name], **more}


def file(path: str, task: Task, scope: str, enforced: list[str], **expect: list[str]) -> Thing:
    """A file: `scope` is whole (content too), meta (not the content), absent, or exists (only that it is there)."""
    return thing("file", path, task, path=path, scope=scope, enforced=enforced, expect=expect)


def true(value: Any) -> bool:
    """Ansible's idea of true; None is not."""
    return str(value).lower() in ("true", "yes", "on", "1", "y", "t")


def listed(value: Any) -> list[str]:
    """A list argument, which may be written as one text with commas."""
    if value is None:
        return []
    items = value if isinstance(value, list | tuple) else str(value).split(",")
    return [str(item).strip() for item in items if str(item).strip()]


def absent(args: Args) -> bool:
    """Whether a task takes away what it names."""
    return str(args.get("state") or "").lower() in ("absent", "removed", "uninstalled")

"""Seeing which programs a command starts, from outside of it."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from types import TracebackType


class Processes:
    """All command lines that were seen below a process while the block ran, every few milliseconds."""

    def __init__(self, root: int) -> None:
        self.root = root
        self.seen: set[str] = set()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Processes:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def started(self, program: str) -> bool:
        """Whether a process of this name was seen."""
        return any(program in Path(word).name for line in self.seen for word in line.split("\0")[:2])

    def _watch(self) -> None:
        while not self._done.wait(0.005):
            self.seen = self.seen | {*command_lines(self.root)}  # a new set: `started` may be reading the old one


def command_lines(root: int) -> list[str]:
    """The command lines of all processes below one."""
    found = []
    for pid in below(root):
        try:
            found.append(Path(f"/proc/{pid}/cmdline").read_text())
        except OSError:
            continue
    return found


def below(root: int) -> list[int]:
    """All processes that one has started, and theirs."""
    found, todo = [], [root]
    while todo:
        some = children(todo.pop())
        found += some
        todo += some
    return found


def children(pid: int) -> list[int]:
    """Those of one process; none where it has ended."""
    found = []
    with contextlib.suppress(OSError):
        for task in list(Path(f"/proc/{pid}/task").iterdir()):
            with contextlib.suppress(OSError):  # one of its threads has ended
                found += [int(child) for child in (task / "children").read_text().split()]
    return found

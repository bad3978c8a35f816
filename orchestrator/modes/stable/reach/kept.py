"""Probes that stay: a host is asked again over the connection that is there, of the process that runs.

One command looks at a host several times within seconds. A kept probe is used by one asker at a time, ends when nobody
has asked it for a while, and there are never more than so many; whatever is wrong with one, a new connection is made.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any

KEPT_S = 15.0
MOST_KEPT = 128
SHARE = 1 / 3  # of a host's time: if a kept probe is silent for so long, a new connection still has the rest


@dataclass(frozen=True, slots=True)
class Talk:
    """A probe that runs on a host, and its connection; `took` is how long it has needed for an answer, in seconds."""

    connection: Any
    process: Any
    took: float = 0.0

    async def ask(self, given: bytes, end: bytes) -> bytes:
        """What it prints until `end`; less where it ends before."""
        self.process.stdin.write(given)
        said = b""
        while end not in said and (more := await self.process.stdout.read(1 << 16)):
            said += more
        return said

    def drop(self) -> None:
        """End it."""
        self.connection.close()


class Kept:
    """The probes that stay; of one event loop."""

    def __init__(self) -> None:
        self._talks: dict[Hashable, tuple[Talk, asyncio.TimerHandle]] = {}

    def take(self, key: Hashable) -> Talk | None:
        """One that waits, for the caller alone, who puts it back or drops it."""
        talk, timer = self._talks.pop(key, (None, None))
        if timer is not None:
            timer.cancel()
        return talk

    def put(self, key: Hashable, talk: Talk) -> None:
        """Let it wait for the next question, if there is room."""
        if key in self._talks or len(self._talks) >= MOST_KEPT:
            talk.drop()
            return
        timer = asyncio.get_running_loop().call_later(KEPT_S, self.drop, key)
        self._talks[key] = talk, timer

    def drop(self, key: Hashable) -> None:
        """End the one that waits, if one does."""
        if talk := self.take(key):
            talk.drop()

    async def ask(self, key: Hashable, request: bytes, end: bytes, seconds: float) -> bytes | None:
        """The answer of a kept one; None where there is none, or it has none.

        Of the host's `seconds` it may take a share, and twice what it has taken before where that is more.
        """
        import asyncssh

        talk = self.take(key)
        if talk is None:
            return None
        said, clock = b"", asyncio.get_running_loop().time
        started = clock()
        try:
            with contextlib.suppress(OSError, asyncssh.Error):  # a TimeoutError is an OSError
                async with asyncio.timeout(max(seconds * SHARE, 2 * talk.took)):
                    said = await talk.ask(request, end)
        except BaseException:
            talk.drop()
            raise
        if end not in said:
            talk.drop()
            return None
        self.put(key, replace(talk, took=max(talk.took, clock() - started)))
        return said

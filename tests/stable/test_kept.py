"""Probes that stay: whose they are, how long, and how many."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.modes.stable.reach import kept
from orchestrator.modes.stable.reach.kept import Kept, Talk


class Host:
    """Connection and process in one: answers what it was told to."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.open = True
        self.stdin = self.stdout = self

    def write(self, given: bytes) -> None:
        pass

    async def read(self, most: int) -> bytes:
        return self.answers.pop(0) if self.answers else b""

    def close(self) -> None:
        self.open = False


def test_a_probe_that_has_no_answer_is_dropped_and_nobody_gets_it_again() -> None:
    async def go() -> None:
        all_kept, host = Kept(), Host(b"one", b" END", b"tw")
        all_kept.put("h", Talk(host, host))
        assert await all_kept.ask("h", b"?", b"END", 60) == b"one END"
        assert host.open
        assert await all_kept.ask("h", b"?", b"END", 60) is None
        assert not host.open
        assert all_kept.take("h") is None

    asyncio.run(go())


def test_one_that_is_asked_is_nobody_elses() -> None:
    async def go() -> None:
        all_kept, host = Kept(), Host()
        all_kept.put("h", Talk(host, host))
        assert all_kept.take("h") is not None
        assert await all_kept.ask("h", b"?", b"END", 60) is None
        assert host.open

    asyncio.run(go())


def test_they_end_when_nobody_asks_and_there_are_not_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "KEPT_S", 0.01)
    monkeypatch.setattr(kept, "MOST_KEPT", 1)

    async def go() -> None:
        all_kept, first, second = Kept(), Host(), Host()
        all_kept.put("a", Talk(first, first))
        all_kept.put("b", Talk(second, second))
        assert (first.open, second.open) == (True, False)
        while first.open:
            await asyncio.sleep(0.01)
        assert all_kept.take("a") is None

    asyncio.run(go())


class Slow(Host):
    """Answers in a twentieth of a second."""

    async def read(self, most: int) -> bytes:
        await asyncio.sleep(0.05)
        return b"END"


class Silent(Host):
    """Hangs."""

    async def read(self, most: int) -> bytes:
        await asyncio.sleep(60)
        return b""


def test_a_question_that_is_given_up_ends_the_probe() -> None:
    async def go() -> None:
        all_kept, host = Kept(), Silent()
        all_kept.put("h", Talk(host, host))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await all_kept.ask("h", b"?", b"END", 60)
        assert not host.open

    asyncio.run(go())


def test_one_that_hangs_leaves_most_of_its_hosts_time_to_a_new_connection() -> None:
    async def go() -> None:
        all_kept, host = Kept(), Silent()
        all_kept.put("h", Talk(host, host))
        async with asyncio.timeout(30):  # hangs for good, not for a share
            assert await all_kept.ask("h", b"?", b"END", 0.03) is None
        assert not host.open

    asyncio.run(go())


def test_one_that_was_slow_before_is_not_taken_for_one_that_hangs() -> None:
    async def go() -> None:
        all_kept, host = Kept(), Slow()
        all_kept.put("h", Talk(host, host, took=30))
        assert await all_kept.ask("h", b"?", b"END", 0.03) == b"END"
        talk = all_kept.take("h")
        assert talk is not None
        assert talk.took == 30, "the longest counts"

    asyncio.run(go())

"""Talking to a lab machine's agent: run a command in the machine, with file descriptors of ours as its stdio.

Standard library only, and nothing of orchestrator: Ansible's connection plugin loads this file by its path. The
protocol is described in agent.py.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SOCKET_NAME = "agent.sock"


class MachineDownError(Exception):
    """The machine does not answer; the message says why."""


class Session:
    """A command that runs in a machine."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile("rb")

    def fileno(self) -> int:
        """Readable when the command has ended (or the machine has)."""
        return self._connection.fileno()

    def answer(self) -> dict[str, Any]:
        try:
            line = self._lines.readline()
        except TimeoutError:
            raise MachineDownError("its agent does not answer") from None
        except OSError as error:
            raise MachineDownError(f"its agent is gone ({error.strerror or error})") from None
        if not line.endswith(b"\n"):
            raise MachineDownError("it went down while the command ran")
        found: dict[str, Any] = json.loads(line)
        return found

    def wait(self) -> int:
        """The command's exit code (128 + n when signal n ended it). Raises MachineDownError."""
        return int(self.answer()["exit"])

    def signal(self, number: int) -> None:
        with contextlib.suppress(OSError):
            self._connection.sendall(bytes([number]))

    def close(self) -> None:
        """Hangs up; a command that still runs gets SIGHUP."""
        self._lines.close()
        self._connection.close()


def connect(folder: Path, timeout: float) -> socket.socket:
    """A connection to the agent of the machine whose folder this is. Raises MachineDownError."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    try:
        # A socket's path may have 107 bytes only: go by way of the open folder.
        directory = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        try:
            connection.connect(f"/proc/self/fd/{directory}/{SOCKET_NAME}")
        finally:
            os.close(directory)
    except OSError as error:
        connection.close()
        why = {FileNotFoundError: "it does not exist", ConnectionRefusedError: "it is not running"}
        raise MachineDownError(why.get(type(error), f"its agent does not answer ({error.strerror or error})")) from None
    return connection


def send(connection: socket.socket, request: Mapping[str, Any], descriptors: Sequence[int] = ()) -> None:
    payload = json.dumps(request).encode()
    payload = struct.pack("!I", len(payload)) + payload
    try:
        sent = socket.send_fds(connection, [payload], descriptors) if descriptors else connection.send(payload)
        if sent < len(payload):  # even an empty send fails when a quick agent has answered and closed
            connection.sendall(payload[sent:])
    except OSError as error:
        connection.close()
        raise MachineDownError(f"its agent does not answer ({error.strerror or error})") from None


def ping(folder: Path, timeout: float) -> int:
    """The agent's process id as the machine sees it. Raises MachineDownError."""
    connection = connect(folder, timeout)
    send(connection, {"ping": True})
    session = Session(connection)
    try:
        return int(session.answer()["pid"])
    finally:
        session.close()


def start(
    folder: Path, argv: Sequence[str], stdio: tuple[int, int, int], *, env: Mapping[str, str], timeout: float
) -> Session:
    """Starts a command with these descriptors as stdin, stdout and stderr; `timeout` (s) is for the start only.

    Raises MachineDownError; OSError when the machine cannot start the command.
    """
    connection = connect(folder, timeout)
    send(connection, {"argv": list(argv), "env": dict(env)}, stdio)
    session = Session(connection)
    try:
        answer = session.answer()
    except MachineDownError:
        session.close()
        raise
    if "error" in answer:
        session.close()
        raise OSError(str(answer["error"]))
    connection.settimeout(None)
    return session


def communicate(
    folder: Path, argv: Sequence[str], data: bytes, *, env: Mapping[str, str], timeout: float
) -> tuple[int, bytes, bytes]:
    """Runs a command with `data` as its input -> exit code, stdout, stderr.

    Ends with the command itself: a daemon that keeps the pipes open does not hold it up. Raises as `start` does.
    """
    stdin_read, stdin_write = os.pipe()
    out_read, out_write = os.pipe()
    err_read, err_write = os.pipe()
    ours, theirs = [stdin_write, out_read, err_read], [stdin_read, out_write, err_write]
    try:
        try:
            session = start(folder, argv, (stdin_read, out_write, err_write), env=env, timeout=timeout)
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        try:
            output = {out_read: bytearray(), err_read: bytearray()}
            _pump(session, ours, data, output)
            return session.wait(), bytes(output[out_read]), bytes(output[err_read])
        finally:
            session.close()
    finally:
        for descriptor in ours:
            os.close(descriptor)


def _pump(session: Session, ours: list[int], data: bytes, output: dict[int, bytearray]) -> None:
    """Feeds and reads the pipes until the command has ended and what it wrote is read; what it closes leaves `ours`."""
    stdin = ours[0]
    view = memoryview(data)
    with selectors.DefaultSelector() as selector:
        selector.register(session, selectors.EVENT_READ)
        selector.register(stdin, selectors.EVENT_WRITE)
        for descriptor in ours:
            os.set_blocking(descriptor, False)
        for descriptor in output:
            selector.register(descriptor, selectors.EVENT_READ)
        ended = False
        while not ended:
            for key, _ in selector.select():
                if key.fileobj is session:
                    ended = True
                elif key.fd == stdin:
                    view = _feed(stdin, view)
                    if not view:
                        selector.unregister(stdin)
                        ours.remove(stdin)
                        os.close(stdin)
                elif _read(key.fd, output[key.fd]):
                    selector.unregister(key.fd)
    for descriptor, collected in output.items():
        _read(descriptor, collected)


def _feed(descriptor: int, view: memoryview) -> memoryview:
    """Writes what fits -> what is left; nothing is left when nobody reads."""
    try:
        return view[os.write(descriptor, view[:65536]) :] if view else view
    except BlockingIOError:
        return view
    except BrokenPipeError:
        return view[:0]


def _read(descriptor: int, collected: bytearray) -> bool:
    """Reads all that is there -> whether the other side has closed."""
    while True:
        try:
            chunk = os.read(descriptor, 65536)
        except BlockingIOError:
            return False
        if not chunk:
            return True
        collected += chunk


def run_with_files(
    folder: Path, argv: Sequence[str], *, stdin: int, stdout: int, env: Mapping[str, str], timeout: float
) -> tuple[int, str]:
    """Runs a command whose input and output are open files of ours -> exit code and stderr (at most 64 KiB of it)."""
    err_read, err_write = os.pipe()
    try:
        try:
            session = start(folder, argv, (stdin, stdout, err_write), env=env, timeout=timeout)
        finally:
            os.close(err_write)
        try:
            code = session.wait()
        finally:
            session.close()
        os.set_blocking(err_read, False)
        collected = bytearray()
        _read(err_read, collected)
        return code, collected.decode(errors="replace")
    finally:
        os.close(err_read)


def null() -> int:
    """An open /dev/null."""
    return os.open(os.devnull, os.O_RDWR)

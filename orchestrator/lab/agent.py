"""The first process of a lab machine: starts the commands that are sent to it, and reaps what they leave behind.

It runs inside the machine with the machine's own Python and imports the standard library only. It is given a listening
Unix socket. One connection is one command:

    client -> agent   4 bytes of length, a JSON object {"argv": [str, ...], "env": {str: str}}, and three file
                      descriptors (stdin, stdout, stderr) that come with its first byte; {"ping": true} has none
    agent -> client   one JSON line {"started": pid} or {"error": str}, then {"exit": code} (128 + n: ended by signal n)
    client -> agent   each further byte is the number of a signal for the command's process group

A client that goes away hangs up: its command gets SIGHUP, as at a terminal. What a command put into a session of its
own (a daemon) stays.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
from typing import Any

ENVIRONMENT = {
    "HOME": "/root",
    "USER": "root",
    "LOGNAME": "root",
    "SHELL": "/bin/sh",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
}
REQUEST_TIMEOUT_S = 10.0


class Agent:
    """The loop around a listening socket; `commands` maps the pid of a running command to its client."""

    def __init__(self, listener: socket.socket, environment: dict[str, str]) -> None:
        self.listener = listener
        self.environment = environment
        self.commands: dict[int, socket.socket] = {}
        self.selector = selectors.DefaultSelector()

    def serve(self) -> None:
        wake_read, wake_write = socket.socketpair()
        wake_read.setblocking(False)
        wake_write.setblocking(False)
        signal.set_wakeup_fd(wake_write.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        self.selector.register(wake_read, selectors.EVENT_READ, self.reap)
        self.selector.register(self.listener, selectors.EVENT_READ, self.accept)
        while True:
            for key, _ in self.selector.select():
                key.data(key.fileobj)

    def accept(self, listener: socket.socket) -> None:
        client, _ = listener.accept()
        try:
            client.settimeout(REQUEST_TIMEOUT_S)
            self.start(client)
        except (OSError, ValueError, KeyError) as error:
            tell(client, {"error": f"{type(error).__name__}: {error}"})
            client.close()

    def start(self, client: socket.socket) -> None:
        request, descriptors = receive(client)
        try:
            if "ping" in request:
                tell(client, {"pid": os.getpid()})
                client.close()
                return
            stdin, stdout, stderr = descriptors
            process = subprocess.Popen(
                request["argv"],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                env={**self.environment, **request.get("env", {})},
                cwd="/root",
                start_new_session=True,
            )
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        process.returncode = 0  # we reap it ourselves, with everything else: Popen must not wait for it
        self.commands[process.pid] = client
        tell(client, {"started": process.pid})
        self.selector.register(client, selectors.EVENT_READ, lambda _: self.hear(process.pid, client))

    def hear(self, pid: int, client: socket.socket) -> None:
        """A client of a running command sent signal numbers, or is gone."""
        try:
            numbers = client.recv(64)
        except OSError:
            numbers = b""
        for number in numbers or [signal.SIGHUP]:
            with contextlib.suppress(ProcessLookupError, ValueError, OSError):
                os.killpg(pid, number)
        if not numbers:
            self.forget(pid)

    def reap(self, wake: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while wake.recv(4096):
                pass
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self.commands:
                code = os.waitstatus_to_exitcode(status)
                tell(self.commands[pid], {"exit": code if code >= 0 else 128 - code})
                self.forget(pid)

    def forget(self, pid: int) -> None:
        client = self.commands.pop(pid)
        self.selector.unregister(client)
        client.close()


def receive(client: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """One request and the descriptors that came with it."""
    data, descriptors, _, _ = socket.recv_fds(client, 65536, 3)
    try:
        while len(data) < 4 or len(data) < 4 + struct.unpack("!I", data[:4])[0]:
            more = client.recv(65536)
            if not more:
                raise ValueError("the request ended early")
            data += more
        return json.loads(data[4:]), descriptors
    except BaseException:
        for descriptor in descriptors:
            os.close(descriptor)
        raise


def tell(client: socket.socket, answer: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        client.sendall(json.dumps(answer).encode() + b"\n")


def main() -> None:
    """Usage: agent.py LISTENER_FD."""
    descriptor = int(sys.argv[1])
    os.set_inheritable(descriptor, False)
    # What we were started under (nohup, a shell's background) is no choice of the machine's commands.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    # The marks by which the lab's processes are found where there is no process namespace to tell them.
    marks = {name: value for name, value in os.environ.items() if name.startswith("ORCHESTRATOR_LAB")}
    Agent(socket.socket(fileno=descriptor), {**ENVIRONMENT, **marks}).serve()


if __name__ == "__main__":
    main()

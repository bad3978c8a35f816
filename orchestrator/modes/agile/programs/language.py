"""Pulumi's language runtime for Python programs, served by us: each run of a program is a process of its own.

The process has the environment that it is given and nothing of ours: neither our variables nor our memory.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from google.protobuf import empty_pb2
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

from orchestrator.modes.agile.stacks.inprocess import listening
from orchestrator.modes.agile.stacks.process import dying_with_us

LAUNCHER = Path(__file__).with_name("launcher.py")
_KEPT_LINES = 2000


@dataclass(frozen=True, slots=True)
class Program:
    """What is run: a folder with a `__main__.py`, the Python that has what it imports, and its environment."""

    folder: Path
    python: Path
    environment: Mapping[str, str]


@dataclass(slots=True)
class Ran:
    """What became of a program: its failure (see launcher.py; empty if it ended well), and what it printed."""

    failure: Mapping[str, Any] = field(default_factory=dict)
    printed: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES))
    times: int = 0


class Language(language_pb2_grpc.LanguageRuntimeServicer):
    """The service, for one run of the engine."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._lock = threading.Lock()
        self._child: subprocess.Popen[str] | None = None
        self._ended = False
        self.ran = Ran()

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's names
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        return plugin_pb2.PluginInfo(version="1.0.0")

    def About(self, request: Any, context: Any) -> Any:  # noqa: N802
        return language_pb2.AboutResponse(executable=str(self._program.python))

    def GetRequiredPlugins(self, request: Any, context: Any) -> Any:  # noqa: N802
        """None: what a program needs was made ready before; see `plugins.py`."""
        return language_pb2.GetRequiredPluginsResponse()

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:  # noqa: N802
        return language_pb2.GetRequiredPackagesResponse()

    def InstallDependencies(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        yield from ()

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.end()
        return empty_pb2.Empty()

    def Run(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Run the program to its end."""
        self.ran.times += 1
        asked = {
            "folder": str(self._program.folder),
            "project": request.project,
            "stack": request.stack,
            "organization": request.organization or "organization",
            "monitor": request.monitor_address,
            "engine": request.args[0] if request.args else "",
            "parallel": request.parallel,
            "preview": request.dryRun,
            "config": dict(request.config),
            "secrets": list(request.configSecretKeys),
        }
        failure = self._run(asked)
        self.ran.failure = failure
        # Said by us, with its place; the engine is only told that it need not go on.
        return language_pb2.RunResponse(error=str(failure.get("error", "")), bail=bool(failure))

    def _run(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        answer, told = os.pipe()
        argv = [*dying_with_us(), str(self._program.python), "-u", "-B", "-P", str(LAUNCHER), str(told)]
        with self._lock:
            if self._ended:
                os.close(answer)
                os.close(told)
                return {"error": "ended before it began", "kind": "ended"}
            child = self._child = subprocess.Popen(
                argv,
                cwd=self._program.folder,
                env=dict(self._program.environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                pass_fds=(told,),
                process_group=0,
            )
        os.close(told)
        assert child.stdin is not None
        reader = threading.Thread(target=self._read, args=(child.stdout,), daemon=True)
        reader.start()
        try:
            json.dump(asked, child.stdin)
            child.stdin.close()
        except BrokenPipeError:
            pass  # it has ended already, and has said why
        with os.fdopen(answer) as result:
            text = result.read()
        code = child.wait()
        reader.join(timeout=5)
        if text:
            found: dict[str, Any] = json.loads(text)
            return found
        if self._ended:  # by us: the engine says why
            return {"error": "", "kind": "engine"}
        last = " | ".join(list(self.ran.printed)[-3:])
        return {"error": f"the program's process ended with {code} before the program did: {last}", "kind": "ended"}

    def _read(self, stream: IO[str] | None) -> None:
        for line in stream or ():
            self.ran.printed.append(line.rstrip())

    def end(self) -> None:
        """End the program's process, if one runs; none is started any more."""
        with self._lock:
            self._ended = True
            if self._child is not None and self._child.poll() is None:
                self._child.kill()


@contextmanager
def serving(language: Language) -> Iterator[int]:
    """The port of a server on loopback that runs the program when the engine asks for it."""
    add = language_pb2_grpc.add_LanguageRuntimeServicer_to_server
    with listening(lambda server: add(language, server), 4, "language") as port:
        try:
            yield port
        finally:
            language.end()


OWN_PYTHON = Path(sys.executable)

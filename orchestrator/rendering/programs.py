"""Running a program with an environment of its own, no way to the network, and an end in time."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from orchestrator.model.rendering import RenderFailedError

TIMEOUT = 180.0  # seconds
MAX_OUTPUT = 64 * 1024 * 1024


def run(command: Sequence[str | Path], folder: Path) -> tuple[int, str, str]:
    """Run a program in `folder`: its exit code, output and errors. Raises RenderFailedError where it does not end."""
    try:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=folder,
            env=_offline(folder),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        what = f"{Path(command[0]).name} did not end within {TIMEOUT:.0f} s"
        raise RenderFailedError(what, "does something in it loop without end?") from None
    except OSError as error:
        raise RenderFailedError(f"{command[0]} cannot be started: {error.strerror}") from None
    if len(done.stdout) > MAX_OUTPUT:
        raise RenderFailedError(f"more than {MAX_OUTPUT >> 20} MiB were rendered", "split it into several workloads")
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def _offline(folder: Path) -> dict[str, str]:
    """An environment without the user's settings, other programs, or a way to the network."""
    nowhere = "http://127.0.0.1:9"
    home = str(folder)
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), nowhere)
    return {**proxies, "HOME": home, "TMPDIR": home, "PATH": home, "KUBECONFIG": "/dev/null"}

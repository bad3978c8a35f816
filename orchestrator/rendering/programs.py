"""Running helm and kubectl: an environment of their own, no secret on the command line or in a file, an end in time."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.model.rendering import RenderFailedError

TIMEOUT = 180.0  # seconds
MAX_OUTPUT = 64 * 1024 * 1024
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
_AUTHORITIES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_LOGINS = ("HOME", "XDG_CONFIG_HOME", "DOCKER_CONFIG", "HELM_REGISTRY_CONFIG", "HELM_REPOSITORY_CONFIG")


def run(
    command: Sequence[str | Path], folder: Path, *, given: bytes = b"", environment: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    """Run a program in `folder`: its exit code, output and errors. Raises RenderFailedError where it does not end."""
    try:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=folder,
            env=dict(environment) if environment is not None else offline(folder),
            input=given,
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        what = f"{Path(command[0]).name} did not end within {TIMEOUT:.0f} s"
        raise RenderFailedError(what, "does a template loop without end?") from None
    except OSError as error:
        raise RenderFailedError(f"{command[0]} cannot be started: {error.strerror}") from None
    if len(done.stdout) > MAX_OUTPUT:
        raise RenderFailedError(f"more than {MAX_OUTPUT >> 20} MiB were rendered", "split it into several workloads")
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def offline(folder: Path) -> dict[str, str]:
    """An environment without the user's settings, other programs, or a way to the network."""
    nowhere = "http://127.0.0.1:9"
    home = str(folder)
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), nowhere)
    return {**proxies, "HOME": home, "TMPDIR": home, "PATH": home, "HELM_PLUGINS": home, "KUBECONFIG": "/dev/null"}


def online(folder: Path) -> dict[str, str]:
    """The environment for fetching: the user's proxies, authorities and logins, nothing else of theirs."""
    kept = {name: os.environ[name] for name in (*_PROXIES, *_AUTHORITIES, *_LOGINS) if name in os.environ}
    own = {"HELM_CACHE_HOME": str(folder / "cache"), "HELM_PLUGINS": str(folder), "TMPDIR": str(folder)}
    return {"PATH": os.environ.get("PATH", os.defpath), **kept, **own}

"""What the agile mode has to know of a site."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class AgileSite:
    """One site's cluster and everything that is needed to work on it.

    scratch       a folder of this site under the estate's `.orchestrator`: Pulumi's state, caches; only a cache
    kubeconfig    the file; the ambient default is never used
    context       the context in it; None for its current one
    allowed_exec  programs that the kubeconfig may start to get credentials (names or full paths)
    pulumi        finds the program; called when something is changed, never to observe. May raise ToolchainError
    passphrase    what encrypts secrets in Pulumi's state; called as seldom
    scrub         takes every known secret out of a text that is shown or kept
    """

    site: str
    estate_id: str
    estate_name: str
    scratch: Path
    kubeconfig: Path
    pulumi: Callable[[], Path]
    passphrase: Callable[[], str]
    scrub: Callable[[str], str]
    context: str | None = None
    allowed_exec: tuple[str, ...] = ()

"""What the agile mode has to know of a site."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.modes.agile.programs.kept import States


@dataclass(frozen=True, slots=True)
class AgileSite:
    """One site's cluster and everything that is needed to work on it.

    scratch       a folder of this site under the estate's `.orchestrator`: Pulumi's state, caches; only a cache
    kubeconfig    the file; the ambient default is never used. None: the service account of the pod that we run in
    context       the context in it; None for its current one
    allowed_exec  programs that the kubeconfig may start to get credentials (names or full paths)
    official      Kubernetes objects of programs are served by Pulumi's own plugin, not by us
    environment   what Pulumi programs and their provider plugins see of our environment
    states        where the states of their stacks are kept, besides the cluster
    pulumi        finds the program; called when something is changed, never to observe. May raise ToolchainError
    passphrase    what encrypts secrets in Pulumi's state; called as seldom
    scrub         takes every known secret out of a text that is shown or kept
    """

    site: str
    estate_id: str
    estate_name: str
    scratch: Path
    kubeconfig: Path | None
    pulumi: Callable[[], Path]
    passphrase: Callable[[], str]
    scrub: Callable[[str], str]
    context: str | None = None
    allowed_exec: tuple[str, ...] = ()
    official: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    states: States | None = None

"""What one command works with; the composition root puts it together."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.documents.loaded import Loaded
from orchestrator.documents.models import SecretRef
from orchestrator.model.address import Mode
from orchestrator.model.rendering import Renderer
from orchestrator.model.values import Secret
from orchestrator.modes.driver import Driver
from orchestrator.state import Store


@dataclass(frozen=True, slots=True)
class World:
    """An estate and everything that reaches it.

    hosts    a site's name -> inventory name -> `{"address", "groups"}` of its static inventory
    drivers  one for each mode that a site has
    holder   who this process is, as leases name it
    render   runs the programs that charts and kustomizations need
    """

    loaded: Loaded
    secrets: Mapping[SecretRef, Secret]
    hosts: Mapping[str, Mapping[str, Mapping[str, Any]]]
    drivers: Mapping[tuple[str, Mode], Driver]
    store: Store
    holder: str
    render: Renderer
    parallel: int = 8
    clock: Callable[[], float] = time.time

    @property
    def sites(self) -> frozenset[str]:
        """The sites that are declared."""
        return frozenset(self.loaded.sites)

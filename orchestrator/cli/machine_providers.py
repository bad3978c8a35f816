"""The machine provider that a site names, as its documents describe it and as its driver uses it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.documents.providers import names, provider_at, settings_of
from orchestrator.errors import DocumentsError, DriverError

if TYPE_CHECKING:  # a command that needs no driver does not wait for it
    from orchestrator.modes.stable.providers import Provider


def machine_provider(root: Path, name: str, given: dict[str, Any]) -> tuple[Provider, dict[str, Any]]:
    """An estate's provider of that name, and all its settings: those given, else its defaults.

    Raises DocumentsError where its manifest is wrong, DriverError where there is none (any more).
    """
    from orchestrator.modes.stable.providers import Provider

    found, wrong = provider_at(root, name)
    if wrong:
        raise DocumentsError(wrong)
    if found is None:
        raise DriverError(f"there is no machine provider `{name}`", hint=f"there are: {', '.join(names(root))}")
    manifest, plugins = found.manifest, found.manifest.connection_plugins
    provider = Provider(
        name=name,
        folder=found.folder,
        provisions=manifest.provisions,
        machine={str(name): str(how) for name, how in manifest.machine.items()},
        plugins=((found.folder / plugins).resolve(),) if plugins else (),
        hosts=found.manifest.hosts or "",
    )
    return provider, settings_of(found, given)

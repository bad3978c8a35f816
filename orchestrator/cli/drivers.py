"""Making a driver for each mode of each site, from what its document says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.cli.secrets import read_secret
from orchestrator.documents.loaded import Loaded, Written
from orchestrator.documents.models import Cluster, SecretRef, Site
from orchestrator.errors import DocumentsError
from orchestrator.model.address import Mode
from orchestrator.model.source import Diagnostic
from orchestrator.modes.driver import Driver

NO_LAB = "the lab is not running: orchestrator lab up"


@dataclass(frozen=True, slots=True)
class Reach:
    """A driver for each site and mode, and the hosts of static inventories."""

    drivers: Mapping[tuple[str, Mode], Driver]
    hosts: Mapping[str, Mapping[str, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Maker:
    """What all drivers of an estate have in common."""

    loaded: Loaded
    scratch: Path
    scrub: Callable[[str], str]
    stack: ExitStack

    @property
    def estate(self) -> tuple[str, str]:
        """The estate's id and name."""
        metadata = self.loaded.estate.model.metadata
        return metadata.id, metadata.name

    def folder(self, site: str, mode: Mode) -> Path:
        """A private folder for what a driver keeps: only a cache."""
        path = self.scratch / site / mode
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path


def drivers_for(maker: Maker, sites: Iterable[str]) -> Reach:
    """Drivers for these sites; they are closed with the maker's stack."""
    drivers: dict[tuple[str, Mode], Driver] = {}
    for name in sorted(sites):
        site = maker.loaded.sites[name]
        if site.model.spec.stable:
            drivers[name, Mode.STABLE] = _stable(maker, site)
        if site.model.spec.agile:
            drivers[name, Mode.AGILE] = _agile(maker, site, site.model.spec.agile.cluster)
    for driver in drivers.values():
        maker.stack.callback(driver.close)
    return Reach(drivers, static_hosts(maker.loaded, sites))


def static_hosts(loaded: Loaded, sites: Iterable[str]) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    """The hosts of the sites that have an Ansible inventory."""
    paths = {name: path for name in sites if (path := _inventory(loaded, loaded.sites[name]))}
    if not paths:
        return {}
    from orchestrator.modes.stable import inventory

    return inventory.read(paths)


def _inventory(loaded: Loaded, site: Written[Site]) -> Path | None:
    stable = site.model.spec.stable
    if stable is None or stable.inventory is None:
        return None
    return loaded.root / Path(site.at.file).parent / stable.inventory


def _stable(maker: Maker, site: Written[Site]) -> Driver:
    raise NotImplementedError


def _agile(maker: Maker, site: Written[Site], cluster: Cluster) -> Driver:
    from orchestrator.modes.unreachable import UnreachableDriver

    kubeconfig = _kubeconfig(maker, site, cluster)
    if kubeconfig is None:
        return UnreachableDriver(NO_LAB)
    from orchestrator import toolchain
    from orchestrator.modes.agile.driver import AgileDriver
    from orchestrator.modes.agile.passphrase import passphrase
    from orchestrator.modes.agile.site import AgileSite

    estate_id, estate_name = maker.estate
    return AgileDriver(
        AgileSite(
            site=site.model.metadata.name,
            estate_id=estate_id,
            estate_name=estate_name,
            scratch=maker.folder(site.model.metadata.name, Mode.AGILE),
            kubeconfig=kubeconfig,
            pulumi=lambda: toolchain.ensure(["pulumi"], lambda line: None)["pulumi"],
            passphrase=lambda: passphrase(estate_id),
            scrub=maker.scrub,
            context=cluster.context,
            allowed_exec=cluster.exec,
        )
    )


def _kubeconfig(maker: Maker, site: Written[Site], cluster: Cluster) -> Path | None:
    """The file; None for a lab that is not running."""
    if cluster.lab:
        from orchestrator import lab

        return lab.kubeconfig()
    given = cluster.kubeconfig
    if isinstance(given, SecretRef):
        try:
            given = str(read_secret(given, maker.loaded.root).reveal())
        except LookupError as error:
            place = site.at.of("spec", "agile", "cluster", "kubeconfig")
            raise DocumentsError([Diagnostic(place, str(error.args[0]), str(error.args[1]))]) from None
    return maker.loaded.root / Path(site.at.file).parent / Path(str(given)).expanduser()

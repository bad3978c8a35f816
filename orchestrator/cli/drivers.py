"""Making a driver for each mode of each site, from what its document says."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator import desired
from orchestrator.cli.machine_providers import machine_provider
from orchestrator.cli.secrets import read_secret
from orchestrator.cli.site_secrets import SiteSecrets
from orchestrator.documents.loaded import Loaded
from orchestrator.documents.models import Cluster, SecretRef, Site, SiteAgile
from orchestrator.documents.written import Written
from orchestrator.errors import DocumentsError, DriverError
from orchestrator.model.address import Mode
from orchestrator.model.source import Source
from orchestrator.modes.driver import Driver
from orchestrator.state import Store

if TYPE_CHECKING:
    from orchestrator.modes.stable.reach.reaching import Reach as Worker

NO_LAB = "the lab is not running: orchestrator lab up"


Hosts = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Of static inventories: site -> host -> {"address", "groups"}."""


@dataclass(frozen=True, slots=True)
class Reach:
    """A driver for each site and mode, and the hosts of static inventories."""

    drivers: Mapping[tuple[str, Mode], Driver]
    hosts: Hosts


End = Callable[[str, Mode, Driver], None]


def close(site: str, mode: Mode, driver: Driver) -> None:
    """The end of a site's driver."""
    driver.close()


@dataclass(frozen=True, slots=True)
class Maker:
    """What all drivers of an estate have in common; `end` is called with each when the session ends."""

    loaded: Loaded
    scratch: Path
    scrub: Callable[[str], str]
    stack: ExitStack
    store: Store
    secrets: SiteSecrets = field(default_factory=SiteSecrets)
    refresh: bool = False
    end: End = close

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
    """Drivers for these sites; they end with the maker's stack."""
    names = sorted(sites)
    declared = maker.loaded.sites
    hosts: Hosts = {}
    drivers: dict[tuple[str, Mode], Driver] = {}
    if stable := [name for name in names if declared[name].model.spec.stable]:
        drivers, hosts = _stable(maker, stable)
    for name in names:
        if agile := declared[name].model.spec.agile:
            drivers[name, Mode.AGILE] = _agile(maker, declared[name], agile)
    for (name, mode), driver in drivers.items():
        maker.stack.callback(maker.end, name, mode, driver)
    return Reach(drivers, hosts)


def inventories(loaded: Loaded, sites: Iterable[str]) -> dict[str, Path]:
    """The inventory of each of these sites that has one."""
    return {name: path for name in sites if (path := _inventory(loaded, loaded.sites[name]))}


def _stable(maker: Maker, names: Sequence[str]) -> tuple[dict[tuple[str, Mode], Driver], Hosts]:
    """The drivers of sites with machines, and the hosts of those that have an inventory; one worker asks all hosts."""
    from orchestrator.modes.stable.reach.reaching import Reach as Worker

    worker = Worker(maker.loaded.root, maker.scrub)
    maker.stack.callback(worker.close)
    worker.start()
    drivers = {(name, Mode.STABLE): _stable_driver(maker, name, worker) for name in names}
    return drivers, _hosts(maker, names, worker)


def _stable_driver(maker: Maker, name: str, worker: Worker) -> Driver:
    from orchestrator.modes.stable.driver import StableDriver
    from orchestrator.modes.stable.site import StableSite

    if lacking := maker.secrets.lacking.get(name):
        return _held(lacking.message, lacking.hint, lacking.source)
    loaded = maker.loaded
    stable = loaded.sites[name].model.spec.stable
    assert stable is not None
    provider, settings = machine_provider(loaded.root, stable.provider, stable.settings)
    estate_id, estate_name = maker.estate
    site = StableSite(
        site=name,
        estate_id=estate_id,
        estate_name=estate_name,
        root=loaded.root,
        scratch=maker.folder(name, Mode.STABLE),
        provider=provider,
        scrub=maker.scrub,
        inventory=_inventory(loaded, loaded.sites[name]),
        vaults=maker.secrets.vaults_of(name),
        folders=blueprint_folders(loaded),
        settings={key: desired.with_secrets(value, maker.secrets.settings) for key, value in settings.items()},
        refresh=maker.refresh,
        say=lambda line: click.echo(line, err=True),
    )
    return StableDriver(site, worker)


def _hosts(maker: Maker, names: Sequence[str], worker: Worker) -> Hosts:
    """The hosts of these sites' inventories. Where a secret is lacking, it must be readable without: else that is what
    is told (DocumentsError), as without its hosts nobody can say what a site has."""
    from orchestrator.modes.stable import inventory

    paths, lacking = inventories(maker.loaded, names), maker.secrets.lacking
    whole = {name: path for name, path in paths.items() if name not in lacking}
    found = inventory.read(worker, whole, {name: maker.secrets.vaults_of(name) for name in whole})
    for name in paths.keys() & lacking.keys():
        try:
            found |= inventory.read(worker, {name: paths[name]}, {name: maker.secrets.vaults_of(name)})
        except DriverError:
            raise DocumentsError([lacking[name]]) from None
    return found


def blueprint_folders(loaded: Loaded) -> dict[str, Path]:
    """Where the blueprints lie, by the label that people see."""
    return {source.folder.label: source.folder.root for source in loaded.blueprints.values()}


def _inventory(loaded: Loaded, site: Written[Site]) -> Path | None:
    stable = site.model.spec.stable
    if stable is None or stable.inventory is None:
        return None
    return loaded.root / Path(site.at.file).parent / stable.inventory


def _agile(maker: Maker, site: Written[Site], agile: SiteAgile) -> Driver:
    from orchestrator.modes.unreachable import UnreachableDriver

    cluster = agile.cluster
    try:
        kubeconfig = None if cluster.in_cluster else _kubeconfig(maker, site, cluster)
    except LookupError as error:
        what, hint = error.args
        return _held(what, hint, site.at.of("spec", "agile", "cluster", "kubeconfig"))
    if kubeconfig is None and not cluster.in_cluster:
        return UnreachableDriver(NO_LAB)
    from orchestrator.modes.agile.driver import AgileDriver
    from orchestrator.modes.agile.site import AgileSite
    from orchestrator.modes.agile.stacks.passphrase import passphrase

    estate_id, estate_name = maker.estate
    return AgileDriver(
        AgileSite(
            site=site.model.metadata.name,
            estate_id=estate_id,
            estate_name=estate_name,
            scratch=maker.folder(site.model.metadata.name, Mode.AGILE),
            kubeconfig=kubeconfig,
            pulumi=_pulumi,
            passphrase=lambda: passphrase(estate_id),
            scrub=maker.scrub,
            context=cluster.context,
            allowed_exec=cluster.exec,
            official=agile.programs.provider == "official",
            environment=_allowed(agile.programs.environment),
            states=maker.store,
        )
    )


def _held(what: str, hint: str, at: Source) -> Driver:
    """In the place of a driver that cannot be made, as a secret of its site is not there: it holds that mode alone."""
    from orchestrator.modes.unreachable import UnreachableDriver

    return UnreachableDriver(f"{what}; {hint} ({at.file}:{at.line})")


def _allowed(names: Iterable[str]) -> dict[str, str]:
    """What Pulumi programs see of our environment: where programs are found, and what the Site allows."""
    return {name: os.environ[name] for name in ("PATH", *names) if name in os.environ}


def _pulumi() -> Path:
    """The program, had when it is first needed: most commands do without."""
    from orchestrator import toolchain

    return toolchain.ensure(["pulumi"], lambda line: None)["pulumi"]


def _kubeconfig(maker: Maker, site: Written[Site], cluster: Cluster) -> Path | None:
    """The file; None for a lab that is not running. Raises LookupError(what, hint) for a reference to nothing."""
    if cluster.lab:
        from orchestrator import lab

        return lab.kubeconfig()
    given = cluster.kubeconfig
    if isinstance(given, SecretRef):
        given = str(read_secret(given, maker.loaded.root).reveal())
    return maker.loaded.root / Path(site.at.file).parent / Path(str(given)).expanduser()

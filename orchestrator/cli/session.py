"""The composition root: an estate's documents, secrets, drivers and store, put together for one command."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator import desired, documents, planning
from orchestrator.cli.drivers import End, Maker, blueprint_folders, close, drivers_for
from orchestrator.cli.pinning import last_good, pinned, with_pins
from orchestrator.cli.places import remember_places
from orchestrator.cli.rendering import renderer
from orchestrator.cli.secrets import read_secrets, scrubber
from orchestrator.cli.site_secrets import read_site_secrets
from orchestrator.desired import Desired, selectors
from orchestrator.documents.loaded import Loaded
from orchestrator.documents.selecting import picks
from orchestrator.errors import DocumentsError, UsageError
from orchestrator.execution import snapshots
from orchestrator.execution.look import Sight, look
from orchestrator.execution.memory import refresh
from orchestrator.execution.reverting import Back
from orchestrator.execution.world import World
from orchestrator.model.address import Address, Mode, WorkloadKey
from orchestrator.model.change import Known, Plan, Scope
from orchestrator.planning.batches import Rollouts
from orchestrator.state import Store, open_store, state_folder


@dataclass(frozen=True, slots=True)
class Session:
    """What a command works with: the world, what the command is limited to, and how to see and plan."""

    world: World
    scope: Scope
    rollouts: Rollouts

    @property
    def loaded(self) -> Loaded:
        """The documents."""
        return self.world.loaded

    @property
    def estate_id(self) -> str:
        """The estate's permanent id."""
        return self.world.loaded.estate.model.metadata.id

    @property
    def removable(self) -> Callable[[Mapping[str, Any]], str]:
        """Why a configuration that has left the documents cannot be undone, or ""."""
        from orchestrator.modes.stable.site import why_not_removable

        return why_not_removable(self.loaded.root, blueprint_folders(self.loaded))

    def look(self, scope: Scope | None = None) -> Sight:
        """See the sites of a scope, and remember what was found as declared."""
        scope = scope or self.scope
        sight = look(self.world, reached(self.loaded, scope))
        refresh(self.world, sight, self.estate_id)
        return sight

    def plan(self, scope: Scope | None = None, *, adopting: frozenset[Address] = frozenset()) -> Plan:
        """See, and say what to do."""
        scope = scope or self.scope
        made = self._plan(self.look(scope), scope, adopting)
        if wrong := _nowhere(made, scope):
            raise UsageError(
                f"there is nothing at {', '.join(wrong)}", hint="`orchestrator render` shows placements and addresses"
            )
        for address in planning.gone(made):
            self.world.store.forget(address, None)
        return replace(made, notes=(*made.notes, *snapshots.notes(made, self.world)))

    def revert(self, workload: WorkloadKey) -> Back | str:
        """Pin a failed workload to its last good revision, and plan it so; why there is none where there is none."""
        row = last_good(self.loaded, self.world.store, workload)
        if isinstance(row, str):
            return row
        loaded = with_pins(self.loaded, self.world.store, [row])
        if set(desired.secret_refs(loaded, {workload.site})) - set(self.world.secrets):
            return f"as run {row.run} left it, it takes secrets that were not read"
        self.world.store.pin(row)
        return Back(row.run, replace(self, world=replace(self.world, loaded=loaded)).plan)

    def _plan(self, sight: Sight, scope: Scope, adopting: frozenset[Address]) -> Plan:
        sites = reached(self.loaded, scope)
        situation = planning.Situation(
            estate=self.loaded.estate.model.metadata.name,
            estate_id=self.estate_id,
            observed=sight.observed,
            records=sight.records,
            scope=scope,
            sites=self.world.sites,
            adopting=adopting,
            removable=self.removable,
            answered=frozenset(self.world.drivers),
            rollouts=self.rollouts,
            tally=sight.tally,
            notes=sight.notes,
        )
        return planning.settle(lambda known: self._resolved(known, sight, sites), sight.known, situation)

    def _resolved(self, known: Known, sight: Sight, sites: frozenset[str]) -> Desired:
        if known is sight.known:
            return sight.desired
        return desired.resolve(self.loaded, known, self.world.secrets, sites, self.world.render)


def _nowhere(made: Plan, scope: Scope) -> list[str]:
    """What a command was limited to, or asked for, of which there is nothing."""
    if not made.changes:
        return [*(scope.targets or ()), *sorted(scope.placements or ()), *scope.again]
    declared = [change.address for change in made.changes if change.unit is not None]
    return [target for target in scope.again if not any(address.lies_at(target) for address in declared)]


def reached(loaded: Loaded, scope: Scope) -> frozenset[str]:
    """The declared sites that a scope reaches."""
    declared = frozenset(loaded.sites)
    return declared if scope.sites is None else scope.sites & declared


@contextmanager
def stored(estate: Path | None) -> Iterator[Store]:
    """Only the store of an estate, for commands that read what was written down."""
    with open_store(documents.find_root(estate or Path.cwd())) as store:
        yield store


@dataclass(frozen=True, slots=True)
class Limits:
    """What a command was asked to be limited to, as it was written."""

    site: str | None = None
    placements: tuple[str, ...] = ()
    mode: str | None = None
    targets: tuple[str, ...] = ()
    again: tuple[str, ...] = ()


def load(estate: Path | None) -> Loaded:
    """The documents, with what is doubtful in them. Raises DocumentsError with everything that is wrong in them."""
    loaded = documents.load(documents.find_root(estate or Path.cwd()))
    found = list(loaded.diagnostics)
    if not _errors(found):
        found += desired.check(loaded)
    if _errors(found):
        raise DocumentsError(sorted(set(found)))
    return replace(loaded, diagnostics=tuple(sorted(set(found))))


def _errors(diagnostics: list[documents.Diagnostic]) -> list[documents.Diagnostic]:
    return [d for d in diagnostics if d.severity == "error"]


@contextmanager
def session(
    estate: Path | None,
    limits: Limits = Limits(),
    *,
    parallel: int = 8,
    refresh: bool = False,
    amend: Callable[[Loaded, Store], Loaded] = pinned,
    end: End = close,
) -> Iterator[Session]:
    """Everything a command needs, ended when the block ends.

    `amend` changes the documents once they are read: where it is not given, what is pinned stays as it was.
    With `refresh` machine providers are asked even where all hosts answer. `end` ends each driver.
    """
    loaded = load(estate)
    with ExitStack() as stack:
        store = stack.enter_context(open_store(loaded.root))
        remember_places(loaded, store)
        loaded = amend(loaded, store)
        scope = scope_of(loaded, limits)
        sites = reached(loaded, scope)
        secrets = read_secrets(desired.secret_refs(loaded, sites), loaded.root)
        of_sites = read_site_secrets(loaded, sorted(sites))
        scrub = scrubber([*secrets.values(), *of_sites.all])
        maker = Maker(loaded, state_folder(loaded.root), scrub, stack, store, of_sites, refresh, end)
        reach = drivers_for(maker, sites)
        world = World(
            loaded=loaded,
            secrets=secrets,
            hosts=reach.hosts,
            drivers=reach.drivers,
            store=store,
            holder=holder(),
            render=renderer(loaded.root),
            parallel=parallel,
        )
        yield Session(world, scope, desired.rollouts_of(loaded))


def scope_of(loaded: Loaded, limits: Limits) -> Scope:
    """What a command is limited to. Raises UsageError where a name or a selector fits nothing."""
    sites = None
    if limits.site:
        selector = selectors.parse(limits.site)
        sites = frozenset(name for name, site in loaded.sites.items() if picks(selector, site.model))
        if not sites:
            there = f"there are: {', '.join(sorted(loaded.sites))}"
            hint = f"by its name: --site name={limits.site}" if limits.site in loaded.sites else there
            raise UsageError(f"--site {limits.site} fits no site", hint=hint)
    targets = tuple(limits.targets) or None
    if targets:
        sites = (sites or frozenset(loaded.sites)) & frozenset(target.split("/", 1)[0] for target in targets)
    return Scope(
        sites=sites,
        placements=frozenset(limits.placements) or None,
        modes=frozenset({Mode(limits.mode)}) if limits.mode else None,
        targets=targets,
        again=limits.again,
    )


def holder() -> str:
    """Who this process is: `user@host, pid N (start time)`; the start time tells a recycled pid apart."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()} pid {os.getpid()} started {fields[19]}"

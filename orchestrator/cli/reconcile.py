"""`orchestrator reconcile`: plan and apply again and again, every site by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click

from orchestrator import desired
from orchestrator.cli.drivers import close
from orchestrator.cli.options import estate_option, every_option, output_option, parallel_option, scope_options
from orchestrator.cli.running import carry_out, make_view
from orchestrator.cli.sentries import Post, Sentries
from orchestrator.cli.session import Limits, Session, load, reached, scope_of, session
from orchestrator.cli.views.apply import ApplyView
from orchestrator.errors import OrchestratorError
from orchestrator.execution.snapshots import refuse_without_snapshots
from orchestrator.execution.stop import Stop, stop_on_signals
from orchestrator.model.change import Action, Change, Plan, Scope
from orchestrator.planning.batches import together
from orchestrator.reconciler.bell import Bell
from orchestrator.reconciler.loop import healing
from orchestrator.reconciler.loop import reconcile as run_loop


@click.command()
@estate_option
@scope_options
@every_option("How often")
@click.option("--once", is_flag=True, help="Go round once and end.")
@parallel_option
@output_option("table", "json")
def reconcile(estate: Path | None, limits: Limits, every: float, once: bool, parallel: int, output: str) -> None:
    """Plan and apply again and again, every site by itself, without asking.

    What the documents ask for is applied; drift is healed on Kubernetes and reported on machines. Between its turns a
    site is visited as soon as something on its cluster has changed. A site that cannot be done is told and tried
    again. Ends in good order on SIGINT or SIGTERM.
    """
    stop, bell = Stop(), Bell(every)
    sentries = None if once else Sentries(bell.ring)
    cycle = _Cycle(estate, limits, make_view(output), parallel, stop, sentries)
    try:
        with stop_on_signals(stop, cycle.say):
            run_loop(cycle, every=every, parallel=parallel, stop=stop, once=once, bell=bell)
    finally:
        if sentries is not None:
            sentries.close()


class _Cycle:
    """Every site gets a session of its own each time, so that one's trouble is never another's."""

    def __init__(
        self,
        estate: Path | None,
        limits: Limits,
        view: ApplyView,
        parallel: int,
        stop: Stop,
        sentries: Sentries | None,
    ) -> None:
        self.estate, self.limits, self.view, self.parallel, self.stop = estate, limits, view, parallel, stop
        self.sentries = sentries

    def say(self, text: str) -> None:
        """A line for whoever watches."""
        click.echo(text, err=True)

    def sites(self) -> list[str]:
        """The sites in scope, as the documents are now; those that a placement takes in batches as one: `a, b`."""
        loaded = load(self.estate)
        names = reached(loaded, scope_of(loaded, self.limits))
        groups = [", ".join(group) for group in together(names, desired.rollouts_of(loaded))]
        if self.sentries is not None:
            self.sentries.keep_only(groups)
        return groups

    @contextmanager
    def visit(self, site: str) -> Iterator[_Visit]:
        """The session of one site, or of several as `sites` names them."""
        limits = replace(self.limits, site=f"name in ({site})")
        post = self.sentries.post(site) if self.sentries is not None else None
        end = post.end if post is not None else close
        with session(self.estate, limits, parallel=self.parallel, end=end) as it:
            yield _Visit(it, self, site, post)

    def trouble(self, site: str, error: OrchestratorError) -> None:
        """Say it, and go on."""
        self.say(f"{site or 'documents'}: {error}")


class _Visit:
    def __init__(self, it: Session, cycle: _Cycle, site: str, post: Post | None) -> None:
        self.it, self.cycle, self.site, self.post = it, cycle, site, post

    def plan(self) -> Plan:
        """What the site needs. Raises PlanError where machines are to be kept before and cannot."""
        made = self.it.plan()
        if self.post is not None:
            self.post.saw(self.it.loaded, made)
        refuse_without_snapshots(made, self.it.world)
        return made

    def tell(self, plan: Plan, held_back: tuple[Change, ...]) -> None:
        """One line for each thing that is only reported, and for what could not be seen; in one round, for nothing."""
        for change in held_back:
            self.cycle.say(f"{change.address}: {change.reason}: reported only; `orchestrator apply` heals it")
        for cause in sorted({change.reason for change in plan.changes if change.action == Action.HOLD} - {""}):
            self.cycle.say(f"{cause}")
        if plan.acting:
            self.cycle.view.started(plan)
        elif self.cycle.sentries is None:  # a loop is silent while nothing happens; one round says that it was made
            self.cycle.say(f"{self.site}: nothing to do")

    def apply(self, plan: Plan) -> None:
        """Make the changes that the loop may make, waves included."""

        def planner(scope: Scope) -> Plan:
            return healing(self.it.plan(scope))[0]

        carry_out(self.it, plan, self.cycle.view, kind="reconcile", planner=planner, stop=self.cycle.stop)

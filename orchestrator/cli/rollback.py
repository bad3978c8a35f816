"""`orchestrator rollback`: back to what an earlier run has left."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator import desired
from orchestrator.cli.apply import converge
from orchestrator.cli.options import estate_option, output_option, parallel_option, yes_option
from orchestrator.cli.pinning import pinned, whole_pin, with_pins
from orchestrator.cli.session import Limits, load, session
from orchestrator.documents.loaded import Loaded
from orchestrator.documents.revisions import revision_digest
from orchestrator.errors import DocumentsError, UsageError
from orchestrator.model.revision import Good, PinRow
from orchestrator.state import Store, open_store


@click.command()
@click.argument("placement")
@click.option("--to", "run", type=click.IntRange(1), metavar="RUN", help="Back to what this run has left.")
@click.option("--release", is_flag=True, help="End the rollback: the next apply goes on with the documents.")
@estate_option
@yes_option
@parallel_option
@output_option("table", "json")
def rollback(
    placement: str, run: int | None, release: bool, estate: Path | None, yes: bool, parallel: int, output: str
) -> None:
    """Return PLACEMENT to what an earlier run was made from: show the plan, ask, make it so, and stay there.

    Without --to it is the last run that was done with other documents. The placement then stays at that revision, and
    plan, apply and status say so, until its documents change or it is released. Secrets are read as they are now.
    """
    if release:
        _release(estate, placement)
        return
    chosen: list[PinRow] = []

    def back(loaded: Loaded, store: Store) -> Loaded:
        row = _target(loaded, store, placement, run)
        chosen.append(row)
        others = [one for one in store.pins() if one.placement in loaded.placements and one.placement != placement]
        found = with_pins(loaded, store, [*others, row])
        if wrong := [d for d in desired.check(found) if d.severity == "error"]:
            raise DocumentsError(wrong)
        return found

    with session(estate, Limits(placements=(placement,)), parallel=parallel, amend=back) as it:
        code = converge(
            it,
            it.plan(),
            yes=yes,
            output=output,
            kind="rollback",
            agreed=lambda: it.world.store.pin(chosen[0]),
        )
    raise SystemExit(code)


def _target(loaded: Loaded, store: Store, placement: str, run: int | None) -> PinRow:
    """The pin that returns a placement. Raises UsageError where there is nothing to return to."""
    if placement not in loaded.chosen:
        names = ", ".join(sorted(loaded.placements)) or "none"
        raise UsageError(f"there is no placement `{placement}`", hint=f"there are: {names}")
    documents = revision_digest(loaded, placement)
    now = whole_pin(pinned(loaded, store), placement)
    goods = store.goods(placement, whole=True)
    found = _chosen(goods, run, now.revision if now else documents, now.run if now else 0)
    if found is None:
        raise _nothing_there(goods, run, placement)
    return PinRow(placement, found.run, found.revision, documents, store.now(), "rollback")


def _nothing_there(goods: list[Good], run: int | None, placement: str) -> UsageError:
    runs = sorted({good.run for good in goods}, reverse=True)
    there = (
        f"runs that have left one: {', '.join(map(str, runs[:10]))}" if runs else "they are kept from the next run on"
    )
    if run:
        return UsageError(f"run {run} has left no revision of {placement}", hint=there)
    same = "; all of the present documents" if runs else ""
    return UsageError(f"no earlier revision of {placement} is kept", hint=there + same)


def _chosen(goods: list[Good], run: int | None, revision: str, pinned_to: int) -> Good | None:
    """Of run `run`; else the newest of another revision than is there now, before the run that is pinned to."""
    if run is not None:
        return next((good for good in goods if good.run == run), None)
    earlier = (good for good in goods if not pinned_to or good.run < pinned_to)
    return next((good for good in earlier if good.revision != revision), None)


def _release(estate: Path | None, placement: str) -> None:
    """End all pins of a placement."""
    loaded = load(estate)
    with open_store(loaded.root) as store:
        rows = [row for row in store.pins() if row.placement == placement]
        if not rows:
            raise UsageError(f"{placement} is not pinned", hint="`orchestrator status` shows what is")
        store.unpin(placement)
    click.echo(f"{placement} is released: the next apply goes on with its documents.")

"""Pins in force: placements, and single workloads, that stay at a revision until their documents change."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from orchestrator.documents.loaded import Loaded, Pin
from orchestrator.documents.revisions import restored, revision_digest
from orchestrator.model.address import WorkloadKey
from orchestrator.model.revision import PinRow
from orchestrator.state import Store


def pinned(loaded: Loaded, store: Store) -> Loaded:
    """The documents, with pinned placements and workloads as they were; pins of other documents hold no longer."""
    rows = [row for row in store.pins() if row.placement in loaded.placements]
    holding = [row for row in rows if row.documents == revision_digest(loaded, row.placement)]
    found = with_pins(loaded, store, holding)
    return replace(found, unpinned=tuple(row for row in rows if row not in holding))


def with_pins(loaded: Loaded, store: Store, rows: list[PinRow]) -> Loaded:
    """The documents, with these pins in force. Raises DocumentsError where a revision cannot be used any more."""
    for row in rows:
        loaded = _with_pin(loaded, store, row)
    return loaded


def _with_pin(loaded: Loaded, store: Store, row: PinRow) -> Loaded:
    data = store.revision(row.revision)
    label = f"{data['blueprint']['label']}{mark(row.run)}"
    placement, blueprint = restored(data, store.content, store.folder_of(row.revision), label)
    now = loaded.placements[row.placement].model.spec.change
    spec = placement.model.spec.model_copy(update={"change": now})  # how to change is as it is now
    written = replace(placement, model=placement.model.model_copy(update={"spec": spec}))
    metadata = blueprint.document.model.metadata
    key = (metadata.name, f"{metadata.version}{mark(row.run)}")
    found = replace(
        loaded,
        blueprints={**loaded.blueprints, key: blueprint},
        pins=(*loaded.pins, Pin(row, written, key)),
    )
    if row.workload:
        return found
    return replace(
        found,
        placements={**found.placements, row.placement: written},
        chosen={**found.chosen, row.placement: key},
    )


def documents_of(loaded: Loaded, placement: str) -> str:
    """The digest of the revision that a placement's documents make, pinned or not."""
    whole = whole_pin(loaded, placement)
    return whole.documents if whole else revision_digest(loaded, placement)


def whole_pin(loaded: Loaded, placement: str) -> PinRow | None:
    """The pin in force of a whole placement."""
    return next((p.row for p in loaded.pins if p.row.placement == placement and not p.row.workload), None)


def last_good(loaded: Loaded, store: Store, key: WorkloadKey) -> PinRow | str:
    """The pin that returns a failed workload to its last good revision; why there is none where there is none."""
    good = next((good for good in store.goods(key.placement) if good.workload == key), None)
    if good is None:
        return "no earlier revision of it is kept"
    whole = whole_pin(loaded, key.placement)
    own = (key.site, key.placement, str(key.mode), key.workload)
    now = [p.row for p in loaded.pins if (p.row.site, p.row.placement, p.row.mode, p.row.workload) == own]
    now += [whole] if whole else []
    if good.revision == (now[0].revision if now else revision_digest(loaded, key.placement)):
        return f"run {good.run} left it well at this very revision"
    documents = documents_of(loaded, key.placement)
    return PinRow(
        key.placement, good.run, good.revision, documents, store.now(), "failed", key.site, str(key.mode), key.workload
    )


def end_outdated(loaded: Loaded, store: Store, placements: Collection[str]) -> None:
    """End the pins whose documents have changed, once these are gone on with."""
    for placement in {row.placement for row in loaded.unpinned} & set(placements):
        store.unpin(placement)


def mark(run: int) -> str:
    """What marks the blueprint of a revision in labels: `blueprints/shop@run-41`."""
    return f"@run-{run}"

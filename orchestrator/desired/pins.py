"""What is told of pins wherever a plan is shown."""

from __future__ import annotations

from orchestrator.documents.loaded import Loaded
from orchestrator.model.observation import Note
from orchestrator.model.revision import PinRow


def pinned_notes(loaded: Loaded, site: str, placement: str) -> list[Note]:
    """What of a placement at a site stays as it was, and what does no longer."""
    rows = [pin.row for pin in loaded.pins]
    found = [Note(site, placement, row.told) for row in rows if _is_for(row, site, placement)]
    for row in loaded.unpinned:
        if _is_for(row, site, placement):
            found.append(
                Note(site, placement, f"{row.what}no longer pinned to run {row.run}: its documents have changed")
            )
    return found


def _is_for(row: PinRow, site: str, placement: str) -> bool:
    return row.placement == placement and row.site in ("", site)

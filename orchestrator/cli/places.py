"""Sites whose documents are gone: what was remembered of them, so that they can still be cleaned up."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from orchestrator.documents.loaded import Loaded
from orchestrator.documents.models import Site
from orchestrator.documents.written import Positions, Written
from orchestrator.state import Store


def remember_places(loaded: Loaded, store: Store) -> None:
    """Record how each site is reached; references to secrets, never secrets."""
    known = store.places()
    for name, site in loaded.sites.items():
        data = place_of(site)
        if known.get(name) != data:
            store.remember_place(name, data)


def place_of(site: Written[Site]) -> dict[str, Any]:
    """What is recorded of a site: its document and the file that it stood in."""
    return {"document": site.model.model_dump(mode="json", by_alias=True, exclude_none=True), "file": site.at.file}


def with_vanished_sites(loaded: Loaded, store: Store) -> Loaded:
    """The documents, with the sites that are gone but have records put back as they were."""
    left = {record.address.site for record in store.records().values()} - set(loaded.sites)
    places = store.places()
    back = {
        name: Written(Site.model_validate_json(json.dumps(places[name]["document"])), Positions(places[name]["file"]))
        for name in left
        if name in places
    }
    return replace(loaded, sites={**loaded.sites, **back})

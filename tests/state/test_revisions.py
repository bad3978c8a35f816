"""How long revisions are kept: the last ten of each workload at each site, and what is pinned."""

from __future__ import annotations

import pytest

from orchestrator.errors import StateError
from orchestrator.model.address import Mode, WorkloadKey
from orchestrator.model.change import Plan
from orchestrator.model.revision import PinRow, Revision
from orchestrator.state import Store

WEB = WorkloadKey("here", "shop", Mode.AGILE, "web")
DB = WorkloadKey("here", "shop", Mode.STABLE, "db")
SHARED = "shared"


def revision(name: str) -> Revision:
    """One whose blueprint has a file of its own, and one that all have."""
    files = {"own": {"digest": f"file of {name}", "run": False}, "shared": {"digest": SHARED, "run": False}}
    data = {"placement": {}, "file": "shop.yaml", "blueprint": {"files": files}}
    return Revision(name, data, {f"file of {name}": name.encode(), SHARED: b"shared"})


def kept(store: Store, key: WorkloadKey) -> list[str]:
    return [good.revision for good in store.goods("shop") if good.workload == key]


def leave(store: Store, name: str, *keys: WorkloadKey) -> int:
    run = store.begin_run("apply", Plan("e", "id", ()))
    store.keep(run, revision(name), keys)
    return run


def test_the_last_ten_revisions_of_a_workload_are_kept_and_their_files(store: Store) -> None:
    for number in range(12):
        leave(store, f"r{number}", WEB)
    assert kept(store, WEB) == [f"r{number}" for number in range(11, 1, -1)]
    assert store.content("file of r2") == b"r2"
    assert store.content(SHARED) == b"shared"
    for gone in ("file of r0", "file of r1"):
        with pytest.raises(StateError, match="not kept any more"):
            store.content(gone)
    with pytest.raises(StateError, match="not kept any more"):
        store.revision("r0")


def test_a_revision_stays_as_long_as_another_workload_was_left_at_it(store: Store) -> None:
    leave(store, "r0", WEB, DB)
    for number in range(1, 12):
        leave(store, f"r{number}", WEB)
    assert kept(store, DB) == ["r0"]
    assert store.content("file of r0") == b"r0"
    assert "r0" not in kept(store, WEB)


def test_to_be_left_at_the_same_revision_again_drops_no_other(store: Store) -> None:
    leave(store, "old", WEB)
    for _ in range(20):
        leave(store, "new", WEB)
    assert set(kept(store, WEB)) == {"old", "new"}


def test_what_is_pinned_is_kept_and_its_folder_goes_with_it_later(store: Store) -> None:
    run = leave(store, "r0", WEB)
    store.pin(PinRow("shop", run, "r0", "documents", 0.0, "rollback"))
    folder = store.folder_of("r0")
    folder.mkdir(parents=True)
    for number in range(1, 12):
        leave(store, f"r{number}", WEB)
    assert store.content("file of r0") == b"r0"
    assert folder.is_dir()
    store.unpin("shop")
    leave(store, "r12", WEB)
    assert not folder.exists()
    with pytest.raises(StateError, match="not kept any more"):
        store.content("file of r0")

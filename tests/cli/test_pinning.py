"""Revisions kept by the store and made documents again; what is pinned stays as it was until its documents change."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator import desired
from orchestrator.cli.pinning import documents_of, last_good, pinned, with_pins
from orchestrator.cli.rollback import _target
from orchestrator.cli.session import load
from orchestrator.documents.loaded import Loaded
from orchestrator.documents.revisions import revision_digest, revision_of
from orchestrator.errors import UsageError
from orchestrator.model.address import Mode, WorkloadKey
from orchestrator.model.change import Known, Plan
from orchestrator.model.revision import PinRow
from orchestrator.state import Store, open_store

PLAYBOOK = "- hosts: all\n  tasks: [{ansible.builtin.copy: {content: one, dest: /etc/x}}]\n"
FILES = {
    "orchestrator.yaml": (
        "apiVersion: orchestrator/v1alpha1\nkind: Estate\n"
        "metadata: {name: acme, id: 7d0c1f4e-2b61-4c7e-9f0e-3f1a5b8c2d90}\n"
    ),
    "sites.yaml": (
        "apiVersion: orchestrator/v1alpha1\nkind: Site\nmetadata: {name: lab}\n"
        "spec: {stable: {provider: lab}, agile: {cluster: {lab: true}}}\n"
    ),
    "shop.yaml": (
        "apiVersion: orchestrator/v1alpha1\nkind: Placement\nmetadata: {name: shop}\n"
        "spec:\n  blueprint: shop@*\n  sites: {}\n  values: {word: one, password: {secretRef: {env: PASSWORD}}}\n"
    ),
    "blueprints/shop/blueprint.yaml": (
        "apiVersion: orchestrator/v1alpha1\nkind: Blueprint\nmetadata: {name: shop, version: 1.0.0}\n"
        "spec:\n  parameters: {word: {type: string}, password: {type: secret}}\n"
        "  stable:\n    db:\n      configure: {playbook: db.yaml, vars: {word: '${parameters.word}'}}\n"
        "  agile:\n    web:\n      manifests: [web.yaml.j2]\n      vars: {word: '${parameters.word}'}\n"
    ),
    "blueprints/shop/db.yaml": PLAYBOOK,
    "blueprints/shop/tool.sh": "#!/bin/sh\n",
    "blueprints/shop/web.yaml.j2": (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {word: {{ word | tojson }}}\n"
    ),
}
WEB, DB = (WorkloadKey("lab", "shop", mode, name) for mode, name in ((Mode.AGILE, "web"), (Mode.STABLE, "db")))


class Estate:
    def __init__(self, root: Path, store: Store) -> None:
        self.root, self.store = root, store
        for name, text in FILES.items():
            self.write(name, text)
        (root / "blueprints/shop/tool.sh").chmod(0o755)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def edit(self, name: str, old: str, new: str) -> None:
        self.write(name, (self.root / name).read_text().replace(old, new))

    def load(self) -> Loaded:
        return load(self.root)

    def ran(self, *workloads: WorkloadKey, result: str = "done") -> int:
        """A run that left these workloads as the documents want them."""
        run = self.store.begin_run("apply", Plan("acme", "id", ()))
        self.store.keep(run, revision_of(self.load(), "shop"), workloads)
        self.store.end_run(run, result, {})
        return run

    def words(self, loaded: Loaded) -> dict[str, str]:
        """What each workload is told."""
        found = desired.resolve(loaded, Known(), {})
        return {
            unit.address.workload: str(unit.spec.get("vars") or unit.spec.get("object"))
            for unit in found.units
            if unit.address.kind != "machine"
        }

    def notes(self, loaded: Loaded) -> list[str]:
        return [note.text for note in desired.resolve(loaded, Known(), {}).notes]


@pytest.fixture
def estate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Estate]:
    monkeypatch.delenv("ORCHESTRATOR_STATE_DIR", raising=False)
    with open_store(tmp_path) as store:
        yield Estate(tmp_path, store)


def rolled_back(estate: Estate, run: int | None = None) -> PinRow:
    row = _target(estate.load(), estate.store, "shop", run)
    estate.store.pin(row)
    return row


def test_a_pinned_placement_is_resolved_as_it_was_files_and_values(estate: Estate) -> None:
    first = estate.ran(DB, WEB)
    estate.edit("shop.yaml", "word: one", "word: two")
    estate.edit("blueprints/shop/db.yaml", "content: one", "content: two")
    estate.ran(DB, WEB)
    row = rolled_back(estate)
    assert row.run == first
    loaded = pinned(estate.load(), estate.store)
    assert all("one" in text for text in estate.words(loaded).values())
    folder = loaded.blueprints[loaded.chosen["shop"]].folder
    assert folder.files["db.yaml"].decode() == PLAYBOOK
    assert (folder.root / "db.yaml").read_text() == PLAYBOOK
    assert os.access(folder.root / "tool.sh", os.X_OK)
    assert folder.label == f"blueprints/shop@run-{first}"
    (note,) = estate.notes(loaded)
    assert note.startswith(f"pinned to run {first} by rollback")
    assert "orchestrator rollback shop --release" in note


def test_changed_documents_end_a_pin_and_a_changed_policy_does_not(estate: Estate) -> None:
    estate.ran(DB, WEB)
    estate.edit("shop.yaml", "word: one", "word: two")
    rolled_back(estate)
    estate.edit("shop.yaml", "spec:\n", "spec:\n  change: {agile: {batches: [1]}}\n")
    assert "one" in estate.words(pinned(estate.load(), estate.store))["web"]
    estate.edit("shop.yaml", "word: two", "word: three")
    loaded = pinned(estate.load(), estate.store)
    assert "three" in estate.words(loaded)["web"]
    assert estate.notes(loaded) == ["no longer pinned to run 1: its documents have changed"]


def test_how_to_change_is_as_it_is_now_also_where_a_placement_is_pinned(estate: Estate) -> None:
    estate.ran(DB, WEB)
    estate.edit("shop.yaml", "word: one", "word: two")
    estate.edit("shop.yaml", "spec:\n", "spec:\n  change: {stable: {batches: [1]}}\n")
    rolled_back(estate)
    assert desired.rollouts_of(pinned(estate.load(), estate.store))["shop", Mode.STABLE].batches == (1,)


def test_a_workload_is_pinned_by_itself(estate: Estate) -> None:
    estate.ran(DB, WEB)
    estate.edit("shop.yaml", "word: one", "word: two")
    loaded = estate.load()
    row = last_good(loaded, estate.store, WEB)
    assert isinstance(row, PinRow)
    estate.store.pin(row)
    found = pinned(estate.load(), estate.store)
    words = estate.words(found)
    assert "one" in words["web"]
    assert "two" in words["db"]
    assert estate.notes(found)[0].startswith("agile web is pinned to run 1 as what came after it failed")


def test_a_workload_that_was_well_at_this_very_revision_has_nothing_to_go_back_to(estate: Estate) -> None:
    assert last_good(estate.load(), estate.store, WEB) == "no earlier revision of it is kept"
    estate.ran(WEB)
    assert last_good(estate.load(), estate.store, WEB) == "run 1 left it well at this very revision"


def test_without_a_run_it_is_the_last_one_done_with_other_documents(estate: Estate) -> None:
    with pytest.raises(UsageError, match="no earlier revision of shop is kept"):
        _target(estate.load(), estate.store, "shop", None)
    for word in ("one", "two", "three", "four"):
        estate.write("shop.yaml", FILES["shop.yaml"].replace("word: one", f"word: {word}"))
        estate.ran(DB, WEB, result="failed" if word == "three" else "done")
    assert _target(estate.load(), estate.store, "shop", None).run == 2
    assert rolled_back(estate).run == 2
    assert _target(estate.load(), estate.store, "shop", None).run == 1
    with pytest.raises(UsageError, match=r"run 3 has left no revision of shop.*4, 2, 1"):
        _target(estate.load(), estate.store, "shop", 3)
    with pytest.raises(UsageError, match="there is no placement `shp`"):
        _target(estate.load(), estate.store, "shp", None)


def test_a_second_rollback_still_ends_with_the_documents_of_the_first(estate: Estate) -> None:
    estate.ran(DB, WEB)
    estate.edit("shop.yaml", "word: one", "word: two")
    estate.ran(DB, WEB)
    estate.edit("shop.yaml", "word: two", "word: three")
    rolled_back(estate)
    loaded = pinned(estate.load(), estate.store)
    assert documents_of(loaded, "shop") == revision_digest(estate.load(), "shop")
    assert rolled_back(estate).run == 1
    assert len(estate.store.pins()) == 1
    assert "one" in estate.words(pinned(estate.load(), estate.store))["web"]


def test_no_secret_is_kept_and_one_content_is_kept_once(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", "canary-91af")
    estate.ran(DB, WEB)
    estate.edit("shop.yaml", "word: one", "word: two")
    estate.ran(DB, WEB)
    for file in (estate.root / ".orchestrator").rglob("state.db*"):
        assert b"canary-91af" not in file.read_bytes()
    with estate.store._database.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM contents").scalar() == 4


def test_secrets_of_a_pinned_revision_are_asked_for(estate: Estate) -> None:
    estate.ran(DB, WEB)
    estate.edit("shop.yaml", "env: PASSWORD", "env: OTHER")
    row = _target(estate.load(), estate.store, "shop", None)
    loaded = with_pins(estate.load(), estate.store, [row])
    refs = desired.secret_refs(loaded, loaded.sites)
    assert [ref.secret_ref.env for ref in refs] == ["PASSWORD"]

"""Which files are documents, what belongs to a blueprint, and which blueprint a placement picks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator import documents
from orchestrator.documents import finding, folders
from orchestrator.errors import DocumentsError
from tests.documents.conftest import FILES, MakeEstate

DESIGN = Path(__file__).parents[1] / "fixtures" / "estates" / "design"
BLUEPRINT = FILES["blueprints/shop/blueprint.yaml"]
SITE = "apiVersion: orchestrator/v1alpha1\nkind: Site\nmetadata: {name: NAME}\nspec: {}\n"


def said(loaded: documents.Loaded) -> list[str]:
    return [str(diagnostic) for diagnostic in loaded.diagnostics]


def test_the_estate_of_the_design_is_accepted() -> None:
    loaded = documents.load(DESIGN)
    assert loaded.diagnostics == ()
    assert set(loaded.sites) == {"lab", "shanghai-dc", "store-0001", "store-0002"}
    assert loaded.chosen == {"shop": ("webshop", "1.4.0"), "shop-dev": ("webshop", "1.4.0")}
    assert len(loaded.files) == 7
    source = loaded.blueprints["webshop", "1.4.0"]
    assert source.folder.label == "blueprints/webshop"
    assert source.folder.files["stable/templates/orders-db.conf.j2"] == b"port {{ port }}\nrequirepass {{ password }}\n"


def test_the_estate_is_found_from_any_folder_inside_it(estate: MakeEstate) -> None:
    root = estate()
    assert documents.find_root(root / "blueprints" / "shop") == root
    assert documents.find_root(root / "shop.yaml") == root


def test_no_estate_at_all_says_how_to_make_one(tmp_path: Path) -> None:
    for attempt in (documents.find_root, documents.load):
        with pytest.raises(DocumentsError, match="orchestrator init"):
            attempt(tmp_path)


def test_other_peoples_yaml_does_not_disturb(estate: MakeEstate) -> None:
    loaded = documents.load(
        estate(
            files={
                "group_vars/all.yml": "password: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n",
                "broken.yaml": "{{ not yaml at all\n",
                "binary.yaml": b"\xff\xfe\x00",
                "k8s.yaml": "apiVersion: v1\nkind: Site\nmetadata: {name: other}\n",
                "notes.yaml": "see: orchestrator/v1alpha1 documents\n",
                ".hidden/site.yaml": SITE,
                ".orchestrator/site.yaml": SITE,
                "site.yaml.orig": SITE,
            }
        )
    )
    assert said(loaded) == []
    assert set(loaded.sites) == {"lab", "dc"}


def test_the_content_of_a_blueprint_folder_holds_no_documents(estate: MakeEstate) -> None:
    loaded = documents.load(
        estate(files={"blueprints/shop/files/site.yaml": SITE, "blueprints/shop/site.yaml": "{broken orchestrator/v1"})
    )
    assert said(loaded) == []
    assert "files/site.yaml" in loaded.blueprints["shop", "1.2.0"].folder.files


def test_two_of_one_name_name_both_places(estate: MakeEstate) -> None:
    loaded = documents.load(
        estate(
            files={
                "z.yaml": SITE.replace("NAME", "lab"),
                "blueprints/zshop/blueprint.yaml": None,
                "y.yaml": FILES["shop.yaml"],
            }
        )
    )
    assert said(loaded) == [
        "y.yaml:3:18: a second placement named `shop`; the first is at shop.yaml:3:18",
        "z.yaml:3:18: a second site named `lab`; the first is at sites.yaml:3:18",
    ]


def test_one_version_in_two_folders_names_both_places(estate: MakeEstate) -> None:
    copy = {
        f"blueprints/zshop/{name}": FILES[f"blueprints/shop/{name}"]
        for name in ("blueprint.yaml", "db.yaml", "web/web.yaml")
    }
    loaded = documents.load(estate(files=copy))
    assert said(loaded) == [
        "blueprints/zshop/blueprint.yaml:3:18: a second blueprint shop 1.2.0; the first is at "
        "blueprints/shop/blueprint.yaml:3:18; give one of them another version"
    ]


def test_a_second_estate_inside_is_refused(estate: MakeEstate) -> None:
    loaded = documents.load(estate(files={"inner/orchestrator.yaml": FILES["orchestrator.yaml"]}))
    assert [d.message for d in loaded.diagnostics] == ["a second Estate document"]


def test_a_blueprint_at_the_root_is_refused(estate: MakeEstate) -> None:
    loaded = documents.load(estate(files={"blueprint.yaml": BLUEPRINT}))
    assert [str(d.source) for d in loaded.diagnostics] == ["blueprint.yaml:1:1"]


@pytest.mark.parametrize(
    ("wanted", "picked"),
    [
        ("shop", "2.0.0"), ("shop@^1.0", "1.10.0"), ("shop@~1.2.0", "1.2.0"), ("shop@1.x", "1.10.0"),
        ("shop@>=1 <2", "1.10.0"), ("shop@1.2.0", "1.2.0"), ("shop@*", "2.0.0"), ("./blueprints/new", "2.0.0"),
    ],
)  # fmt: skip
def test_the_newest_version_that_fits_is_picked(wanted: str, picked: str, estate: MakeEstate) -> None:
    files: dict[str, str | bytes | None] = {}
    for folder, version in (("mid", "1.10.0"), ("new", "2.0.0"), ("rc", "2.1.0-rc.1")):
        files[f"blueprints/{folder}/blueprint.yaml"] = BLUEPRINT.replace("1.2.0", version)
        files[f"blueprints/{folder}/db.yaml"] = "- hosts: all\n"
        files[f"blueprints/{folder}/web/web.yaml"] = "x: 1\n"
    loaded = documents.load(estate(("shop.yaml", "shop@^1.0", f"'{wanted}'"), files=files))
    assert said(loaded) == []
    assert loaded.chosen == {"shop": ("shop", picked)}


def test_the_estates_blueprint_wins_over_the_built_in_one_of_the_same_version(estate: MakeEstate) -> None:
    built_in = documents.load(estate()).blueprints["hello", "1.0.0"]
    assert built_in.folder.label == "catalogue:hello"
    files: dict[str, str | bytes | None] = {
        "blueprints/mine/blueprint.yaml": BLUEPRINT.replace(
            "name: shop, version: 1.2.0", "name: hello, version: 1.0.0"
        ),
        "blueprints/mine/db.yaml": "- hosts: all\n",
        "blueprints/mine/web/web.yaml": "x: 1\n",
    }
    assert documents.load(estate(files=files)).blueprints["hello", "1.0.0"].folder.label == "blueprints/mine"


def test_the_built_in_blueprints_are_right(estate: MakeEstate) -> None:
    place = finding.catalogue()
    assert place is not None
    loaded = documents.load(estate())
    assert said(loaded) == []
    assert {name for name, _ in loaded.blueprints} >= {path.name for path in place.iterdir() if path.is_dir()}


def digest(root: Path) -> str:
    return documents.load(root).blueprints["shop", "1.2.0"].digest


def test_comments_and_order_do_not_change_the_digest_and_content_does(estate: MakeEstate) -> None:
    first = digest(estate())
    name = "blueprints/shop/blueprint.yaml"
    swapped = BLUEPRINT.replace(
        "    zones: {type: list, default: []}\n    password: {type: secret}\n",
        "    password: {type: secret}\n    # a comment\n    zones: {default: [], type: list}\n",
    )
    assert swapped != BLUEPRINT
    assert digest(estate(files={name: swapped})) == first
    assert digest(estate((name, "default: small", "default: large"))) != first
    assert digest(estate(files={"blueprints/shop/db.yaml": "- hosts: db\n"})) != first


def test_a_symlink_that_leaves_the_estate_is_refused_and_not_read(estate: MakeEstate, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("canary")
    (tmp_path / "outside" / "site.yaml").write_text(SITE)
    root = estate()
    (root / "blueprints/shop/file").symlink_to("../../../outside/secret")
    (root / "blueprints/shop/folder").symlink_to(tmp_path / "outside")
    (root / "blueprints/shop/nowhere").symlink_to("gone")
    (root / "site.yaml").symlink_to("../outside/site.yaml")
    loaded = documents.load(root)
    assert said(loaded) == [
        "blueprints/shop/file: a symlink that leaves the estate; put a copy of the file here",
        "blueprints/shop/folder: a symlink that leaves the estate; put a copy of the file here",
        "blueprints/shop/nowhere: a symlink that leads nowhere; remove it",
        "site.yaml: a document behind a symlink that leaves the estate; put a copy of the file here",
    ]
    assert not any(b"canary" in content for content in loaded.blueprints["shop", "1.2.0"].folder.files.values())


def test_a_blueprint_behind_a_symlink_that_leaves_the_estate_is_refused(estate: MakeEstate, tmp_path: Path) -> None:
    root = estate(("shop.yaml", "blueprint: shop@^1.0", "blueprint: ./blueprints/elsewhere"))
    (root / "blueprints/shop").rename(tmp_path / "shop")
    (root / "blueprints/elsewhere").symlink_to(tmp_path / "shop")
    assert (
        "shop.yaml:5:14: the blueprint's folder `./blueprints/elsewhere` is a symlink that leaves the estate; "
        "put a copy into the estate, or use name@range"
    ) in said(documents.load(root))


def test_what_only_ansible_understands_in_a_playbook_is_left_to_it(estate: MakeEstate) -> None:
    playbook = "- hosts: all\n  vars: {a: !vault 'x', b: !unsafe '{{', a: 1}\n  roles: [{role: {{ x }}}]\n"
    assert said(documents.load(estate(files={"blueprints/shop/db.yaml": playbook}))) == []
    vault = "$ANSIBLE_VAULT;1.1;AES256\n6162\n"
    assert said(documents.load(estate(files={"blueprints/shop/db.yaml": vault}))) == []


def test_a_symlink_inside_the_estate_is_followed_and_a_loop_is_not_endless(estate: MakeEstate) -> None:
    root = estate(files={"shared/roles/base/tasks/main.yml": "[]\n"})
    (root / "blueprints/shop/roles").symlink_to("../../shared/roles")
    (root / "blueprints/shop/web/loop").symlink_to("..")
    (root / "blueprints/shop/self").symlink_to("self")
    loaded = documents.load(root)
    assert said(loaded) == ["blueprints/shop/self: a symlink that leads nowhere; remove it"]
    assert "roles/base/tasks/main.yml" in loaded.blueprints["shop", "1.2.0"].folder.files


def test_pipes_and_leftovers_are_no_content(estate: MakeEstate) -> None:
    root = estate(
        files={"blueprints/shop/db.yaml~": "", "blueprints/shop/.git/config": "", "blueprints/shop/.config": "x"}
    )
    os.mkfifo(root / "blueprints/shop/pipe")
    os.mkfifo(root / "pipe.yaml")
    files = documents.load(root).blueprints["shop", "1.2.0"].folder.files
    assert set(files) == {"blueprint.yaml", "db.yaml", "web/web.yaml", ".config"}


@pytest.mark.usefixtures("no_catalogue")
def test_a_folder_that_is_too_large_is_refused(estate: MakeEstate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MAX_BYTES", 1000)
    loaded = documents.load(estate(files={"blueprints/shop/big": "x" * 1001}))
    assert [d.message for d in loaded.diagnostics] == ["the folder has more than 10,000 files or 0 MiB"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_read_is_an_error(estate: MakeEstate) -> None:
    root = estate(files={"closed/site.yaml": SITE})
    (root / "closed").chmod(0)
    try:
        assert [d.source.file for d in documents.load(root).diagnostics] == ["closed"]
    finally:
        (root / "closed").chmod(0o755)


def test_a_file_of_many_sites_is_one_file(estate: MakeEstate) -> None:
    many = "---\n".join(SITE.replace("NAME", f"s-{number}") for number in range(1000))
    loaded = documents.load(estate(files={"many.yaml": many}))
    assert said(loaded) == []
    assert len(loaded.sites) == 1002
    assert str(loaded.sites["s-999"].at.of("metadata", "name")) == f"many.yaml:{999 * 5 + 3}:18"


def test_an_error_in_a_site_is_not_also_a_selector_that_picks_nothing(estate: MakeEstate) -> None:
    loaded = documents.load(
        estate(("sites.yaml", "{name: lab, labels: {env: dev}}", "{name: lab, lables: {env: dev}}"))
    )
    assert said(loaded) == ["sites.yaml:3:23: unknown key `lables` in `metadata`; did you mean `labels`?"]


def test_a_document_that_cannot_be_read_as_one_is_no_absence(estate: MakeEstate, tmp_path: Path) -> None:
    root = estate()
    (root / "shop.yaml").write_bytes((root / "shop.yaml").read_text().encode("utf-16"))
    (root / "sites.yaml").rename(tmp_path / "sites.yaml")
    (root / "sites.yaml").symlink_to("gone.yaml")
    (tmp_path / "outside").mkdir()
    (tmp_path / "sites.yaml").rename(tmp_path / "outside" / "sites.yaml")
    (root / "inventories").symlink_to(tmp_path / "outside")
    assert said(documents.load(root)) == [
        "inventories: a symlink to a folder outside of the estate, whose documents are not read; "
        "put a copy of the folder here",
        "shop.yaml:1:1: the file is not UTF-8 text; save it as UTF-8",
        "sites.yaml: a symlink that leads nowhere; mend it, or remove it",
    ]

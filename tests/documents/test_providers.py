"""Machine providers' manifests, what sites set, and what blueprints may ask of their machines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator import desired, documents
from orchestrator.documents import providers

ESTATE = """
apiVersion: orchestrator/v1alpha1
kind: Estate
metadata: {name: t, id: 11111111-2222-3333-4444-555555555555}
"""
SITE = """
apiVersion: orchestrator/v1alpha1
kind: Site
metadata: {name: dc}
spec:
  stable:
    provider: own
"""
BLUEPRINT = """
apiVersion: orchestrator/v1alpha1
kind: Blueprint
metadata: {name: shop, version: 1.0.0}
spec:
  parameters:
    size: {type: string, default: 8Gi}
  stable:
    db:
      machines:
        cpu: 2
        cloudInit: "#cloud-config"
        disks: {data: {size: "${parameters.size}", keep: true}}
"""
PLACEMENT = """
apiVersion: orchestrator/v1alpha1
kind: Placement
metadata: {name: shop}
spec: {blueprint: ./shop, sites: {}}
"""
MANIFEST = """
provisions: true
machine: {cpu: restart, disks: inPlace, cloudInit: replace}
settings:
  region: {type: string}
  port: {type: integer, default: 22, maximum: 65535}
  password: {type: secret, default: null}
"""


def estate(root: Path, *, manifest: str = MANIFEST, settings: str = "", placement: str = PLACEMENT) -> list[str]:
    """What is wrong with an estate whose site has the provider `own`."""
    (root / "providers" / "own").mkdir(parents=True)
    (root / "shop").mkdir()
    for verb in providers.NEEDED:
        (root / "providers" / "own" / f"{verb}.yml").write_text("[]")
    (root / "providers" / "own" / "provider.yaml").write_text(manifest.lstrip())
    (root / "orchestrator.yaml").write_text(ESTATE.lstrip())
    (root / "site.yaml").write_text((SITE + settings).lstrip())
    (root / "shop" / "blueprint.yaml").write_text(BLUEPRINT.lstrip())
    (root / "shop.yaml").write_text(placement.lstrip())
    loaded = documents.load(root)
    return [str(diagnostic) for diagnostic in sorted({*loaded.diagnostics, *desired.check(loaded)})]


GIVEN = "    settings: {region: eu, password: {secretRef: {env: P}}}\n"


def test_settings_that_fit_are_no_error_and_their_secrets_are_known(tmp_path: Path) -> None:
    assert estate(tmp_path, settings=GIVEN) == []
    loaded = documents.load(tmp_path)
    (ref,) = desired.settings_refs(loaded.sites["dc"])
    assert ref.secret_ref.env == "P"
    settings = loaded.sites["dc"].model.spec.stable.settings  # type: ignore[union-attr]
    assert providers.settings_of(loaded.providers["own"], settings)["port"] == 22


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ("", "site.yaml:6:5: setting `password` of provider `own` is not given"),
        ("    settings: {region: eu, password: hunter2}\n", "setting `password` is a secret, given as a plain value"),
        (GIVEN.replace("eu,", "eu, prot: 1,"), "provider `own` has no setting `prot`; did you mean `port`?"),
        (GIVEN.replace("eu,", "eu, port: 70000,"), "site.yaml:7:34: setting `port` must be at most 65535, not 70000"),
        (GIVEN.replace("eu,", "[a],"), "setting `region` must be a text, not a list"),
    ],
)
def test_settings_are_checked_by_what_the_provider_declares(tmp_path: Path, settings: str, says: str) -> None:
    told = estate(tmp_path, settings=settings)
    assert any(says in line for line in told), told
    assert "hunter2" not in str(told)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "provisions",
            "provision",
            "providers/own/provider.yaml:1:1: unknown key `provision` in",
        ),
        ("true", "'yes'", "provider.yaml:1:13: `provisions` must be true or false"),
        ("restart", "reboot", "`reboot` is not one of inPlace, restart, replace"),
        ("cpu", "cpus", "provider.yaml:2:11: "),
        ("22", "'22'", "the default of `port` must be a whole number, not a text"),
        (MANIFEST, "[]", "a provider's manifest is a map"),
        (MANIFEST, "a: [", "providers/own/provider.yaml:1"),
    ],
)
def test_a_manifest_with_an_error_names_it(tmp_path: Path, old: str, new: str, says: str) -> None:
    told = estate(tmp_path, manifest=MANIFEST.replace(old, new), settings=GIVEN)
    assert any(says in line for line in told), told


def test_a_provider_without_its_playbooks_names_them(tmp_path: Path) -> None:
    estate(tmp_path, settings=GIVEN)
    (tmp_path / "providers" / "own" / "remove.yml").unlink()
    told = [str(diagnostic) for diagnostic in documents.load(tmp_path).diagnostics]
    assert told == ["providers/own/provider.yaml:1:1: the provider has no remove.yml"]


def test_what_a_provider_cannot_give_is_an_error_at_its_place_in_the_blueprint(tmp_path: Path) -> None:
    manifest = MANIFEST.replace(", cloudInit: replace", "")
    (told,) = estate(tmp_path, manifest=manifest, settings=GIVEN)
    assert told == (
        "shop/blueprint.yaml:11:20: provider `own` of site dc cannot give machines `cloudInit`; "
        "it can give cpu, disks; leave it out, or the workload there by its `when`"
    )


def test_a_size_that_is_none_is_an_error_once_it_is_known(tmp_path: Path) -> None:
    placement = PLACEMENT.replace("sites: {}", "sites: {}, values: {size: big}")
    (told,) = estate(tmp_path, settings=GIVEN, placement=placement)
    assert told == "shop/blueprint.yaml:12:30: `size` must be a size such as 4Gi or 512Mi, not `big`"


@pytest.mark.parametrize("name", providers.names(Path("/")))
def test_the_providers_that_we_ship_are_whole(name: str) -> None:
    found, wrong = providers.provider_at(Path("/"), name)
    assert wrong == []
    assert found is not None
    assert found.manifest.title


def test_the_estates_own_provider_comes_first(tmp_path: Path) -> None:
    folder = tmp_path / "providers" / "static"
    folder.mkdir(parents=True)
    (folder / "provider.yaml").write_text("title: ours\n")
    found: Any = providers.provider_at(tmp_path, "static")[0]
    assert (found.folder, found.manifest.title) == (folder, "ours")


HOSTS = "provisions: true\nmachine: {cpu: restart, disks: inPlace, cloudInit: replace}\nhosts: hypervisors\n"
HYPERVISORS = "settings:\n  hypervisors: {type: map}\n"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("{kvm-1: {ansible_host: 10.0.0.1}, kvm-2: null}", []),
        ("{}", ["it names no host; NAME: {ansible_host: ADDRESS, ansible_user: USER}"]),
        (
            "{kvm-1: 10.0.0.1}",
            [
                "`kvm-1` is given no map of Ansible's variables; kvm-1: {ansible_host: ADDRESS, ansible_user: USER}",
            ],
        ),
    ],
)
def test_hosts_that_a_site_names_for_its_provider_are_maps(tmp_path: Path, given: str, says: list[str]) -> None:
    found = estate(tmp_path, manifest=HOSTS + HYPERVISORS, settings=f"    settings: {{hypervisors: {given}}}\n")
    assert [text.partition(": ")[2] for text in found] == says


def test_hosts_are_a_setting_that_is_a_map(tmp_path: Path) -> None:
    assert estate(tmp_path, manifest=HOSTS) == [
        "providers/own/provider.yaml:3:8: `hypervisors` is no setting of type `map`"
    ]

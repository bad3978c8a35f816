"""A secret of a site that is not there, as a person sees it: its site waits, the others go on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Estate
from tests.machines import estates

pytestmark = pytest.mark.lab
PLAY = """\
- hosts: db
  gather_facts: false
  tasks: [{ansible.builtin.copy: {content: "{{ hidden | default('none') }}", dest: "{{ base }}/conf"}}]
"""


def encrypted(folder: Path, text: str) -> str:
    """Text as `ansible-vault` encrypts it."""
    (folder / "password").write_text("open-sesame-7")
    program = Path(sys.executable).with_name("ansible-vault")
    command = [str(program), "encrypt", "--vault-id", f"default@{folder}/password"]
    return subprocess.run(command, input=text, check=True, capture_output=True, text=True).stdout


def two_sites(tmp_path: Path, **here: Any) -> Estate:
    """An estate whose sites `here` and `there` have one host each, with what else the Site of `here` says."""
    it = estates.of_cli(tmp_path / "estate")
    estates.write_placement(it)
    estates.write_blueprint(it, {"db": {"configure": {"playbook": "play.yaml"}}}, {"play.yaml": PLAY})
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    for name in ("here", "there"):
        folder = tmp_path / name
        folder.mkdir()
        estates.write_hosts(
            it, {"db": {name: {**local, "base": str(folder), "orchestrator_state_folder": str(folder)}}}
        )
        (it.root / "hosts.yml").rename(it.root / f"{name}.yml")
        bound = {"provider": "static", "inventory": f"{name}.yml", "bind": {"db": {"group": "db"}}}
        estates.write_site(it, {**bound, **(here if name == "here" else {})}, name)
    return it


def test_settings_without_their_secret_hold_their_own_site_only(tmp_path: Path) -> None:
    it = two_sites(tmp_path, provider="own", settings={"password": {"secretRef": {"env": "TEST_SETTING"}}})
    (it.root / "providers" / "own").mkdir(parents=True)
    (it.root / "providers" / "own" / "provider.yaml").write_text("settings: {password: {type: secret}}\n")
    ran = it.apply(expect=3)
    told = " ".join(ran.out.split())
    assert told.count("environment variable TEST_SETTING is not set; export TEST_SETTING=… (site.yaml:1)") == 1, ran
    assert ((tmp_path / "there/conf").exists(), (tmp_path / "here/conf").exists()) == (True, False)
    it.environment["TEST_SETTING"] = "open-sesame-8"
    it.apply()
    assert (tmp_path / "here/conf").exists()


def test_secrets_of_sites_that_a_command_does_not_reach_are_not_asked_for(tmp_path: Path) -> None:
    it = two_sites(tmp_path)
    parameters = {"password": {"type": "secret"}}
    blueprint = json.loads((it.root / "app" / "blueprint.yaml").read_text())
    (it.root / "app" / "blueprint.yaml").write_text(
        json.dumps({**blueprint, "spec": {**blueprint["spec"], "parameters": parameters}})
    )
    placement = json.loads((it.root / "placement.yaml").read_text())
    placement["spec"]["values"] = {"password": {"secretRef": {"env": "TEST_OF_ALL"}}}
    own = {"password": {"secretRef": {"env": "TEST_OF_THERE"}}}
    placement["spec"]["overrides"] = [{"sites": {"matchLabels": {"name": "there"}}, "values": own}]
    (it.root / "placement.yaml").write_text(json.dumps(placement))
    it.environment["TEST_OF_THERE"] = "open-sesame-9"
    assert "TEST_OF_ALL is not set" in it.apply(expect=1).err
    it.apply("--site", "name=there")
    assert ((tmp_path / "there/conf").exists(), (tmp_path / "here/conf").exists()) == (True, False)


def test_a_vault_without_its_password_holds_its_own_site_only(tmp_path: Path) -> None:
    it = two_sites(tmp_path, vault={"secretRef": {"env": "TEST_VAULT"}})
    (it.root / "host_vars").mkdir()
    inline = encrypted(tmp_path, "from-the-vault").replace("\n", "\n    ")
    (it.root / "host_vars" / "here.yml").write_text(f"hidden: !vault |\n    {inline.rstrip()}\n")

    ran = it.apply(expect=3)
    told = " ".join(ran.out.split())
    cause = "environment variable TEST_VAULT is not set; export TEST_VAULT=… (site.yaml:1)"
    assert told.count(cause) == 1, ran
    assert ((tmp_path / "there/conf").read_text(), (tmp_path / "here/conf").exists()) == ("none", False)

    it.environment["TEST_VAULT"] = "open-sesame-7"
    it.apply()
    assert (tmp_path / "here/conf").read_text() == "from-the-vault"
    assert it.plan() == {}

    del it.environment["TEST_VAULT"]  # nobody can tell the site's hosts where even these are encrypted
    (it.root / "here.yml").write_text(encrypted(tmp_path, (it.root / "here.yml").read_text()))
    ran = it.apply(expect=1)
    assert "site.yaml:1:" in ran.err, ran
    assert "the secret's environment variable TEST_VAULT is not set; export TEST_VAULT=…" in ran.err, ran
    assert "No changes" in it.apply("--site", "name=there").out

"""A vault whose password is not there, as a person sees it: its site waits, the others go on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

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


def test_a_vault_without_its_password_holds_its_own_site_only(tmp_path: Path) -> None:
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
        vault = {"vault": {"secretRef": {"env": "TEST_VAULT"}}} if name == "here" else {}
        bound = {"inventory": f"{name}.yml", "bind": {"db": {"group": "db"}}}
        estates.write_site(it, {"provider": "static", **bound, **vault}, name)
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

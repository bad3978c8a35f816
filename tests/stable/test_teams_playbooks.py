"""Playbooks as teams have them: several plays, roles and collections from elsewhere, vaults, tags."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.model.outcome import Result
from orchestrator.model.values import Secret
from orchestrator.modes.stable.playbooks import requirements

pytestmark = pytest.mark.lab
PASSWORD, OF_PROD = "open-sesame-7", "open-barley-8"

SITE = """
    - name: Base
      hosts: db
      gather_facts: false
      roles: [fromgit]
    - name: Database
      hosts: db
      gather_facts: false
      vars_files: [secret.yml]
      tasks:
        - acme.tools.note: {}
        - name: Conf
          ansible.builtin.copy: {content: "{{ where }} {{ beside }} {{ hidden }} {{ inline }}", dest: "{{ base }}/conf"}
        - ansible.builtin.set_fact: {remembered: from-the-cache, cacheable: true}
        - {name: Tagged, ansible.builtin.copy: {content: "{{ remembered }}", dest: "{{ base }}/slow"}, tags: [slow]}
    - {name: Web, hosts: web, gather_facts: false, tasks: [{ansible.builtin.debug: {}}]}
"""


def git(folder: Path, *args: str) -> None:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-C", str(folder), *args]
    subprocess.run(command, check=True, capture_output=True)


def encrypted(text: str, folder: Path, label: str, password: str) -> str:
    (folder / "password").write_text(password)
    program = Path(sys.executable).with_name("ansible-vault")
    command = [str(program), "encrypt", "--vault-id", f"{label}@{folder / 'password'}"]
    return subprocess.run(command, input=text, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def team(estate: Any, tmp_path: Path) -> Any:
    role = tmp_path / "their-role"
    (role / "tasks").mkdir(parents=True)
    (role / "meta").mkdir()
    (role / "meta" / "main.yml").write_text("galaxy_info: {author: a, description: d, license: MIT}\n")
    (role / "tasks" / "main.yml").write_text("- ansible.builtin.copy: {content: r, dest: '{{ base }}/role'}\n")
    git(role, "init", "-q", "-b", "main")
    git(role, "add", ".")
    git(role, "commit", "-q", "-m", "role")
    collection = tmp_path / "their-collection"
    (collection / "plugins" / "modules").mkdir(parents=True)
    (collection / "galaxy.yml").write_text(
        "namespace: acme\nname: tools\nversion: 1.0.0\nreadme: README.md\nauthors: [a]\n"
    )
    (collection / "README.md").write_text("tools\n")
    (collection / "plugins" / "modules" / "note.py").write_text(
        "from ansible.module_utils.basic import AnsibleModule\nAnsibleModule({}).exit_json(changed=False)\n"
    )
    estate.write(
        "requirements.yml",
        f"roles: [{{name: fromgit, src: 'git+file://{role}'}}]\ncollections: [{{name: {collection}, type: dir}}]\n",
    )
    estate.write("site.yml", SITE)
    estate.write("secret.yml", encrypted("hidden: from-the-vault\n", tmp_path, "default", PASSWORD))
    inline = encrypted("from-the-inventory", tmp_path, "prod", OF_PROD)
    estate.write_inventory({"h1": {"inline": "INLINE"}, "h2": {}})
    tagged = "!vault |\n" + "".join(f"          {line}\n" for line in inline.splitlines())
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars" / "h1.yml").write_text(f"where: host_vars\nvaulted: {tagged}")
    (tmp_path / "hosts.yml").write_text((tmp_path / "hosts.yml").read_text().replace('"INLINE"', '"{{ vaulted }}"'))
    (tmp_path / "hosts.yml").write_text((tmp_path / "hosts.yml").read_text()[:-1] + ', "web": {"hosts": {"w1": {}}}}')
    (estate.blueprint / "group_vars").mkdir()
    estate.write("group_vars/db.yml", "beside: playbook_group_vars\n")
    (tmp_path / "ansible.cfg").write_text(
        "[defaults]\nstdout_callback = minimal\ncallbacks_enabled = timer\nforks = 3\n"
        f"fact_caching = jsonfile\nfact_caching_connection = {tmp_path}/facts\n"
    )
    return estate


def test_a_teams_playbook_runs_unchanged(team: Any, tools: Any) -> None:
    unit = team.unit("h1", playbook="site.yml", skipTags=["slow"])
    outcome = tools.apply(team.driver(), [unit])["h1"]
    assert outcome.result == Result.FAILED
    assert "name the password in the Site: `stable.vault" in outcome.message
    team.vaults = {"": PASSWORD, "prod": OF_PROD}
    outcome = tools.apply(team.driver(), [unit])["h1"]
    assert outcome.result == Result.DONE, outcome
    assert outcome.message == "play `Web` is for other hosts and was left out"
    base = team.host("h1")
    assert (base / "role").read_text() == "r"
    assert (base / "conf").read_text() == "host_vars playbook_group_vars from-the-vault from-the-inventory"
    assert not (base / "slow").exists()
    outcome = tools.apply(team.driver(), [team.unit("h1", playbook="site.yml", tags=["slow"])])["h1"]
    assert outcome.result == Result.DONE, outcome
    assert (base / "slow").read_text() == "from-the-cache", "by the task that sets it in the run before"
    kept = [path.read_bytes() for path in team.scratch.rglob("*") if path.is_file()]
    assert not any(password.encode() in data for data in kept for password in (PASSWORD, OF_PROD))


def test_requirements_are_installed_once_for_each_content(team: Any, tmp_path: Path, monkeypatch: Any) -> None:
    first = requirements.installed(team.root, team.blueprint, str)
    started = (first.roles[0].parent / requirements.DONE).stat().st_mtime_ns
    assert requirements.installed(team.root, team.blueprint, str) == first
    assert (first.roles[0].parent / requirements.DONE).stat().st_mtime_ns == started
    (tmp_path / "their-collection" / "README.md").write_text("changed\n")
    assert requirements.installed(team.root, team.blueprint, str) != first


def test_requirements_beside_the_playbook_count_and_a_role_may_be_a_plain_folder(team: Any, tmp_path: Path) -> None:
    plain = tmp_path / "plain-role" / "tasks"
    plain.mkdir(parents=True)
    (plain / "main.yml").write_text("[]\n")
    (team.blueprint / "stable").mkdir()
    relative = os.path.relpath(plain.parent, team.blueprint / "stable")
    team.write("stable/requirements.yml", f"roles: [{{name: renamed, src: {relative}}}, {{src: {relative}}}]\n")
    (team.blueprint / "requirements.yml").unlink()
    assert requirements.installed(team.root, team.blueprint, str) == requirements.Needed()
    first = requirements.installed(team.root, team.blueprint, str, "stable/db.yaml")
    assert sorted(path.name for path in first.roles[0].iterdir()) == ["plain-role", "renamed"]
    (plain / "main.yml").write_text("[{ansible.builtin.debug: {}}]\n")
    second = requirements.installed(team.root, team.blueprint, str, "stable/db.yaml")
    assert "debug" in (second.roles[0] / "renamed" / "tasks" / "main.yml").read_text()


def test_a_playbook_that_asks_is_not_waited_for(team: Any, tools: Any) -> None:
    asking = "vars_prompt: [{name: answer, default: none}], tasks: [{ansible.builtin.pause: {prompt: Go on}}]"
    (team.blueprint / "requirements.yml").unlink()
    team.write("asks.yml", f"- {{hosts: db, gather_facts: false, {asking}}}\n")
    outcome = tools.apply(team.driver(), [team.unit("h1", playbook="asks.yml")])["h1"]
    assert outcome.result == Result.DONE, outcome


def test_a_branch_counts_as_where_it_stands_and_without_network_as_where_it_stood(team: Any, tmp_path: Path) -> None:
    role = tmp_path / "their-role"
    one = {"src": f"git+file://{role}", "version": "main"}
    first = requirements._stands(team.root, one)
    assert first.endswith("refs/heads/main\n")
    git(role, "commit", "-q", "--allow-empty", "-m", "more")
    second = requirements._stands(team.root, one)
    assert second != first
    role.rename(tmp_path / "elsewhere")
    assert requirements._stands(team.root, one) == second
    assert requirements._stands(team.root, {**one, "version": "v1.2.0"}) == "", "a tag stays where it is"


def test_what_is_not_installed_or_wrong_is_said_with_what_helps(team: Any, tools: Any) -> None:
    team.vaults = {"": "wrong"}
    team.write("requirements.yml", "roles: [{name: r, src: 'git+file:///nowhere/at/all'}]\n")
    team.write("lone.yml", "- {hosts: db, gather_facts: false, roles: [lacking]}\n")
    driver, unit = team.driver(), team.unit("h1", playbook="lone.yml")
    outcome = tools.apply(driver, [unit])["h1"]
    assert outcome.message.startswith("ansible-galaxy cannot install the roles: ")
    assert "/nowhere/at/all" in outcome.message
    (team.blueprint / "requirements.yml").unlink()
    outcome = tools.apply(driver, [unit])["h1"]
    assert "the role 'lacking' was not found" in outcome.message
    assert outcome.message.endswith("put it into `roles/`, or list it in `requirements.yml`")
    team.write("wrong.yml", "- {hosts: db, gather_facts: false, vars_files: [secret.yml], tasks: []}\n")
    full = "[{ansible.builtin.command: dd if=/dev/zero of=/dev/full bs=1 count=1}]"
    team.write("full.yml", f"- {{hosts: db, gather_facts: false, tasks: {full}}}\n")
    outcome = tools.apply(driver, [team.unit("h1", playbook="wrong.yml", vars={"p": Secret("abcd1234", "x")})])["h1"]
    assert outcome.message.endswith("the vault's password is not the one that this was encrypted with")
    outcome = tools.apply(driver, [team.unit("h1", playbook="full.yml")])["h1"]
    assert outcome.where == "bp/full.yml:1"
    assert outcome.message.endswith("make room on the host, and apply again: it goes on from there")

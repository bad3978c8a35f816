"""Playbooks that cannot run as they are, as a person sees it: one apply over many workloads of one host."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Estate
from tests.machines import estates

pytestmark = pytest.mark.lab

HEAD = "- hosts: {hosts}\n  gather_facts: false\n"
COPY = "  tasks: [{{ansible.builtin.copy: {{content: x, dest: '{{{{ base }}}}/{name}'}}}}]\n"
PLAYS = {
    "fine": HEAD + COPY,
    "role": HEAD + "  roles: [lacking]\n",
    "module": HEAD + "  tasks:\n    - {{name: Note, acme.tools.note: {{}}}}\n",
    "vault": HEAD + "  vars_files: [secret.yml]\n" + COPY,
    "elsewhere": "- {{name: Web, hosts: web, gather_facts: false, tasks: []}}\n",
    "nobody": "- {{name: Nobody, hosts: nosuch, gather_facts: false, tasks: []}}\n",
    "here": "- hosts: localhost\n  gather_facts: false\n"
    + COPY.replace("{{{{ base }}}}/{name}", "{elsewhere}")
    + HEAD
    + COPY,
}
TOLD = {
    "role": r"the role 'lacking' was not found in app/roles(.*\n)*? +put it into `roles/`, or list it in `requirements",
    "module": r"couldn't resolve module/action 'acme.tools.note'(.*\n)*? +list its collection in `requirements.yml`",
    "vault": r"Invalid vars_files file 'app/secret.yml'(.*\n)*? +name the password in the Site: `stable.vault",
    "elsewhere": r"no play of the playbook ran on this host; check their `hosts:` and the tags",
    "nobody": r"play `Nobody` matches no host of the inventory; check its `hosts:`",
}


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    it = estates.of_cli(tmp_path / "estate")
    estates.write_placement(it)
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "base": str(tmp_path)}
    local["orchestrator_state_folder"] = str(tmp_path / "state")
    estates.write_hosts(it, {**{name: {"h1": local} for name in PLAYS}, "web": {"w1": {}}})
    estates.write_static_site(it, list(PLAYS))
    return it


def test_what_cannot_run_is_told_with_what_helps_and_the_rest_is_done(estate: Estate, tmp_path: Path) -> None:
    files = {
        f"{name}.yaml": text.format(hosts=name, name=name, elsewhere=tmp_path / "elsewhere")
        for name, text in PLAYS.items()
    }
    (tmp_path / "password").write_text("open-sesame-7")
    encrypt = [
        str(Path(sys.executable).with_name("ansible-vault")),
        "encrypt",
        "--vault-id",
        f"prod@{tmp_path}/password",
    ]
    done = subprocess.run(encrypt, input="hidden: x\n", check=True, capture_output=True, text=True)
    files["secret.yml"] = done.stdout
    workloads = {name: {"configure": {"playbook": f"{name}.yaml"}} for name in PLAYS}
    estates.write_blueprint(estate, workloads, files)
    told = estate.apply(expect=1).out
    for name, text in TOLD.items():
        assert re.search(rf"✗ here  configuration h1 +failed, stable {name}\n(    .*\n)*? +{text}", told), (
            f"{name}: {told}"
        )
    assert re.search(r"✓ here  configuration h1 .* its plays for localhost ran on this computer", told), told
    assert (tmp_path / "fine").exists()
    assert (tmp_path / "elsewhere").exists()

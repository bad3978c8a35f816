"""Collections from a Galaxy server that a team's own ansible.cfg names, by the real ansible-galaxy."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import DriverError
from orchestrator.modes.stable.playbooks import requirements
from tests.stable.galaxy import VERSION, Galaxy, galaxy

TOKEN = "t0k3n-of-the-team"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Galaxy]:
    with galaxy(tmp_path_factory.mktemp("galaxy"), TOKEN) as running:
        yield running


def configure(estate: Any, url: str, token: str = TOKEN, version: str = VERSION) -> None:
    """An estate that wants the collection from this server."""
    settings = f"[galaxy]\nserver_list = team\n[galaxy_server.team]\nurl = {url}\ntoken = {token}\n"
    (estate.root / "ansible.cfg").write_text(settings)
    estate.write("requirements.yml", f'collections: [{{name: acme.tools, version: "{version}"}}]\n')


def refusal(estate: Any) -> str:
    """What is said where the collection cannot be had."""
    with pytest.raises(DriverError) as refused:
        requirements.installed(estate.root, estate.blueprint, str)
    text = f"{refused.value.message}; {refused.value.hint}"
    assert TOKEN not in text
    assert "WARNING]: The specified" not in text
    assert not list(Path(requirements._cache()).glob(f"*/{requirements.DONE}"))
    return text


def test_a_collection_comes_from_the_teams_own_server_once(estate: Any, server: Galaxy) -> None:
    configure(estate, server.url)
    found = requirements.installed(estate.root, estate.blueprint, str)
    (folder,) = found.collections
    assert (folder / "ansible_collections/acme/tools/roles/greet/tasks/main.yml").is_file()
    asked = len(server.asked)
    assert requirements.installed(estate.root, estate.blueprint, str) == found
    assert len(server.asked) == asked, "what is installed is not asked for again"


def test_a_version_that_the_server_does_not_have_is_named(estate: Any, server: Galaxy) -> None:
    configure(estate, server.url, version="9.9.9")
    text = refusal(estate)
    assert "acme.tools:9.9.9" in text
    assert text.endswith("name a version in requirements.yml that its server has")


def test_a_token_that_is_refused_is_told_and_not_shown(estate: Any, server: Galaxy) -> None:
    configure(estate, server.url, token=f"{TOKEN}-of-last-year")
    text = refusal(estate)
    assert server.url in text
    assert text.endswith("in the environment as ANSIBLE_GALAXY_SERVER_NAME_TOKEN")


def test_a_server_that_is_not_there_is_named(estate: Any) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/hub/api/"
        configure(estate, url)
        text = refusal(estate)
    assert url in text
    assert text.endswith("is its server there? ansible.cfg names it, under `[galaxy_server.NAME]`")

"""Provider plugins for Pulumi programs, against a release server on loopback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator.cli import root
from orchestrator.errors import ToolchainError
from orchestrator.toolchain import plugins
from orchestrator.toolchain.plugins import Plugin
from orchestrator.toolchain.programs import architecture
from tests.toolchain.conftest import ReleaseServer, archive, script, sha256

AWS = Plugin("aws", "6.1.0")


def publish(server: ReleaseServer, plugin: Plugin, checksum: str = "") -> None:
    assert plugin.release is not None
    release = plugin.release.for_arch(architecture())
    file = archive(plugin.program, script(plugin.version))
    server.put(release.url, file)
    line = f"{checksum or sha256(file)}  {release.url.rsplit('/', 1)[-1]}\n"
    server.put(release.checksums_url, line.encode())


def test_a_verified_plugin_is_installed_once_and_listed(
    server: ReleaseServer, said: list[str], own_cache: Path
) -> None:
    publish(server, AWS)
    program = plugins.ensure(AWS, said.append)
    assert program == own_cache / "toolchain/pulumi-resource-aws/6.1.0/pulumi-resource-aws"
    asked = len(server.asked)
    assert plugins.ensure(AWS, said.append) == program
    assert len(server.asked) == asked
    listed = json.loads(CliRunner().invoke(root, ["toolchain", "list", "-o", "json"]).stdout)["programs"]
    assert [(p["found"], p["way"]) for p in listed if p["name"] == AWS.program] == [("6.1.0", "downloaded")]


def test_a_plugin_that_is_not_what_its_vendor_published_is_refused(server: ReleaseServer, said: list[str]) -> None:
    publish(server, AWS, checksum="0" * 64)
    with pytest.raises(ToolchainError, match="REFUSED") as raised:
        plugins.ensure(AWS, said.append)
    assert "put pulumi-resource-aws on PATH" in raised.value.hint
    assert list(plugins.installed()) == []


def test_a_plugin_whose_server_publishes_no_checksums_is_not_run(server: ReleaseServer, said: list[str]) -> None:
    with pytest.raises(ToolchainError, match="publishes no checksums"):
        plugins.ensure(Plugin("odd", "1.0.0", "https://plugins.example"), said.append)
    assert server.asked == []


def test_a_plugin_on_path_is_used_whatever_its_version(server: ReleaseServer, said: list[str], tmp_path: Path) -> None:
    program = tmp_path / "path" / AWS.program
    program.write_bytes(script("1.0.0"))
    program.chmod(0o755)
    assert plugins.ensure(AWS, said.append) is None
    assert plugins.on_path(AWS) == program
    listed = json.loads(CliRunner().invoke(root, ["toolchain", "list", "-o", "json"]).stdout)["programs"]
    assert [(p["path"], p["way"]) for p in listed if p["name"] == AWS.program] == [(str(program), "path")]
    assert server.asked == []


def test_the_command_line_names_a_plugin_with_its_version(server: ReleaseServer) -> None:
    publish(server, AWS)
    ran = CliRunner().invoke(root, ["toolchain", "install", "pulumi-resource-aws@6.1.0"])
    assert ran.exit_code == 0, ran.output
    assert [plugin for plugin, _ in plugins.installed()] == [AWS]

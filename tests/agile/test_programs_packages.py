"""A program that requires an SDK, whose provider plugin comes from its release: all is had when it is first needed."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator import toolchain
from orchestrator.model.change import Action
from orchestrator.model.observation import Unreachable
from orchestrator.modes.agile.driver import AgileDriver
from orchestrator.toolchain.plugins import Plugin
from orchestrator.toolchain.programs import architecture
from tests.agile.conftest import PLUGIN
from tests.agile.program_lab import Lab
from tests.toolchain.conftest import ReleaseServer, archive, server, sha256

__all__ = ["server"]

pytestmark = [pytest.mark.lab, pytest.mark.long]

WHEEL = "acme_echo-1.2.3-py3-none-any.whl"
MAIN = """
import acme_echo
import pulumi

pulumi.export("twice", acme_echo.Thing("a", size=pulumi.Config().require_int("size")).twice)
"""
SDK = """
import pulumi


class Thing(pulumi.CustomResource):
    twice: pulumi.Output[int]

    def __init__(self, name, **properties):
        opts = pulumi.ResourceOptions(version="1.2.3")
        super().__init__("echo:index:Thing", name, {**properties, "twice": None}, opts)
"""


def write_sdk(folder: Path, plugin: str = "echo", version: str = "1.2.3") -> None:
    """An SDK package as a wheel, which says which plugin it is for."""
    info, names = "acme_echo-1.2.3.dist-info", {"resource": True, "name": plugin, "version": version}
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        wheel.writestr("acme_echo/__init__.py", SDK)
        wheel.writestr("acme_echo/pulumi-plugin.json", json.dumps(names))
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: acme-echo\nVersion: 1.2.3\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def test_requirements_and_the_plugin_that_they_name_are_had_once(
    lab: Lab, server: ReleaseServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulumi = toolchain.find("pulumi")
    assert pulumi is not None
    monkeypatch.setenv("ORCHESTRATOR_CACHE", str(tmp_path / "cache"))
    environment = {**lab.driver._site.environment, "PATH": os.defpath}
    lab.driver = AgileDriver(replace(lab.driver._site, pulumi=lambda: pulumi, environment=environment))
    lab.write(MAIN)
    write_sdk(lab.root / "infra")
    lab.write(f"./{WHEEL}\n", "requirements.txt")
    lab.vars, lab.outputs = {"size": 4}, {"twice": "integer"}
    seen = lab.see()
    assert isinstance(seen, Unreachable)
    assert "pulumi-resource-echo 1.2.3 could not be had" in seen.why
    release = Plugin("echo", "1.2.3").release
    assert release is not None
    release = release.for_arch(architecture())
    file = archive("pulumi-resource-echo", (tmp_path / "bin" / PLUGIN.name).read_bytes())
    server.put(release.url, file)
    server.put(release.checksums_url, f"{sha256(file)}  {release.url.rpartition('/')[2]}\n".encode())
    lab.driver = AgileDriver(lab.driver._site)
    lab.converge()
    assert lab.live == [4]
    (home,) = (tmp_path / "cache" / "programs").iterdir()
    made = home.stat().st_ctime_ns
    asked = len(server.asked)
    lab.vars["size"] = 5
    assert lab.plan().action == Action.UPDATE
    lab.converge()
    assert (home.stat().st_ctime_ns, len(server.asked)) == (made, asked)
    assert lab.live == [5]

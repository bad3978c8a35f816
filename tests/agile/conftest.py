"""One lab cluster for the agile mode's tests, and drivers on it, each with an estate of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.modes.agile.driver import AgileDriver
from orchestrator.modes.agile.site import AgileSite
from tests.agile.estates import CANARY, Estate
from tests.agile.program_lab import NAMESPACE, Lab, States

PLUGIN = Path(__file__).parent / "plugin" / "pulumi-resource-echo"


@pytest.fixture(scope="session")
def lab_kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of a control plane that is there for these tests only."""
    from orchestrator.lab import whole
    from orchestrator.lab.home import Home

    home = Home(tmp_path_factory.mktemp("lab-agile") / "lab")
    kubeconfig, _ = whole.up(home, lambda text: None)
    try:
        yield kubeconfig
    finally:
        whole.down(home)


@pytest.fixture
def kubectl(lab_kubeconfig: Path) -> Callable[..., str]:
    """kubectl on the lab; what it prints."""

    def run(*arguments: str, stdin: str = "") -> str:
        program = Path(sys.executable).with_name("kubectl")
        argv = [str(program), f"--kubeconfig={lab_kubeconfig}", *arguments]
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def estate(lab_kubeconfig: Path, tmp_path: Path, kubectl: Callable[..., str]) -> Iterator[Estate]:
    """An estate of its own, whose namespaces are removed at the end."""
    it = Estate(made(lab_kubeconfig, tmp_path / "with space" / "lab", str(uuid.uuid4())), kubectl)
    yield it
    it.driver.close()
    names = kubectl("get", "namespaces", "-l", f"orchestrator.dev/estate={it.id}", "-o", "name").split()
    if names:
        kubectl("delete", "--wait=false", *names)


@pytest.fixture
def estate_again(estate: Estate, tmp_path: Path) -> Iterator[Callable[..., Estate]]:
    """The same estate with nothing but the cluster in common, or with what is given."""
    made: list[Estate] = []

    def again(**more: Any) -> Estate:
        site = replace(estate.driver._site, scratch=tmp_path / f"again-{len(made)}")
        if "passphrase" in more:
            word = more.pop("passphrase")
            more["passphrase"] = lambda: word
        made.append(Estate(AgileDriver(replace(site, **more)), estate.kubectl))
        return made[-1]

    yield again
    for one in made:
        one.driver.close()


def made(kubeconfig: Path, scratch: Path, estate_id: str) -> AgileDriver:
    """A driver on the lab."""
    from orchestrator import toolchain

    def pulumi() -> Path:
        found = toolchain.find("pulumi")
        assert found is not None
        return found

    site = AgileSite(
        site="lab",
        estate_id=estate_id,
        estate_name="test",
        scratch=scratch,
        kubeconfig=kubeconfig,
        pulumi=pulumi,
        passphrase=lambda: "correct horse",
        scrub=lambda text: text.replace(CANARY, "(secret)"),
    )
    return AgileDriver(site)


@pytest.fixture
def lab(lab_kubeconfig: Path, tmp_path: Path, kubectl: Callable[..., str]) -> Iterator[Lab]:
    """A program, and a provider plugin on its PATH whose things are files in a folder."""
    programs = tmp_path / "bin"
    programs.mkdir()
    plugin = programs / PLUGIN.name
    plugin.write_text(f'#!/bin/sh\nexec {sys.executable} {PLUGIN} "$@"\n')
    plugin.chmod(0o755)
    things = tmp_path / "things"
    things.mkdir()
    driver = made(lab_kubeconfig, tmp_path / "scratch", str(uuid.uuid4()))
    states = States()
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "ECHO_FOLDER": str(things)}
    driver = AgileDriver(replace(driver._site, environment=environment, states=states))
    it = Lab(tmp_path / "blueprint", things, driver, states, kubectl)
    yield it
    it.driver.close()
    kubectl("delete", "--ignore-not-found", "namespace", NAMESPACE)  # the next test makes it anew

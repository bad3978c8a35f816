"""One lab for all end-to-end tests, and a fresh copy of the small estate, with an id of its own, for each."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

SMALL = Path(__file__).parents[1] / "fixtures" / "estates" / "small"
PASSWORD = f"canary-{uuid.uuid4().hex}"  # of this process alone: other tests run beside these


@dataclass
class Ran:
    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)

    def ended(self, code: int) -> Ran:
        """Fails with everything that was printed where it ended otherwise."""
        if self.code != code:
            raise AssertionError(f"not {code}: {self}")
        return self

    def __str__(self) -> str:
        return f"exit {self.code}\n{self.out}\n{self.err}"


@dataclass
class Estate:
    """A folder with documents, the environment in which the CLI works on it, and everything it has printed."""

    root: Path
    environment: dict[str, str]
    printed: list[str] = field(default_factory=list)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "orchestrator", *arguments],
            cwd=self.root,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )

    def ended(self, process: subprocess.Popen[str]) -> Ran:
        out, err = process.communicate(timeout=240)
        self.printed += [out, err]
        return Ran(process.returncode, out, err)

    def __call__(self, *arguments: str, **environment: str) -> Ran:
        return self.ended(self.start(*arguments, **environment))

    def apply(self, *arguments: str, expect: int = 0) -> Ran:
        return self("apply", "--yes", *arguments).ended(expect)

    def plan(self, *arguments: str) -> dict[str, str]:
        """Address below the site and placement -> action, of everything that is not as declared."""
        ran = self("plan", "-o", "json", *arguments)
        assert ran.out.startswith("{"), ran
        return {c["address"].split("/", 2)[2]: c["action"] for c in ran.data["changes"] if c["action"] != "none"}

    def write(self, path: str, old: str, new: str) -> None:
        file = self.root / path
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def on(self, machine: str, command: str) -> str:
        """What a shell command prints on a machine, named by the end of its name."""
        ran = self("lab", "exec", self.machine(machine)["name"], "--", "sh", "-c", command)
        assert ran.code == 0, ran
        return ran.out

    def machine(self, ending: str) -> dict[str, str]:
        mine = [m for m in self("lab", "status", "-o", "json").data["machines"] if m["name"].endswith(ending)]
        assert len(mine) == 1, mine
        return mine[0]

    def kubectl(self, *arguments: str) -> str:
        done = subprocess.run(
            ["kubectl", *arguments], env=self.environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def field(self, what: str, path: str) -> str:
        return self.kubectl("--namespace", "shop", "get", *what.split("/"), "-o", f"jsonpath={path}")

    def remove_machines(self) -> None:
        """Take all machines of the lab away behind the CLI's back."""
        names = [machine["name"] for machine in self("lab", "status", "-o", "json").data["machines"]]
        subprocess.run(
            [sys.executable, "-m", "orchestrator.lab.machines", "remove"],
            input=json.dumps({"names": names}),
            env=self.environment,
            text=True,
            check=True,
            timeout=60,
        )

    def clone(self, root: Path) -> Estate:
        """The same documents elsewhere, without the state."""
        shutil.copytree(self.root, root, ignore=shutil.ignore_patterns(".orchestrator"))
        return Estate(root, self.environment, self.printed)


@pytest.fixture(scope="session")
def lab_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A running lab of its own; what reaches it."""
    home = tmp_path_factory.mktemp("lab-e2e") / "lab"
    environment = {
        **os.environ,
        "ORCHESTRATOR_LAB_HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "NO_COLOR": "1",
    }
    command = [sys.executable, "-m", "orchestrator", "lab"]
    subprocess.run([*command, "up"], env=environment, check=True, timeout=180)
    try:
        status = subprocess.run([*command, "status", "-o", "json"], env=environment, check=True, capture_output=True)
        yield {**environment, "KUBECONFIG": json.loads(status.stdout)["kubeconfig"]}
    finally:
        subprocess.run([*command, "down"], env=environment, check=True, timeout=120)


@pytest.fixture
def estate(lab_environment: dict[str, str], tmp_path: Path) -> Iterator[Estate]:
    """The small estate with an id of its own; what a test leaves on the lab is taken away behind its back."""
    root = tmp_path / "estate"
    shutil.copytree(SMALL, root)
    it = Estate(root, {**lab_environment, "E2E_PASSWORD": PASSWORD})
    it.write("orchestrator.yaml", "5b0d1c1e-8a41-4a0e-9d0c-6c1d2e3f4a5b", str(uuid.uuid4()))
    yield it
    it.kubectl("delete", "namespace", "shop", "--ignore-not-found", "--timeout=60s")
    it.remove_machines()

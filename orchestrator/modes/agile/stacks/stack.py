"""One Pulumi stack: a workload's, in a folder of its own, run with the engine attached to our provider.

Only what changes is registered, and named to the engine as its target: what is not stays in the stack as it is,
costs no request and is not deleted. The stack's state is a cache: where it is lost or cannot be read, it is made anew.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from pulumi.automation import ProjectBackend, ProjectSettings
from pulumi.automation._stack import StackInitMode

from orchestrator.model.address import WorkloadKey
from orchestrator.modes.agile.stacks.automation import Stack as AutomationStack
from orchestrator.modes.agile.stacks.automation import Workspace
from orchestrator.modes.agile.stacks.process import Pulumi
from orchestrator.modes.agile.stacks.program import PROJECT, Resource, name_of_urn, urn

_LONGEST = 90  # of Pulumi's 100 characters for a stack's name


class Stack:
    """The stack of one workload at one site. Its user holds the site's lease: nobody else runs it."""

    def __init__(self, key: WorkloadKey, folder: Path) -> None:
        self.name = _short(f"{key.site}.{key.placement}.{key.workload}")
        self._folder = folder / self.name

    @property
    def _state(self) -> Path:
        return self._folder / "state" / ".pulumi" / "stacks" / PROJECT / f"{self.name}.json"

    def known(self) -> dict[str, list[str]]:
        """What its state has, by resource name: URNs (more than one where the API version has changed)."""
        found: dict[str, list[str]] = {}
        try:
            for resource in json.loads(self._state.read_text())["checkpoint"]["latest"].get("resources") or []:
                found.setdefault(name_of_urn(resource["urn"]), []).append(str(resource["urn"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}
        return found

    def urns(self, resources: Iterable[Resource]) -> dict[str, str]:
        """Each resource's URN, by its name."""
        return {resource.name: urn(self.name, resource) for resource in resources}

    def up(
        self, pulumi: Pulumi, program: Callable[[], None], targets: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        """Run the program for these targets. Raises the Automation API's CommandError."""
        for name in ("work", "home", "state", "tmp"):
            (self._folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        self._tidy()
        self._begin()
        workspace = Workspace(
            work_dir=str(self._folder / "work"),
            pulumi_home=str(self._folder / "home"),
            program=program,
            secrets_provider="passphrase",
            env_vars={
                **_SETTINGS,
                **environment,
                "HOME": f"{self._folder / 'home'}",
                "TMPDIR": f"{self._folder / 'tmp'}",
            },
            project_settings=ProjectSettings(
                name=PROJECT,
                runtime="python",
                backend=ProjectBackend(url=f"file://{quote(str(self._folder / 'state'))}"),
            ),
            pulumi_command=pulumi,
        )
        stack = AutomationStack(self.name, workspace, StackInitMode.SELECT)
        stack.up(
            target=list(targets),
            parallel=len(targets) + 8,
            continue_on_error=True,
            show_secrets=False,
            suppress_outputs=True,
            suppress_progress=True,
            color="never",
        )

    def remove(self) -> None:
        """Remove it with everything that it has left on this computer."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _begin(self) -> None:
        """An empty stack where there is none: what `pulumi stack init` would write, without a start of the program."""
        if not self._state.exists():
            self._state.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            empty = {"version": 3, "checkpoint": {"stack": f"organization/{PROJECT}/{self.name}"}}
            self._state.write_text(json.dumps(empty))

    def _tidy(self) -> None:
        """Remove the lock of a run that was killed, and the past, which is in our own journal."""
        for name in ("locks", "history", "backups"):
            shutil.rmtree(self._folder / "state" / ".pulumi" / name, ignore_errors=True)


_SETTINGS: Mapping[str, str] = {
    "PULUMI_SKIP_UPDATE_CHECK": "true",
    "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    "PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS": "true",
    # The state is written once, at the end: our own journal and the stamps say what was done if that is not reached.
    "PULUMI_EXPERIMENTAL": "true",
    "PULUMI_SKIP_CHECKPOINTS": "true",
    "GOGC": "400",  # its heap is small: collected as often as Go does by itself, a tenth of the run is that
}


def _short(name: str) -> str:
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - 13]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"

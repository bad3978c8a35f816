"""Small estates, written to a folder and loaded as any other."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator import desired, documents
from orchestrator.desired import Desired
from orchestrator.documents.loaded import Loaded
from orchestrator.documents.models import SecretRef
from orchestrator.model.change import Known
from orchestrator.model.rendering import Renderer
from orchestrator.model.unit import Unit
from orchestrator.model.values import Secret

ESTATE = """
apiVersion: orchestrator/v1alpha1
kind: Estate
metadata: {name: acme, id: 7d0c1f4e-2b61-4c7e-9f0e-3f1a5b8c2d90}
"""
LAB = """
apiVersion: orchestrator/v1alpha1
kind: Site
metadata: {name: lab, labels: {env: dev, tier: lab}}
spec:
  values: {domain: shop.localhost, port: 80}
  stable: {provider: lab}
  agile: {cluster: {lab: true}}
"""
PLACEMENT = """
apiVersion: orchestrator/v1alpha1
kind: Placement
metadata: {name: shop}
spec:
  blueprint: app@*
  sites: {}
  values: {}
"""
BLUEPRINT = """\
apiVersion: orchestrator/v1alpha1
kind: Blueprint
metadata: {name: app, version: 1.0.0}
spec:
"""
FIRST_LINE = BLUEPRINT.count("\n") + 1  # of what is given as a blueprint's spec
PASSWORD = SecretRef.model_validate({"secretRef": {"env": "PASSWORD"}})
CANARY = 'canary"7f: #\n{x'


@dataclass
class Made:
    """An estate, and what comes of it."""

    loaded: Loaded
    render: Renderer | None = None

    def resolve(self, known: Known | None = None, **secrets: str) -> Desired:
        """The units, with PASSWORD as given; fails where there are errors."""
        found = self.wrong(known, **secrets)
        assert not found.diagnostics, [str(each) for each in found.diagnostics]
        return found

    def wrong(self, known: Known | None = None, **secrets: str) -> Desired:
        """The units and what is wrong."""
        given = {PASSWORD: Secret(secrets["PASSWORD"], "env PASSWORD")} if secrets else {}
        return desired.resolve(self.loaded, known or Known(), given, render=self.render)

    def check(self) -> list[str]:
        """What is wrong, as people see it."""
        return [str(each) for each in desired.check(self.loaded)]

    def unit(self, address: str, known: Known | None = None, **secrets: str) -> Unit:
        """One unit, by its address."""
        units = {str(unit.address): unit for unit in self.resolve(known, **secrets).units}
        assert address in units, sorted(units)
        return units[address]


Make = Callable[..., Made]


def build(
    root: Path,
    spec: str,
    files: Mapping[str, str] | None = None,
    *,
    placement: str = PLACEMENT,
    site: str = LAB,
    estate_files: Mapping[str, str] | None = None,
) -> Made:
    """An estate of one blueprint `app` with this spec and these files, at site `lab`, placed as `shop`."""
    body = textwrap.indent(textwrap.dedent(spec).strip("\n"), "  ")
    texts = {"orchestrator.yaml": ESTATE, "site.yaml": site, "shop.yaml": placement}
    texts |= {"app/blueprint.yaml": BLUEPRINT + body + "\n"}
    texts |= {f"app/{name}": textwrap.dedent(text) for name, text in (files or {}).items()}
    texts |= dict(estate_files or {})
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    loaded = documents.load(root)
    assert not loaded.diagnostics, [str(each) for each in loaded.diagnostics]
    return Made(loaded)

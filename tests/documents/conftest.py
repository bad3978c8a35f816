"""A small estate that is right, to be made wrong in one place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

FILES = {
    "orchestrator.yaml": """\
apiVersion: orchestrator/v1alpha1
kind: Estate
metadata: {name: acme, id: 7d0c1f4e-2b61-4c7e-9f0e-3f1a5b8c2d90}
""",
    "sites.yaml": """\
apiVersion: orchestrator/v1alpha1
kind: Site
metadata: {name: lab, labels: {env: dev}}
spec:
  stable: {provider: lab}
  agile: {cluster: {lab: true}}
---
apiVersion: orchestrator/v1alpha1
kind: Site
metadata: {name: dc, labels: {env: prod}}
spec:
  stable:
    provider: static
    inventory: hosts.yml
    bind:
      db: {group: db}
""",
    "hosts.yml": "db: {hosts: {db-a: {}}}\n",
    "shop.yaml": """\
apiVersion: orchestrator/v1alpha1
kind: Placement
metadata: {name: shop}
spec:
  blueprint: shop@^1.0
  sites: {matchLabels: {env: dev}}
  values:
    port: 5432
    password: {secretRef: {env: PASSWORD}}
""",
    "blueprints/shop/blueprint.yaml": """\
apiVersion: orchestrator/v1alpha1
kind: Blueprint
metadata: {name: shop, version: 1.2.0}
spec:
  parameters:
    port: {type: integer, default: 5432, minimum: 1024, maximum: 65535}
    size: {type: string, enum: [small, large], default: small}
    tag: {type: string, default: v1, pattern: "^v[0-9]+$"}
    zones: {type: list, default: []}
    password: {type: secret}
  stable:
    db:
      configure:
        playbook: db.yaml
        vars: {port: "${parameters.port}"}
      ready:
        - {tcp: 5432}
      outputs:
        host: {type: string, value: "${machines[0].address}"}
  agile:
    web:
      manifests: [web]
      vars:
        host: ${stable.db.outputs.host}
""",
    "blueprints/shop/db.yaml": "- hosts: all\n",
    "blueprints/shop/web/web.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n",
}

MakeEstate = Callable[..., Path]


@pytest.fixture
def estate(tmp_path: Path) -> MakeEstate:
    """Write the small estate; keywords: `files` to add or replace, `edits` as (file, old, new)."""

    def make(*edits: tuple[str, str, str], files: Mapping[str, str | bytes | None] | None = None) -> Path:
        wanted: dict[str, str | bytes | None] = {**FILES, **(files or {})}
        for file, old, new in edits:
            text = wanted[file]
            assert isinstance(text, str)
            assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {file}"
            wanted[file] = text.replace(old, new)
        for name, content in wanted.items():
            if content is None:
                continue
            path = tmp_path / "estate" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path / "estate"

    return make


@pytest.fixture
def no_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the messages say there is does not depend on the built-in blueprints."""
    monkeypatch.setattr("orchestrator.documents.loading.catalogue", lambda: None)

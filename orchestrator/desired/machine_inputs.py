"""What a blueprint says of its machines, checked against what the site's provider can give."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from orchestrator.desired.blueprints import Stable
from orchestrator.desired.here import Here
from orchestrator.documents.scalar_types import QUANTITY
from orchestrator.model.source import Diagnostic
from orchestrator.model.values import Value


def wrong_inputs(here: Here, workload: Stable, inputs: Mapping[str, Value]) -> Iterator[Diagnostic]:
    """Inputs that the provider cannot honour, and sizes that are none; `inputs` as they were resolved."""
    provider = here.provider
    for name in inputs if provider is not None else ():
        assert provider is not None
        can = provider.manifest.machine
        if name not in can:
            what = f"provider `{provider.name}` of site {here.site_name} cannot give machines `{name}`"
            hint = f"it can give {', '.join(can)}; leave it out, or the workload there by its `when`"
            yield Diagnostic(here.source(workload, "machines", name), what, hint)
    for path, size in _sizes(inputs):
        if isinstance(size, str) and not re.fullmatch(QUANTITY, size):
            source = here.source(workload, "machines", *path)
            yield Diagnostic(source, f"`{path[-1]}` must be a size such as 4Gi or 512Mi, not `{size[:60]}`")


def _sizes(inputs: Mapping[str, Value]) -> Iterator[tuple[tuple[str, ...], Value]]:
    for name in ("memory", "disk"):
        yield (name,), inputs.get(name)
    disks = inputs.get("disks")
    for name, disk in disks.items() if isinstance(disks, dict) else ():
        yield ("disks", name, "size"), disk.get("size") if isinstance(disk, dict) else None

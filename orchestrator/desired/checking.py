"""What can be found wrong without any target: in the estate's blueprints, used or not, and placements at all sites."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.desired.blueprints import Blueprint
from orchestrator.desired.fields import wrong_at
from orchestrator.desired.manifests import files_of, parsed
from orchestrator.desired.parameters import sites_of
from orchestrator.desired.resolving import Resolver
from orchestrator.desired.templates import TemplateFailed, Templates
from orchestrator.documents.loaded import Loaded
from orchestrator.model.change import Known
from orchestrator.model.source import Diagnostic, Source


def check(loaded: Loaded) -> tuple[Diagnostic, ...]:
    """All diagnostics, each once, in the order of files and lines."""
    resolver = Resolver(loaded, Known(), {})
    used = set(loaded.chosen.values())
    for key in (key for key, source in loaded.blueprints.items() if key in used or not source.folder.is_built_in):
        blueprint, templates = resolver.blueprint(key)
        resolver.told.update(_manifests(blueprint, templates))
    found = {*resolver.told, *resolver.run(None).diagnostics, *_types_at_sites(loaded, resolver)}
    return tuple(sorted(found))


def _manifests(blueprint: Blueprint, templates: Templates) -> Iterator[Diagnostic]:
    """Files that cannot be read, or that are not valid Jinja2."""
    folder = blueprint.source.folder
    for workload in blueprint.agile.values():
        for file in files_of(folder, workload.model.manifests):
            if not file.endswith(".j2"):
                yield from parsed(folder, file)[1]
                continue
            try:
                templates.compile(file)
            except TemplateFailed as failed:
                yield Diagnostic(Source(f"{folder.label}/{failed.file}", failed.line), failed.message, failed.hint)


def _types_at_sites(loaded: Loaded, resolver: Resolver) -> Iterator[Diagnostic]:
    """Expressions whose types do not fit the values of some site, also where they cannot be computed yet."""
    for name, key in loaded.chosen.items():
        blueprint, _ = resolver.blueprint(key)
        fields = [field for ref in blueprint.order for field in blueprint.workload(ref).fields()]
        expressions = [expression for field in fields for expression in field.expressions()]
        for site in sites_of(loaded, loaded.placements[name].model) if not blueprint.diagnostics else ():
            for expression in expressions:
                for wrong in blueprint.language.recheck(expression.compiled, site.model.spec.values):
                    found = wrong_at(expression.place, expression.start, wrong)
                    what = f"{found.message} ({name} at {site.model.metadata.name})"
                    yield Diagnostic(found.source, what, found.hint)

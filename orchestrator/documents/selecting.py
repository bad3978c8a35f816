"""Which sites a label selector picks, by Kubernetes' rules; a site's name counts as its label `name`."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.documents.models import Requirement, Selector, Site


def picks(selector: Selector, site: Site) -> bool:
    """Whether the selector picks the site; an empty one picks every site."""
    return matches(selector, {"name": site.metadata.name, **site.metadata.labels})


def matches(selector: Selector, labels: Mapping[str, str]) -> bool:
    """Whether labels fulfil all of a selector's lines."""
    return all(labels.get(key) == value for key, value in selector.match_labels.items()) and all(
        _holds(requirement, labels) for requirement in selector.match_expressions
    )


def _holds(requirement: Requirement, labels: Mapping[str, str]) -> bool:
    present = requirement.key in labels
    match requirement.operator:
        case "In":
            return present and labels[requirement.key] in requirement.values
        case "NotIn":
            return not present or labels[requirement.key] not in requirement.values
        case "Exists":
            return present
        case "DoesNotExist":
            return not present

"""Reading what people write: YAML with positions, the four document kinds, the content of blueprint folders."""

from orchestrator.documents.finding import find_root
from orchestrator.documents.loaded import BlueprintSource, Folder, Loaded
from orchestrator.documents.loading import load
from orchestrator.documents.models import Blueprint, Estate, Placement, Selector, Site
from orchestrator.documents.written import JsonPath, Positions, Written
from orchestrator.model.source import Diagnostic, Source

__all__ = [
    "Blueprint",
    "BlueprintSource",
    "Diagnostic",
    "Estate",
    "Folder",
    "JsonPath",
    "Loaded",
    "Placement",
    "Positions",
    "Selector",
    "Site",
    "Source",
    "Written",
    "find_root",
    "load",
]

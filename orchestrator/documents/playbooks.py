"""What can be said of a playbook without Ansible: its syntax, that it is one, and that it asks nobody."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import yaml

from orchestrator.documents.yaml import composed
from orchestrator.model.source import Diagnostic, Source

_VAULTED = b"$ANSIBLE_VAULT"


def playbook_problems(content: bytes, file: str, given: Collection[str]) -> Iterator[Diagnostic]:
    """What keeps a file from being run as a playbook with the variables that are `given`."""
    if content.startswith(_VAULTED):
        return
    node = composed(content, file)
    if isinstance(node, Diagnostic):
        yield node
        return
    if not isinstance(node, yaml.SequenceNode) or not node.value:
        at = _source(node, file) if node is not None else Source(file, 1, 1)
        yield Diagnostic(at, "a playbook is a list of plays", "begin each with `- hosts: all`")
        return
    for play in node.value:
        yield from _prompts(play, file, given)


def _prompts(play: yaml.Node, file: str, given: Collection[str]) -> Iterator[Diagnostic]:
    """Variables that a play asks a person for, without a default."""
    asked = _entry(play, "vars_prompt")
    for each in asked.value if isinstance(asked, yaml.SequenceNode) else ():
        name = _entry(each, "name")
        if name is not None and _entry(each, "default") is None and name.value not in given:
            what = f"the playbook asks for `{str(name.value)[:60]}`, and nobody can answer in a run"
            yield Diagnostic(_source(each, file), what, "give it in `vars`, or a default here")


def _entry(node: yaml.Node, key: str) -> yaml.Node | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((value for name, value in pairs if name.value == key), None)


def _source(node: yaml.Node, file: str) -> Source:
    return Source(file, node.start_mark.line + 1, node.start_mark.column + 1)

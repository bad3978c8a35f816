"""Pulumi's Automation API without the commands that we have no use for: each is a start of the program."""

from __future__ import annotations

from typing import Any

from pulumi import automation


class Workspace(automation.LocalWorkspace):  # type: ignore[misc]
    """A work directory with one stack: every command names it, none has to be selected."""

    def select_stack(self, stack_name: str) -> None:
        """Nothing to do."""


class Stack(automation.Stack):  # type: ignore[misc]
    """A stack without outputs, whose history is in our own journal."""

    def outputs(self) -> dict[str, Any]:
        """None: what outputs refer to is read from the cluster."""
        return {}

    def info(self, show_secrets: bool | None = None) -> dict[str, Any]:
        """Nothing: outcomes come from the provider."""
        return {}

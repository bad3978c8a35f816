"""The exceptions of orchestrator; each message says where, what is wrong, and what to do next.

    OrchestratorError              anything a person is told instead of a traceback
    ├── UsageError                 the command line asks for something that makes no sense (exit 64)
    ├── DocumentsError             the documents have errors; carries every diagnostic
    ├── ToolchainError             an external program is missing, too old, or could not be had
    ├── LabError                   the local lab could not do what was asked
    ├── StateError                 the state store cannot be read or written
    ├── LeaseHeldError             somebody else is applying to that site (who, since when)
    ├── PlanError                  there is no plan: the documents and the records contradict each other
    │   └── StalePlanError         a saved plan no longer describes what would happen
    └── DriverError                a mode's own machinery failed (never: a target failed; that is a value)

What a target answers (unreachable, rejected, failed task) is never an exception: it is an
`Observation` or an `Outcome`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.model.source import Diagnostic


class OrchestratorError(Exception):
    """Base of all errors that are shown to a person as `message` and, indented below it, `hint`."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class UsageError(OrchestratorError):
    """The command line is wrong."""

    exit_code = 64


class DocumentsError(OrchestratorError):
    """The documents of an estate have errors; nothing was planned and nothing is changed."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        super().__init__("\n".join(str(d) for d in diagnostics))
        self.diagnostics = tuple(diagnostics)


class ToolchainError(OrchestratorError):
    """An external program is missing, too old, or could not be had."""


class LabError(OrchestratorError):
    """The local lab could not do what was asked."""


class StateError(OrchestratorError):
    """The state store cannot be read or written."""


class LeaseHeldError(OrchestratorError):
    """Somebody else is applying to a site."""


class PlanError(OrchestratorError):
    """No plan can be made: the documents and the records contradict each other."""


class StalePlanError(PlanError):
    """A saved plan was computed from something that has moved since."""


class DriverError(OrchestratorError):
    """A mode's own machinery failed."""

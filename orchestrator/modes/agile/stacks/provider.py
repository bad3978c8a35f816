"""Pulumi's resource provider for `kubernetes:` types, served in our process: it repeats the plan's verdict, and acts.

The engine decides nothing here: a resource that the plan changes differs, and is handed back to us to be changed.
What the plan does not show is never touched.
"""

from __future__ import annotations

from typing import Any, Protocol

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2

from orchestrator.model.change import Action, Change
from orchestrator.model.outcome import Outcome, Result
from orchestrator.modes.agile.stacks.inprocess import InProcess


class Work(Protocol):
    """What the provider carries out."""

    def change_of(self, urn: str) -> Change | None:
        """The change that a resource is about; None for one that is not the plan's."""

    def make(self, change: Change) -> Outcome:
        """Create, update or replace it, and wait until it is ready."""

    def unmake(self, change: Change) -> Outcome | None:
        """Delete it; None where there is nothing to do for it."""


class Provider(InProcess):
    """The service; one for each run of a stack."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's names
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_resources=True, accept_outputs=False)

    def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        return provider_pb2.CheckResponse(inputs=request.news)

    def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
        return provider_pb2.ConfigureResponse(acceptSecrets=True, acceptResources=True, supportsPreview=False)

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        return provider_pb2.CheckResponse(inputs=request.news)

    def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Different where the plan says so, and in need of replacement where it says that."""
        kinds = provider_pb2.DiffResponse
        change = self._work.change_of(request.urn)
        if change is None or change.unit is None:
            return kinds(changes=kinds.DIFF_NONE)
        forced = [d.path for d in change.differences if d.replace] or ["spec"]
        replaces = forced if change.action == Action.REPLACE else []
        return kinds(changes=kinds.DIFF_SOME, replaces=replaces, deleteBeforeReplace=bool(replaces))

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._make(request.urn, context)
        return provider_pb2.CreateResponse(id=_id(request.urn), properties=request.properties)

    def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._make(request.urn, context)
        return provider_pb2.UpdateResponse(properties=request.news)

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        change = self._work.change_of(request.urn)
        outcome = self._work.unmake(change) if change is not None else None
        if outcome is not None and outcome.result != Result.DONE:
            context.abort(grpc.StatusCode.UNKNOWN, outcome.message or "failed")
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802
        return empty_pb2.Empty()

    def _make(self, urn: str, context: Any) -> None:
        change = self._work.change_of(urn)
        if change is None:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "the plan does not show this")
            return
        outcome = self._work.make(change)
        if outcome.result != Result.DONE:
            context.abort(grpc.StatusCode.UNKNOWN, outcome.message or "failed")


def _id(urn: str) -> str:
    """`namespace/name`, as Pulumi's own Kubernetes provider has it."""
    return urn.rpartition("::")[2].partition("/")[2]

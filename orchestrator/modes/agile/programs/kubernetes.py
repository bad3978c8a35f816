"""Pulumi's resource provider for the `kubernetes:` types of programs, served in our process.

Objects are applied on the server with our field manager, bear our labels (no stamp: the program is what is stamped),
are waited for until they are ready, and only deleted where they still are this workload's. The state has the shape of
Pulumi's own provider, so that a site can change to that one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2

from orchestrator.model.address import Address
from orchestrator.modes.agile.client.api import Api, RefusedError, UnreachedError
from orchestrator.modes.agile.client.discovery import Kind, Kinds
from orchestrator.modes.agile.diff.differing import differences, plain_data
from orchestrator.modes.agile.objects import ESTATE, WORKLOAD, Object, labels_for, metadata
from orchestrator.modes.agile.programs import properties
from orchestrator.modes.agile.programs.properties import NotServed
from orchestrator.modes.agile.programs.structs import UNKNOWN, Path, has_unknown, plain, struct
from orchestrator.modes.agile.programs.unfinished import Unfinished, tell
from orchestrator.modes.agile.readiness.reasons import explained
from orchestrator.modes.agile.readiness.rules import readiness
from orchestrator.modes.agile.stacks import inprocess

_THREADS = 64
_NOT_SERVED = ("kubeconfig", "context", "cluster", "namespace", "renderYamlToDirectory")
_DELETE_SECONDS = 120.0


class _Failed(Exception):  # noqa: N818 - one resource cannot be made; told to the engine
    """Why, for a person."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the objects of one program go.

    address  of the program: its labels are on every object
    timeout  seconds for becoming ready, where the program does not say
    """

    api: Api
    kinds: Kinds
    estate_id: str
    address: Address
    namespace: str
    timeout: float
    closing: threading.Event
    scrub: Callable[[str], str]


class Provider(inprocess.InProcess):
    """The service, for one run of a program."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's names
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_resources=False, accept_outputs=False)

    def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        """One cluster and namespace is served: that of the site and the workload."""
        news, _ = plain(request.news)
        failures = [
            provider_pb2.CheckFailure(
                property=key,
                reason=f"programs here work on their site's cluster and cannot set it; {properties.OFFICIAL}",
            )
            for key in _NOT_SERVED
            if news.get(key)
        ]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
        return provider_pb2.ConfigureResponse(acceptSecrets=True, acceptResources=False, supportsPreview=True)

    def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Only `yaml:decode`, which ConfigFile and ConfigGroup use."""
        if request.tok != "kubernetes:yaml:decode":
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{request.tok} is not served here; {properties.OFFICIAL}")
        from yaml import YAMLError, safe_load_all

        asked, _ = plain(getattr(request, "args"))  # noqa: B009 - a field of the message
        try:
            found = [one for one in safe_load_all(str(asked.get("text", ""))) if one]
        except YAMLError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"not valid YAML: {error}")
        return provider_pb2.InvokeResponse(**{"return": struct({"result": found}, set())})

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The object with its kind, a namespace and a name; a Secret's data is secret, marked so or not."""
        news, secret = plain(request.news)
        olds, _ = plain(request.olds)
        failures = []
        try:
            news = self._completed(request, news, olds)
        except (_Failed, NotServed) as failed:
            failures.append(provider_pb2.CheckFailure(property="", reason=str(failed)))
        return provider_pb2.CheckResponse(inputs=struct(news, properties.secrets(news, secret)), failures=failures)

    def _completed(self, request: Any, news: dict[str, Any], olds: Mapping[str, Any]) -> dict[str, Any]:
        version, kind = properties.type_of(request.urn)
        news = {key: value for key, value in {"apiVersion": version, "kind": kind, **news}.items() if value is not None}
        meta = dict(news.get("metadata") or {})
        if "generateName" in meta:
            raise _Failed("metadata.generateName makes another object at each apply; leave the name out instead")
        if not meta.get("name"):
            name = metadata(olds).get("name") if properties.is_autonamed(olds) else None
            meta["name"] = name or properties.named(request.urn, request.randomSeed)
            meta["annotations"] = {**(meta.get("annotations") or {}), properties.AUTONAMED: "true"}
        known = self._kind(version, kind)
        if known is not None and known.namespaced:
            meta.setdefault("namespace", self._cluster.namespace)
        return {**news, "metadata": meta}

    def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        """By the inputs: what the program says now against what it said before."""
        kinds = provider_pb2.DiffResponse
        old, _ = plain(request.old_inputs)
        new, _ = plain(request.news)
        changed = list(properties.changed(old, new, ()))
        forced = [path for path in changed if properties.forces(old, path)]
        detail = {properties.written(p): properties.property_diff(old, new, p, forced=p in forced) for p in changed}
        return kinds(
            changes=kinds.DIFF_SOME if changed else kinds.DIFF_NONE,
            diffs=sorted({str(path[0]) for path in changed}),
            replaces=[properties.written(path) for path in forced],
            detailedDiff=detail,
            hasDetailedDiff=True,
            deleteBeforeReplace=bool(forced) and not properties.is_autonamed(new),
        )

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Apply it and wait. What bears this workload's labels is its own, of a run that was interrupted."""
        inputs, secret = plain(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=struct({**inputs, "status": UNKNOWN}, secret))
        live = self._made(context, inputs, secret, lambda: self._make(inputs, request.timeout, fresh=True))
        return provider_pb2.CreateResponse(
            id=properties.id_of(inputs), properties=properties.outputs(live, inputs, secret)
        )

    def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        inputs, secret = plain(request.news)
        if request.preview:
            olds, before = plain(request.olds)
            shown = {**{key: value for key, value in olds.items() if key not in inputs}, **inputs}
            return provider_pb2.UpdateResponse(properties=struct(shown, secret | before))
        live = self._made(context, inputs, secret, lambda: self._make(inputs, request.timeout, fresh=False))
        return provider_pb2.UpdateResponse(properties=properties.outputs(live, inputs, secret))

    def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        """As it lives; its inputs as they were where nothing that they say differs."""
        inputs, secret = plain(request.inputs)
        version, kind = properties.type_of(request.urn)
        namespace, _, name = request.id.rpartition("/")
        wanted = {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace}}
        live = self._acted(context, lambda: self._find(wanted))
        if live is None:
            return provider_pb2.ReadResponse()
        if not inputs:  # it is being imported
            inputs = {key: value for key, value in plain_data(live).items() if key != "status"}
        elif differences(plain_data(inputs), live):
            inputs = properties.projected(inputs, live)
        found = struct(inputs, properties.secrets(inputs, secret))
        return provider_pb2.ReadResponse(
            id=request.id, properties=properties.outputs(live, inputs, secret), inputs=found
        )

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        thing, _ = plain(request.properties)
        self._acted(context, lambda: self._remove(thing))
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._cluster.closing.set()
        return empty_pb2.Empty()

    # -- on the cluster

    def _made(
        self, context: Any, inputs: dict[str, Any], secret: set[Path], make: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        """The object; one that was applied and is not ready yet is told as that."""
        try:
            live: dict[str, Any] = self._acted(context, make)
        except Unfinished as unfinished:
            found = properties.outputs(unfinished.live, inputs, secret)
            why = self._cluster.scrub(unfinished.why)
            tell(context, why, properties.id_of(inputs), found, struct(inputs, properties.secrets(inputs, secret)))
            raise
        return live

    def _acted(self, context: Any, act: Callable[[], Any]) -> Any:
        """What it gives; every error of the cluster as one of the resource."""
        try:
            return act()
        except RefusedError as refused:
            causes = "; ".join(f"{c.get('field')}: {c.get('message')}" for c in refused.causes if c.get("field"))
            said = f"{refused.message} ({causes})" if causes and causes not in refused.message else refused.message
            context.abort(grpc.StatusCode.UNKNOWN, self._cluster.scrub(said))
        except UnreachedError as unreached:
            context.abort(grpc.StatusCode.UNAVAILABLE, unreached.cause)
        except (_Failed, NotServed) as failed:
            context.abort(grpc.StatusCode.UNKNOWN, self._cluster.scrub(str(failed)))

    def _kind(self, version: str, kind: str) -> Kind | None:
        group, _, last = version.rpartition("/")
        return self._cluster.kinds.find(f"{kind}.{group}" if group else kind, last)

    def _path(self, thing: Object) -> str:
        version, kind = str(thing.get("apiVersion")), str(thing.get("kind"))
        found = self._kind(version, kind)
        if found is None:
            self._cluster.kinds.expire()  # its definition may have come a moment ago
            found = self._kind(version, kind)
        if found is None:
            raise _Failed(f"the cluster serves no {kind} in {version}")
        meta = metadata(thing)
        return found.path(str(meta.get("namespace") or "") if found.namespaced else "", str(meta.get("name")))

    def _find(self, thing: Object) -> dict[str, Any] | None:
        return self._cluster.api.find(self._path(thing))

    def _is_ours(self, live: Object) -> bool:
        labels = metadata(live).get("labels") or {}
        mine = labels_for(self._cluster.estate_id, self._cluster.address)
        return all(labels.get(key) == mine[key] for key in (ESTATE, WORKLOAD))

    def _make(self, inputs: dict[str, Any], timeout: float, *, fresh: bool) -> dict[str, Any]:
        if has_unknown(inputs):
            raise _Failed("a value of it is not known although all that it needs is done")
        path = self._path(inputs)
        live = self._cluster.api.find(path)
        if fresh and live is not None and not self._is_ours(live):
            raise _Failed(
                f"{inputs['kind']} {properties.id_of(inputs)} exists and is not this program's; "
                f"`pulumi.ResourceOptions(import_={properties.id_of(inputs)!r})` takes it over"
            )
        body = plain_data(inputs)
        meta = metadata(body)
        labels = {**(meta.get("labels") or {}), **labels_for(self._cluster.estate_id, self._cluster.address)}
        body["metadata"] = {**meta, "labels": labels}
        applied = self._cluster.api.apply(path, body, force=live is not None)
        try:
            return self._until_ready(path, applied, timeout or self._cluster.timeout)
        except (_Failed, UnreachedError) as failed:
            raise Unfinished(failed.cause if isinstance(failed, UnreachedError) else str(failed), applied) from None

    def _until_ready(self, path: str, live: dict[str, Any], seconds: float) -> dict[str, Any]:
        annotations = metadata(live).get("annotations") or {}
        state = readiness(live)
        for _ in self._beats(seconds):
            state = readiness(live)
            if state.ready or str(annotations.get("pulumi.com/skipAwait")).lower() == "true":
                return live
            if state.failed:
                break
            found = self._cluster.api.find(path)
            if found is None:
                raise _Failed("was deleted while it was waited for")
            live = found
        why = explained(self._cluster.api, self._cluster.kinds, live, state).because
        raise _Failed(why if state.failed else f"not ready after {seconds:.0f} s: {why}")

    def _remove(self, thing: Object) -> None:
        path = self._path(thing)
        live = self._cluster.api.find(path)
        if live is None or not self._is_ours(live):
            return  # gone, or another's by now: nothing of ours is left to delete
        uid = str(metadata(live).get("uid"))
        try:
            self._cluster.api.delete(path, uid=uid)
        except RefusedError as refused:
            if refused.status != 404:
                raise
        for _ in self._beats(_DELETE_SECONDS):
            live = self._cluster.api.find(path)
            if live is None or metadata(live).get("uid") != uid:
                return
        raise _Failed(f"still there {_DELETE_SECONDS:.0f} s after it was deleted")

    def _beats(self, seconds: float) -> Iterator[None]:
        end, pause = time.monotonic() + seconds, 0.05
        while True:
            yield
            left = end - time.monotonic()
            if left <= 0:
                return
            if self._cluster.closing.wait(min(pause, left)):
                raise _Failed("interrupted while it was waited for")
            pause = min(pause * 1.6, 2.0)


def serving(cluster: Cluster) -> AbstractContextManager[int]:
    """The port of a server on loopback for one program's objects."""
    return inprocess.serving(Provider(cluster), _THREADS)

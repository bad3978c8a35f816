"""A blueprint, compiled: every field that may hold an expression, and which workload comes before which."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from orchestrator.desired import names
from orchestrator.desired.fields import Compiler, Expression, Field
from orchestrator.desired.language import Language
from orchestrator.desired.names import Names
from orchestrator.desired.source_fields import compile_source
from orchestrator.documents.loaded import BlueprintSource
from orchestrator.documents.workloads import (
    AgileOutput,
    AgileWorkload,
    Check,
    Machines,
    Output,
    Publish,
    StableWorkload,
)
from orchestrator.documents.written import JsonPath
from orchestrator.model.address import Mode
from orchestrator.model.source import Diagnostic, Source

MAX_KEPT = 256  # compiled blueprints; the reconciler reads the documents again and again
Ref: TypeAlias = tuple[Mode, str]  # a workload of the blueprint: its mode and name


def written(ref: Ref) -> str:
    """A workload as people write it: `stable.orders-db`."""
    return f"{ref[0]}.{ref[1]}"


@dataclass(frozen=True, slots=True)
class ReadyCheck:
    """One readiness check: what it is (`tcp`, `http`, `command`), its fields, seconds that it is tried for."""

    kind: str
    fields: Mapping[str, Field]
    plain: Mapping[str, Any]
    within: float


@dataclass(frozen=True, slots=True)
class Stable:
    """A stable workload's fields."""

    model: StableWorkload
    path: JsonPath
    when: Field
    count: Field
    machine: Mapping[str, Field]  # cpu, memory, disk, image, disks, networks, cloudInit; those that are written
    labels: Mapping[str, Field]
    vars: Mapping[str, Field]
    ready: tuple[ReadyCheck, ...]
    publish: Mapping[str, Field]  # port, namespace; those that are written
    outputs: Mapping[str, Field]

    def fields(self) -> Iterator[Field]:
        """All of them."""
        yield from (self.when, self.count, *self.machine.values(), *self.labels.values(), *self.vars.values())
        for check in self.ready:
            yield from check.fields.values()
        yield from (*self.publish.values(), *self.outputs.values())


@dataclass(frozen=True, slots=True)
class LiveRule:
    """When live objects work: a condition (CEL over `object`), for a kind (None: all custom ones), perhaps one name."""

    kind: str | None
    name: str | None
    condition: str
    within: float | None
    source: Source


@dataclass(frozen=True, slots=True)
class Agile:
    """An agile workload's fields."""

    model: AgileWorkload
    path: JsonPath
    when: Field
    namespace: Field
    vars: Mapping[str, Field]
    source: Mapping[JsonPath, Field]  # of its source, by their paths below the workload
    outputs: Mapping[str, Field]
    timeout: float
    ready: tuple[LiveRule, ...]

    def fields(self) -> Iterator[Field]:
        """All of them."""
        yield from (self.when, self.namespace, *self.vars.values(), *self.source.values(), *self.outputs.values())


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A blueprint's fields, and its workloads in an order in which each comes after those that it needs.

    needs   workload -> those that it refers to or names in `after`, and where it first does
    order   empty where workloads need each other in a circle, which is a diagnostic
    """

    source: BlueprintSource
    language: Language
    stable: Mapping[str, Stable]
    agile: Mapping[str, Agile]
    outputs: Mapping[str, Field]
    needs: Mapping[Ref, Mapping[Ref, Source]]
    order: tuple[Ref, ...]
    diagnostics: tuple[Diagnostic, ...]

    @property
    def label(self) -> str:
        """`name version`."""
        metadata = self.source.document.model.metadata
        return f"{metadata.name} {metadata.version}"

    def workload(self, ref: Ref) -> Stable | Agile:
        """One workload."""
        return self.stable[ref[1]] if ref[0] == Mode.STABLE else self.agile[ref[1]]


@lru_cache(maxsize=MAX_KEPT)
def compile_blueprint(source: BlueprintSource) -> Blueprint:
    """Compile all expressions of a blueprint; what is wrong is among its diagnostics.

    Kept for what was read once: a command resolves many times, and threads may share what is compiled.
    """
    spec = source.document.model.spec
    outputs = {("stable", name): _types(workload.outputs) for name, workload in spec.stable.items()}
    outputs |= {("agile", name): _types(workload.outputs) for name, workload in spec.agile.items()}
    language = Language(Names({name: parameter.type for name, parameter in spec.parameters.items()}, outputs))
    compiler = Compiler(language, source.document.at)
    stable = {name: _stable(compiler, name, workload) for name, workload in spec.stable.items()}
    agile = {name: _agile(compiler, name, workload) for name, workload in spec.agile.items()}
    told = _outputs(compiler, ("spec", "outputs"), spec.outputs, names.WORKLOAD)
    refs: dict[Ref, Stable | Agile] = {(Mode.STABLE, name): each for name, each in stable.items()}
    refs |= {(Mode.AGILE, name): each for name, each in agile.items()}
    needs = {ref: _needs(compiler, each, refs) for ref, each in refs.items()}
    order, circles = _ordered(needs)
    found = (*compiler.diagnostics, *circles)
    return Blueprint(source, language, stable, agile, told, needs, order, found)


def _types(outputs: Mapping[str, Output | AgileOutput]) -> dict[str, str]:
    return {name: output.type for name, output in outputs.items()}


def _stable(compiler: Compiler, name: str, model: StableWorkload) -> Stable:
    path: JsonPath = ("spec", "stable", name)
    configure = model.configure.vars if model.configure else {}
    labels = (*path, "machines", "labels")
    return Stable(
        model=model,
        path=path,
        when=compiler.field((*path, "when"), model.when, "boolean", names.SETTLED),
        count=compiler.field((*path, "machines", "count"), model.machines.count, "integer", names.SETTLED),
        machine=_machine(compiler, (*path, "machines"), model.machines),
        labels=_fields(compiler, labels, model.machines.labels, "string", names.WORKLOAD),
        vars=_fields(compiler, (*path, "configure", "vars"), configure, "any", names.STABLE),
        ready=tuple(_check(compiler, (*path, "ready", i), check) for i, check in enumerate(model.ready)),
        publish=_publish(compiler, (*path, "publish"), model.publish),
        outputs=_outputs(compiler, (*path, "outputs"), model.outputs, names.STABLE),
    )


def _publish(compiler: Compiler, path: JsonPath, model: Publish | None) -> dict[str, Field]:
    if model is None:
        return {}
    found = {"port": compiler.field((*path, "port"), model.port, "integer", names.WORKLOAD)}
    if model.namespace is not None:
        found["namespace"] = compiler.field((*path, "namespace"), model.namespace, "string", names.SETTLED)
    return found


def _machine(compiler: Compiler, path: JsonPath, model: Machines) -> dict[str, Field]:
    disks = {name: {"size": disk.size, "keep": disk.keep} for name, disk in model.disks.items()}
    given: dict[str, tuple[Any, str]] = {
        "cpu": (model.cpu, "integer"),
        "memory": (model.memory, "string"),
        "disk": (model.disk, "string"),
        "image": (model.image, "string"),
        "disks": (disks or None, "map"),
        "networks": (list(model.networks) or None, "list"),
        "cloudInit": (model.cloud_init, "string"),
    }
    return {
        key: compiler.field((*path, key), value, kind, names.WORKLOAD)
        for key, (value, kind) in given.items()
        if value is not None
    }


def _check(compiler: Compiler, path: JsonPath, check: Check) -> ReadyCheck:
    within = seconds(check.within)
    if check.tcp is not None:
        port = compiler.field((*path, "tcp"), check.tcp, "integer", names.STABLE)
        return ReadyCheck("tcp", {"tcp": port}, {}, within)
    if check.http is not None:
        port = compiler.field((*path, "http", "port"), check.http.port, "integer", names.STABLE)
        where = compiler.field((*path, "http", "path"), check.http.path, "string", names.STABLE)
        plain = {"status": check.http.status, "tls": check.http.tls}
        return ReadyCheck("http", {"port": port, "path": where}, plain, within)
    command = compiler.field((*path, "command"), check.command, "string", names.STABLE)
    return ReadyCheck("command", {"command": command}, {}, within)


def _agile(compiler: Compiler, name: str, model: AgileWorkload) -> Agile:
    path: JsonPath = ("spec", "agile", name)
    return Agile(
        model=model,
        path=path,
        when=compiler.field((*path, "when"), model.when, "boolean", names.SETTLED),
        namespace=compiler.field((*path, "namespace"), model.namespace, "string", names.SETTLED),
        vars=_fields(compiler, (*path, "vars"), model.vars, "any", names.WORKLOAD),
        source=compile_source(compiler, path, model),
        outputs={} if model.program else _outputs(compiler, (*path, "outputs"), model.outputs, names.AGILE),
        timeout=seconds(model.timeout),
        ready=_live_rules(compiler, (*path, "ready"), model),
    )


def _live_rules(compiler: Compiler, path: JsonPath, model: AgileWorkload) -> tuple[LiveRule, ...]:
    def rule(where: JsonPath, text: str, kind: str | None, name: str | None, within: str | None) -> LiveRule:
        made = compiler.field(where, text, "boolean", names.READY)
        condition = made.node.compiled.text if isinstance(made.node, Expression) else str(text)
        return LiveRule(kind, name, condition, seconds(within) if within else None, made.source)

    if isinstance(model.ready, str):
        return (rule(path, model.ready, None, None, None),)
    return tuple(
        rule((*path, index, "condition"), each.condition, each.kind, each.name, each.within)
        for index, each in enumerate(model.ready)
    )


def _fields(
    compiler: Compiler, path: JsonPath, values: Mapping[str, Any], expected: str, roots: frozenset[str]
) -> dict[str, Field]:
    return {key: compiler.field((*path, key), value, expected, roots) for key, value in values.items()}


def _outputs(
    compiler: Compiler, path: JsonPath, outputs: Mapping[str, Output | AgileOutput], roots: frozenset[str]
) -> dict[str, Field]:
    return {
        name: compiler.field((*path, name, "value"), output.value, output.type, roots, f"output `{name}`")
        for name, output in outputs.items()
    }


def seconds(duration: str) -> float:
    """`500ms`, `30s`, `5m`, `1h` in seconds."""
    for unit, factor in (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)):
        if duration.endswith(unit):
            return int(duration.removesuffix(unit)) * factor
    raise ValueError(f"`{duration}` is not a duration")


def _needs(compiler: Compiler, workload: Stable | Agile, known: Mapping[Ref, Any]) -> dict[Ref, Source]:
    """What a workload needs, and where it first says so."""
    found: dict[Ref, Source] = {}
    for each in workload.fields():
        for expression in each.expressions():
            for reference in expression.compiled.references:
                if reference.root in set(Mode):
                    source = expression.place.source(expression.start + reference.at)
                    found.setdefault((Mode(reference.root), str(reference.keys[0])), source)
    for index, after in enumerate(workload.model.after):
        mode, _, name = after.partition(".")
        if mode in set(Mode) and (Mode(mode), name) in known:  # documents/ tells about the others
            found.setdefault((Mode(mode), name), compiler.at.of(*workload.path, "after", index))
    return found


def _ordered(needs: Mapping[Ref, Mapping[Ref, Source]]) -> tuple[tuple[Ref, ...], list[Diagnostic]]:
    """The workloads in order; or the circles that forbid one."""
    order: list[Ref] = []
    left = dict(needs)
    while left:
        free = [ref for ref, needed in left.items() if not any(each in left for each in needed)]
        if not free:
            return (), _circles(left)
        order += free
        left = {ref: needed for ref, needed in left.items() if ref not in free}
    return tuple(order), []


def _circles(needs: Mapping[Ref, Mapping[Ref, Source]]) -> list[Diagnostic]:
    """One diagnostic for each circle, at its first reference."""
    found: list[Diagnostic] = []
    done: set[Ref] = set()
    for start in needs:
        path: list[Ref] = []
        ref = start
        while ref not in path and ref not in done:
            path.append(ref)
            following = [each for each in needs[ref] if each in needs]
            if not following:
                break
            ref = following[0]
        if ref in path:
            found.append(_circle(path[path.index(ref) :], needs))
        done.update(path)
    return found


def _circle(loop: list[Ref], needs: Mapping[Ref, Mapping[Ref, Source]]) -> Diagnostic:
    sources = [needs[ref][loop[(index + 1) % len(loop)]] for index, ref in enumerate(loop)]
    if len(loop) == 1:
        return Diagnostic(sources[0], f"{written(loop[0])} needs itself", "use the value that the output is made of")
    what = " → ".join(written(ref) for ref in [*loop, loop[0]])
    others = ", ".join(str(source) for source in sources[1:])
    return Diagnostic(sources[0], f"workloads need each other in a circle: {what}", f"the other references: {others}")

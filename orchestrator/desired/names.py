"""The names that expressions may use: which a blueprint has, which a syntax tree refers to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from orchestrator.desired.tree import Chain, Key, Step
from orchestrator.documents.validation import did_you_mean, one_of

# Which names may be used where: what must be known before anything is seen; a workload; its parts.
SETTLED = frozenset({"parameters", "site"})
WORKLOAD = SETTLED | {"stable", "agile"}
STABLE = WORKLOAD | {"machines"}
AGILE = WORKLOAD | {"objects"}
READY = frozenset({"object"})

_ROOTS = ("parameters", "site", "stable", "agile", "machines", "objects", "object")
_SITE = ("name", "labels", "values", "capabilities")
_CAPABILITIES = ("cluster", "machines")
_LANGUAGE_WORDS = frozenset({"in", "true", "false", "null"})


@dataclass(frozen=True, slots=True)
class Wrong:
    """One thing that is wrong in an expression: the offset in its text, what, and what would be right."""

    at: int
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Reference:
    """What an expression refers to.

    root, keys  parameters (NAME,); site (name,), (labels,), (values,), (capabilities, cluster); stable or agile
                (WORKLOAD, OUTPUT); machines (), (i,) or (i, field); objects (KEY,); object ()
    at          its offset in the expression; `last` is that of its last key
    length      how many steps are written, more than keys where it goes on into the value
    variable    the name by which the library knows it
    tested      inside of `has()`
    detail      the first key after `labels` or `values`
    type        as declared, of a parameter or an output
    """

    root: str
    keys: tuple[str | int, ...]
    at: int = 0
    last: int = 0
    length: int = 0
    variable: str = ""
    tested: bool = False
    detail: str = ""
    type: str = ""


class _Bad(Exception):  # noqa: N818 - carries what is wrong with one chain to `Names.resolve`
    def __init__(self, at: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.wrong = Wrong(at, message, hint)


@dataclass(frozen=True, slots=True)
class Names:
    """What a blueprint declares: parameter -> type, and (mode, workload) -> output -> type."""

    parameters: Mapping[str, str]
    outputs: Mapping[tuple[str, str], Mapping[str, str]]

    def variables(self) -> dict[str, str]:
        """Every variable by the library's name, with its type."""
        found = {f"parameters.{name}": kind for name, kind in self.parameters.items()}
        found |= {"site.name": "string", "site.labels": "labels", "site.values": "map"}
        found |= {f"site.capabilities.{name}": "boolean" for name in _CAPABILITIES}
        found |= {"machines": "machines", "objects": "map", "object": "any"}
        for (mode, workload), outputs in self.outputs.items():
            for name, kind in outputs.items():
                found[f"{mode}.{_encoded(workload)}.outputs.{name}"] = kind
                if workload.isidentifier():
                    found[f"{mode}.{workload}.outputs.{name}"] = kind
        return found

    def resolve(
        self, chains: Iterable[Chain], roots: frozenset[str], text: str
    ) -> tuple[tuple[Reference, ...], list[Wrong]]:
        """What the chains refer to, and what is wrong with them."""
        references: list[Reference] = []
        wrong: list[Wrong] = []
        for chain in chains:
            try:
                references.append(self._reference(chain, roots, text))
            except _Bad as bad:
                wrong.append(bad.wrong)
                if "needs brackets" in bad.wrong.hint:
                    break  # what follows is the rest of the same name
        return tuple(dict.fromkeys(_unguarded(references))), wrong

    def _reference(self, chain: Chain, roots: frozenset[str], text: str) -> Reference:
        if chain.root not in _ROOTS:
            hint = did_you_mean(chain.root, sorted(roots)) or one_of(roots)
            raise _Bad(chain.at, f"unknown name `{chain.root}`", hint)
        if chain.root not in roots:
            raise _Bad(chain.at, f"`{chain.root}` cannot be used here", f"here {_listed(roots)} can be used")
        match chain.root:
            case "parameters":
                return self._parameter(chain)
            case "site":
                return _site(chain)
            case "machines":
                return _machines(chain)
            case "objects":
                return _objects(chain)
            case "object":
                return _made(chain, (), "object")
        return self._output(chain, text)

    def _parameter(self, chain: Chain) -> Reference:
        step = _step(chain, 0, "a parameter", self.parameters)
        name = str(step.key)
        if name not in self.parameters:
            hint = did_you_mean(name, self.parameters) or one_of(self.parameters)
            raise _Bad(step.at, f"unknown parameter `{name}`", hint)
        if chain.tested and len(chain.steps) == 1:
            raise _Bad(chain.at, f"has() of parameter `{name}`, which always has a value", "leave it out")
        return replace(_made(chain, (name,), f"parameters.{name}"), type=self.parameters[name])

    def _output(self, chain: Chain, text: str) -> Reference:
        mode = chain.root
        workloads = {name: outputs for (of, name), outputs in self.outputs.items() if of == mode}
        step = _step(chain, 0, f"a {mode} workload", workloads)
        workload = str(step.key)
        if workload not in workloads:
            raise _Bad(step.at, f"unknown {mode} workload `{workload}`", self._workload_hint(mode, workload, workloads))
        if len(chain.steps) < 2 or chain.steps[1].key != "outputs":
            at = chain.steps[1].at if len(chain.steps) > 1 else step.at
            raise _Bad(at, f"{mode}.{workload} has outputs only", f"write {_written(mode, workload)}.outputs.NAME")
        outputs = workloads[workload]
        step = _step(chain, 2, f"an output of {mode}.{workload}", outputs)
        name = str(step.key)
        if name not in outputs:
            hint = did_you_mean(name, outputs) or one_of(outputs, none="it has none")
            raise _Bad(step.at, f"unknown output `{name}` of {mode}.{workload}", hint)
        bracketed = chain.steps[0].bracket is not None
        known_as = _encoded(workload) if bracketed else workload
        made = _made(chain, (workload, name), f"{mode}.{known_as}.outputs.{name}")
        return replace(made, type=outputs[name])

    def _workload_hint(self, mode: str, name: str, workloads: Iterable[str]) -> str:
        dashed = [workload for workload in workloads if workload.startswith(f"{name}-")]
        if dashed:
            return f"a name with a dash needs brackets: {_written(mode, dashed[0])}"
        other = "agile" if mode == "stable" else "stable"
        if (other, name) in self.outputs:
            return f"did you mean {_written(other, name)}?"
        return did_you_mean(name, workloads) or one_of(workloads)

    def rewrite(self, text: str, chains: Iterable[Chain]) -> str:
        """The text with brackets around names made dots, of the same length."""
        for bracket, at, name, identifier in _brackets(chains):
            close = text.index("]", at + len(name))
            text = text[:bracket] + f".{identifier}".ljust(close + 1 - bracket) + text[close + 1 :]
        return text


def _unguarded(references: list[Reference]) -> Iterator[Reference]:
    """The references; without `detail` where the expression itself asks whether that is there, by `has` or `in`."""
    asked = {(r.root, r.keys, r.detail) for r in references if r.tested or not r.detail}
    for each in references:
        guarded = {(each.root, each.keys, each.detail), (each.root, each.keys, "")} & asked
        yield replace(each, detail="") if guarded and not each.tested else each


def _brackets(chains: Iterable[Chain]) -> Iterator[tuple[int, int, str, str]]:
    """Steps in brackets that are part of a variable: where the bracket and the name stand, the name, its identifier."""
    depths = {"parameters": 1, "stable": 3, "agile": 3}
    for chain in chains:
        for index, step in enumerate(chain.steps[: depths.get(chain.root, 0)]):
            if step.bracket is not None:
                name = str(step.key)
                is_workload = chain.root != "parameters" and index == 0
                yield step.bracket, step.at, name, _encoded(name) if is_workload else name


def _encoded(workload: str) -> str:
    """A workload's name as an identifier; no two names share one, as names have no underscores."""
    return "_" + workload.replace("-", "_")


def _step(chain: Chain, index: int, what: str, known: Iterable[str]) -> Step:
    """The step at `index`, a literal name. Raises _Bad."""
    if len(chain.steps) <= index:
        at = chain.steps[-1].at if chain.steps else chain.at
        raise _Bad(at, f"name {what}", one_of(known))
    step = chain.steps[index]
    if not isinstance(step.key, str):
        raise _Bad(step.at, f"{what} must be named literally", one_of(known))
    return step


def _made(chain: Chain, keys: tuple[Key, ...], variable: str, detail: str = "") -> Reference:
    kept = tuple(key for key in keys if key is not None)
    used = {"stable": 3, "agile": 3}.get(chain.root, len(kept))
    last = chain.steps[used - 1].at if 0 < used <= len(chain.steps) else chain.at
    extra = used - len(kept)  # `outputs` is written and is no key
    return Reference(chain.root, kept, chain.at, last, len(chain.steps) - extra, variable, chain.tested, detail)


def _site(chain: Chain) -> Reference:
    step = _step(chain, 0, "a part of the site", _SITE)
    part = str(step.key)
    if part not in _SITE:
        raise _Bad(step.at, f"unknown part `{part}` of the site", did_you_mean(part, _SITE) or one_of(_SITE))
    if step.bracket is not None:
        raise _Bad(step.at, f"`{part}` in brackets", f"write site.{part}")
    if part != "capabilities":
        made = _made(chain, (part,), f"site.{part}")
        inner = chain.steps[1] if len(chain.steps) > 1 else None
        if inner is None or not isinstance(inner.key, str):
            return made
        # has(site.values.a.b) tests b; that a is there is not tested
        return replace(made, detail=inner.key, last=inner.at, tested=chain.tested and len(chain.steps) == 2)
    step = _step(chain, 1, "a capability", _CAPABILITIES)
    name = str(step.key)
    if name not in _CAPABILITIES or step.bracket is not None:
        hint = did_you_mean(name, _CAPABILITIES) or one_of(_CAPABILITIES)
        raise _Bad(step.at, f"unknown capability `{name}`", hint)
    return _made(chain, (part, name), f"site.capabilities.{name}")


def _machines(chain: Chain) -> Reference:
    if not chain.steps or not isinstance(chain.steps[0].key, int):
        return _made(chain, (), "machines")
    keys: tuple[Key, ...] = (chain.steps[0].key,)
    if len(chain.steps) > 1 and chain.steps[1].key in ("name", "address"):
        keys = (*keys, chain.steps[1].key)
    return _made(chain, keys, "machines")


def _objects(chain: Chain) -> Reference:
    step = _step(chain, 0, 'an object, as objects["Service/web"]', ())
    if step.bracket is None:
        raise _Bad(step.at, f"`objects.{step.key}`", f'an object is named by kind and name: objects["{step.key}/NAME"]')
    return _made(chain, (step.key,), "objects")


def _written(mode: str, workload: str) -> str:
    return (
        f"{mode}.{workload}" if workload.isidentifier() and workload not in _LANGUAGE_WORDS else f'{mode}["{workload}"]'
    )


def _listed(roots: Iterable[str]) -> str:
    names = sorted(roots, key=_ROOTS.index)
    return f"{', '.join(names[:-1])} and {names[-1]}" if names[1:] else f"only {names[0]}"

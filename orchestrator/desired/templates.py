"""Jinja2 for manifests: sandboxed, undefined names are errors, bounded, and only the blueprint's own files."""

from __future__ import annotations

import base64
import functools
import posixpath
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import CodeType, GeneratorType, TracebackType
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.bccache import Bucket
from jinja2.compiler import CodeGenerator, Frame
from jinja2.sandbox import SandboxedEnvironment

from orchestrator.desired.kept import Kept
from orchestrator.desired.placeholders import Placeholder, Slots, placeholders
from orchestrator.documents.loaded import BlueprintSource
from orchestrator.documents.validation import did_you_mean
from orchestrator.model.values import Value

MAX_RENDERED = 8 * 1024 * 1024
MAX_ITERATIONS = 1_000_000  # of all range()s in one file
MAX_COMPILED = 10_000  # templates
MAX_KEPT = 256  # blueprints; the reconciler reads the documents again and again
MAX_REPEATED = 1_000_000  # characters or elements made by `*`

# Filters that make a text of a text: over a placeholder they give a placeholder.
_LIFTED = ("b64encode", "join", "lower", "replace", "trim", "upper", "urlencode")
_HARMLESS = ("default", "d", "tojson", "to_json", "indent")
_IMPURE = ("random", "pprint", "urlize", "xmlattr")


class TemplateFailed(Exception):  # noqa: N818 - becomes a diagnostic
    """A template cannot be rendered: in which file and line, why, and what would be right."""

    def __init__(self, file: str, line: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.file = file
        self.line = line
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Rendered:
    """A rendered file: its text with tokens, the template's line for each of its lines, and what tokens stand for."""

    text: str
    lines: tuple[int, ...]
    slots: Slots

    def line(self, number: int) -> int:
        """The template's line (from 1) that the rendered line `number` (from 1) comes from."""
        return self.lines[min(max(number, 1), len(self.lines)) - 1] if self.lines else 1


class Templates:
    """The templates of one blueprint's folder (path -> content), and in `kept` what has come of them."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.kept: Kept[Any] = Kept()
        self._environment = _Environment(files)
        texts = [content.decode(errors="replace").lower() for name, content in files.items() if name.endswith(".j2")]
        self._word = Slots.beside(texts).word

    def compile(self, name: str) -> jinja2.Template:
        """Raises TemplateFailed where the syntax is wrong."""
        try:
            return self._environment.get_template(name)
        except jinja2.TemplateError as error:
            raise _failed(error, name, ()) from None

    def render(self, name: str, variables: Mapping[str, Value]) -> Rendered:
        """A file with these variables. Raises TemplateFailed."""
        template = self.compile(name)
        slots = Slots.beside([str(variables).lower()], self._word)
        budget = _Budget()
        context = template.new_context({**slots.holding(dict(variables)), "range": budget.range})
        try:
            with self._environment.using(slots):
                return _printed(template, context, slots)
        except TemplateFailed:
            raise
        except Exception as error:  # noqa: BLE001 - a template can raise whatever Python can
            raise _failed(error, name, variables) from None


@functools.lru_cache(maxsize=MAX_KEPT)
def templates_of(source: BlueprintSource) -> Templates:
    """The templates of a blueprint that was read once; threads may share them."""
    return Templates(source.folder.files)


def _printed(template: jinja2.Template, context: Any, slots: Slots) -> Rendered:
    """Run a template piece by piece, so that each rendered line is known by its template's line."""
    pieces: list[str] = []
    lines: list[int] = []
    size = 0
    running: Any = template.root_render_func(context)
    written = template.debug_info  # (line of the template, line of the code that it became), in order of the code
    codes = [code for _, code in written]
    for each in running:
        piece = slots.shown(each)
        line = written[max(bisect_right(codes, running.gi_frame.f_lineno) - 1, 0)][0] if written else 1
        size += len(piece)
        if size > MAX_RENDERED:
            what = f"it renders more than {MAX_RENDERED >> 20} MiB"
            raise TemplateFailed(str(template.name), line, what, "split the file")
        if not lines:
            lines.append(line)
        elif pieces and pieces[-1].endswith("\n"):
            lines[-1] = line
        lines += range(line + 1, line + 1 + piece.count("\n"))
        pieces.append(piece)
    return Rendered("".join(pieces), tuple(lines), slots)


class _Budget:
    """Bounds what loops over range() may do in one rendering."""

    def __init__(self) -> None:
        self.left = MAX_ITERATIONS

    def range(self, *arguments: int) -> range:
        made = range(*arguments)
        self.left -= len(made)
        if self.left < 0:
            raise jinja2.TemplateRuntimeError(f"range() is asked for more than {MAX_ITERATIONS:,} numbers")
        return made


class _Generator(CodeGenerator):
    """Jinja2's compiler, made to tell the line of each piece of output, and to join with `~` as it prints."""

    def visit_Output(self, node: nodes.Output, frame: Frame) -> None:  # noqa: N802
        for child in node.nodes:
            self.newline(child)
            super().visit_Output(nodes.Output([child], lineno=child.lineno), frame)

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802
        self.write("environment.concat((")
        for child in node.nodes:
            self.visit(child, frame)
            self.write(", ")
        self.write("))")


class _Loader(jinja2.BaseLoader):
    """Files of the blueprint's folder, by their path in it."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    def get_source(self, environment: jinja2.Environment, template: str) -> tuple[str, str, None]:
        """Jinja2 asks for a file."""
        content = self._files.get(template)
        if content is None:
            raise jinja2.TemplateNotFound(template, f"there is no file `{template}` in the blueprint's folder")
        try:
            return content.decode("utf-8-sig"), template, None
        except UnicodeDecodeError:
            raise jinja2.TemplateSyntaxError("the file is not UTF-8 text", 1, template, template) from None


class _Compiled(jinja2.BytecodeCache):
    """Compiled templates, kept by their text: sites, and further looks at one, have the same."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Jinja2 asks whether a template is compiled."""
        bucket.code = self._kept.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Jinja2 has compiled a template."""
        if len(self._kept) >= MAX_COMPILED:
            self._kept.clear()
        if bucket.code is not None:
            self._kept[bucket.key, bucket.checksum] = bucket.code


_COMPILED = _Compiled()
_NO_SLOTS = Slots("\0")
_RENDERING: ContextVar[Slots | None] = ContextVar(
    "_RENDERING", default=None
)  # those of the file that is being rendered


class _Environment(SandboxedEnvironment):
    """The sandbox, with placeholders."""

    code_generator_class = _Generator
    intercepted_binops = frozenset(["*", "**"])

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__(
            loader=_Loader(files),
            undefined=jinja2.StrictUndefined,
            bytecode_cache=_COMPILED,
            cache_size=-1,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            finalize=lambda value: self._slots.shown(value),
        )
        self._files = files
        self.concat = lambda parts: self._slots.combined(parts)  # type: ignore[method-assign]
        self.globals.pop("lipsum")
        for name in _IMPURE:
            self.filters.pop(name)
        self.filters |= {"b64encode": _b64encode, "indent": _indent}
        self.filters = {name: self._guarded(name, function) for name, function in self.filters.items()}
        self.filters["tojson"] = self.filters["to_json"] = lambda value: self._slots.as_json(value)
        for name in set(self.tests) - {"defined", "undefined"}:
            test: Any = self.tests[name]
            self.tests[name] = _strict(name, test)

    @property
    def _slots(self) -> Slots:
        return _RENDERING.get() or _NO_SLOTS

    @contextmanager
    def using(self, slots: Slots) -> Iterator[None]:
        """Print through these slots; other threads render with theirs."""
        before = _RENDERING.set(slots)
        try:
            yield
        finally:
            _RENDERING.reset(before)

    def join_path(self, template: str, parent: str) -> str:
        """A file that another includes: beside it, or by its path in the folder."""
        beside = posixpath.normpath(posixpath.join(posixpath.dirname(parent), template))
        return beside if beside in self._files else posixpath.normpath(template)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Nothing of a placeholder, nothing that begins with an underscore."""
        return not isinstance(obj, Placeholder) and super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """`*` and `**`, bounded."""
        if operator == "**" and not (isinstance(left, int | float) and isinstance(right, int) and abs(right) < 256):
            raise jinja2.TemplateRuntimeError("`**` is for numbers and small exponents")
        sizes = [len(each) for each in (left, right) if isinstance(each, str | list | tuple)]
        counts = [each for each in (left, right) if isinstance(each, int)]
        if operator == "*" and sizes and counts and sizes[0] * counts[0] > MAX_REPEATED:
            raise jinja2.TemplateRuntimeError(f"`*` makes more than {MAX_REPEATED:,} characters or elements")
        return super().call_binop(context, operator, left, right)

    def _guarded(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        if name in _HARMLESS:
            return function
        if name not in _LIFTED:
            return _strict(name, function)

        @functools.wraps(function)
        def lifted(*given: Any, **options: Any) -> Any:
            arguments = [list(each) if isinstance(each, GeneratorType) else each for each in given]
            if next(placeholders([*arguments, *options.values()]), None) is None:
                return function(*arguments, **options)
            names = list(options)

            def plain(*values: Any) -> Any:
                count = len(arguments)
                return function(*values[:count], **dict(zip(names, values[count:], strict=True)))

            return self._slots.lifted(plain, [*arguments, *options.values()])

        return lifted


def _strict(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter or test that takes no placeholder."""

    @functools.wraps(function)
    def strict(*arguments: Any, **options: Any) -> Any:
        for each in (*arguments, *options.values()):
            if isinstance(each, Placeholder):
                what = each._slots.what(each)
                raise jinja2.TemplateRuntimeError(f"`{name}` over a value that is {what}; it can only be printed")
        return function(*arguments, **options)

    return strict


def _b64encode(value: Any) -> str:
    return base64.b64encode(str(value).encode()).decode()


def _indent(value: Any, width: int = 4, first: bool = False, blank: bool = False) -> Any:
    """As Jinja2's. A placeholder needs none: its value comes into the text once YAML's own indentation is gone."""
    if isinstance(value, Placeholder):
        return value
    pad = " " * min(width, 100)
    lines = str(value).split("\n")
    rest = [pad + line if line or blank else line for line in lines[1:]]
    return "\n".join([(pad if first else "") + lines[0], *rest])


_HINT = "compute it in the document, with ${…}, and hand it to the template as a var of its own"


def _failed(error: BaseException, name: str, variables: Iterable[str]) -> TemplateFailed:
    """What went wrong, at the template's line."""
    if isinstance(error, jinja2.TemplateSyntaxError):
        return TemplateFailed(error.name or name, error.lineno, f"not valid Jinja2: {error.message}")
    file, line = _line(error.__traceback__, name)
    if isinstance(error, jinja2.TemplateNotFound):
        return TemplateFailed(file, line, str(error.message), "paths are relative to the file or to the folder")
    if isinstance(error, jinja2.UndefinedError):
        wanted = str(error.message).partition("'")[2].partition("'")[0]
        hint = did_you_mean(wanted, variables) or (f"its vars are {', '.join(variables)}" if variables else "")
        return TemplateFailed(file, line, str(error.message), hint)
    if isinstance(error, RecursionError):
        return TemplateFailed(file, line, "it includes or calls itself without end")
    message = str(error) or type(error).__name__
    return TemplateFailed(file, line, message[:300], _HINT if "can be printed" in message else "")


def _line(trace: TracebackType | None, name: str) -> tuple[str, int]:
    """The template and line where an exception came from: the innermost frame that runs a template's code."""
    found = (name, 1)
    while trace is not None:
        template = trace.tb_frame.f_globals.get("__jinja_template__")
        if template is not None:
            found = (template.name, template.get_corresponding_lineno(trace.tb_lineno))
        trace = trace.tb_next
    return found

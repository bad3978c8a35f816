"""Reading YAML with the place of every key and value, in bounded time and memory.

libyaml's event stream is composed here without recursion: YAML 1.2's core types, duplicate keys refused, merge keys
understood, foreign tags refused, and limits on size, depth, number of values and what aliases expand to.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml
from yaml._yaml import CParser

from orchestrator.documents import scalars
from orchestrator.documents.written import JsonPath, Positions
from orchestrator.documents.yaml_errors import explain
from orchestrator.model.source import Diagnostic, Source

MAX_BYTES = 8 * 1024 * 1024
MAX_DEPTH = 100
MAX_WEIGHT = 1_000_000  # see _Composer.count
_DOCUMENT = 5  # a document's weight beside its values
MAX_PROBLEMS = 100  # per file: what comes after is noise

# What libyaml refuses, said with its place; and line ends that no editor shows as such, which would shift all lines.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_LINE_END = re.compile(r"\r\n|\r|\n")
_TAG_DIRECTIVE = re.compile(r"^%TAG", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Parsed:
    """One YAML document: plain JSON data (dict with str keys, list, str, int, float, bool, None), and its positions."""

    data: Any
    at: Positions


@dataclass(frozen=True, slots=True)
class Reading:
    """A file's documents, empty ones left out; with errors among `diagnostics` they are only what could be read."""

    documents: tuple[Parsed, ...]
    diagnostics: tuple[Diagnostic, ...]


def read(content: bytes | str, file: str, *, manifest: bool = False) -> Reading:
    """Read all documents of a file; `file` is its name in messages. Never raises on content.

    With `manifest` a number with a leading zero is octal, as Kubernetes' own tools read it.
    """
    size = len(content)
    if size > MAX_BYTES:
        return _refused(
            Source(file), f"the file has {size / 2**20:.1f} MiB; {MAX_BYTES >> 20} MiB are read at most", "split it"
        )
    try:
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1 if isinstance(content, bytes) else 1
        return _refused(Source(file, line, 1), "the file is not UTF-8 text", "save it as UTF-8")
    if bad := _UNPRINTABLE.search(text):
        before = _LINE_END.split(text[: bad.start()])
        source = Source(file, len(before), len(before[-1]) + 1)
        return _refused(
            source, f"the invisible character U+{ord(bad[0]):04X}", "remove it, or write it as an escape in quotes"
        )
    if bad := _TAG_DIRECTIVE.search(text):
        return _refused(
            Source(file, text.count("\n", 0, bad.start()) + 1, 1), "%TAG directives are not supported", "remove it"
        )
    composer = _Composer(file, _LINE_END.split(text), legacy_octal=manifest)
    return composer.run(CParser(text))


def composed(content: bytes, file: str) -> yaml.Node | Diagnostic | None:
    """The nodes of the one document of YAML that another program will read by its own rules, or what is wrong with it.

    None where it is empty. Only its syntax is ours to check.
    """
    text = content.decode("utf-8-sig", errors="replace")
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):  # composing what is too deep would end the process
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                mark: Any = event.start_mark
                place = Source(file, mark.line + 1, mark.column + 1)
                return Diagnostic(place, f"nested more than {MAX_DEPTH} levels deep")
        return yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        return explain(error, file, _LINE_END.split(text))


def _refused(source: Source, message: str, hint: str) -> Reading:
    return Reading((), (Diagnostic(source, message, hint),))


class _Stop(Exception):  # noqa: N818 - ends the reading of one file; its diagnostic is already noted
    """Nothing sensible can be read after this."""


_NO_KEY: Any = object()
_MERGE: Any = object()


@dataclass(slots=True)
class _Frame:
    """A map or list that is being composed."""

    value: Any
    path: JsonPath
    anchor: str | None
    weight: int  # of the whole document when this began
    key: Any = _NO_KEY  # the map's key whose value comes next
    height: int = 1
    merges: list[tuple[Any, tuple[int, int]]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Anchored:
    value: Any
    weight: int
    height: int


class _Composer:
    """Composes the documents of one file."""

    def __init__(self, file: str, lines: Sequence[str], *, legacy_octal: bool) -> None:
        self.file = file
        self.lines = lines
        self.legacy_octal = legacy_octal
        self.problems: list[Diagnostic] = []
        self.documents: list[Parsed] = []
        self.weight = 0
        self.begin()

    def begin(self) -> None:
        """A new document."""
        self.values: dict[JsonPath, tuple[int, int]] = {}
        self.keys: dict[JsonPath, tuple[int, int]] = {}
        self.at = Positions(self.file, self.values, self.keys, self.lines)
        self.stack: list[_Frame] = []
        self.anchors: dict[str, _Anchored | None] = {}
        self.root: Any = None

    def run(self, parser: Any) -> Reading:
        """Take all events."""
        try:
            while (event := parser.get_event()) is not None:
                self.take(event)
        except _Stop:
            pass
        except yaml.YAMLError as error:
            self.problems.append(explain(error, self.file, self.lines))
        finally:
            parser.dispose()
        return Reading(tuple(self.documents), tuple(self.problems))

    def take(self, event: Any) -> None:
        """One event."""
        kind = event.__class__
        if kind is yaml.ScalarEvent:
            self.scalar(event)
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            self.open(event, {} if kind is yaml.MappingStartEvent else [])
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            self.close()
        elif kind is yaml.AliasEvent:
            self.alias(event)
        elif kind is yaml.DocumentStartEvent:
            self.begin()
            self.count(_DOCUMENT, event.start_mark)
        elif kind is yaml.DocumentEndEvent and self.root is not None:
            self.documents.append(Parsed(self.root, self.at))

    def scalar(self, event: Any) -> None:
        """A key, or a value without parts."""
        mark = event.start_mark
        frame = self.stack[-1] if self.stack else None
        if frame is not None and frame.key is _NO_KEY and frame.value.__class__ is dict:
            self.key(frame, event)
            return
        value = self.resolved(event)
        self.count(1 + len(event.value) // 100, mark)
        if event.anchor:
            self.anchors[event.anchor] = _Anchored(value, 1 + len(event.value) // 100, 0)
        self.attach(value, mark, 0)

    def resolved(self, event: Any) -> Any:
        """The scalar's value, of its type."""
        text, tag = event.value, event.tag
        if "\0" in text:
            self.problem(event.start_mark, "a text with a NUL character", "remove it")
        if tag is None or tag == "!":
            if not (tag is None and event.implicit[0]):
                return text
        elif tag not in scalars.TAGS:
            self.foreign(tag, event.start_mark)
            return text
        try:
            if tag is None:
                return scalars.plain(text, legacy_octal=self.legacy_octal)
            is_plain = event.style is None or event.style == ""
            return scalars.tagged(tag, text, is_plain=is_plain, legacy_octal=self.legacy_octal)
        except scalars.BadScalar as bad:
            self.problem(event.start_mark, bad.message, bad.hint)
            return text

    def key(self, frame: _Frame, event: Any) -> None:
        """A key of a map: its text, whatever type it would have as a value."""
        mark, text = event.start_mark, event.value
        self.count(1 + len(text) // 100, mark)
        if event.anchor:
            self.anchors[event.anchor] = _Anchored(text, 1 + len(text) // 100, 0)
        if event.tag is not None and event.tag not in ("!", *scalars.TAGS):
            self.foreign(event.tag, mark)
        if text == "<<" and event.implicit[0]:
            frame.key = _MERGE
            return
        if not text and event.implicit[0]:
            self.problem(mark, "a `:` without a key before it", "give it a key, or quote the text that it is part of")
        if "\0" in text:
            self.problem(mark, "a key with a NUL character", "remove it")
        path = (*frame.path, text)
        if (first := self.keys.get(path)) is not None:
            self.problem(
                mark, f"the key `{text[:60]}` is here twice", f"the first is in line {first[0]}, column {first[1]}"
            )
        self.keys[path] = (mark.line + 1, mark.column + 1)
        frame.key = text

    def open(self, event: Any, value: Any) -> None:
        """A map or list begins."""
        mark = event.start_mark
        if event.tag is not None and event.tag not in ("!", *scalars.TAGS):
            self.foreign(event.tag, mark)
        if len(self.stack) >= MAX_DEPTH:
            self.stop(mark, f"nested more than {MAX_DEPTH} levels deep", "")
        path = self.path(mark)
        frame = _Frame(value, path, event.anchor, self.weight)
        self.count(1, mark)
        if event.anchor:
            self.anchors[event.anchor] = None  # not usable before it is complete
        self.values[path] = (mark.line + 1, mark.column + 1)
        self.stack.append(frame)

    def close(self) -> None:
        """A map or list is complete."""
        frame = self.stack.pop()
        self.merge(frame)
        if frame.anchor:
            self.anchors[frame.anchor] = _Anchored(frame.value, self.weight - frame.weight, frame.height)
        line, column = self.values[frame.path]
        self.attach(frame.value, _Mark(line - 1, column - 1), frame.height)

    def alias(self, event: Any) -> None:
        """The value of an anchor once more: a copy, so that nobody changes two places at once."""
        mark = event.start_mark
        if self.stack and self.stack[-1].key is _NO_KEY and self.stack[-1].value.__class__ is dict:
            self.stop(mark, f"the alias `*{event.anchor}` as a key", "write the key out")
        if event.anchor not in self.anchors:
            self.stop(
                mark,
                f"the alias `*{event.anchor}` without an anchor `&{event.anchor}` before it",
                "quote it if it is a text",
            )
        found = self.anchors[event.anchor]
        if found is None:
            self.stop(mark, f"the alias `*{event.anchor}` inside of what it names", "write it out")
        if len(self.stack) + found.height > MAX_DEPTH:
            self.stop(mark, f"nested more than {MAX_DEPTH} levels deep", "")
        self.count(found.weight, mark)
        self.attach(_copy(found.value), mark, found.height)

    def path(self, mark: Any) -> JsonPath:
        """Where the value that begins now belongs."""
        if not self.stack:
            return ()
        frame = self.stack[-1]
        if frame.value.__class__ is list:
            return (*frame.path, len(frame.value))
        if frame.key is _NO_KEY:
            self.stop(mark, "a map or list as a key", _COMPLEX_KEY)
        return (*frame.path, "<<", len(frame.merges)) if frame.key is _MERGE else (*frame.path, frame.key)

    def attach(self, value: Any, mark: Any, height: int) -> None:
        """Put a complete value where it belongs."""
        place = (mark.line + 1, mark.column + 1)
        self.values[self.path(mark)] = place
        if not self.stack:
            self.root = value
            return
        frame = self.stack[-1]
        frame.height = max(frame.height, height + 1)
        if frame.value.__class__ is list:
            frame.value.append(value)
            return
        if frame.key is _MERGE:
            self.to_merge(frame, value, place)
        else:
            frame.value[frame.key] = value
        frame.key = _NO_KEY

    def to_merge(self, frame: _Frame, value: Any, place: tuple[int, int]) -> None:
        """Keep what a `<<` names until the map is complete."""
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict):
                frame.merges.append((each, place))
            else:
                source = Source(self.file, *place)
                self.note(Diagnostic(source, "`<<` takes a map, or a list of maps", "merge an alias: `<<: *name`"))

    def merge(self, frame: _Frame) -> None:
        """Add the merged keys that the map does not have itself; the first of several merged maps wins."""
        for merged, place in frame.merges:
            for key, value in merged.items():
                if key not in frame.value:
                    frame.value[key] = value
                    self.values[(*frame.path, key)] = place

    def count(self, weight: int, mark: Any) -> None:
        """Bound time and memory: values weigh by depth (paths are kept) and length, aliases by what they name."""
        self.weight += weight + len(self.stack) // 8
        if self.weight > MAX_WEIGHT:
            self.stop(mark, f"more than {MAX_WEIGHT:,} values, counting what aliases stand for", "split it")

    def foreign(self, tag: str, mark: Any) -> None:
        """A tag that has no meaning here."""
        name = tag.replace("tag:yaml.org,2002:", "!!")
        self.problem(mark, f"the tag `{name[:60]}` is not supported", "remove it; quote a text that begins with `!`")

    def problem(self, mark: Any, message: str, hint: str) -> None:
        """Note an error and go on."""
        self.note(Diagnostic(Source(self.file, mark.line + 1, mark.column + 1), message, hint))

    def note(self, diagnostic: Diagnostic) -> None:
        """Note an error; too many end the reading."""
        self.problems.append(diagnostic)
        if len(self.problems) >= MAX_PROBLEMS:
            raise _Stop

    def stop(self, mark: Any, message: str, hint: str) -> NoReturn:
        """Note an error after which nothing can be read."""
        self.problem(mark, message, hint)
        raise _Stop


_COMPLEX_KEY = "quote an expression: '${…}'; otherwise a key is a text"


@dataclass(frozen=True, slots=True)
class _Mark:
    line: int
    column: int


def _copy(value: Any) -> Any:
    """Depth is bounded, so recursion is."""
    if isinstance(value, dict):
        return {key: _copy(inner) for key, inner in value.items()}
    return [_copy(inner) for inner in value] if isinstance(value, list) else value

"""YAML without its surprises, with the place of everything, in bounded time and memory."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import pytest

from orchestrator.documents.yaml import MAX_BYTES, read


def data_of(text: str | bytes, **options: bool) -> Any:
    reading = read(text, "f.yaml", **options)
    assert not reading.diagnostics, [str(diagnostic) for diagnostic in reading.diagnostics]
    return reading.documents[0].data


def said_of(text: str | bytes) -> list[str]:
    return [str(diagnostic) for diagnostic in read(text, "f.yaml").diagnostics]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("NO", "NO"), ("yes", "yes"), ("on", "on"), ("y", "y"), ("1:30", "1:30"), ("2026-01-01", "2026-01-01"),
        ("true", True), ("False", False), ("null", None), ("~", None), ("''", ""), ('"12"', "12"), ("1_000", "1_000"),
        ("12", 12), ("-12", -12), ("+1", 1), ("0o17", 15), ("0x1F", 31), ("0", 0), ("1.5", 1.5), ("1e3", 1000.0),
        (".5", 0.5), ("1.10.1", "1.10.1"), ("!!str 12", "12"), ("! 12", "12"), ("!!int 12", 12), ("!!float 1", 1.0),
        ("1e", "1e"), ("-", [None]), ("0o8", "0o8"), ("=", "="),
    ],
)  # fmt: skip
def test_scalars_have_the_types_of_yaml_1_2(text: str, value: Any) -> None:
    found = data_of(f"a: {text}\n" if text != "-" else "a:\n-\n")["a"]
    assert found == value
    assert type(found) is type(value)


def test_keys_are_texts_as_they_are_written() -> None:
    assert data_of("on: 1\n1: 2\ntrue: 3\n~: 4\n") == {"on": 1, "1": 2, "true": 3, "~": 4}


def test_a_leading_zero_is_octal_in_manifests_and_refused_elsewhere() -> None:
    assert data_of("mode: 0644\n", manifest=True) == {"mode": 0o644}
    assert said_of("mode: 0644\n") == [
        'f.yaml:1:7: the number 0644 begins with a zero; write 0o644 for an octal number, or quote it: "0644"'
    ]


@pytest.mark.parametrize("text", ["1e999", ".inf", "-.INF", ".nan", "18446744073709551616", "-9223372036854775809"])
def test_numbers_that_nobody_can_carry_are_refused(text: str) -> None:
    assert len(said_of(f"a: {text}\n")) == 1
    assert data_of(f'a: "{text}"\n') == {"a": text}


def test_every_key_and_value_has_its_place() -> None:
    at = read("a:\n  - b: 1\n    c: 'x'\n  - {d: 2}\n", "f.yaml").documents[0].at
    assert at.values == {
        (): (1, 1), ("a",): (2, 3), ("a", 0): (2, 5), ("a", 0, "b"): (2, 8), ("a", 0, "c"): (3, 8),
        ("a", 1): (4, 5), ("a", 1, "d"): (4, 9),
    }  # fmt: skip
    assert at.keys == {("a",): (1, 1), ("a", 0, "b"): (2, 5), ("a", 0, "c"): (3, 5), ("a", 1, "d"): (4, 6)}
    assert str(at.of("a", 0, "missing")) == "f.yaml:2:5"


@pytest.mark.parametrize(
    ("text", "needle", "place"),
    [
        ("a: xy${p}\n", "p", "f.yaml:1:8"),
        ("a: 'xy${p}'\n", "p", "f.yaml:1:9"),
        ("a: 'it''s ${p}'\n", "p", "f.yaml:1:13"),
        ('a: "xy${p}"\n', "p", "f.yaml:1:9"),
        ('a: "\\t${p}"\n', "p", "f.yaml:1:4"),  # an escape before it: the text's own place
        ("a: |\n  x\n   ${p}\n", "p", "f.yaml:3:6"),
        ("a: >\n  x\n  ${p}\n", "p", "f.yaml:1:4"),
        ("- ${p}\n", "p", "f.yaml:1:5"),
    ],
)
def test_the_place_inside_a_text_is_told_where_it_can_be(text: str, needle: str, place: str) -> None:
    document = read(text, "f.yaml").documents[0]
    path = ("a",) if isinstance(document.data, dict) else (0,)
    value = document.data[path[0]]
    assert str(document.at.inside(path, value, value.index(needle))) == place


def test_a_key_twice_names_both_places() -> None:
    assert said_of("a: 1\nb:\n  c: 1\n  c: 2\na: 2\n") == [
        "f.yaml:4:3: the key `c` is here twice; the first is in line 3, column 3",
        "f.yaml:5:1: the key `a` is here twice; the first is in line 1, column 1",
    ]


def test_merge_keys_fill_in_what_is_not_there() -> None:
    text = "base: &base {x: 1, y: 1}\nmore: &more {y: 2, z: 2}\nthis:\n  <<: [*base, *more]\n  x: 3\n"
    assert data_of(text)["this"] == {"x": 3, "y": 1, "z": 2}
    assert str(read(text, "f").documents[0].at.of("this", "z")) == "f:4:7"
    assert data_of("'<<': 1\n") == {"<<": 1}
    assert said_of("a: {<<: 1}\n") == ["f.yaml:1:9: `<<` takes a map, or a list of maps; merge an alias: `<<: *name`"]


def test_an_alias_is_a_copy() -> None:
    data = data_of("a: &a {x: [1]}\nb: *a\n")
    assert data["a"] == data["b"]
    assert data["a"]["x"] is not data["b"]["x"]


def test_several_documents_have_lines_of_the_file() -> None:
    first, second = read("a: 1\n---\n---\nb: 2\n", "f").documents
    assert (first.data, second.data) == ({"a": 1}, {"b": 2})
    assert str(second.at.of("b")) == "f:4:4"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"a: \xff\n", "f.yaml:1:1: the file is not UTF-8 text"),
        ("a: b\nc: \x00\n", "f.yaml:2:4: the invisible character U+0000"),
        ("a: \u2028\n", "f.yaml:1:4: the invisible character U+2028"),
        ('a: "\\0"\n', "f.yaml:1:4: a text with a NUL character"),
        ("a: !vault x\n", "f.yaml:1:4: the tag `!vault` is not supported"),
        ("a: !!python/object:os.system x\n", "f.yaml:1:4: the tag `!!python/object:os.system` is not supported"),
        ("%TAG ! tag:x,2000:\n---\na: 1\n", "f.yaml:1:1: %TAG directives are not supported"),
        ("a: *b\n", "f.yaml:1:4: the alias `*b` without an anchor"),
        ("a: &a [*a]\n", "f.yaml:1:8: the alias `*a` inside of what it names"),
        ("? [a]\n: b\n", "f.yaml:1:3: a map or list as a key"),
        ("a: 'b\n", "f.yaml:1:4: not valid YAML: a quote that is never closed"),
        ("a: [b\n", "f.yaml:2:1: not valid YAML: a `[` without its `]`"),
        ("a:\n  ?\n  : b\n", "f.yaml:2:4: a `:` without a key before it"),
        ("a:\n  b: 1\n c: 2\n", "f.yaml:3:2: not valid YAML: a line that does not fit the map around it"),
    ],
)
def test_what_is_not_taken_is_said_at_its_place(text: str | bytes, said: str) -> None:
    found = said_of(text)
    assert len(found) == 1
    assert found[0].startswith(said)


def laughs() -> str:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for before, name in zip("abcdefghijk", "bcdefghijkl", strict=True):
        lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]")
    return "\n".join(lines)


HOSTILE = {
    "deep lists": "[" * 4_000_000,
    "deep maps": "{a: " * 1_000_000,
    "deep blocks": "- " * 1_000_000,
    "billion laughs": laughs(),
    "nested aliases": "a0: &a0 [x]\n" + "".join(f"a{i + 1}: &a{i + 1} [*a{i}]\n" for i in range(2000)),
    "merged laughs": "a0: &a0 {k0: x}\n"
    + "".join(f"a{i + 1}: &a{i + 1} {{k{i + 1}: x, <<: *a{i}}}\n" for i in range(5000)),
    "many keys": "".join(f"k{i}: 1\n" for i in range(600_000)),
    "many values": "- a\n" * 2_000_000,
    "many documents": "--- a\n" * 1_300_000,
    "many tags": "%TAG !a{} x\n" * 500_000,
    "many problems": "- !x y\n" * 1_000_000,
    "a long number": "a: " + "1" * 8_000_000,
    "a long quote": '"' + "x" * 8_000_000,
    "too large": "#" * (MAX_BYTES + 1),
    "a bad file name": "a: !" + "x" * 1_000_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_is_refused_in_bounded_time(name: str) -> None:
    begun = time.process_time()
    reading = read(HOSTILE[name].encode(), "f.yaml")
    assert reading.diagnostics
    assert len(reading.diagnostics) <= 100
    assert all(len(str(diagnostic)) < 300 for diagnostic in reading.diagnostics)
    assert time.process_time() - begun < 20  # about 4 at most on a slow core; without limits minutes, or a crash


def test_hostile_input_is_refused_in_bounded_memory() -> None:
    tracemalloc.start()
    try:
        read(laughs(), "f.yaml")
        assert tracemalloc.get_traced_memory()[1] < 300 * 2**20
    finally:
        tracemalloc.stop()


def test_one_large_scalar_is_fine() -> None:
    assert len(data_of("a: " + "x" * 4_000_000)["a"]) == 4_000_000


def test_ten_thousand_resources_are_read_in_seconds() -> None:
    one = "kind: Deployment\nmetadata: {name: w}\nspec:\n  template: {spec: {containers: [{name: web}]}}\n---\n"
    begun = time.process_time()
    assert len(read(one * 10_000, "f.yaml").documents) == 10_000
    assert time.process_time() - begun < 10  # 0.7 on an idle core

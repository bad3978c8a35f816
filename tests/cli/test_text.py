"""Text for terminals: harmless, measured as displayed, and plain where the terminal knows no signs of ours."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli.views import plain_signs
from orchestrator.cli.views.text import clean, counted, cut, cut_middle, duration, table, width_of, wrapped


@given(st.text())
def test_clean_text_has_nothing_that_moves_the_cursor(text: str) -> None:
    assert not set("\x00\x07\x08\n\r\t\x1b\x7f\x9b\u202e") & set(clean(text))
    assert "\x1b" not in clean(text, keep_lines=True)
    assert clean(text).encode() is not None  # no lone surrogates either


@given(st.text(max_size=200), st.integers(5, 50))
def test_cut_text_fits(text: str, width: int) -> None:
    assert width_of(cut(text, width)) <= width


def test_the_middle_of_a_path_is_cut() -> None:
    assert cut_middle("spec.template.spec.containers[0].env[DB]", 22) == "spec.te…ers[0].env[DB]"
    assert cut_middle("short", 22) == "short"


def test_wide_signs_take_two_columns() -> None:
    assert width_of("上海") == 4
    assert table(("A", "B"), [("上海", "x"), ("abcde", "y")]) == "A      B\n上海   x\nabcde  y"


def test_words_are_wrapped_and_long_ones_left_whole() -> None:
    assert wrapped("aa bb ccccccccccc dd", 6) == ["aa bb", "ccccccccccc", "dd"]


def test_numbers_have_units() -> None:
    assert [duration(s) for s in (0.04, 14.21, 125, 3780)] == ["0.0 s", "14.2 s", "2 min 5 s", "1 h 3 min"]
    assert (counted(1, "site"), counted(2, "site")) == ("1 site", "2 sites")


def test_a_terminal_without_our_signs_gets_plain_ones() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", errors=plain_signs.register())
    stream.write("✓ done · 8 → 3 … 上")
    stream.flush()
    assert raw.getvalue() == b"ok done - 8 -> 3 ... \\u4e0a"

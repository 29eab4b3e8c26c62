"""What may reach the terminal: every code point is looked at."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentcli.ui.sanitise import one_line, visible

# Format characters that have a shape, or that scripts and emoji fall apart without.
SHAPED = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
JOINERS = {0x200C, 0x200D}
INVISIBLE = {0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x2065, 0x3164, 0xFFA0, 0xE0100, 0xE01EF, 0xE0FFF}


def test_no_code_point_that_acts_or_hides_stays() -> None:
    kept = {
        code
        for code in range(0x110000)
        if unicodedata.category(chr(code)) in ("Cc", "Cf", "Zl", "Zp", "Cs") and visible(chr(code)) == chr(code)
    }
    assert kept == {ord("\n"), ord("\t")} | SHAPED | JOINERS
    for code in INVISIBLE:
        assert visible(chr(code)) != chr(code)
    for code in range(0x110000):
        if code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF:
            assert visible(chr(code)) == "\ufffd"


def test_what_is_made_visible_needs_no_second_time() -> None:
    for code in range(0x110000):
        once = visible(chr(code))
        assert once
        assert visible(once) == once


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("\x1b]52;c;ZXZpbA==\x07", "␛]52;c;ZXZpbA==␇"),
        ("safe\rEVIL", "safe␍EVIL"),
        ("a\x00b\x08c\x7fd", "a␀b␈c␡d"),
        ("\x9b2J", "‹9B›2J"),
        ("\u202ecod.exe", "‹202E›cod.exe"),
        ("a\u200bb\ufeff", "a‹200B›b‹FEFF›"),
        ("\U000e0041", "‹E0041›"),
        ("soft\xadhyphen", "soft‐hyphen"),
        ("a\u2028b\x85c", "a‹2028›b‹85›c"),
        ("\ud83d", "\ufffd"),
        ("line\n\ttab", "line\n\ttab"),
        ("👩‍👩‍👧 ❤️ می‌خواهم हिन्दी مرحبا \ue0b0", "👩‍👩‍👧 ❤️ می‌خواهم हिन्दी مرحبا \ue0b0"),
    ],
)
def test_stand_ins(text: str, seen: str) -> None:
    assert visible(text) == seen


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.text(st.characters(exclude_categories=())), st.text(st.characters(exclude_categories=())))
def test_a_chunk_border_changes_nothing(left: str, right: str) -> None:
    assert visible(left) + visible(right) == visible(left + right)


@pytest.mark.parametrize(
    ("text", "width", "line"),
    [
        ("  a\n\tb \r\n c ", None, "a b c"),
        ("one two three", 8, "one two…"),
        ("exactly", 7, "exactly"),
        ("日本語テキスト", 7, "日本語…"),
        ("\x1b[2Jx", 20, "␛[2Jx"),
        ("", 5, ""),
        ("anything", 1, "…"),
        (" " * 1000 + "far away", 5, "…"),
    ],
)
def test_one_line(text: str, width: int | None, line: str) -> None:
    assert one_line(text, width) == line


def test_one_line_of_a_huge_text_is_quick() -> None:
    assert one_line("word " * 10_000_000, 12) == "word word w…"

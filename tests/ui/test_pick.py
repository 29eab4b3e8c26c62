"""What is left of an offer by what was typed, and how it looks in a line."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcwidth

from agentcli.core.message import Blob, Message, Text, ToolCall, ToolResult, assistant, now, user
from agentcli.core.thread import Thread
from agentcli.store.threads import Store
from agentcli.ui.pick import chosen, listed
from agentcli.ui.pick.cells import fit, steady, width_of, wrapped
from agentcli.ui.pick.choice import Choice, Found, Offer, folded
from agentcli.ui.pick.messages import Messages
from agentcli.ui.pick.numbered import narrowed
from agentcli.ui.pick.picture import Shape, inside
from agentcli.ui.pick.source import Preview
from agentcli.ui.pick.threads import Threads, last_exchange

PAINT = re.compile("\x1b\\[[0-9;]*m")
ODD = ["日本語", "👩‍👩‍👧", "❤️", "🇩🇪", "👍🏽", "1️⃣", "e\u0301", "\x1b[31m", "\u202e", "\t", "word ", "\n", "…", "ﷺ", "क्षि"]


def offers(*titles: str) -> list[Offer]:
    return [Offer(f"id{number:06}", folded(title)) for number, title in enumerate(titles)]


def left(choice: Choice) -> list[int]:
    return [found.place for found in choice.found]


def selected(choice: Choice) -> str:
    assert choice.selected
    return choice.selected.name


class TestWords:
    @pytest.mark.parametrize(
        ("typed", "places"),
        [
            ("", [0, 1, 2, 3, 4]),
            ("  ", [0, 1, 2, 3, 4]),
            ("plant", [0, 2]),
            ("PLANTS light", [0]),
            ("light plants", [0]),
            ("lig", [0, 1]),
            ("été", [3]),
            ("e\u0301te\u0301", [3]),
            ("strasse", [4]),
            ("\u202eplan\u200bt", [0, 2]),
            ("id000003", [3]),
            ("id00000", [0, 1, 2, 3, 4]),
            ("d00000", []),
            ("id", []),
            ("nothing", []),
        ],
    )
    def test_all_are_found_in_any_order_and_case(self, typed: str, places: list[int]) -> None:
        choice = Choice(offers("Plants and light", "Lighthouses", "Implants", "L'ÉTÉ", "Straße"))
        choice.type(typed)
        assert left(choice) == places

    def test_what_the_own_words_lack_is_looked_for_elsewhere(self) -> None:
        choice = Choice(offers("Plants and light", "Light", "Stones"))
        choice.type("light plants")
        assert choice.others == [(1, ["plants"]), (2, ["light", "plants"])]
        assert selected(choice) == "id000000"

    def test_what_is_found_elsewhere_comes_behind_in_the_order_of_the_offers(self) -> None:
        choice = Choice(offers("a", "b", "needle", "c", "needles"))
        choice.type("needle")
        choice.add([Found(3, "a needle")])
        choice.add([Found(0, "one needle")])
        assert left(choice) == [2, 4, 0, 3]

    def test_somebodys_selection_stays_when_something_is_found_before_it(self) -> None:
        choice = Choice(offers("a", "b", "c", "d"))
        choice.type("needle")
        choice.add([Found(2, "needle"), Found(3, "needle")])
        choice.move(1)
        choice.add([Found(0, "needle")])
        assert selected(choice) == "id000003"
        choice.type("needles")
        choice.add([Found(2, "needles")])
        choice.add([Found(1, "needles")])
        assert selected(choice) == "id000001"  # nobody moved

    def test_what_still_fits_a_longer_line_is_not_looked_for_again(self) -> None:
        choice = Choice(offers("a", "b", "c"))
        choice.type("need")
        choice.add([Found(0, "a needle"), Found(1, "no need")])
        choice.type("needle")
        assert left(choice) == [0]
        assert choice.others == [(1, ["needle"]), (2, ["needle"])]


class TestMoving:
    def test_stays_within_what_is_left(self) -> None:
        choice = Choice(offers(*"abcdef"))
        for by, at in ((-1, 0), (2, 2), (100, 5), (1, 5), (-3, 2), (-100, 0)):
            choice.move(by)
            assert choice.at == at
        nothing = Choice()
        nothing.move(1)
        assert nothing.selected is None
        assert list(nothing.shown(5)) == []

    def test_a_choice_may_begin_with_the_last(self) -> None:
        choice = Choice(offers("one", "two", "twelve"), last=True)
        assert choice.at == 2
        choice.type("o")
        assert choice.at == 1

    @given(st.lists(st.booleans(), min_size=1, max_size=40), st.lists(st.integers(-12, 12), max_size=20), st.integers(1, 12))
    def test_what_is_selected_can_be_seen_and_no_line_is_wasted(self, two: list[bool], steps: list[int], height: int) -> None:
        choice = Choice(offers(*("x" for _ in two)))
        choice.type("y")
        choice.add(Found(place, "a line y" if double else "") for place, double in enumerate(two))
        for step in (0, *steps):
            choice.move(step)
            shown = choice.shown(height)
            assert choice.at in shown
            lines = sum(1 + two[place] for place in shown)
            assert lines <= height or len(shown) == 1
            if len(shown) < len(two) and shown.stop == len(two):
                assert lines + 1 + two[shown.start - 1] > height


class TestCells:
    @given(st.lists(st.sampled_from(ODD)).map("".join) | st.text(max_size=60), st.integers(0, 50))
    def test_a_line_is_exactly_as_wide_as_it_should_be(self, text: str, width: int) -> None:
        line = fit(steady(text, width), width)
        assert width_of(line) == width
        assert not re.search("[\n\x1b\u202e]", line)

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("👩‍👩‍👧 family", "👩👩👧 family"),
            ("❤️‍🔥", "❤🔥"),
            ("🇩🇪 🇫🇷", "DE FR"),
            ("👍🏽", "👍"),
            ("1️⃣", "1"),
            ("نامه\u200cای", "نامه\u200cای"),
            ("क्\u200dष", "क्\u200dष"),
        ],
    )
    def test_what_terminals_count_differently_is_written_so_that_they_do_not(self, text: str, shown: str) -> None:
        assert steady(text, 40) == shown

    def test_numbers_stand_on_the_right_and_what_is_cut_says_so(self) -> None:
        assert fit("12", 5, right=True) == "   12"
        assert fit("日本語", 6) == "日本語"
        assert fit("日本語", 5) == "日本…"
        assert fit("日本語", 4) == "日… "
        assert fit("abc", 1) == "…"

    @given(st.lists(st.sampled_from(ODD)).map("".join) | st.text(max_size=200), st.integers(2, 30), st.integers(0, 6))
    def test_no_wrapped_line_is_too_wide_and_there_are_not_too_many(self, text: str, width: int, most: int) -> None:
        lines = wrapped(text, width, most)
        assert len(lines) <= most
        assert all(width_of(line) <= width for line in lines)

    def test_wrapping_is_between_words(self) -> None:
        assert wrapped("one two three\n\nfour", 8, 9) == ["one two", "three", "", "four"]
        assert wrapped("abcdefghijkl mn", 5, 9) == ["abcde", "fghij", "kl mn"]
        assert wrapped("one two three four", 8, 2) == ["one two", "three …"]


class TestShape:
    @given(st.integers(1, 300), st.integers(1, 100), st.integers(0, 10_000))
    def test_it_is_at_most_two_thirds_of_a_window(self, columns: int, rows: int, count: int) -> None:
        shape = Shape.of(columns, rows, count)
        lines = 1 + shape.head + shape.height + shape.foot + (shape.below + 1 if shape.below else 0)
        assert lines <= max(rows * 2 // 3, min(rows - 1, 4), 1)
        assert min(shape) >= 0
        assert shape.width + (shape.side + 3 if shape.side else 0) == inside(columns) < columns

    def test_the_preview_stands_where_there_is_room(self) -> None:
        assert Shape.of(40, 10, 99)[3:5] == (0, 0)
        assert Shape.of(80, 24, 99)[3:5] == (0, 4)
        assert Shape.of(200, 60, 99)[3:5] == (80, 0)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "threads", tmp_path / "blobs", tmp_path / "cache")


def save(store: Store, *messages: Message, title: str = "", model: str = "openai/gpt-5.4", age: float = 0) -> Thread:
    thread = Thread.of(*messages, title=title)
    thread.model = model
    thread.updated = now() - timedelta(minutes=age)
    store.save(thread)
    return thread


class TestThreads:
    @pytest.mark.parametrize("width", [3, 10, 20, 39, 60, 79, 116])
    def test_every_row_is_as_wide_as_the_list(self, store: Store, width: int) -> None:
        for title in ["", "x" * 300, *ODD, "".join(ODD) * 9]:
            save(store, user("q"), title=title, model=f"somebody/{title}")
        source = Threads(store)
        for place in range(len(source.offers())):
            for selected in (False, True):
                row = PAINT.sub("", source.row(place, width, selected=selected))
                assert width_of(row) == max(width, 2), row
                assert not re.search("[\x00-\x1f\u202e]", row)
        assert width_of(PAINT.sub("", source.head(width))) == max(width, 2)

    def test_what_is_left_out_where_there_is_no_room(self, store: Store) -> None:
        thread = save(store, user("q"), title="A title", model="anthropic/claude-sonnet-5", age=185)
        source = Threads(store)
        source.offers()
        rows = {width: PAINT.sub("", source.row(0, width, selected=True)).split() for width in (30, 38, 60, 80, 110)}
        assert rows[30] == [">", "A", "title"]
        assert rows[38] == [">", "A", "title", "3", "hours", "ago"]
        assert rows[60] == [">", "A", "title", "3", "hours", "ago", "1", thread.id]
        assert rows[80] == [">", "A", "title", "3", "hours", "ago", "1", "claude-sonnet-5", thread.id]
        assert rows[110] == [">", "A", "title", "3", "hours", "ago", "1", "anthropic/claude-sonnet-5", thread.id]

    def test_newest_first_and_no_damaged_one(self, store: Store) -> None:
        save(store, user("q"), title="old", age=9)
        save(store, user("q"), title="new")
        store.path("badbad00").write_bytes(b"{")
        assert [offer.words for offer in Threads(store).offers()] == ["new", "old"]

    def test_the_preview_is_the_last_exchange(self, store: Store) -> None:
        cut = Message(role="assistant", stop="interrupted", parts=(Text("half an"),))
        thread = save(store, user("first?"), assistant("First."), user("second?"), cut)
        source = Threads(store)
        source.offers()
        assert source.preview(0) == Preview("second?", "half an", "This answer was stopped before it was finished.")
        assert last_exchange(Thread()) == Preview("", "")
        store.path(thread.id).write_bytes(b"{")
        assert "cannot read" in source.preview(0).note

    def test_texts_are_searched(self, store: Store) -> None:
        save(store, user("where is the Needle?"), assistant("In the hay,\nmy needle\nis."), title="Lost", age=1)
        save(store, user("no"), title="Nothing")
        source = Threads(store)
        source.offers()
        found = list(source.search([(0, ["needle"]), (1, ["needle", "hay"]), (1, ["needle", "stone"]), (1, ["NEEDLE?"])]))
        assert found == [None, Found(1, "where is the Needle?"), None, Found(1, "where is the Needle?")]


class TestMessages:
    def test_they_are_numbered_as_fork_counts_them_and_found_by_what_is_in_them(self) -> None:
        call = ToolCall("c", "read_file", '{"path": "plants.md"}')
        thread = Thread.of(
            user("What is in it?", Blob("image/png", b"x", name="leaf.png")),
            Message(role="assistant", author="agentcli", model="a/b", stop="tools", parts=(call,)),
            Message(role="tool", parts=(ToolResult("c", "green"),)),
            assistant("It is **green**."),
        )
        source = Messages(thread)
        assert [offer.name for offer in source.offers()] == ["1", "2", "3", "4"]
        rows = [PAINT.sub("", source.row(place, 60, selected=False)).rstrip() for place in range(4)]
        assert rows == [
            "  1  You        What is in it? [leaf.png]",
            '  2  agentcli   → read_file {"path": "plants.md"}',
            "  3  Tools      green",
            "  4  Assistant  It is **green**.",
        ]
        choice = Choice(source.offers(), last=True)
        choice.type("green")
        assert left(choice) == [2, 3]
        assert source.preview(0).question.startswith("What is in it?")
        assert source.preview(3) == Preview("", "It is **green**.")


class TestNumbers:
    def test_a_number_an_id_or_words(self, store: Store) -> None:
        for number in range(3):
            save(store, user("q"), title=f"Plant {number}", age=number)
        rows = store.rows()
        assert listed(rows).splitlines()[2] == f"  3  {rows[2].id}  Plant 2"
        assert chosen("2", rows, store) == rows[1].id
        assert chosen(rows[2].id[:6], rows, store) == rows[2].id
        assert [row.id for row in narrowed("1 plant", rows)] == [rows[1].id]


def test_the_widths_are_those_that_the_terminal_is_drawn_with() -> None:
    assert width_of("a日👍\u0301") == sum(max(wcwidth(character), 0) for character in "a日👍\u0301") == 5

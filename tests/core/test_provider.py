"""The draft: any split of an answer into chunks folds into the same message."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentcli.core.event import Waiting
from agentcli.core.message import Message, Part, Reasoning, Text, ToolCall, Usage
from agentcli.core.provider import CallChunk, Chunk, Draft, ProviderError, ReasoningChunk, StopChunk, TextChunk, UsageChunk
from agentcli.errors import Exit

words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)


@st.composite
def split_answers(draw: st.DrawFn) -> tuple[list[Part], list[Chunk]]:
    """An answer, and one way in which a server may send it."""
    parts: list[Part] = []
    chunks: list[Chunk] = []

    def pieces(text: str) -> list[str]:
        cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=5)))
        return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    for number, kind in enumerate(draw(st.lists(st.sampled_from(["text", "reasoning", "calls"]), max_size=5))):
        if parts and kind != "calls" and type(parts[-1]) is (Text if kind == "text" else Reasoning):
            continue  # the same kind twice in a row is one part
        if kind == "calls":
            begun = [
                (ToolCall(f"{number}.{one}", "f", draw(words.filter(str.strip))), f"{number}/{one}")
                for one in range(draw(st.integers(1, 3)))
            ]
            parts += [call for call, _ in begun]
            sent = [[CallChunk(key, arguments=piece) for piece in pieces(call.arguments)] for call, key in begun]
            chunks += [CallChunk(key, call.id, call.name) for call, key in begun]
            while any(sent):  # in any order between the calls
                chunks.append(draw(st.sampled_from([rest for rest in sent if rest])).pop(0))
            continue
        text = draw(words)
        parts.append(Text(text) if kind == "text" else Reasoning(text))
        chunks += [TextChunk(piece) if kind == "text" else ReasoningChunk(piece) for piece in pieces(text)]
    return parts, chunks


def folded(*chunks: Chunk) -> Message:
    draft = Draft()
    for chunk in chunks:
        draft.add(chunk)
    return draft.message(author="me", model="fake/m")


@settings(deadline=None, derandomize=True, max_examples=200)
@given(split_answers())
def test_any_split_folds_into_the_same_answer(answer: tuple[list[Part], list[Chunk]]) -> None:
    parts, chunks = answer
    assert list(folded(*chunks, StopChunk("done")).parts) == parts


def test_a_draft_holds_usage_and_stop_and_passes_over_talk_of_the_way() -> None:
    said = folded(Waiting(what="connecting"), TextChunk("a"), UsageChunk(Usage(1, 1)), UsageChunk(Usage(2, 3)), StopChunk("length"))
    assert (said.text, said.usage, said.stop, said.author, said.model) == ("a", Usage(2, 3), "length", "me", "fake/m")


def test_a_draft_is_empty_until_there_is_something_to_keep() -> None:
    draft = Draft()
    for chunk in (Waiting(), TextChunk(""), ReasoningChunk(""), UsageChunk(Usage(1, 1))):
        draft.add(chunk)
        assert not draft
    assert draft.message(author=None, model=None).parts == ()
    draft.add(ReasoningChunk("", {"k": 1}))
    assert draft
    assert draft.message(author=None, model=None, stop="interrupted").parts == (Reasoning("", {"k": 1}),)


def test_a_call_alone_is_worth_keeping() -> None:
    draft = Draft()
    draft.add(CallChunk(0, name="f"))
    assert draft


def test_calls_get_an_id_of_their_own_and_arguments_that_are_something() -> None:
    said = folded(CallChunk(0, "", "f"), CallChunk(1, "x", "g", " "), CallChunk(2, "x", "h", "{}"))
    ids = [call.id for call in said.calls]
    assert len(set(ids)) == 3
    assert all(ids)
    assert ids[1] == "x"
    assert [call.arguments for call in said.calls] == ["{}", "{}", "{}"]


def test_the_first_id_and_name_of_a_call_win() -> None:
    (call,) = folded(CallChunk(0, "", ""), CallChunk(0, "a", "f"), CallChunk(0, "b", "g", "{}", {"k": 1})).calls
    assert call == ToolCall("a", "f", "{}", {"k": 1})


def test_private_data_stays_with_its_thought() -> None:
    said = folded(ReasoningChunk("h"), ReasoningChunk("m"), ReasoningChunk(private={"signature": "s"}), TextChunk("a"))
    assert said.parts == (Reasoning("hm", {"signature": "s"}), Text("a"))


def test_halves_of_a_surrogate_pair_in_two_chunks_are_one_character() -> None:
    assert folded(TextChunk("\ud83d"), TextChunk("\ude00")).text == "😀"
    (call,) = folded(CallChunk(0, "i\ud800", "n\ud800", "a\ud800")).calls
    assert (call.id, call.name, call.arguments) == ("i�", "n�", "a�")


@pytest.mark.parametrize(
    ("kind", "code"),
    [("auth", Exit.UNAVAILABLE), ("server", Exit.UNAVAILABLE), ("rate_limit", 75), ("overloaded", 75), ("stalled", 75), ("cut", 75)],
)
def test_a_kind_of_failure_has_its_exit_code(kind: str, code: int) -> None:
    error = ProviderError(kind, "no", hint="try", status=500, retry_after=2.0)
    assert (error.exit_code, error.kind, error.hint, error.status, error.retry_after) == (code, kind, "try", 500, 2.0)

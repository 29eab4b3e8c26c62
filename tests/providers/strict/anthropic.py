"""Rules of the Messages API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.providers.strict.question import Question, whole
from tests.providers.vendors import Said

__all__ = [
    "a_budget_leaves_room",
    "marks_are_few",
    "thinking_is_as_it_came",
    "thinking_is_never_last",
    "thinking_stays_in_a_running_loop",
    "words_are_more_than_blanks",
]


def _without_marks(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_marks(inner) for key, inner in value.items() if key != "cache_control"}
    return [_without_marks(inner) for inner in value] if isinstance(value, list) else value


def _is_under(said: Said, question: Question, place: int) -> bool:
    """Does the same stand before the answer as when it was given?"""
    then, now = (_without_marks([body.get("system"), body.get("tools")]) for body in (said.asked, question.body))
    return bool(then == now and _without_marks(said.asked["messages"]) == _without_marks(question.body["messages"][:place]))


def thinking_is_as_it_came(question: Question) -> Iterator[str]:
    """Thinking is signed and word for word what this model has said, encrypted or not, after the same words as then."""
    for place, turn in question.answers:
        sent = [piece.raw for piece in turn.of("thought")]
        for block in sent:
            said = next((one for one in question.before.values() if one.flavour == question.flavour and block in one.kept), None)
            if said is None:
                yield f"turn {place}: {block}"
            elif not _is_under(said, question, place):
                yield f"turn {place}: something before answer {said.number} is not what it was"
        for said in question.ours(turn):
            if whole(said, turn) and 0 < len([block for block in said.kept if block in sent]) < len(said.kept):
                yield f"turn {place}: a part of the thinking of answer {said.number}"


def thinking_is_never_last(question: Question) -> Iterator[str]:
    """No answer ends with thinking."""
    yield from (f"turn {place}" for place, turn in question.answers if turn.pieces[-1].kind == "thought")


def thinking_stays_in_a_running_loop(question: Question) -> Iterator[str]:
    """While tools are run, what the model thought stands in its answers; told to think within a budget, it must have begun so.

    Words beside results may begin a turn or not: either way.
    """
    for place, turn in question.running():
        for said in question.ours(turn):
            missing = [block for block in said.kept if block not in [piece.raw for piece in turn.of("thought")]]
            if whole(said, turn) and missing and _is_under(said, question, place):
                yield f"turn {place}: without {missing}"
    if question.body.get("thinking", {}).get("type") == "enabled":
        for place, first in [*question.running()[:1], *question.running(words=True)[:1]]:
            if first.pieces[0].kind != "thought":
                yield f"it was told to think, but the loop that begins with turn {place} does not begin with thinking"


def words_are_more_than_blanks(question: Question) -> Iterator[str]:
    """No text is blank."""
    for place, turn in enumerate(question.turns):
        yield from (f"turn {place}: {piece.value!r}" for piece in turn.of("text") if not piece.value.strip())


def marks_are_few(question: Question) -> Iterator[str]:
    """At most four marks for the cache, none of them on thinking."""
    if (count := question.raw.count('"cache_control"')) > 4:
        yield f"{count}"
    yield from ("on thinking" for turn in question.turns for piece in turn.of("thought") if "cache_control" in piece.raw)


def a_budget_leaves_room(question: Question) -> Iterator[str]:
    """The budget for thinking is smaller than what may be written."""
    if question.body.get("thinking", {}).get("budget_tokens", 0) >= question.body["max_tokens"]:
        yield str(question.body["thinking"])

"""Rules that every API has, or more than one."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator

from tests.providers.strict.question import Question, Rule
from tests.providers.strict.types import types_of

__all__ = [
    "a_person_is_first_and_then_by_turns",
    "a_person_is_last",
    "arguments_are_objects",
    "calls_are_answered",
    "ids_and_names_of",
    "nothing_is_empty",
    "nothing_private_of_others",
    "of_the_vendors_types",
    "results_come_first",
]


def of_the_vendors_types(question: Question) -> Iterator[str]:
    """The body is one by the types that the vendor publishes, and has no field that they do not know."""
    if check := types_of(question.flavour.kind):
        try:
            check(copy.deepcopy(question.body))
        except Exception as error:
            yield str(error)[:600]


def calls_are_answered(question: Question) -> Iterator[str]:
    """Right after the calls come their results: one for each, and no others."""
    turns = question.turns
    for place, turn in enumerate(turns):
        called = [piece.id for piece in turn.of("call")]
        answered = [piece.id for piece in turns[place + 1].of("result")] if place + 1 < len(turns) else []
        if called and sorted(map(str, called)) != sorted(map(str, answered)):
            yield f"turn {place}: called {called}, answered {answered}"
        if turn.of("result") and not (place and turns[place - 1].of("call")):
            yield f"turn {place}: results of nothing"


def results_come_first(question: Question) -> Iterator[str]:
    """Where a person answers the calls, the results stand before what else they say."""
    for place, turn in enumerate(question.turns):
        kinds = [piece.kind for piece in turn.pieces]
        if "result" in kinds and kinds != sorted(kinds, key=lambda kind: kind != "result"):
            yield f"turn {place}: {kinds}"


def arguments_are_objects(question: Question) -> Iterator[str]:
    """Arguments are a JSON object."""
    for place, turn in enumerate(question.turns):
        yield from (f"turn {place}: {piece.value!r}" for piece in turn.of("call") if not isinstance(piece.value, dict))


def nothing_is_empty(question: Question) -> Iterator[str]:
    """No turn and no text is empty; a text without words may carry a signature."""
    for place, turn in enumerate(question.turns):
        if not turn.pieces:
            yield f"turn {place} is empty"
        for piece in turn.of("text"):
            if not piece.value and "thoughtSignature" not in piece.raw:
                yield f"turn {place} has an empty text"


def nothing_private_of_others(question: Question) -> Iterator[str]:
    """Nothing anywhere that another vendor, or another model of the same one, must get back, nor what it thought."""
    for number, said in question.before.items():
        if said.flavour == question.flavour:
            continue
        yield from (f"of answer {number}, {said.flavour}: {secret}" for secret in said.secrets if secret in question.raw)
        if said.thought and said.thought in question.raw:
            yield f"of answer {number}, {said.flavour}: {said.thought}"


def a_person_is_first_and_then_by_turns(question: Question) -> Iterator[str]:
    """A person and the model speak by turns, the person first."""
    roles = [turn.role for turn in question.turns]
    if roles != [("user", "assistant")[place % 2] for place in range(len(roles))]:
        yield str(roles)


def a_person_is_last(question: Question) -> Iterator[str]:
    """It ends with a person, or with results."""
    if question.turns[-1].role == "assistant":
        yield "it ends with the model"


def ids_and_names_of(form: str, name: str, *, once: bool) -> Rule:
    """Ids and names of calls have this form. `once`: no id comes twice in a conversation; else not in an answer."""

    def ids_and_names(question: Question) -> Iterator[str]:
        taken: set[str] = set()
        for _, turn in question.answers:
            taken = taken if once else set()
            for piece in turn.of("call"):
                if not re.fullmatch(form, str(piece.id)) or not re.fullmatch(name, str(piece.name)):
                    yield f"{piece.id!r}, {piece.name!r}"
                if piece.id in taken:
                    yield f"{piece.id!r} comes twice"
                taken.add(str(piece.id))

    return ids_and_names

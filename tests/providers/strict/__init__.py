"""What strict servers refuse, as a table of rules for each API (`RULES`), beside what the vendors' own published types say.

A rule is a function that complains: it gets a question (`Question`: the body of a request, and everything that was said before it) and
yields what is wrong. Its docstring is the rule.
"""

from __future__ import annotations

import traceback

from tests.providers.strict import anthropic, chat, gemini, responses
from tests.providers.strict.everywhere import (
    a_person_is_first_and_then_by_turns,
    a_person_is_last,
    arguments_are_objects,
    calls_are_answered,
    ids_and_names_of,
    nothing_is_empty,
    nothing_private_of_others,
    of_the_vendors_types,
    results_come_first,
)
from tests.providers.strict.question import Question, Rule
from tests.providers.strict.types import types_of

__all__ = ["RULES", "Question", "complaints", "types_of"]

_ALL = (of_the_vendors_types, calls_are_answered, arguments_are_objects, nothing_is_empty, nothing_private_of_others)
_NAME = r"[a-zA-Z0-9_-]{1,64}"
_CHAT = (*_ALL, chat.content_or_calls, a_person_is_last, ids_and_names_of(r"[\x21-\x7e]{1,40}", _NAME, once=False))

RULES: dict[str, tuple[Rule, ...]] = {
    "anthropic": (
        *_ALL,
        a_person_is_first_and_then_by_turns,
        a_person_is_last,
        results_come_first,
        ids_and_names_of(r"[a-zA-Z0-9_-]{1,64}", _NAME, once=True),
        anthropic.words_are_more_than_blanks,
        anthropic.thinking_is_as_it_came,
        anthropic.thinking_is_never_last,
        anthropic.thinking_stays_in_a_running_loop,
        anthropic.marks_are_few,
        anthropic.a_budget_leaves_room,
    ),
    "gemini": (
        *_ALL,
        a_person_is_first_and_then_by_turns,
        a_person_is_last,
        results_come_first,
        gemini.responses_have_the_names_of_the_calls,
        gemini.first_calls_are_signed,
        gemini.signatures_are_the_models_own,
        gemini.ids_come_back,
        gemini.images_are_of_a_known_kind,
    ),
    "responses": (
        *_ALL,
        a_person_is_last,
        ids_and_names_of(r"[a-zA-Z0-9_-]{1,64}", _NAME, once=True),
        responses.thinking_leads_to_something,
        responses.ids_come_with_their_thinking,
        responses.thinking_comes_back_in_a_running_loop,
        responses.phases_are_its_own,
    ),
    "chat": (*_CHAT, chat.no_thinking),
    "deepseek": (*_CHAT, chat.thinking_in_every_answer_of_a_loop),
    "openrouter": (*_CHAT, chat.details_are_as_they_came),
    "mistral": (
        *_ALL,
        chat.content_or_calls,
        chat.no_thinking,
        chat.only_known_fields,
        chat.mistrals_order,
        ids_and_names_of(r"[a-zA-Z0-9]{9}", _NAME, once=False),
    ),
}


def complaints(question: Question) -> list[str]:
    """What the server has against this question, each with the name of the rule."""
    return [f"{rule.__name__}: {wrong}" for rule in RULES[question.flavour.rules] for wrong in _asked(rule, question)]


def _asked(rule: Rule, question: Question) -> list[str]:
    try:
        return list(rule(question))
    except Exception:  # of a body that has no form at all
        return [traceback.format_exc()]

"""Rules of the servers that speak chat completions: OpenAI's, DeepSeek's, OpenRouter's and Mistral's."""

from __future__ import annotations

from collections.abc import Iterator

from tests.providers.strict.question import Question, whole

__all__ = [
    "content_or_calls",
    "details_are_as_they_came",
    "mistrals_order",
    "no_thinking",
    "only_known_fields",
    "thinking_in_every_answer_of_a_loop",
]


def no_thinking(question: Question) -> Iterator[str]:
    """No message has a field for thinking."""
    for message in question.body["messages"]:
        yield from (key for key in message if key.startswith("reasoning"))


def content_or_calls(question: Question) -> Iterator[str]:
    """Content is null only beside calls, and an answer has one of the two."""
    for message in question.body["messages"]:
        if not message["content"] and not message.get("tool_calls") and message["role"] != "tool":
            yield str(message)


def thinking_in_every_answer_of_a_loop(question: Question) -> Iterator[str]:
    """In a turn with tools each answer has `reasoning_content`: its own thinking, or nothing if another model gave it."""
    turns = question.turns
    for place, turn in question.answers:
        begin = max((at for at in range(place) if turns[at].role == "user"), default=-1)
        end = next((at for at in range(place, len(turns)) if turns[at].role == "user"), len(turns))
        loop = any(each.role == "tool" for each in turns[begin + 1 : end])
        thought = turn.raw.get("reasoning_content")
        if loop != isinstance(thought, str):
            yield f"turn {place}: {thought!r}, with tools: {loop}"
        own = [
            said for said in question.ours(turn) if whole(said, turn) or (loop and not said.calls and said.text == turn.raw["content"])
        ]
        if loop and own and not all(said.kept in (thought or "") for said in own):
            yield f"turn {place}: {thought!r} is not what it thought"


def details_are_as_they_came(question: Question) -> Iterator[str]:
    """`reasoning_details` are this model's own, all of them where it called tools, and the words are in no other field."""
    for place, turn in question.answers:
        details = turn.raw.get("reasoning_details", [])
        own = question.ours(turn)
        for said in own:
            if whole(said, turn) and any(one not in details for one in said.kept):
                yield f"turn {place}: {details} is not {said.kept}"
        known = [one for said in question.before.values() if said.flavour == question.flavour for one in said.kept]
        yield from (f"turn {place}: {one}" for one in details if one not in known)
        yield from (f"turn {place}: {key}" for key in ("reasoning", "reasoning_content") if key in turn.raw)


_FIELDS = {
    "system": {"role", "content"},
    "user": {"role", "content"},
    "assistant": {"role", "content", "tool_calls", "prefix"},
    "tool": {"role", "content", "tool_call_id", "name"},
}
_MISTRAL = set(
    "model messages stream tools tool_choice temperature top_p max_tokens stop random_seed response_format presence_penalty "  # noqa: SIM905
    "frequency_penalty n prediction parallel_tool_calls prompt_mode safe_prompt reasoning_effort metadata".split()
)


def only_known_fields(question: Question) -> Iterator[str]:
    """No field that Mistral does not know."""
    yield from (question.body.keys() - _MISTRAL)
    for message in question.body["messages"]:
        yield from (f"{message['role']}: {key}" for key in message.keys() - _FIELDS[message["role"]])


_AFTER = {"user": {"", "assistant"}, "assistant": {"user", "tool"}, "tool": {"assistant", "tool"}, "system": {""}}


def mistrals_order(question: Question) -> Iterator[str]:
    """No user right after a tool, no two answers in a row, and at the end a user or a tool."""
    before = ""
    for place, message in enumerate(question.body["messages"]):
        if before not in _AFTER[message["role"]] and (place, before) != (1, "system"):
            yield f"unexpected role {message['role']!r} after role {before!r}"
        before = message["role"]
    if before not in ("user", "tool"):
        yield f"expected last role user or tool, but got {before}"

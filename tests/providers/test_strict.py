"""What strict servers refuse (`strict`) is seen to be refused: each rule complains about a body that was good and is spoilt."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from agentcli.core.message import Blob, user
from agentcli.core.thread import Thread
from tests.providers.conversation import Servers, agents, turn
from tests.providers.strict import RULES, Question, complaints, types_of
from tests.providers.vendors import FLAVOURS

Spoil: TypeAlias = Callable[[Any, str], object]  # of the body, with something that is private to another

TEXT = {"type": "text", "text": "x"}
ITEM = {"type": "message", "id": "msg_x", "role": "assistant", "status": "completed", "content": []}


def _renamed(body: Any, name: str) -> None:
    """The last call and its result under another id."""
    call, result = body["messages"][-3]["tool_calls"][-1], body["messages"][-1]
    call["id"] = result["tool_call_id"] = name


SPOILS: list[tuple[str, str, Spoil]] = [
    ("anthropic", "of_the_vendors_types", lambda body, _: body["messages"][0]["content"][0].update(bogus=1)),
    ("anthropic", "of_the_vendors_types", lambda body, _: body.pop("max_tokens")),
    ("anthropic", "calls_are_answered", lambda body, _: body["messages"][-1]["content"].pop()),
    ("anthropic", "calls_are_answered", lambda body, _: body["messages"][-1]["content"].append(body["messages"][-1]["content"][0])),
    ("anthropic", "calls_are_answered", lambda body, _: body["messages"].pop(-2)),
    ("anthropic", "arguments_are_objects", lambda body, _: body["messages"][-2]["content"][-1].update(input="{}")),
    ("anthropic", "nothing_is_empty", lambda body, _: body["messages"][-2]["content"][2].update(text="")),
    ("anthropic", "nothing_is_empty", lambda body, _: body["messages"][-3].update(content=[])),
    ("anthropic", "nothing_private_of_others", lambda body, secret: body.update(metadata={"user_id": f"a {secret} b"})),
    ("anthropic", "a_person_is_first_and_then_by_turns", lambda body, _: body["messages"].pop(0)),
    ("anthropic", "a_person_is_last", lambda body, _: body["messages"].append({"role": "assistant", "content": [TEXT]})),
    ("anthropic", "results_come_first", lambda body, _: body["messages"][-1]["content"].insert(0, TEXT)),
    ("anthropic", "ids_and_names", lambda body, _: body["messages"][-2]["content"][-1].update(id="a.b")),
    ("anthropic", "ids_and_names", lambda body, _: body["messages"][-2]["content"][-1].update(name="a.b")),
    ("anthropic", "ids_and_names", lambda body, _: body["messages"][-2]["content"][-1].update(id="toolu_000001a")),
    ("anthropic", "words_are_more_than_blanks", lambda body, _: body["messages"][-2]["content"][2].update(text=" \n")),
    ("anthropic", "thinking_is_as_it_came", lambda body, _: body["messages"][-2]["content"][0].update(signature="c2ln")),
    ("anthropic", "thinking_is_as_it_came", lambda body, _: body["messages"][-2]["content"][0].update(thinking="Hm")),
    ("anthropic", "thinking_is_as_it_came", lambda body, _: body["messages"][-2]["content"][1].update(data="ZW5j")),
    ("anthropic", "thinking_is_as_it_came", lambda body, _: body["messages"][-2]["content"].pop(1)),
    ("anthropic", "thinking_is_as_it_came", lambda body, _: body["messages"][0]["content"].insert(0, TEXT)),
    ("anthropic", "thinking_is_never_last", lambda body, _: body["messages"][-2]["content"].reverse()),
    (
        "anthropic",
        "thinking_stays_in_a_running_loop",
        lambda body, _: body["messages"][-2].update(content=body["messages"][-2]["content"][2:]),
    ),
    (
        "anthropic",
        "marks_are_few",
        lambda body, _: [block.update(cache_control={"type": "ephemeral"}) for block in body["messages"][-2]["content"]],
    ),
    ("anthropic", "a_budget_leaves_room", lambda body, _: body.update(max_tokens=2_000)),
    ("gemini", "calls_are_answered", lambda body, _: body["contents"][-1]["parts"].pop()),
    ("gemini", "responses_have_the_names_of_the_calls", lambda body, _: body["contents"][-1]["parts"].reverse()),
    (
        "gemini",
        "responses_have_the_names_of_the_calls",
        lambda body, _: body["contents"][-1]["parts"][0]["functionResponse"].pop("id"),
    ),
    ("gemini", "first_calls_are_signed", lambda body, _: body["contents"][-2]["parts"][1].pop("thoughtSignature")),
    (
        "gemini",
        "first_calls_are_signed",
        lambda body, _: body["contents"][-2]["parts"][1].update(thoughtSignature="skip_thought_signature_validator"),
    ),
    ("gemini", "first_calls_are_signed", lambda body, _: body["contents"][-2]["parts"].reverse()),
    ("gemini", "ids_come_back", lambda body, _: body["contents"][-2]["parts"][1]["functionCall"].pop("id")),
    ("gemini", "signatures_are_the_models_own", lambda body, _: body["contents"][-2]["parts"][1].update(thoughtSignature="c2ln")),
    ("gemini", "nothing_is_empty", lambda body, _: body["contents"][-2]["parts"][0].update(text="")),
    (
        "gemini",
        "images_are_of_a_known_kind",
        lambda body, _: body["contents"][0]["parts"][1]["inlineData"].update(mimeType="image/gif"),
    ),
    ("openai", "calls_are_answered", lambda body, _: body["input"].pop()),
    ("openai", "a_person_is_last", lambda body, _: body["input"].append(ITEM)),
    ("openai", "arguments_are_objects", lambda body, _: body["input"][-3].update(arguments="{")),
    ("openai", "ids_and_names", lambda body, _: body["input"][-3].update(call_id="x" * 65)),
    ("openai", "thinking_leads_to_something", lambda body, _: body["input"][-6].update(encrypted_content="ZW5j")),
    ("openai", "thinking_leads_to_something", lambda body, _: body["input"].pop(-5)),
    ("openai", "ids_come_with_their_thinking", lambda body, _: body["input"].pop(-6)),
    ("openai", "ids_come_with_their_thinking", lambda body, _: body["input"][-5].update(id="x")),
    ("openai", "ids_come_with_their_thinking", lambda body, _: body["input"][-3].update(id=body["input"][-4]["id"])),
    ("openai", "thinking_comes_back_in_a_running_loop", lambda body, _: body["input"].pop(-6)),
    ("openai", "phases_are_its_own", lambda body, _: body["input"][-5].update(phase="x")),
    ("openai", "nothing_private_of_others", lambda body, secret: body["input"][0].update(content=secret)),
    ("lab", "no_thinking", lambda body, _: body["messages"][-3].update(reasoning_content="Hm")),
    ("lab", "content_or_calls", lambda body, _: body["messages"][-4].update(content=None)),
    ("lab", "a_person_is_last", lambda body, _: body["messages"].append({"role": "assistant", "content": "x"})),
    ("lab", "calls_are_answered", lambda body, _: body["messages"].insert(-1, {"role": "user", "content": "x"})),
    ("deepseek", "thinking_in_every_answer_of_a_loop", lambda body, _: body["messages"][-3].pop("reasoning_content")),
    ("deepseek", "thinking_in_every_answer_of_a_loop", lambda body, _: body["messages"][-3].update(reasoning_content="")),
    ("openrouter", "details_are_as_they_came", lambda body, _: body["messages"][-3].pop("reasoning_details")),
    ("openrouter", "details_are_as_they_came", lambda body, _: body["messages"][-3]["reasoning_details"][0].pop("signature")),
    ("mistral", "only_known_fields", lambda body, _: body.update(stream_options={"include_usage": True})),
    ("mistral", "only_known_fields", lambda body, _: body["messages"][-3].update(author="x")),
    ("mistral", "mistrals_order", lambda body, _: body["messages"].append({"role": "user", "content": "x"})),
    ("mistral", "ids_and_names", lambda body, _: _renamed(body, "call_12345")),
]


@pytest.fixture(scope="module")
def good() -> dict[str, Question]:
    """For each provider a good question: two tools were run for it, as before, and for another provider in between."""
    found = {}
    names = {flavour.name: flavour for flavour in FLAVOURS}

    async def converse(servers: Servers) -> None:
        async with agents() as made:
            for name, flavour in names.items():
                servers.afresh()
                thread = Thread()
                attached = [Blob("image/png", b"P")] if flavour.takes("image/png") else []
                for one in (flavour, names["openai" if name != "openai" else "anthropic"], flavour):
                    await turn(made[one], thread, user("What now?", *attached))
                found[name] = servers.questions[-2]

    with Servers() as servers:
        asyncio.run(converse(servers))
    return found


@pytest.mark.parametrize(
    ("name", "rule", "spoil"), SPOILS, ids=[f"{name} {rule} {number}" for number, (name, rule, _) in enumerate(SPOILS)]
)
def test_what_is_wrong_is_seen(good: dict[str, Question], name: str, rule: str, spoil: Spoil) -> None:
    question = good[name]
    if rule == "of_the_vendors_types" and not types_of(question.flavour.kind):
        pytest.skip("the vendor's SDK is not installed")
    body = copy.deepcopy(question.body)
    assert complaints(Question(question.flavour, body, question.before)) == []
    secret = next(said.secrets[0] for said in question.before.values() if said.flavour is not question.flavour and said.secrets)
    spoil(body, secret)
    assert rule in [wrong.partition(":")[0] for wrong in complaints(Question(question.flavour, body, question.before))]


def test_every_rule_is_seen_to_fail() -> None:
    assert {rule.__name__ for rules in RULES.values() for rule in rules} == {rule for _, rule, _ in SPOILS}

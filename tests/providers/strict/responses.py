"""Rules of the Responses API."""

from __future__ import annotations

from collections.abc import Iterator

from tests.providers.strict.question import Question, whole

__all__ = [
    "ids_come_with_their_thinking",
    "phases_are_its_own",
    "thinking_comes_back_in_a_running_loop",
    "thinking_leads_to_something",
]


def thinking_leads_to_something(question: Question) -> Iterator[str]:
    """Thinking is the item that it was, and the item that came after it comes after it."""
    items = question.body["input"]
    for place, item in enumerate(items):
        if item.get("type") != "reasoning":
            continue
        said = next((one for one in question.before.values() if one.flavour == question.flavour and item == one.kept[0]), None)
        if said is None:
            yield f"item {place} is not known: {item}"
        elif place + 1 == len(items) or items[place + 1].get("id") not in [one["id"] for one in said.kept[1:2]]:
            yield f"item {place} is without what it led to"


def ids_come_with_their_thinking(question: Question) -> Iterator[str]:
    """No id comes twice; one of what was thought about comes after the thinking; each begins with the name of its type."""
    taken: set[str] = set()
    begins = {"message": "msg", "function_call": "fc", "reasoning": "rs"}
    led = {
        item["id"]: said.kept[0]["id"]
        for said in question.before.values()
        if said.flavour.kind == "openai-responses"
        for item in said.kept[1:]
    }
    for item in question.body["input"]:
        if (name := item.get("id")) is None:
            continue
        if name in taken:
            yield f"{name} comes twice"
        if led.get(name) not in taken | {None}:
            yield f"{name} is without its thinking"
        if not name.startswith(begins[item["type"]]):
            yield f"{name} of a {item['type']}"
        taken.add(name)


def thinking_comes_back_in_a_running_loop(question: Question) -> Iterator[str]:
    """While tools are run, a call that has its id comes after what led to it."""
    for place, turn in question.running():
        for said in question.ours(turn):
            if whole(said, turn) and said.kept[0] not in [piece.raw for piece in turn.of("thought")]:
                yield f"turn {place}: without the thinking of answer {said.number}"


def phases_are_its_own(question: Question) -> Iterator[str]:
    """A phase is one that this vendor gave to that message, of which there may be only the beginning."""
    given = [said for said in question.before.values() if said.flavour.name == question.flavour.name]
    known = [(item["content"][0]["text"], item["phase"]) for said in given for item in said.kept if item["type"] == "message"]
    for item in question.body["input"]:
        if "phase" in item and not any(
            text.startswith(item["content"][0]["text"]) and phase == item["phase"] for text, phase in known
        ):
            yield str(item)

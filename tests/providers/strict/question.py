"""The body of a request, read as turns, which are the same for all APIs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

from tests.providers.vendors import Flavour, Said, numbers_in

__all__ = ["Json", "Piece", "Question", "Rule", "Turn", "whole"]

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Piece:
    """A part of a turn: `text`, `media`, `thought`, `call` or `result`. `raw` is what stands in the body."""

    kind: str
    raw: Json
    value: Any = None  # the text, or the arguments
    id: str | None = None
    name: str | None = None


@dataclass(frozen=True)
class Turn:
    """What one speaker says: `user`, `assistant`, or `tool`. Where tools are answered by the user, that is a turn of the user."""

    role: str
    pieces: list[Piece]
    raw: Any = None

    def of(self, kind: str) -> list[Piece]:
        return [piece for piece in self.pieces if piece.kind == kind]


@dataclass
class Question:
    """One request to this flavour; `before` is every answer that any server has given, by its number."""

    flavour: Flavour
    body: Json
    before: dict[int, Said] = field(default_factory=dict)

    @cached_property
    def raw(self) -> str:
        return json.dumps(self.body, ensure_ascii=False)

    @cached_property
    def turns(self) -> list[Turn]:
        return _READ[self.flavour.kind](self.body)

    @property
    def answers(self) -> list[tuple[int, Turn]]:
        """The turns of the assistant, and where they stand."""
        return [(place, turn) for place, turn in enumerate(self.turns) if turn.role == "assistant"]

    def ours(self, turn: Turn) -> list[Said]:
        """The answers of this very model that are in the turn, as far as its calls and words tell."""
        found = numbers_in([[piece.value for piece in turn.pieces if piece.kind in ("text", "call")]])
        return [said for number in sorted(found) if (said := self.before.get(number)) and said.flavour == self.flavour]

    def running(self, *, words: bool = False) -> list[tuple[int, Turn]]:
        """The answers of the loop of tools that is running: nobody spoke since it began, or (`words`) only beside results."""
        place = len(self.turns)
        found: list[tuple[int, Turn]] = []
        while place >= 2 and self.turns[place - 1].of("result") and (words or not self.turns[place - 1].of("text")):
            place -= 2
            found.insert(0, (place, self.turns[place]))
        return found

    @property
    def step(self) -> int:
        """How many times tools were run since a person spoke."""
        return len(self.running())


# What complains about a question
Rule: TypeAlias = Callable[[Question], Iterator[str]]


def whole(said: Said, turn: Turn) -> bool:
    """Was the answer not cut off: are all its calls there?"""
    calls = [piece.value for piece in turn.of("call")]
    return bool(said.calls) and all(arguments in calls for _, _, arguments in said.calls)


def _anthropic(body: Json) -> list[Turn]:
    kinds = {"tool_use": "call", "tool_result": "result", "thinking": "thought", "redacted_thinking": "thought"}
    turns = []
    for message in body["messages"]:
        pieces = []
        for block in message["content"]:
            kind = kinds.get(block["type"], "text" if block["type"] == "text" else "media")
            value = block.get("input", block.get("text", block.get("content", "-")))
            pieces.append(Piece(kind, block, value, block.get("id", block.get("tool_use_id")), block.get("name")))
        turns.append(Turn(message["role"], pieces, message))
    return turns


def _gemini(body: Json) -> list[Turn]:
    turns = []
    for content in body["contents"]:
        pieces = []
        for part in content["parts"]:
            match part:
                case {"functionCall": call}:
                    pieces.append(Piece("call", part, call["args"], call.get("id"), call["name"]))
                case {"functionResponse": result}:
                    pieces.append(Piece("result", part, result["response"], result.get("id"), result["name"]))
                case {"text": text}:
                    pieces.append(Piece("thought" if part.get("thought") else "text", part, text))
                case _:
                    pieces.append(Piece("media", part))
        turns.append(Turn("assistant" if content["role"] == "model" else "user", pieces, content))
    return turns


def _responses(body: Json) -> list[Turn]:
    turns: list[Turn] = []
    for item in body["input"]:
        match item:
            case {"type": "function_call"}:
                role, pieces = "assistant", [Piece("call", item, _parsed(item["arguments"]), item["call_id"], item["name"])]
            case {"type": "function_call_output"}:
                role, pieces = "tool", [Piece("result", item, item["output"], item["call_id"])]
            case {"type": "reasoning"}:
                role, pieces = "assistant", [Piece("thought", item)]
            case {"role": role, "content": str(text)}:
                pieces = [Piece("text", item, text)]
            case {"role": role, "content": content}:
                pieces = [Piece("text" if "text" in part else "media", item, part.get("text")) for part in content]
        if turns and turns[-1].role == role and role != "user":
            turns[-1].pieces.extend(pieces)
        else:
            turns.append(Turn(role, pieces, item))
    return turns


def _chat(body: Json) -> list[Turn]:
    turns: list[Turn] = []
    for message in body["messages"]:
        if message["role"] in ("system", "developer"):
            continue
        if message["role"] == "tool":
            pieces = [Piece("result", message, message["content"], message["tool_call_id"])]
        else:
            content = message["content"]
            alone = not message.get("tool_calls")  # beside calls an empty content is as good as none
            parts = content if isinstance(content, list) else [{"type": "text", "text": content}] if content or alone else []
            pieces = [Piece("text" if part["type"] == "text" else "media", part, part.get("text")) for part in parts]
            for call in message.get("tool_calls", ()):
                function = call["function"]
                pieces.append(Piece("call", call, _parsed(function["arguments"]), call["id"], function["name"]))
        if turns and turns[-1].role == message["role"] == "tool":
            turns[-1].pieces.extend(pieces)
        else:
            turns.append(Turn(message["role"], pieces, message))
    return turns


def _parsed(arguments: str) -> Any:
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


_READ = {"anthropic": _anthropic, "gemini": _gemini, "openai-responses": _responses, "openai-chat": _chat}

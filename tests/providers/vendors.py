"""The vendors' servers on one loopback server, each as its own API answers: with thinking that has to go back, words and tools.

They are reached by their real names: the loopback server is the proxy (`HTTP_PROXY`), so that what a provider knows of a host holds
here, too. Whatever is said has the number of the answer in it (`#17`): however a history is written anew, it can be told whose it is.
What may not be seen by any other vendor is in `Said.secrets`, what has to come back in `Said.kept`, as it has to be sent.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeAlias

from tests.model_server import Asked, Reply, sse

__all__ = ["FLAVOURS", "Flavour", "Said", "answer", "flavour_of", "numbers_in"]

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Flavour:
    """A model of a vendor. `rules` names the table of what its server refuses (`strict`), `echoes`: what it thought goes back to it.

    One that does not see (`blind`) says so in these words, with this status, as soon as there is anything but text in a request.
    """

    name: str  # the provider's
    model: str
    kind: str
    base_url: str
    rules: str
    echoes: bool = True
    blind: tuple[int, str] | None = None
    settings: Json = field(default_factory=dict)

    @property
    def full(self) -> str:
        return f"{self.name}/{self.model}"

    def __str__(self) -> str:
        return self.full

    def takes(self, media_type: str) -> bool:
        """Can it see this?"""
        return not self.blind and not (self.name == "gemini" and media_type == "image/gif")


_ONLY_TEXT = "Failed to deserialize the JSON body into the target type: messages[1]: unknown variant `image_url`, expected `text`"

FLAVOURS = (
    Flavour("anthropic", "claude-sonnet-5", "anthropic", "http://api.anthropic.com", "anthropic"),
    Flavour("anthropic", "claude-sonnet-4-5", "anthropic", "http://api.anthropic.com", "anthropic", settings={"thinking": 2_000}),
    Flavour("gemini", "gemini-2.5-pro", "gemini", "http://generativelanguage.googleapis.com", "gemini"),
    Flavour("gemini", "gemini-3.5-flash", "gemini", "http://generativelanguage.googleapis.com", "gemini"),
    Flavour("openai", "gpt-5.4", "openai-responses", "http://api.openai.com/v1", "responses"),
    Flavour("openai", "gpt-5.4-mini", "openai-responses", "http://api.openai.com/v1", "responses"),
    Flavour("xai", "grok-4-1", "openai-responses", "http://api.x.ai/v1", "responses"),
    Flavour("chat", "gpt-5.4", "openai-chat", "http://api.openai.com/v1", "chat", echoes=False),
    Flavour("lab", "qwen3", "openai-chat", "http://lab.example/v1", "chat", echoes=False, blind=(500, "image input is not supported")),
    Flavour("deepseek", "deepseek-v4-flash", "openai-chat", "http://api.deepseek.com", "deepseek", blind=(400, _ONLY_TEXT)),
    Flavour("mistral", "magistral-medium-latest", "openai-chat", "http://api.mistral.ai/v1", "mistral", echoes=False),
    Flavour("openrouter", "moonshotai/kimi-k3", "openai-chat", "http://openrouter.ai/api/v1", "openrouter"),
    Flavour("openrouter", "anthropic/claude-sonnet-5", "openai-chat", "http://openrouter.ai/api/v1", "openrouter"),
)


@dataclass(frozen=True)
class Said:
    """An answer that a server has given, and the request before it."""

    number: int
    flavour: Flavour
    text: str
    thought: str
    calls: tuple[tuple[str, str, Json], ...]  # id, name, arguments
    kept: Any  # as it has to come back, if it comes back
    secrets: tuple[str, ...]  # what is private in it
    asked: Json


def flavour_of(asked: Asked) -> Flavour:
    """Whose server is asked: by the address, and by the model where a vendor has two."""
    path = asked.path.partition("?")[0]
    found = [one for one in FLAVOURS if path.startswith(one.base_url + "/") and path.endswith(_PATHS[one.kind].format(one.model))]
    model = asked.body.get("model")
    (flavour,) = [one for one in found if model in (None, one.model)]
    return flavour


_PATHS = {
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/{}:streamGenerateContent",
    "openai-responses": "/v1/responses",
    "openai-chat": "/chat/completions",
}


def numbers_in(value: Any) -> set[int]:
    """The numbers of the answers that this comes from."""
    return {int(found) for found in re.findall(r"#(\d+)\b", value if isinstance(value, str) else json.dumps(value))}


@dataclass(frozen=True)
class _Answer:
    """What is to be said, before it is put into a form."""

    number: int
    flavour: Flavour
    text: str
    thought: str
    calls: tuple[tuple[str, Json], ...]

    def token(self, what: str) -> str:
        """Something private, as base64."""
        return base64.b64encode(f"{self.flavour.full} {what} {self.number:05}".encode()).decode()


def answer(number: int, flavour: Flavour, asked: Json, step: int) -> tuple[Said, Reply]:
    """The answer: at the beginning of a turn with words and two calls, then with a call alone, at last with words."""
    place, zone = f"Zürich #{number}", f"UTC #{number}"
    calls = ((("weather", {"place": place}), ("clock", {"zone": zone})), (("clock", {"zone": zone}),), ())[min(step, 2)]
    text = (f"I will look, #{number}: ✓", "", f"That is “all”, #{number}.")[min(step, 2)]
    if flavour.name == "lab" and calls:
        text = "\n\n"  # as some small models do
    words = _Answer(number, flavour, text, f"Hm {number:05}, what is this about?", calls)
    said, pieces = _SAYS[flavour.name](words, asked)
    return said, Reply(pieces, whole=None)


def _cut(text: str, pieces: int = 2) -> list[str]:
    edges = [len(text) * number // pieces for number in range(pieces + 1)]
    return [text[start:end] for start, end in pairwise(edges) if start < end]


def _written(arguments: Json) -> str:
    return json.dumps(arguments, ensure_ascii=False)


def _said(words: _Answer, asked: Json, ids: list[str], kept: Any, *secrets: str) -> Said:
    calls = tuple((name, *call) for name, call in zip(ids, words.calls, strict=True))
    return Said(words.number, words.flavour, words.text, words.thought, calls, kept, secrets, asked)


# Anthropic


def _anthropic(words: _Answer, asked: Json) -> tuple[Said, list[bytes]]:
    signature, hidden = words.token("signature"), words.token("hidden")
    thinking = {"type": "thinking", "thinking": words.thought, "signature": signature}
    redacted = {"type": "redacted_thinking", "data": hidden}
    ids = [f"toolu_{words.number:06}{'ab'[place]}" for place in range(len(words.calls))]
    blocks: list[tuple[Json, list[Json]]] = [
        (
            {"type": "thinking", "thinking": "", "signature": ""},
            [{"type": "thinking_delta", "thinking": piece} for piece in _cut(words.thought)]
            + [{"type": "signature_delta", "signature": signature}],
        ),
        (redacted, []),
    ]
    if words.text:
        blocks.append(({"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in _cut(words.text)]))
    for name, (tool, arguments) in zip(ids, words.calls, strict=True):
        pieces = [{"type": "input_json_delta", "partial_json": piece} for piece in ["", *_cut(_written(arguments), 3)]]
        blocks.append(({"type": "tool_use", "id": name, "name": tool, "input": {}}, pieces))
    events: list[Json] = [{"type": "message_start", "message": {"content": [], "usage": {"input_tokens": 9, "output_tokens": 1}}}]
    for index, (begin, deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": begin})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    reason = "tool_use" if words.calls else "end_turn"
    events.append({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 20}})
    events.append({"type": "message_stop"})
    return _said(words, asked, ids, [thinking, redacted], signature, hidden), [sse(event, event=event["type"]) for event in events]


# Gemini


def _gemini(words: _Answer, asked: Json) -> tuple[Said, list[bytes]]:
    """The signature is on the first call, or else on a text without words; the older model has no ids."""
    signature = words.token("signature")
    ids = [f"{words.number:06}{'xy'[place]}" if "3.5" in words.flavour.model else "" for place in range(len(words.calls))]
    parts: list[Json] = [{"text": piece, "thought": True} for piece in _cut(words.thought)]
    parts += [{"text": piece} for piece in _cut(words.text)]
    for place, (name, (tool, arguments)) in enumerate(zip(ids, words.calls, strict=True)):
        signed = {} if place else {"thoughtSignature": signature}
        parts.append({"functionCall": {**({"id": name} if name else {}), "name": tool, "args": arguments}, **signed})
    if not words.calls:
        parts.append({"text": "", "thoughtSignature": signature})
    chunks: list[Json] = [{"candidates": [{"index": 0, "content": {"role": "model", "parts": [part]}}]} for part in parts]
    chunks[-1]["candidates"][0]["finishReason"] = "STOP"
    chunks[-1]["usageMetadata"] = {"promptTokenCount": 9, "candidatesTokenCount": 20, "totalTokenCount": 29}
    pieces = [sse(chunk).replace(b"\n", b"\r\n") for chunk in chunks]
    return _said(words, asked, ids, signature, signature), pieces


# OpenAI's Responses


def _responses(words: _Answer, asked: Json) -> tuple[Said, list[bytes]]:
    secret = words.token("encrypted")
    summary = [{"type": "summary_text", "text": words.thought}]
    thinking = {"type": "reasoning", "id": f"rs_{words.number:06}", "summary": summary, "encrypted_content": secret}
    ids = [f"call_{words.number:06}{'pq'[place]}" for place in range(len(words.calls))]
    items: list[Json] = [thinking]
    if words.text:
        content = [{"type": "output_text", "text": words.text, "annotations": []}]
        beside = {"role": "assistant", "status": "completed", "phase": "commentary" if words.calls else "final_answer"}
        items.append({"type": "message", "id": f"msg_{words.number:06}", **beside, "content": content})
    for place, (name, (tool, arguments)) in enumerate(zip(ids, words.calls, strict=True)):
        call = {"call_id": name, "name": tool, "arguments": _written(arguments), "status": "completed"}
        items.append({"type": "function_call", "id": f"fc_{words.number:06}{place}", **call})
    events: list[Json] = [{"type": "response.created", "response": {"status": "in_progress", "output": []}}]
    for index, item in enumerate(items):
        events += _item_events(item, index)
    usage = {"input_tokens": 9, "output_tokens": 20, "total_tokens": 29}
    events.append({"type": "response.completed", "response": {"status": "completed", "output": items, "usage": usage}})
    secrets = (secret, f"rs_{words.number:06}")
    return _said(words, asked, ids, items, *secrets), [sse(event, event=event["type"]) for event in events]


def _item_events(item: Json, index: int) -> Iterator[Json]:
    """The events of an item: it begins empty, comes in pieces, and is said as a whole."""
    where = {"output_index": index, "item_id": item["id"]}
    empty: dict[str, Json] = {
        "reasoning": {"summary": [], "encrypted_content": ""},
        "message": {"content": []},
        "function_call": {"arguments": ""},
    }
    yield {"type": "response.output_item.added", **where, "item": item | empty[item["type"]]}
    match item:
        case {"type": "reasoning", "summary": [part]}:
            yield {"type": "response.reasoning_summary_part.added", **where, "summary_index": 0, "part": {**part, "text": ""}}
            for piece in _cut(part["text"]):
                yield {"type": "response.reasoning_summary_text.delta", **where, "summary_index": 0, "delta": piece}
        case {"type": "message", "content": [part]}:
            for piece in _cut(part["text"]):
                yield {"type": "response.output_text.delta", **where, "content_index": 0, "delta": piece}
        case {"type": "function_call", "arguments": text}:
            for piece in _cut(text, 3):
                yield {"type": "response.function_call_arguments.delta", **where, "delta": piece}
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


# Chat completions, in five ways


def _chat(words: _Answer, thinking: list[Json], ids: list[str], beside: Json | None = None) -> list[bytes]:
    """`thinking` are the deltas of it, `beside` is what comes with the first call."""
    deltas: list[Json] = [{"role": "assistant", "content": ""}, *thinking]
    deltas += [{"content": piece} for piece in _cut(words.text)]
    for index, (name, (tool, arguments)) in enumerate(zip(ids, words.calls, strict=True)):
        begin = {"index": index, "id": name, "type": "function", "function": {"name": tool, "arguments": ""}}
        deltas.append({"tool_calls": [begin], **({} if index else beside or {})})
        for piece in _cut(_written(arguments), 3):
            deltas.append({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    chunks: list[Json] = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls" if words.calls else "stop"}]})
    chunks.append({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 20, "total_tokens": 29}})
    return [*map(sse, chunks), sse("[DONE]")]


def _openai(words: _Answer, asked: Json) -> tuple[Said, list[bytes]]:
    """OpenAI itself, which never shows its thinking here."""
    ids = [f"call_{words.number:020}{'mn'[place]}" for place in range(len(words.calls))]
    words = _Answer(words.number, words.flavour, words.text, "", words.calls)
    return _said(words, asked, ids, None), _chat(words, [], ids)


def _lab(words: _Answer, asked: Json) -> tuple[Said, list[bytes]]:
    """A small server, which numbers the calls anew in every answer."""
    ids = [f"call_{place}" for place in range(len(words.calls))]
    return _said(words, asked, ids, None), _chat(words, [{"reasoning": piece} for piece in _cut(words.thought)], ids)


def _deepseek(words: _Answer, asked: Json) -> tuple[Said, list[bytes]]:
    ids = [f"call_0{place}_{words.number:020}" for place in range(len(words.calls))]
    thinking = [{"reasoning_content": piece, "content": None} for piece in _cut(words.thought)]
    return _said(words, asked, ids, words.thought, words.thought), _chat(words, thinking, ids)


def _mistral(words: _Answer, asked: Json) -> tuple[Said, list[bytes]]:
    ids = [f"{words.number:08}{'uv'[place]}" for place in range(len(words.calls))]
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": piece}]} for piece in _cut(words.thought)]
    return _said(words, asked, ids, None), _chat(words, [{"content": [part]} for part in parts], ids)


def _openrouter(words: _Answer, asked: Json) -> tuple[Said, list[bytes]]:
    """Ids of a form of their own, numbered anew in every answer; the rest of the thinking comes with the first call."""
    signature, hidden = words.token("signature"), words.token("hidden")
    ids = [f"functions.{name}:{place}" for place, (name, _) in enumerate(words.calls)]
    plain = {"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0}
    details: list[Json] = [{**plain, "text": piece} for piece in _cut(words.thought)]
    thinking: list[Json] = [{"reasoning": one["text"], "reasoning_details": [one]} for one in details]
    thinking.append({"reasoning_details": [{**plain, "signature": signature}]})
    kept: list[Json] = [{**plain, "text": words.thought, "signature": signature}]
    rest = {"type": "reasoning.encrypted", "data": hidden, "id": ids[0] if ids else None, "format": "google-gemini-v1", "index": 1}
    if words.calls:
        kept.append(rest)
    secrets = (signature, hidden) if words.calls else (signature,)
    return _said(words, asked, ids, kept, *secrets), _chat(words, thinking, ids, {"reasoning_details": [rest]})


_SAYS = {
    "anthropic": _anthropic,
    "gemini": _gemini,
    "openai": _responses,
    "xai": _responses,
    "chat": _openai,
    "lab": _lab,
    "deepseek": _deepseek,
    "mistral": _mistral,
    "openrouter": _openrouter,
}

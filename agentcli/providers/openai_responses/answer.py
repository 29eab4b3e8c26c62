"""The answer of a server that speaks the Responses API: bytes in, chunks out. It knows nothing of the network.

An answer is a list of items (`item`): thinking, messages, calls of our tools, and tools that the server runs by itself, which are not
ours to run. Only its last event (`response.completed`, `.incomplete`, `.failed`) ends it: without that, it is a cut. `error`, at any
point and in any form, ends it as an error; what came before has been handed on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from agentcli.core.message import Stop
from agentcli.core.provider import Chunk, ProviderError, StopChunk, UsageChunk
from agentcli.providers import body
from agentcli.providers.fault import reported
from agentcli.providers.lenient import loads
from agentcli.providers.openai_responses.event import Event, Response, arguments_in, read, usage_of
from agentcli.providers.openai_responses.item import KIND, Items
from agentcli.providers.sse import ServerEvent

__all__ = ["KIND", "Answer"]

_STATUSES = {"completed", "incomplete", "failed", "cancelled"}  # of a response that has ended
_ENDS = {"response.done": "completed", **{f"response.{status}": status for status in _STATUSES}}
_STOPS: dict[str | None, Stop] = {"content_filter": "refused"}  # why it is incomplete. Anything else is a limit


class Answer(body.Answer):
    """One body: an event stream, or a response as a JSON document in place of one."""

    speaks = "OpenAI's Responses API"

    def __init__(self) -> None:
        super().__init__()
        self._items = Items()

    def event(self, event: ServerEvent) -> Iterator[Chunk]:
        """What is not JSON is a comment, or the end that some servers add, or, in an event of that type, an error."""
        data = event.data
        if not data.startswith("{"):
            if event.event == "error":
                yield from self.flush()
                raise reported(data or "it did not say which")
            return
        self.seen = True
        said = read(data)
        kind = said.type or event.event
        if "error" in (kind, event.event) or said.error:
            yield from self.flush()
            raise reported(loads(data))
        if understood := _EVENTS.get(kind):
            yield from understood(said, self._items)
        elif kind in _ENDS:
            yield from self._end(said.response or Response(), _ENDS[kind])

    def document(self, text: str) -> Iterator[Chunk]:
        try:
            value = loads(text)
        except ProviderError:
            raise body.cut() from None
        if isinstance(value, list) and value:
            value = value[0]
        if not isinstance(value, dict):
            raise body.not_an_answer(text, self.speaks)
        if value.get("error") or not isinstance(value.get("output"), list):
            about = any(value.get(key) for key in ("error", "message", "detail"))
            raise reported(value) if about else body.not_an_answer(text, self.speaks)
        response = read(json.dumps({"response": value})).response or Response()
        if response.status not in _STATUSES:
            raise body.cut()
        yield from self._end(response, response.status)

    def flush(self) -> Iterator[Chunk]:
        yield from self._items.flush()

    def _end(self, response: Response, status: str) -> Iterator[Chunk]:
        """The response at the end: what it has that was not said yet, the tokens, and how the answer ended."""
        items = self._items
        yield from items.complete(response.output or [])
        if usage := usage_of(response.usage):
            yield UsageChunk(usage)
        if response.status in _STATUSES:
            status = response.status
        if status == "failed" or response.error:
            raise reported(response.error or "it did not say which")
        if status == "cancelled":
            raise body.cut()
        self.done = True
        if status == "incomplete":
            details = response.incomplete_details
            yield StopChunk(_STOPS.get(details.reason if details else None, "length"))
        else:
            yield StopChunk("tools" if items.called else "refused" if items.refused else "done")


def _text(event: Event, items: Items) -> Iterator[Chunk]:
    begun = items.of("message", event.item_id, event.output_index)
    yield from items.say(begun, ("text", event.content_index or 0), event.delta or "")


def _text_done(event: Event, items: Items) -> Iterator[Chunk]:
    begun = items.of("message", event.item_id, event.output_index)
    yield from items.rest(begun, ("text", event.content_index or 0), event.text or event.refusal or "")


def _refusal(event: Event, items: Items) -> Iterator[Chunk]:
    items.refused = True
    yield from _text(event, items)


def _refusal_done(event: Event, items: Items) -> Iterator[Chunk]:
    items.refused = True
    yield from _text_done(event, items)


def _thinking(form: str, *, whole: bool = False) -> Callable[[Event, Items], Iterator[Chunk]]:
    def think(event: Event, items: Items) -> Iterator[Chunk]:
        begun = items.of("reasoning", event.item_id, event.output_index)
        said = event.text if whole else event.delta
        if said and (begun.form or form) == form:
            begun.form = form
            slot = form, (event.summary_index if form == "summary" else event.content_index) or 0
            yield from (items.rest if whole else items.say)(begun, slot, said)

    return think


def _arguments(event: Event, items: Items) -> Iterator[Chunk]:
    if event.delta:
        yield from items.argue(items.of("function_call", event.item_id, event.output_index), event.delta)


def _arguments_done(event: Event, items: Items) -> Iterator[Chunk]:
    begun = items.of("function_call", event.item_id, event.output_index)
    yield from items.rest_of_arguments(begun, arguments_in(event.arguments))


def _added(event: Event, items: Items) -> Iterator[Chunk]:
    yield from items.added(event.item, event.output_index)


def _ended(event: Event, items: Items) -> Iterator[Chunk]:
    yield from items.ended(event.item, event.output_index)


_EVENTS: dict[str, Callable[[Event, Items], Iterator[Chunk]]] = {
    "response.output_text.delta": _text,
    "response.output_text.done": _text_done,
    "response.content_part.delta": _text,
    "response.refusal.delta": _refusal,
    "response.refusal.done": _refusal_done,
    "response.reasoning_summary_text.delta": _thinking("summary"),
    "response.reasoning_summary_text.done": _thinking("summary", whole=True),
    "response.reasoning_text.delta": _thinking("text"),
    "response.reasoning_text.done": _thinking("text", whole=True),
    "response.function_call_arguments.delta": _arguments,
    "response.function_call_arguments.done": _arguments_done,
    "response.output_item.added": _added,
    "response.output_item.done": _ended,
}

"""Answers from a script: a model that needs no network and always says the same.

For demonstrations, documentation, tests, and a user's own CI. A script is a TOML or JSON file with a list of turns;
docs/guides/scripted.md is its reference. In short:

    [[turn]]                    # a turn is one answer, written into it …
    when = "hello"              # chosen by a pattern in what the user said; a turn without one is taken in its order
    text = "Hello! You said: {{message}}"

    [[turn]]                    # … or several, one after each round of tools
    when = "time"
    [[turn.answer]]
    calls = [{tool = "clock", arguments = {timezone = "UTC"}}]
    [[turn.answer]]
    text = "It is {{result}}."

Which answer is next is read off the conversation itself: the turn from what the user said, and the answer within the turn from how
many there have been since. So a script has no state, and goes on in the right place in another process (`ask -c`), after tools, and
after `/undo`. It follows that a fault comes again whenever the same thing is asked again; but an answer that was cut off is gone on
with behind the fault. Nothing is retried here.

The model's name is the script: `scripted/demo` is the one that comes with the program, anything else is a path. A provider whose
configuration names a script answers from that one, whatever the model is called.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from agentcli.core.event import Waiting
from agentcli.core.message import Message, Usage
from agentcli.core.provider import CallChunk, Chunk, ProviderError, ReasoningChunk, Request, StopChunk, TextChunk, UsageChunk
from agentcli.providers import Clocks, Endpoint
from agentcli.providers.scripted.script import Fault, Script, load, unusable

__all__ = ["Scripted"]

DEMO = Path(__file__).with_name("demo.toml")


class Scripted:
    """A provider that answers from scripts."""

    def __init__(self, name: str, endpoint: Endpoint, clocks: Clocks, *, keep: bool) -> None:
        self.name = name
        self._script: str | None = endpoint.options.get("script")
        self._idle = clocks.idle
        self._loaded: dict[Path, tuple[tuple[int, int], Script]] = {}

    async def stream(self, request: Request, /) -> AsyncGenerator[Chunk, None]:
        script = self._find(request.model)
        messages, begun = request.messages, ""
        if request.begun:  # with an answer that was cut off: the rest of it comes
            messages, begun = messages[:-2], messages[-2].text
        answer = script.next(messages, [tool.name for tool in request.tools])
        words = _words_of(messages)
        wanted = request.settings.get("rate")  # -o rate=0: at once, whatever the script says
        rate = wanted if isinstance(wanted, int | float) else script.rate if answer.rate is None else answer.rate
        pace = _Pace(rate)
        thought, text = _filled(answer.reasoning, words), _filled(answer.text or "", words)
        said = len(thought) + len(begun) if begun and text.startswith(begun) else 0
        fault = answer.fault
        if fault and said and fault.after <= said:  # it came the last time
            fault = None
        left = fault.after - said if fault else None
        yield Waiting(what="answering")
        await self._wait(0 if wanted == 0 else answer.pause)
        pieces: list[TextChunk | ReasoningChunk] = [
            *(ReasoningChunk(piece) for piece in _pieces("" if said else thought)),
            *(TextChunk(piece) for piece in _pieces(text[len(begun) if said else 0 :])),
        ]
        for piece in pieces:
            chunk = piece if left is None else msgspec.structs.replace(piece, text=piece.text[:left])
            left = None if left is None else left - len(chunk.text)
            if chunk.text:
                await pace.wait(len(chunk.text))
                yield chunk
        if fault:
            await asyncio.sleep(self._idle if fault.kind == "stalled" else 0)
            raise _error(fault)
        for number, call in enumerate(answer.calls):
            arguments = call.arguments
            text = arguments if isinstance(arguments, str) else msgspec.json.encode(_filled(arguments, words)).decode()
            yield CallChunk(number, f"call_{len(request.messages)}_{number}", call.tool, text)
        if usage := answer.usage:
            yield UsageChunk(Usage(usage.input, usage.output, usage.cached, usage.reasoning))
        yield StopChunk(answer.stop or ("tools" if answer.calls else "done"))

    async def aclose(self) -> None:
        """Nothing is held."""

    async def _wait(self, seconds: float) -> None:
        """Be silent, as long as the idle clock lets a model be."""
        await asyncio.sleep(min(seconds, self._idle))
        if seconds > self._idle:
            raise ProviderError(
                "stalled",
                f"nothing came from the model for {self._idle:g} s",
                hint="The script says so. --idle-timeout SECONDS lets it think for longer.",
            )

    def _find(self, model: str) -> Script:
        path = DEMO if self._script is None and model == "demo" else Path(os.path.expanduser(self._script or model))
        try:
            status = path.stat()
        except (OSError, ValueError) as error:
            hint = "`scripted/demo` comes with the program; anything else is a path: -m scripted/./answers.toml"
            raise unusable(path, getattr(error, "strerror", None) or str(error), hint) from None
        stamp = (status.st_mtime_ns, status.st_size)
        if path not in self._loaded or self._loaded[path][0] != stamp:
            self._loaded[path] = (stamp, load(path))
        return self._loaded[path][1]


class _Pace:
    """So many characters a second, whatever the pieces: late ones are not made up for by more waiting."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._due = 0.0

    async def wait(self, characters: int) -> None:
        if self._rate <= 0:
            return
        now = asyncio.get_running_loop().time()
        self._due = max(self._due, now - 0.1) + characters / self._rate
        if self._due > now:
            await asyncio.sleep(self._due - now)


def _words_of(messages: list[Message]) -> dict[str, str]:
    """What `{{…}}` may stand for."""
    said = next((message.text for message in reversed(messages) if message.role == "user"), "")
    results = next((message.results for message in reversed(messages) if message.results), ())
    return {"message": said, "result": "\n".join(result.content for result in results)}


def _filled(value: Any, words: Mapping[str, str]) -> Any:
    """The value with `{{message}}` and `{{result}}` filled in; `{{message:60}}` is at most 60 characters, in one line."""
    if isinstance(value, dict):
        return {key: _filled(item, words) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, words) for item in value]
    if not isinstance(value, str):
        return value

    def fill(found: re.Match[str]) -> str:
        text, most = words[found[1]], found[2]
        if most is None:
            return text
        line = " ".join(text[: 10 * int(most)].split())
        return line if len(line) <= int(most) else line[: max(int(most) - 1, 0)] + "…"

    return re.sub(r"\{\{\s*(message|result)(?::(\d{1,6}))?\s*\}\}", fill, value)


def _pieces(text: str) -> list[str]:
    """The text word by word, each with the space before it: about the size of what models send."""
    return re.findall(r"\s*\S+|\s+\Z", text)


_SAID: dict[str, str] = {
    "unreachable": "the model cannot be reached",
    "tls": "the server's certificate is not trusted",
    "auth": "the key is not accepted",
    "not_found": "there is no such model",
    "bad_request": "the request is not accepted",
    "context_length": "the conversation is too long for the model",
    "too_large": "the answer is too large",
    "redirect": "the server sends elsewhere",
    "server": "the server failed",
    "protocol": "the answer makes no sense",
    "rate_limit": "too many requests",
    "overloaded": "the model is overloaded",
    "stalled": "nothing more came from the model",
    "cut": "the answer was cut off",
}


def _error(fault: Fault) -> ProviderError:
    return ProviderError(
        fault.kind,
        fault.message or _SAID[fault.kind],
        hint=fault.hint or "The script says so.",
        status=fault.status,
        retry_after=fault.retry_after,
    )

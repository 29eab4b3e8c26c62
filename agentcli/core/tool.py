"""A tool: what a model may ask to have done.

A tool is data (`ToolSpec`: name, description, JSON Schema of the arguments) and one function, `run`, from the arguments to an async
generator. What the generator yields as `str` is the result; everything else it yields is an event of the turn. Typed functions, and
later MCP tools and whole agents, all become this one type, so that one `merge()` runs them side by side.

`@tool` makes a Tool of a typed function with a docstring:

- `def`: runs in a thread of its own, so that it does not stop the program (a pool would make the seventh of N wait);
- `async def`: is awaited;
- `async def` with `yield`: every value is reported as progress when it comes, and the last one is the result.

Arguments are checked against the type hints before the function is called; a wrong one is an answer to the model that says which
argument it is and what was expected. `Annotated[int, msgspec.Meta(description="…", ge=1)]` says more of an argument.

`call()` runs a tool and never raises but for cancellation: a tool that fails, leaves with `sys.exit()`, is cancelled from within,
takes too long or says too much is a result that says so.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from time import monotonic
from typing import Any, TypeAlias, get_type_hints, overload

import msgspec
from msgspec import Struct

from agentcli.core.apart import in_thread
from agentcli.core.event import Event, ToolFinished, ToolProgress
from agentcli.core.message import ToolCall, speakable
from agentcli.core.provider import ToolSpec
from agentcli.core.stream import merge
from agentcli.errors import UserError

__all__ = ["KEEP", "TIMEOUT", "Run", "Spill", "Tool", "arguments_of", "call", "told", "tool"]

TIMEOUT = 120.0  # seconds a tool may take
KEEP = 1 << 20  # characters of a result that are kept

Run: TypeAlias = Callable[[dict[str, Any]], AsyncGenerator["Event | str", None]]

# What to do with the result that is too long to keep: gets the call and the whole text, says where it went.
Spill: TypeAlias = Callable[[ToolCall, str], str]


class Tool(Struct, frozen=True):
    """A thing a model may ask for. One that `asks` is run only when a person, or a rule, allows that call."""

    spec: ToolSpec
    run: Run
    asks: bool = False
    check: Callable[[dict[str, Any]], object] | None = None  # raises ValueError for wrong arguments

    @property
    def name(self) -> str:
        return self.spec.name


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...
@overload
def tool(*, name: str | None = None, asks: bool = False) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(
    function: Callable[..., Any] | None = None, /, *, name: str | None = None, asks: bool = False
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a Tool of a typed function with a docstring: `@tool`, or `@tool(asks=True)` for one that needs a person's yes."""
    if function is None:
        return lambda function: _of_function(function, name, asks)
    return _of_function(function, name, asks)


def arguments_of(call: ToolCall) -> dict[str, Any]:
    """The arguments of a call as an object, or a ValueError for the model to read."""
    try:
        arguments = msgspec.json.decode(call.arguments)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"the arguments are not JSON ({error}): {call.arguments[:200]}") from None
    if not isinstance(arguments, dict):
        raise ValueError(f"the arguments must be a JSON object, not {type(arguments).__name__}")
    return arguments


async def call(
    tool: Tool, call: ToolCall, *, timeout: float | None = TIMEOUT, spill: Spill | None = None
) -> AsyncGenerator[Event, None]:
    """Run a tool: its events, and last a `ToolFinished`.

    The tool runs as a task of its own (that is what `merge` makes of it), so that one that will not be cancelled is left behind after
    a moment, when its time is up or the turn is stopped.
    """
    began = monotonic()
    deadline = None if timeout is None else asyncio.get_running_loop().time() + timeout
    result: list[str] = []
    is_error = True
    clock: asyncio.Timeout | None = None
    try:
        async with aclosing(merge(_run(tool, call))) as items:
            while True:
                async with asyncio.timeout_at(deadline) as clock:  # around one step, never around a yield
                    item = await anext(items, None)
                if item is None:
                    break
                if isinstance(item, str):
                    result.append(item)
                elif isinstance(item, ToolProgress) and not item.call_id:
                    yield msgspec.structs.replace(item, call_id=call.id)
                else:
                    yield item
        is_error = False
    except asyncio.CancelledError:
        if (task := asyncio.current_task()) is None or task.cancelling():
            raise
        result = ["The tool was cancelled from within."]
    except Exception as error:  # noqa: BLE001  (a tool may fail in any way; the model is told)
        late = clock is not None and clock.expired()
        result = [f"The tool took longer than {timeout:g} s and was given up." if late else told(error)]
    yield ToolFinished(
        call_id=call.id,
        name=tool.name,
        content=_kept(call, speakable("".join(result)), spill),
        is_error=is_error,
        seconds=round(monotonic() - began, 3),
    )


async def _run(tool: Tool, call: ToolCall) -> AsyncGenerator[Event | str, None]:
    try:
        async with aclosing(tool.run(arguments_of(call))) as items:
            async for item in items:
                yield item
    except SystemExit as error:  # out of a task it would end the program
        raise RuntimeError(told(error)) from None


def told(error: BaseException) -> str:
    """A failure in words for the model. What a ValueError or one of our own says needs no name before it."""
    name, words = type(error).__name__, str(error)
    return words if words and isinstance(error, ValueError | UserError) else f"{name}: {words}" if words else name


def _kept(call: ToolCall, text: str, spill: Spill | None) -> str:
    if len(text) <= KEEP:
        return text
    try:
        where = f"; all of it is in {spill(call, text)}" if spill else ""
    except Exception as error:  # noqa: BLE001  (no room for the rest is no reason to lose the beginning)
        where = f"; the rest is lost: {told(error)}"
    return f"{text[:KEEP]}\n[cut here: {len(text) - KEEP} of {len(text)} characters are not shown{where}]"


def _of_function(function: Callable[..., Any], name: str | None, asks: bool) -> Tool:
    name = name or str(getattr(function, "__name__", ""))
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        raise TypeError(f"a tool cannot be called {name!r}: models take letters, digits, _ and -, at most 64; say @tool(name=…)")
    description = inspect.getdoc(function)
    if not description:
        raise TypeError(f"the tool {name} needs a docstring: it is what the model is told of it")
    if inspect.isgeneratorfunction(function):
        raise TypeError(f"the tool {name} yields: make it `async def`")
    try:
        hints = get_type_hints(function, include_extras=True)
    except (NameError, AttributeError, SyntaxError) as error:
        raise TypeError(f"the tool {name} has a type hint that cannot be resolved: {error}") from None
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise TypeError(f"the tool {name} cannot take the parameter {parameter}: give each argument a name")
        if parameter.name not in hints:
            raise TypeError(f"the tool {name} needs a type for its parameter {parameter.name}")
        required = parameter.default is parameter.empty
        fields.append((parameter.name, hints[parameter.name], *(() if required else (parameter.default,))))
    arguments = msgspec.defstruct("Arguments", fields, kw_only=True, forbid_unknown_fields=True)

    def check(values: dict[str, Any]) -> dict[str, Any]:
        try:
            struct = msgspec.convert(values, arguments, strict=False)
        except msgspec.ValidationError as error:
            raise ValueError(f"wrong arguments for {name}: {error}") from None
        return {field: getattr(struct, field) for field in arguments.__struct_fields__}

    async def run(values: dict[str, Any]) -> AsyncGenerator[Event | str, None]:
        async with aclosing(_results(function, check(values))) as results:
            async for result in results:
                yield result

    return Tool(ToolSpec(name, description, _schema(name, arguments)), run, asks, check)


async def _results(function: Callable[..., Any], arguments: dict[str, Any]) -> AsyncGenerator[Event | str, None]:
    if inspect.isasyncgenfunction(function):
        last: Any = None
        async with aclosing(function(**arguments)) as values:
            async for last in values:
                yield ToolProgress(text=_text(last))
        yield _text(last)
    elif inspect.iscoroutinefunction(function):
        yield _text(await function(**arguments))
    else:
        value = await in_thread(lambda: function(**arguments), name=f"tool {function.__name__}")
        yield _text(await value if inspect.isawaitable(value) else value)  # a plain wrapper around an async function


def _text(value: object) -> str:
    """A result as the model reads it: text as it is, anything else as JSON."""
    if isinstance(value, str):
        return speakable(value)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    try:
        return msgspec.json.encode(value, enc_hook=str).decode()
    except (TypeError, ValueError, RecursionError):
        return speakable(str(value))


def _schema(name: str, arguments: type[Struct]) -> dict[str, Any]:
    try:
        (schema,), definitions = msgspec.json.schema_components([arguments], ref_template="#/$defs/{name}")
    except TypeError as error:
        raise TypeError(f"the tool {name} has a parameter that JSON cannot carry: {error}") from None
    own = definitions.pop("Arguments", schema)
    own.pop("title", None)
    return {**own, "$defs": definitions} if definitions else own

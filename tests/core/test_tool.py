"""Tools: any typed function, arguments that are checked, and failures that are answers."""

from __future__ import annotations

import asyncio
import functools
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Annotated, Any, Literal

import msgspec
import pytest

from agentcli.core.event import Event, TextDelta, ToolFinished, ToolProgress
from agentcli.core.message import ToolCall
from agentcli.core.provider import ToolSpec
from agentcli.core.stream import collect
from agentcli.core.tool import KEEP, Spill, Tool, arguments_of, call, tool
from agentcli.errors import UserError


@dataclass
class Place:
    name: str
    north: float = 0.0


def ran(
    which: Tool, arguments: str = "{}", *, timeout: float | None = 5, spill: Spill | None = None
) -> tuple[list[Event], ToolFinished]:
    async def main() -> list[Event]:
        return await collect(call(which, ToolCall("1", which.name, arguments), timeout=timeout, spill=spill))

    *events, finished = asyncio.run(main())
    assert isinstance(finished, ToolFinished)
    assert (finished.call_id, finished.name) == ("1", which.name)
    return events, finished


def result_of(which: Tool, arguments: str = "{}", *, timeout: float | None = 5, spill: Spill | None = None) -> tuple[str, bool]:
    _, finished = ran(which, arguments, timeout=timeout, spill=spill)
    return finished.content, finished.is_error


@tool
def add(a: int, b: int = 2) -> int:
    """Add two numbers."""
    return a + b


def test_a_plain_function_is_a_tool() -> None:
    assert result_of(add, '{"a": 1}') == ("3", False)
    assert result_of(add, '{"a": "1", "b": "5"}') == ("6", False), "models write numbers as text"
    assert add.spec == ToolSpec(
        "add",
        "Add two numbers.",
        {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer", "default": 2}},
            "required": ["a"],
            "additionalProperties": False,
        },
    )  # fmt: skip
    assert not add.asks


@tool(name="find-it", asks=True)
async def find(
    where: Place,
    kind: Literal["tree", "house"],
    tags: list[str] | None = None,
    how_many: Annotated[int, msgspec.Meta(ge=1, description="at most so many")] = 3,
) -> dict[str, Any]:
    """Find things."""
    await asyncio.sleep(0)
    return {"where": where, "kind": kind, "tags": tags, "how_many": how_many}


def test_types_of_every_kind_reach_the_model_and_the_function() -> None:
    assert (find.name, find.asks) == ("find-it", True)
    properties = find.spec.schema["properties"]
    assert properties["kind"] == {"enum": ["house", "tree"]}
    assert properties["where"] == {"$ref": "#/$defs/Place"}
    assert find.spec.schema["$defs"]["Place"]["required"] == ["name"]
    assert properties["how_many"] == {"type": "integer", "minimum": 1, "description": "at most so many", "default": 3}
    content, is_error = result_of(find, '{"where": {"name": "x", "north": 1}, "kind": "tree", "tags": ["a"]}')
    assert not is_error
    assert msgspec.json.decode(content) == {"where": {"name": "x", "north": 1.0}, "kind": "tree", "tags": ["a"], "how_many": 3}


@pytest.mark.parametrize(
    ("which", "arguments", "said"),
    [
        (add, '{"a": "x"}', "$.a"),
        (add, '{"a": [1]}', "$.a"),
        (add, "{}", "`a`"),
        (add, '{"a": 1, "c": 3}', "`c`"),
        (find, '{"where": {"north": 1}, "kind": "tree"}', "$.where"),
        (find, '{"where": {"name": "x"}, "kind": "car"}', "car"),
        (find, '{"where": {"name": "x"}, "kind": "tree", "how_many": 0}', "$.how_many"),
        (find, '{"where": {"name": "x"}, "kind": "tree", "tags": ["a", 2]}', "$.tags[1]"),
    ],
)
def test_a_wrong_argument_says_which(which: Tool, arguments: str, said: str) -> None:
    content, is_error = result_of(which, arguments)
    assert is_error
    assert content.startswith(f"wrong arguments for {which.name}: ")
    assert said in content


@pytest.mark.parametrize("arguments", ["", "{", '{"a": NaN}', "[1]", "1", "null", "[" * 200_000, '{"a": "\\ud800"}', "\x00"])
def test_arguments_that_are_no_json_object_are_an_answer(arguments: str) -> None:
    content, is_error = result_of(add, arguments)
    assert is_error
    assert content.startswith("the arguments ")
    assert len(content) < 500
    with pytest.raises(ValueError, match=r"^the arguments "):
        arguments_of(ToolCall("1", "add", arguments))


def returns(value: object) -> Tool:
    @tool
    def give() -> Any:
        """Give."""
        return value

    return give


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ("text\n", "text\n"),
        (None, "null"),
        ("", ""),
        (True, "true"),
        (1.5, "1.5"),
        ({"a": [1, None]}, '{"a":[1,null]}'),
        ((1, "é"), '[1,"é"]'),
        (Place("x"), '{"name":"x","north":0.0}'),
        (b"by\xfftes", "by�tes"),
        ("half \ud800", "half �"),
        (["half \ud800"], "['half \\ud800']"),
        (float("nan"), "null"),
    ],
)
def test_a_result_reads_as_text_or_json(value: object, content: str) -> None:
    assert result_of(returns(value)) == (content, False)


def test_a_result_that_is_no_json_reads_as_it_prints() -> None:
    circle: list[object] = []
    circle.append(circle)
    assert result_of(returns(circle)) == ("[[...]]", False)
    assert result_of(returns({1, 2})) == ("[1,2]", False)
    assert result_of(returns(ValueError("x"))) == ('"x"', False)


@tool
async def steps(until: int, fail: bool = False) -> AsyncGenerator[object, None]:
    """Count."""
    for number in range(until):
        await asyncio.sleep(0)
        yield f"step {number}" if number % 2 == 0 else {"step": number}
    if fail:
        raise OSError("no more")


def test_an_async_generator_reports_progress_and_its_last_value_is_the_result() -> None:
    events, finished = ran(steps, '{"until": 3}')
    assert events == [
        ToolProgress(call_id="1", text="step 0"),
        ToolProgress(call_id="1", text='{"step":1}'),
        ToolProgress(call_id="1", text="step 2"),
    ]
    assert (finished.content, finished.is_error) == ("step 2", False)


def test_a_tool_that_yields_nothing_has_no_result() -> None:
    events, finished = ran(steps, '{"until": 0}')
    assert (events, finished.content, finished.is_error) == ([], "null", False)

    async def silent(arguments: dict[str, Any]) -> AsyncGenerator[Event | str, None]:
        for text in arguments:
            yield text

    assert result_of(Tool(ToolSpec("silent", "", {}), silent)) == ("", False)


def test_a_generator_that_fails_after_some_steps_is_an_error_with_its_progress() -> None:
    events, finished = ran(steps, '{"until": 2, "fail": true}')
    assert len(events) == 2
    assert (finished.content, finished.is_error) == ("OSError: no more", True)


def raises(error: BaseException, how: str) -> Tool:
    if how == "sync":

        def fail() -> None:
            """Fail."""
            raise error

        return tool(fail)

    if how == "async":

        async def fail_later() -> None:
            """Fail."""
            await asyncio.sleep(0)
            raise error

        return tool(name="fail")(fail_later)

    async def fail_in_steps() -> AsyncGenerator[str, None]:
        """Fail."""
        yield "so far"
        raise error

    return tool(name="fail")(fail_in_steps)


@pytest.mark.parametrize("how", ["sync", "async", "steps"])
@pytest.mark.parametrize(
    ("error", "content"),
    [
        (ValueError("no such zone"), "no such zone"),
        (UserError("no such file", hint="x"), "no such file"),
        (ValueError(), "ValueError"),
        (KeyError("x"), "KeyError: 'x'"),
        (TimeoutError("the database did not answer"), "TimeoutError: the database did not answer"),
        (TimeoutError(), "TimeoutError"),
        (SystemExit(3), "SystemExit: 3"),
        (StopIteration(4), "StopIteration"),
        (StopAsyncIteration(4), "StopAsyncIteration"),
        (asyncio.CancelledError(), "ancelled"),
        (RecursionError("deep"), "RecursionError: deep"),
        (ExceptionGroup("several", [ValueError("x")]), "ExceptionGroup: several (1 sub-exception)"),
        (ValueError("half \ud800"), "half �"),
    ],
)
def test_a_failing_tool_is_an_answer(error: BaseException, content: str, how: str) -> None:
    told, is_error = result_of(raises(error, how))
    assert is_error
    assert content in told


def test_a_plain_function_may_even_raise_keyboard_interrupt_in_its_thread() -> None:
    told, is_error = result_of(raises(KeyboardInterrupt("x"), "sync"))
    assert is_error
    assert "KeyboardInterrupt" in told


def test_sys_exit_inside_a_tool_does_not_end_the_program() -> None:
    @tool
    def leave() -> None:
        """Leave."""
        sys.exit("bye")

    assert result_of(leave) == ("RuntimeError: SystemExit: bye", True)


def test_a_tool_that_takes_too_long_is_given_up() -> None:
    ended = threading.Event()

    @tool
    def slow() -> str:
        """Be slow."""
        ended.wait(5)
        return "late"

    closed: list[bool] = []

    @tool
    async def slower() -> AsyncGenerator[str, None]:
        """Be slow, in steps."""
        yield "begun"
        try:
            await asyncio.Event().wait()
        finally:
            closed.append(True)

    assert result_of(slow, timeout=0.05) == ("The tool took longer than 0.05 s and was given up.", True)
    ended.set()
    events, finished = ran(slower, timeout=0.05)
    assert (events, closed) == ([ToolProgress(call_id="1", text="begun")], [True])
    assert finished.content == "The tool took longer than 0.05 s and was given up."
    assert 0.04 < finished.seconds < 2


def test_a_tool_that_fails_while_it_is_stopped_was_still_too_slow() -> None:
    @tool
    async def stubborn() -> None:
        """Fail late."""
        try:
            await asyncio.Event().wait()
        finally:
            raise LookupError("cleanup")

    assert result_of(stubborn, timeout=0.05) == ("The tool took longer than 0.05 s and was given up.", True)


def test_the_clock_is_for_the_whole_tool_and_not_for_its_reader() -> None:
    """The reader may take its time with an event: nothing is cancelled while the stream is not being waited for."""

    async def main() -> list[Event]:
        events: list[Event] = []
        async for event in call(steps, ToolCall("1", "steps", '{"until": 2}'), timeout=5):
            await asyncio.sleep(0.02)
            events.append(event)
        return events

    assert len(asyncio.run(main())) == 3


def test_no_time_limit_is_possible() -> None:
    assert result_of(add, '{"a": 1}', timeout=None) == ("3", False)


def test_a_long_result_is_cut_with_a_mark() -> None:
    long = returns("x" * (KEEP + 10))
    content, is_error = result_of(long)
    assert not is_error
    assert content.startswith("x" * KEEP + "\n[cut here: 10 of ")
    assert len(content) < KEEP + 200
    spilled: list[str] = []

    def spill(_: ToolCall, text: str) -> str:
        spilled.append(text)
        return "blobs/abc"

    content, _ = result_of(long, spill=spill)
    assert content.endswith("all of it is in blobs/abc]")
    assert len(spilled[0]) == KEEP + 10


def test_no_room_for_a_long_result_does_not_lose_its_beginning() -> None:
    def full(_: ToolCall, text: str) -> str:
        raise OSError(28, "No space left on device")

    content, is_error = result_of(returns("x" * (KEEP + 10)), spill=full)
    assert not is_error
    assert content.startswith("xxx")
    assert "No space left" in content[KEEP:]


def test_cancelling_a_tool_closes_it_and_is_not_swallowed() -> None:
    async def main() -> None:
        begun, closed = asyncio.Event(), asyncio.Event()

        @tool
        async def wait() -> None:
            """Wait."""
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                closed.set()

        task = asyncio.create_task(collect(call(wait, ToolCall("1", "wait", "{}"))))
        await begun.wait()
        task.cancel()
        await asyncio.wait([task], timeout=5)
        assert task.cancelled()
        assert closed.is_set()

    asyncio.run(main())


def test_a_cancelled_plain_function_runs_on_unheard_and_does_not_hold_up_the_loop() -> None:
    go, left = threading.Event(), threading.Event()

    @tool
    def slow() -> None:
        """Be slow."""
        go.wait(5)
        left.set()

    async def main() -> None:
        task = asyncio.create_task(collect(call(slow, ToolCall("1", "slow", "{}"))))
        await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.wait([task], timeout=2)
        assert task.cancelled()

    asyncio.run(main())
    go.set()
    assert left.wait(5)


def test_a_plain_function_sees_the_context_of_its_caller() -> None:
    import contextvars

    who: contextvars.ContextVar[str] = contextvars.ContextVar("who")

    @tool
    def tell() -> str:
        """Tell."""
        return f"{who.get()} {threading.current_thread() is threading.main_thread()}"

    who.set("ada")
    assert result_of(tell) == ("ada False", False)


def test_wrapped_functions_and_methods_are_tools() -> None:
    class Shelf:
        def count(self, of: str) -> str:
            """Count."""
            return f"3 {of}"

    async def later(of: str) -> str:
        """Count later."""
        return f"4 {of}"

    @functools.wraps(later)
    def wrapper(of: str) -> Any:
        return later(of)

    assert result_of(tool(Shelf().count), '{"of": "cups"}') == ("3 cups", False)
    assert result_of(tool(wrapper), '{"of": "cups"}') == ("4 cups", False)


def test_events_of_a_tool_pass_through() -> None:
    async def run(_: dict[str, Any]) -> AsyncGenerator[Event | str, None]:
        yield TextDelta("inner", "k8", "hello")
        yield "one, "
        yield ToolProgress("inner", "k8", "other", "theirs")
        yield "two"

    events, finished = ran(Tool(ToolSpec("nest", "", {}), run))
    assert events == [TextDelta("inner", "k8", "hello"), ToolProgress("inner", "k8", "other", "theirs")]
    assert finished.content == "one, two"


def no_docstring(a: int) -> int:
    return a


def no_type(a) -> int:  # type: ignore[no-untyped-def]
    """Add."""
    return int(a)


def any_number(*numbers: int) -> int:
    """Add."""
    return sum(numbers)


def any_names(**names: int) -> int:
    """Add."""
    return sum(names.values())


def unnamed(a: int, /) -> int:
    """Add."""
    return a


def not_json(a: threading.Thread) -> None:
    """Join."""


def not_known(a: Nowhere) -> None:  # type: ignore[name-defined]  # noqa: F821
    """Join."""


def plain_steps() -> Iterator[int]:
    """Count."""
    yield 1


def größe() -> int:
    """Measure."""
    return 1


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (no_docstring, "needs a docstring"),
        (no_type, "needs a type for its parameter a"),
        (any_number, "cannot take the parameter *numbers"),
        (any_names, r"cannot take the parameter **names"),
        (unnamed, "cannot take the parameter a"),
        (not_json, "JSON cannot carry"),
        (not_known, "type hint that cannot be resolved: name 'Nowhere' is not defined"),
        (plain_steps, "make it `async def`"),
        (größe, "models take letters"),
        (functools.partial(no_docstring, 1), "models take letters"),
    ],
)
def test_what_cannot_be_a_tool_says_why(function: Callable[..., Any], said: str) -> None:
    with pytest.raises(TypeError) as caught:
        tool(function)
    assert said in str(caught.value)


@pytest.mark.parametrize("kind", ["async", "generator", "wrapper", "by hand"])
def test_a_tool_that_will_not_be_cancelled_is_left_behind(kind: str) -> None:
    free: list[bool] = []

    async def stay() -> None:
        while not free:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.05)

    async def plain() -> str:
        """Wait."""
        await stay()
        return ""

    async def yielding() -> AsyncGenerator[str, None]:
        """Wait."""
        yield "begun"
        await stay()

    def wrapper() -> Any:
        """Wait."""
        return stay()

    async def run(arguments: dict[str, Any]) -> AsyncGenerator[Event | str, None]:
        await stay()
        yield ""

    made = {
        "async": lambda: tool(plain),
        "generator": lambda: tool(yielding),
        "wrapper": lambda: tool(wrapper),
        "by hand": lambda: Tool(ToolSpec("own", "Wait.", {}), run),
    }[kind]()

    async def main() -> tuple[float, Event]:
        began = monotonic()
        *_, last = await collect(call(made, ToolCall("1", made.name, "{}"), timeout=0.2))
        free.append(True)  # or asyncio.run would wait for it
        return monotonic() - began, last

    seconds, last = asyncio.run(main())
    assert seconds < 5
    assert isinstance(last, ToolFinished)
    assert "given up" in last.content

"""The session: an event is written down before it is shown, and every end of a turn is accounted for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from agentcli.core.agent import Agent, Options
from agentcli.core.event import Event, MessageAdded, TextDelta, ToolStarted, TurnEnded
from agentcli.core.message import Message, Text, ToolCall, Usage, user
from agentcli.core.provider import ProviderError
from agentcli.core.thread import Thread
from agentcli.core.tool import Tool, tool
from agentcli.errors import Exit, UserError
from agentcli.session import Session, exit_code
from tests.core.fake import ScriptedProvider, agent_of, calls, says
from tests.core.test_compact import conversation


class Notebook:
    """A writer in memory that can be told to fail."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.full: set[str] = set()

    def begin(self, source: str, model: str, instead_of: Sequence[Message], *, goes_on: bool) -> None:
        self.log.append("begin to go on" if goes_on else "begin")

    def record(self, event: Event) -> None:
        if type(event).__name__ in self.full:
            raise UserError("no space left", exit_code=1)
        self.log.append(f"record {type(event).__name__}")

    def flush(self) -> None:
        pass

    def commit(self) -> None:
        if "commit" in self.full:
            raise UserError("no space left", exit_code=1)
        self.log.append("commit")

    def close(self) -> None:
        self.log.append("close")


class Held:
    """A session with a notebook and a screen that write into one log."""

    def __init__(self, *answers: Any, tools: tuple[Tool, ...] = (), timeout: float = 0, options: Options = Options()) -> None:
        self.log: list[str] = []
        self.told: list[UserError] = []
        self.notebook = Notebook(self.log)
        agent, self.provider = agent_of(*answers, tools=tools)
        self.session = Session(agent, Thread(), lambda thread: self.notebook, timeout=timeout, options=options, tell=self.told.append)

    def show(self, event: Event) -> None:
        self.log.append(f"show {type(event).__name__}")

    def turn(self, message: str = "hi", **more: Any) -> TurnEnded:
        return asyncio.run(self.session.turn(message, self.show, **more))


@tool(asks=True)
def risky() -> str:
    """Do something risky."""
    return "done it"


def test_every_event_is_recorded_before_it_is_shown_and_the_document_replaced_before_the_end_is() -> None:
    held = Held(says("a", "b"))
    held.turn()
    assert held.log == [
        "begin",
        *["record MessageAdded", "show MessageAdded"],
        *["record TextDelta", "show TextDelta"] * 2,
        *["record MessageAdded", "show MessageAdded"],
        "record TurnEnded",
        "commit",
        "show TurnEnded",
    ]


def test_the_end_of_a_turn_has_the_answer_and_its_figures() -> None:
    held = Held(says("Hel", "lo", usage=Usage(12, 40)))
    ended = held.turn()
    assert (ended.text, ended.stop, ended.model, ended.error) == ("Hello", "done", "fake/model", None)
    assert ended.usage == {"input": 12, "output": 40, "cached": 0, "reasoning": 0, "cache_write": 0, "total": 52}
    assert ended.first_token_seconds is not None
    assert ended.first_token_seconds <= ended.seconds
    assert exit_code(held.session) == Exit.OK


def _cut(held: Held) -> None:
    held.turn()


@pytest.mark.parametrize(
    ("answer", "stop", "kind", "code"),
    [
        (says("x", stop="length"), "length", "length", Exit.FAILED),
        (says("x", stop="refused"), "refused", "refused", Exit.FAILED),
        ([*says("x")[:-1], ProviderError("cut", "cut off")], "failed", "cut", Exit.TRY_LATER),
        ([ProviderError("auth", "no")], "failed", "auth", Exit.UNAVAILABLE),
        (says("x")[:-1], "failed", "cut", Exit.TRY_LATER),
    ],
)
def test_an_answer_that_is_not_whole_says_so(answer: Any, stop: str, kind: str, code: int) -> None:
    held = Held(answer)
    ended = held.turn()
    assert (ended.stop, ended.error and ended.error.kind, exit_code(held.session)) == (stop, kind, code)
    assert held.log[-2:] == ["commit", "show TurnEnded"]


def test_time_runs_out_and_what_there_is_is_kept() -> None:
    async def main() -> Held:
        held = Held([*says("partial")[:-1], asyncio.Event()], timeout=0.05)
        await held.session.turn("hi", held.show)
        return held

    held = asyncio.run(main())
    assert held.session.ended
    assert held.session.ended.stop == "timed_out"
    assert held.session.ended.error
    assert "0.05 s" in held.session.ended.error.message
    assert held.session.ended.text == "partial"
    assert [message.stop for message in held.session.thread.messages] == [None, "timed_out"]
    assert exit_code(held.session) == Exit.TIMED_OUT


def test_a_cancelled_turn_is_committed_and_the_cancellation_goes_on() -> None:
    async def main() -> Held:
        held = Held([*says("partial")[:-1], asyncio.Event()])
        task = asyncio.create_task(held.session.turn("hi", held.show))
        await held.provider.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return held

    held = asyncio.run(main())
    assert held.log[-2:] == ["commit", "show TurnEnded"]
    assert held.session.thread.messages[-1].stop == "interrupted"
    assert held.session.thread.messages[-1].text == "partial"
    assert exit_code(held.session) == Exit.INTERRUPTED


def test_the_clock_of_the_turn_stands_while_a_person_is_asked() -> None:
    async def slowly(call: ToolCall, tool: Tool) -> bool:
        await asyncio.sleep(0.3)
        return True

    held = Held(calls(("risky", "{}")), says("ok"), tools=(risky,), timeout=0.15)
    assert held.turn(approve=slowly).stop == "done"


def test_what_nobody_allowed_is_denied_and_has_its_exit_code() -> None:
    held = Held(calls(("risky", "{}")), says("ok"), tools=(risky,))
    ended = held.turn()
    assert (ended.stop, ended.denied, exit_code(held.session)) == ("done", ("risky",), Exit.DENIED)


def test_a_full_disk_does_not_take_the_answer_away_but_is_said_and_tried_again() -> None:
    held = Held(says("a", "b"))
    held.notebook.full = {"TextDelta", "commit"}
    ended = held.turn()
    assert (ended.text, ended.stop, len(held.told)) == ("ab", "done", 1)
    assert exit_code(held.session) != Exit.OK
    held.notebook.full = set()
    held.session.close()
    assert held.session.unsaved is None
    assert held.log[-2:] == ["commit", "close"]


def test_a_journal_that_cannot_begin_does_not_take_the_answer_away() -> None:
    class Full(Notebook):
        def begin(self, source: str, model: str, instead_of: Sequence[Message], *, goes_on: bool) -> None:
            raise UserError("no space left")

        def close(self) -> None:
            raise UserError("no space left")

    held = Held(says("a"))
    held.notebook = Full(held.log)
    ended = held.turn()
    assert (ended.text, ended.stop, len(held.told)) == ("a", "done", 1)
    held.session.close()
    assert held.session.unsaved


def test_asking_again_keeps_the_old_answer_unless_there_is_a_new_one() -> None:
    held = Held(says("one"), [ProviderError("auth", "no")], says("two"))
    held.turn()
    for expected in ("one", "two"):
        asyncio.run(held.session.again(held.show))
        assert [message.text for message in held.session.thread.messages] == ["hi", expected]
        assert held.log[-1] in ("commit", "show TurnEnded")


def test_a_tool_does_not_start_unless_its_call_is_on_disk() -> None:
    ran: list[int] = []

    @tool
    def mark() -> str:
        """Leave a mark."""
        ran.append(1)
        return ""

    held = Held(calls(("mark", "{}")), says("ok"), tools=(mark,))
    held.notebook.full = {ToolStarted.__name__}
    assert held.turn().stop == "failed"
    assert ran == []


def test_the_limit_of_steps_ends_the_turn_with_the_calls_not_run() -> None:
    held = Held(calls(("risky", "{}")), tools=(risky,), options=Options(max_steps=1))
    ended = held.turn()
    assert (ended.stop, ended.error and ended.error.kind, exit_code(held.session)) == ("tools", "max_steps", Exit.FAILED)
    assert [call["name"] for call in ended.tool_calls] == ["risky"]
    assert held.session.thread.messages[-1].results[0].is_error


def test_a_fault_of_the_screen_still_saves_the_turn() -> None:
    def bad(event: Event) -> None:
        if isinstance(event, TextDelta):
            raise ZeroDivisionError

    held = Held(says("a"))
    with pytest.raises(ZeroDivisionError):
        asyncio.run(held.session.turn("hi", bad))
    assert held.log[-1] == "commit"
    assert held.session.thread.messages[-1].text == "a"


def test_messages_added_are_the_threads() -> None:
    seen: list[Any] = []
    held = Held(says("a"))
    show: Callable[[Event], None] = lambda event: seen.append(event.message) if isinstance(event, MessageAdded) else None  # noqa: E731
    asyncio.run(held.session.turn("hi", show))
    assert seen == held.session.thread.messages


SUMMARY = says("They asked questions.", usage=Usage(900, 10))


def test_compacting_is_written_down_shown_and_saved_like_a_turn() -> None:
    held = Held(SUMMARY)
    held.session.thread = conversation(turns=10)
    ended = asyncio.run(held.session.compact(held.show, "briefly"))
    assert held.log == [
        "begin",
        *["record Waiting", "show Waiting"],
        *["record Compacted", "show Compacted"],
        *["record TurnEnded", "commit", "show TurnEnded"],
    ]
    assert (ended.stop, ended.text, ended.usage["total"]) == ("done", "", 910)
    assert "briefly" in held.provider.requests[0].messages[0].text
    assert len(held.session.thread.standing) == 1


def test_with_nothing_to_leave_out_nothing_is_begun_or_saved() -> None:
    held = Held(SUMMARY)
    with pytest.raises(UserError, match="nothing to leave out"):
        asyncio.run(held.session.compact(held.show))
    assert held.log == []


def test_compacting_that_fails_or_is_stopped_leaves_the_thread_as_it_was() -> None:
    async def main(held: Held) -> None:
        task = asyncio.create_task(held.session.compact(held.show))
        await held.provider.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    failing = Held([ProviderError("overloaded", "busy")])
    stopped = Held([asyncio.Event()])
    for held in (failing, stopped):
        held.session.thread = conversation(turns=10)
    assert asyncio.run(failing.session.compact(failing.show)).stop == "failed"
    asyncio.run(main(stopped))
    for held, code in ((failing, Exit.TRY_LATER), (stopped, Exit.INTERRUPTED)):
        assert exit_code(held.session) == code
        assert held.log[-2:] == ["commit", "show TurnEnded"]
        assert held.session.thread.standing == []
        assert len(held.session.thread.messages) == 20


def test_the_end_of_a_turn_names_the_model_that_answered_and_the_thread_the_one_that_was_meant() -> None:
    async def stopped(session: Session) -> None:
        task = asyncio.create_task(session.turn("again", lambda event: None))
        await other.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    other = ScriptedProvider(says("ok"), [*says("half")[:-1], asyncio.Event()])
    other.name = "other"
    held = Held([ProviderError("overloaded", "busy")])
    held.session.agent = Agent(held.provider, "model", fallback=[(other, "m")])
    assert held.turn().model == "other/m"
    assert held.session.thread.model == "fake/model"
    asyncio.run(stopped(held.session))
    assert held.session.ended
    assert (held.session.ended.model, held.session.ended.stop) == ("other/m", "interrupted")
    assert [message.model for message in held.session.thread.messages] == [None, "other/m", None, "other/m"]


def test_asking_again_keeps_what_was_compacted() -> None:
    held = Held(SUMMARY, says("new"))
    held.session.thread = conversation(turns=10)
    asyncio.run(held.session.compact(held.show))
    asyncio.run(held.session.again(held.show))
    assert len(held.session.thread.standing) == 1
    assert held.session.thread.messages[-1].text == "new"
    assert len(held.provider.requests[1].messages) < 10


# An answer that was cut off


GONE = ProviderError("cut", "gone")


async def stopped(session: Session, provider: ScriptedProvider, turn: Any) -> None:
    """The turn, cancelled where the provider waits."""
    provider.arrived.clear()
    task = asyncio.create_task(turn)
    await provider.arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_going_on_makes_one_answer_of_it_and_the_end_has_the_whole() -> None:
    held = Held([*says("Once", usage=Usage(3, 1))[:-1], GONE], says(" upon", " a time", usage=Usage(9, 4)))
    session = held.session
    shown: list[Event] = []
    held.turn()
    assert session.partial is session.thread.messages[-1]
    held.log.clear()

    def show(event: Event) -> None:
        shown.append(event)
        held.show(event)

    ended = asyncio.run(session.go_on(show))
    assert held.log[:5] == ["begin to go on", *["record TextDelta", "show TextDelta"] * 2]
    assert held.log[-3:] == ["record TurnEnded", "commit", "show TurnEnded"]
    assert (ended.text, ended.stop, ended.usage["total"]) == ("Once upon a time", "done", 13)
    assert "".join(event.text for event in shown if isinstance(event, TextDelta)) == " upon a time"
    assert [message.text for message in session.thread.messages] == ["hi", "Once upon a time"]
    assert not session.unfinished


def test_cut_off_again_the_end_has_the_whole_so_far() -> None:
    held = Held([*says("Once")[:-1], GONE], [*says(" upon")[:-1], asyncio.Event()])
    held.turn()
    asyncio.run(stopped(held.session, held.provider, held.session.go_on(held.show)))
    assert held.session.ended
    assert (held.session.ended.text, held.session.ended.stop) == ("Once upon", "interrupted")
    assert [(message.text, message.stop) for message in held.session.thread.messages[1:]] == [("Once upon", "interrupted")]
    assert exit_code(held.session) == Exit.INTERRUPTED


def test_the_time_runs_out_while_it_is_gone_on_with() -> None:
    held = Held([*says("Once")[:-1], GONE], [*says(" upon")[:-1], asyncio.Event()], timeout=0.05)
    held.turn()
    ended = asyncio.run(held.session.go_on(held.show))
    assert (ended.text, ended.stop) == ("Once upon", "timed_out")
    assert [(message.text, message.stop) for message in held.session.thread.messages[1:]] == [("Once upon", "timed_out")]


@pytest.mark.parametrize("stops", [[GONE], [asyncio.Event()]])
def test_if_nothing_more_comes_the_answer_is_as_it_was(stops: Any) -> None:
    held = Held([*says("Once")[:-1], asyncio.Event()], stops)
    asyncio.run(stopped(held.session, held.provider, held.session.turn("hi", held.show)))
    before = list(held.session.thread.messages)
    if stops == [GONE]:
        asyncio.run(held.session.go_on(held.show))
    else:
        held.session.timeout = 0.05
        asyncio.run(held.session.go_on(held.show))
    assert all(one is other for one, other in zip(held.session.thread.messages, before, strict=True))
    assert held.session.partial is before[-1]
    assert held.session.ended
    assert held.session.ended.text == "Once"


def test_a_question_without_an_answer_is_unfinished_too() -> None:
    held = Held([GONE], says("Once"))
    held.turn()
    assert (held.session.partial, held.session.unfinished) == (None, True)
    asyncio.run(held.session.go_on(held.show))
    assert [message.text for message in held.session.thread.messages] == ["hi", "Once"]


@pytest.mark.parametrize("messages", [[], ["hi", "whole"]])
def test_there_may_be_nothing_to_go_on_from_or_to_drop(messages: list[str]) -> None:
    held = Held(says("whole"))
    if messages:
        held.turn()
    held.log.clear()
    for act in (lambda: asyncio.run(held.session.go_on(held.show)), held.session.drop):
        with pytest.raises(UserError) as caught:
            act()
        assert (caught.value.exit_code, bool(caught.value.hint)) == (Exit.USAGE, True)
    assert [message.text for message in held.session.thread.messages] == messages
    assert held.log == []


@pytest.mark.parametrize("answer", [[GONE], [*says("Once")[:-1], GONE], [*calls(("missing", "{}"))[:-1], GONE]])
def test_dropping_takes_back_the_question_too_and_saves(answer: Any) -> None:
    held = Held(says("whole"), answer)
    held.turn("one")
    held.turn("two")
    question = held.session.drop()
    assert question
    assert question.text == "two"
    assert [message.text for message in held.session.thread.messages] == ["one", "whole"]
    assert held.log[-1] == "commit"


def test_nothing_is_taken_back_from_a_thread_that_somebody_else_holds() -> None:
    def busy(thread: Thread) -> Notebook:
        raise UserError("another process has it")

    agent, _ = agent_of()
    thread = Thread.of(user("one"), Message(role="assistant", stop="failed", parts=(Text("half"),)))
    session = Session(agent, thread, busy)
    for act in (session.drop, lambda: asyncio.run(session.again(lambda event: None))):
        with pytest.raises(UserError, match="another process"):
            act()
        assert [message.text for message in thread.messages] == ["one", "half"]


def test_dropping_an_answer_to_nothing() -> None:
    held = Held(says("x"))
    held.session.thread = Thread.of(
        Message(role="assistant", parts=(), stop="done"), Message(role="assistant", stop="failed", parts=())
    )
    assert held.session.drop() is None
    assert len(held.session.thread.messages) == 1


# Said meanwhile


def test_what_is_said_meanwhile_gets_into_the_turn() -> None:
    held = Held(calls(("risky", "{}")), says("ok"), says("well"), tools=(risky,))

    async def approve(call: ToolCall, tool: Tool) -> bool:
        held.session.say_meanwhile("quickly")
        held.session.say_meanwhile(user("please"))
        return True

    held.turn(approve=approve)
    assert [message.text for message in held.session.thread.messages] == ["hi", "", "", "quickly", "please", "ok"]
    assert held.session.unsaid() == []
    assert held.log.count("record MessageAdded") == 6


def test_what_the_turn_did_not_come_to_is_given_back_once() -> None:
    held = Held([*says("half")[:-1], asyncio.Event()])

    async def main() -> None:
        task = asyncio.create_task(held.session.turn("hi", held.show))
        await held.provider.arrived.wait()
        held.session.say_meanwhile("more")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert [message.text for message in held.session.unsaid()] == ["more"]
    assert held.session.unsaid() == []
    assert [message.text for message in held.session.thread.messages] == ["hi", "half"]


# Time


def test_a_turn_can_be_given_more_time_while_it_runs() -> None:
    going = asyncio.Event()
    held = Held([*says("a")[:-1], going, *says("b")], timeout=0.2)

    async def main() -> None:
        session = held.session
        session.extend(1)
        assert session.left is None
        task = asyncio.create_task(session.turn("hi", held.show))
        await held.provider.arrived.wait()
        assert 0 < (session.left or 0) <= 0.2
        session.extend(30)
        assert 29 < (session.left or 0) <= 30.2
        await asyncio.sleep(0.3)
        going.set()
        await task
        assert session.left is None

    asyncio.run(main())
    assert held.session.ended
    assert held.session.ended.stop == "done"


def test_a_turn_can_be_given_more_time_while_a_person_is_asked() -> None:
    async def slowly(call: ToolCall, tool: Tool) -> bool:
        await asyncio.sleep(0.2)
        left.append(held.session.left)
        held.session.extend(30)
        left.append(held.session.left)
        return True

    left: list[float | None] = []
    held = Held(calls(("risky", "{}")), [asyncio.Event()], tools=(risky,), timeout=0.1)

    async def main() -> None:
        task = asyncio.create_task(held.session.turn("hi", held.show, slowly))
        await held.provider.arrived.wait()
        left.append(held.session.left)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert left[:2] == [None, None]
    assert left[2]
    assert 29 < left[2] <= 30.1


def test_the_time_that_a_turn_took_is_said_with_what_was_added() -> None:
    held = Held([asyncio.Event()], timeout=0.05)

    async def main() -> TurnEnded:
        task = asyncio.create_task(held.session.turn("hi", held.show))
        await held.provider.arrived.wait()
        held.session.extend(0.05)
        return await task

    ended = asyncio.run(main())
    assert ended.error
    assert "0.1 s" in ended.error.message

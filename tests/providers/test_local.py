"""A model in a process of its own: what it answers, how it is stopped, and that it goes when its owner does.

The model is a real one, a megabyte small, in a real llama.cpp (`tiny_model`).
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from time import monotonic, sleep
from typing import IO, Any

import pytest

pytest.importorskip("xllamacpp", reason="the extra `local` is not installed")

import psutil  # type: ignore[import-untyped]

from agentcli.core.agent import Agent
from agentcli.core.event import Waiting
from agentcli.core.message import Blob, Message, Reasoning, Text, ToolCall, ToolResult, assistant, user
from agentcli.core.provider import CallChunk, Chunk, ProviderError, Request, StopChunk, TextChunk, ToolSpec, UsageChunk
from agentcli.core.thread import Thread
from agentcli.core.tool import tool
from agentcli.providers import Clocks, Endpoint, create
from agentcli.providers.local import NOTE, Local, child, installed, note
from agentcli.providers.local import process as processes
from agentcli.providers.local.process import hold, let_go
from tests.providers.asking import open_files
from tests.providers.tiny_model import TEMPLATE, TOOLS, tiny_model

CALL = ("<tool_call>", '\n{"name": "clock", ', '"arguments": {"zone": "UTC"}}', "\n</tool_call>")
PATIENT = Clocks(idle=20.0)
CLOCK = ToolSpec("clock", "What time is it?", {"type": "object", "properties": {"zone": {"type": "string"}}})


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    before = open_files()
    yield
    left = list(processes._processes.values())
    for process in left:
        process.kill()
    assert not left
    gone(psutil.Process().children(recursive=True))
    deadline = monotonic() + 5
    while (
        open_files() > before or any(thread.name.startswith(("model ", "to ", "log of ")) for thread in threading.enumerate())
    ) and monotonic() < deadline:
        sleep(0.01)
    assert open_files() == before


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_model(tmp_path / "tiny.gguf")


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    return tiny_model(tmp_path / "endless.gguf", ("la", " li", " lu"), endless=True)


def local(*, keep: bool = False, clocks: Clocks = PATIENT, **options: Any) -> Local:
    made = create("local", Endpoint(kind="local", options=options), clocks, keep=keep)
    assert isinstance(made, Local)
    return made


def request(model: Path | str, *said: str | Message, **more: Any) -> Request:
    messages = [user(each) if isinstance(each, str) else each for each in said or ("Hi",)]
    return Request(model=str(model), messages=messages, **more)


async def all_of(provider: Local, asked: Request) -> list[Chunk]:
    async with aclosing(provider.stream(asked)) as chunks:
        return [chunk async for chunk in chunks]


class Asking:
    """A question in a task of its own."""

    def __init__(self, provider: Local, asked: Request) -> None:
        self._begun = asyncio.Event()
        self.task = asyncio.create_task(self._ask(provider, asked))

    async def _ask(self, provider: Local, asked: Request) -> None:
        async with aclosing(provider.stream(asked)) as chunks:
            async for chunk in chunks:
                if isinstance(chunk, TextChunk):
                    self._begun.set()

    async def begun(self) -> None:
        """Once it has its first word. What it raises before that is raised here."""
        waiting = asyncio.create_task(self._begun.wait())
        await asyncio.wait({waiting, self.task}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not self._begun.is_set():
            await self.task


def text_of(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks if isinstance(chunk, TextChunk))


def ask(asked: Request, **options: Any) -> list[Chunk]:
    """One question, and everything closed after it."""

    async def main() -> list[Chunk]:
        provider = local(**options)
        try:
            return await all_of(provider, asked)
        finally:
            await provider.aclose()
            assert len(asyncio.all_tasks()) == 1

    return asyncio.run(main())


def refusal(asked: Request, **options: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        ask(asked, **options)
    return caught.value


def children() -> list[psutil.Process]:
    return list(psutil.Process().children(recursive=True))


def gone(ones: list[psutil.Process], seconds: float = 5) -> None:
    """Not even as zombies, but for those that the system has to bury, since their owner went first."""
    deadline = monotonic() + seconds
    while (alive := [one for one in ones if _lives(one)]) and monotonic() < deadline:
        sleep(0.005)
    assert not alive


def _lives(one: psutil.Process) -> bool:
    try:
        return one.is_running() and not (one.status() == psutil.STATUS_ZOMBIE and one.ppid() != os.getpid())
    except psutil.NoSuchProcess:
        return False


def test_an_answer(model: Path) -> None:
    chunks = ask(request(model))
    assert [chunk.what for chunk in chunks if isinstance(chunk, Waiting)] == ["loading tiny", "answering"]
    assert [chunk.text for chunk in chunks if isinstance(chunk, TextChunk)] == ["Red", ",", " green", " and", " blue", "."]
    assert [(chunk.usage.input, chunk.usage.output) for chunk in chunks if isinstance(chunk, UsageChunk)] == [(5, 7)]
    assert chunks[-1] == StopChunk("done")


@pytest.mark.parametrize("template", [TEMPLATE, TOOLS], ids=["plain", "tools"])
def test_an_answer_that_was_cut_off_is_gone_on_with_from_its_own_words(template: str, tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "tiny.gguf", template=template)
    said = Message(role="assistant", stop="interrupted", parts=user("Red,").parts)
    chunks = ask(request(model, "Hi", said, "Go on with it.", begun=True))
    assert text_of(chunks) == " green and blue."


def test_names(model: Path, tmp_path: Path) -> None:
    os.environ["HOME"] = str(tmp_path)
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        for name in ("~/tiny.gguf", "./tiny.gguf", f"../{tmp_path.name}/tiny.gguf", str(model)):
            assert text_of(ask(request(name))) == "Red, green and blue."
    finally:
        os.chdir(here)
    assert text_of(ask(request("mine"), models={"mine": str(model)})) == "Red, green and blue."
    assert ask(request("mine"), models={"mine": str(model)})[0] == Waiting(what="loading mine")


def test_names_that_are_none(tmp_path: Path) -> None:
    error = refusal(request("tiny.gguf"), models={"mine": "/mine.gguf"})
    assert (error.kind, error.message) == ("not_found", "there is no local model called tiny.gguf")
    assert error.hint.startswith("There are: smollm2, mine.")
    error = refusal(request("smollm2"), folder=str(tmp_path))
    assert (error.kind, error.message) == ("not_found", "the model smollm2 is not installed")
    assert error.hint == "`agentcli local install` fetches it, once (93 MB)."
    assert refusal(request("smollm2")).kind == "not_found"
    assert refusal(request(tmp_path / "none.gguf")).message == f"there is no model file {tmp_path / 'none.gguf'}"


def test_two_turns_in_one_process(model: Path) -> None:
    async def main() -> None:
        provider = local(keep=True)
        first = await all_of(provider, request(model, "Hi"))
        (pid,) = [one.pid for one in children()]
        second = await all_of(provider, request(model, "Hi", assistant(text_of(first)), "Again"))
        assert text_of(first) == text_of(second)
        assert not [chunk for chunk in second if chunk == Waiting(what="loading tiny")]
        usage = [chunk.usage for chunk in second if isinstance(chunk, UsageChunk)][-1]
        assert usage.cached > 0  # what was read in the first turn is not read again
        assert [one.pid for one in children()] == [pid]
        running = children()
        await provider.aclose()
        gone(running, 0)

    asyncio.run(main())


def test_it_is_loaded_before_it_is_asked(model: Path) -> None:
    async def main() -> None:
        provider = local(keep=True, model=str(model))
        deadline = monotonic() + 10
        while not any(process.state == "ready" for process in processes._processes.values()):
            assert monotonic() < deadline
            await asyncio.sleep(0.005)
        assert (await all_of(provider, request(model)))[0] == Waiting(what="answering")
        await provider.aclose()

    asyncio.run(main())


def test_what_is_wrong_with_it_is_said_when_it_is_asked(tmp_path: Path) -> None:
    assert "not installed" in refusal(request("smollm2"), keep=True, model="smollm2").message
    assert "no model file" in refusal(request(tmp_path / "x"), keep=True, model=str(tmp_path / "x")).message


def test_one_after_another_loop(model: Path) -> None:
    provider = local(keep=True)
    for _ in range(3):
        assert text_of(asyncio.run(all_of(provider, request(model)))) == "Red, green and blue."
    asyncio.run(provider.aclose())


def test_many_questions_share_the_process(model: Path) -> None:
    async def main() -> None:
        one, other = local(), local()
        answers = await asyncio.gather(*(all_of((one, other)[number % 2], request(model)) for number in range(40)))
        assert {text_of(chunks) for chunks in answers} == {"Red, green and blue."}
        assert len(children()) == 1
        await one.aclose()
        assert text_of(await all_of(other, request(model))) == "Red, green and blue."
        await other.aclose()

    asyncio.run(main())


def test_cancelling_stops_the_model(endless: Path) -> None:
    """It says no more, and answers the next question without having gone on: an answer would be 8,000 tokens, ten times.

    What counts is the time of the processor: a clock on the wall also counts what else this machine does.
    """

    async def main() -> None:
        provider = local(keep=True)
        await all_of(provider, request(endless, settings={"max-tokens": 1}))
        (running,) = children()

        def used() -> float:
            return float(sum(running.cpu_times()[:2]))

        before = used()
        await all_of(provider, request(endless, settings={"max-tokens": 3000}))
        of_3000 = used() - before
        before = used()
        for _ in range(10):
            async with aclosing(provider.stream(request(endless))) as chunks:
                said = 0
                async for chunk in chunks:
                    said += isinstance(chunk, TextChunk)
                    if said == 20:
                        break
        await all_of(provider, request(endless, settings={"max-tokens": 1}))
        assert used() - before < of_3000
        assert children() == [running]
        before = used()
        await asyncio.sleep(0.3)
        assert used() - before < 0.1
        await provider.aclose()

    asyncio.run(main())


def test_a_cancelled_task(endless: Path) -> None:
    async def main() -> None:
        provider = local(keep=True)
        for wait in (0.0, 0.05, 0.2):
            task = asyncio.create_task(all_of(provider, request(endless)))
            await asyncio.sleep(wait)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        answer = await all_of(provider, request(endless, settings={"max-tokens": 3}))
        assert (text_of(answer), answer[-1]) == ("la li lu", StopChunk("length"))
        await provider.aclose()

    asyncio.run(main())


def test_one_that_waits_is_cancelled(endless: Path) -> None:
    async def main() -> None:
        provider = local()
        first = Asking(provider, request(endless))
        others = [asyncio.create_task(all_of(provider, request(endless, settings={"max-tokens": 3}))) for _ in range(3)]
        await first.begun()
        await asyncio.sleep(0.1)
        assert not any(task.done() for task in others)
        others[1].cancel()
        first.task.cancel()
        answers = await asyncio.gather(*others, return_exceptions=True)
        assert [text_of(answer) for answer in answers if isinstance(answer, list)] == ["la li lu", "la li lu"]
        await asyncio.gather(first.task, return_exceptions=True)
        await provider.aclose()

    asyncio.run(main())


def test_a_model_that_does_not_stop_is_started_anew(endless: Path) -> None:
    """Here it is given no time at all. A question that waits is not lost."""

    async def main() -> None:
        process = hold("endless", endless, patience=0.0)
        provider = local()
        pids = set()
        for _ in range(50):
            first = Asking(provider, request(endless))
            await first.begun()
            waiting = asyncio.create_task(all_of(provider, request(endless, settings={"max-tokens": 3})))
            await asyncio.sleep(0)
            pids.add(process.pid)
            first.task.cancel()
            assert text_of(await waiting) == "la li lu"
            if len(pids) > 1:
                break
        assert len(pids) > 1
        let_go(process)
        await provider.aclose()

    asyncio.run(main())


def until_stuck(pipe: IO[bytes]) -> None:
    """Wait until whoever writes into the pipe waits, because it is full: nine tenths, and then no more for half a second."""
    room = fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ) if sys.platform == "linux" else 0
    same = unread = 0
    deadline = monotonic() + 30
    while same < 25:
        assert monotonic() < deadline
        sleep(0.02)
        before, unread = unread, int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)
        same = same + 1 if before == unread > room * 0.9 else 0


def test_the_process_leaves_when_a_stop_takes_too_long(endless: Path) -> None:
    """It cannot even say what it says: nobody reads it."""
    settings = {"path": str(endless), "context": 8192, "threads": 1, "warm": False, "patience": 0.2, "parent": os.getpid()}
    orders = [settings, {"ask": 1, "body": {"messages": [{"role": "user", "content": "Hi"}], "stream": True}}]
    with subprocess.Popen([sys.executable, "-P", child.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdin
        assert running.stdout
        for order in orders:
            running.stdin.write(json.dumps(order).encode() + b"\n")
            running.stdin.flush()
        assert json.loads(running.stdout.readline()) == {"ready": True}
        assert json.loads(running.stdout.readline()) == {"of": 1, "begun": True}
        until_stuck(running.stdout)
        running.stdin.write(b'{"stop": 1}\n')
        running.stdin.flush()
        assert running.wait(30) == child.STUBBORN


def test_a_process_that_was_killed(endless: Path) -> None:
    async def main() -> None:
        provider = local(keep=True)
        first, second = Asking(provider, request(endless)), Asking(provider, request(endless))
        await first.begun()
        for one in children():
            one.kill()
        for each in (first.task, second.task):
            with pytest.raises(ProviderError) as caught:
                await each
            assert (caught.value.kind, caught.value.message) == ("server", "the process of endless was killed")
            assert "memory" in caught.value.hint
        assert text_of(await all_of(provider, request(endless, settings={"max-tokens": 3}))) == "la li lu"
        (process,) = processes._processes.values()
        os.kill(process.pid, signal.SIGSEGV)
        process._owner.join(5)
        assert text_of(await all_of(provider, request(endless, settings={"max-tokens": 3}))) == "la li lu"
        await provider.aclose()

    asyncio.run(main())


def test_a_process_that_says_nothing(endless: Path) -> None:
    async def main() -> None:
        patient, provider = local(), local(clocks=Clocks(idle=1.0))
        await all_of(patient, request(endless, settings={"max-tokens": 1}))
        asking = Asking(provider, request(endless))
        await asking.begun()
        (running,) = children()
        running.suspend()
        with pytest.raises(ProviderError) as caught:
            await asking.task
        assert (caught.value.kind, caught.value.message) == ("stalled", "endless has said nothing for 1 s")
        await patient.aclose()
        await provider.aclose()

    asyncio.run(main())


def test_one_that_waits_longer_than_the_clock_of_silence(endless: Path) -> None:
    """The model is not silent: it answers another."""

    async def main() -> None:
        patient, provider = local(), local(clocks=Clocks(idle=1.0))
        first = Asking(patient, request(endless))
        await first.begun()
        second = asyncio.create_task(all_of(provider, request(endless, settings={"max-tokens": 3})))
        await asyncio.sleep(1.8)
        first.task.cancel()
        assert text_of(await second) == "la li lu"
        await patient.aclose()
        await provider.aclose()

    asyncio.run(main())


def test_too_long(model: Path) -> None:
    error = refusal(request(model, "word " * 3000), context=512)
    assert error.kind == "context_length"
    assert error.message.startswith("the conversation is too long for tiny: 21003 tokens, and it holds 512")
    assert refusal(request(model, "word " * 2000)).message.endswith("it holds 8192")


def test_a_context_that_the_model_was_not_made_for(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "small.gguf", context=256)
    assert refusal(request(model, "word " * 300)).message.endswith("it holds 256")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: b"", "it is empty"),
        (lambda data: b"hello" * 1000, "it does not begin as one"),
        (lambda data: data[:5000], "its head is cut off"),
        (lambda data: data[:-1000], "cannot be loaded: tensor"),
        (lambda data: data.replace(b"llama", b"lxama"), "cannot be loaded: unknown model architecture: 'lxama'"),
        (
            lambda data: data.replace(b"output_norm.weight", b"output_xorm.weight"),
            "cannot be loaded: check_tensor_dims: tensor 'output_norm.weight' not found",
        ),
    ],
)
def test_files_that_are_no_models(model: Path, damage: Any, words: str) -> None:
    model.write_bytes(damage(model.read_bytes()))
    error = refusal(request(model))
    assert error.kind == "bad_request"
    assert words in error.message
    assert str(model) in error.message


def test_what_a_model_cannot_be_asked(model: Path) -> None:
    error = refusal(request(model, settings={"response-format": {"type": "nonsense"}}))
    assert (error.kind, error.message[:28]) == ("bad_request", "tiny cannot be asked this: r")
    error = refusal(request(model, user("What is this?", Blob("image/png", b"x", name="cat.png"))))
    assert (error.kind, error.message) == ("bad_request", "tiny reads nothing but text: cat.png is image/png")


def test_the_answer_must_fit_a_schema(tmp_path: Path) -> None:
    """llama.cpp leaves the model no choice: of this one's tokens, only bytes fit."""
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"], "additionalProperties": False}
    chunks = ask(request(tiny_model(tmp_path / "tiny.gguf"), schema=schema, settings={"max-tokens": 200, "seed": 1}))
    assert json.loads(text_of(chunks))["ok"] in (True, False)


# --- tools -----------------------------------------------------------------------------------------------------------------


def test_a_tool_is_called(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "tools.gguf", CALL, ("It is", " noon", "."), template=TOOLS)
    zones = []

    @tool
    def clock(zone: str) -> str:
        """What time is it?"""
        zones.append(zone)
        return "12:00"

    async def main() -> None:
        thread = Thread()
        async with Agent(local(), str(model), tools=[clock]) as agent:
            answers = [item.message async for item in agent.invoke("What time is it?", thread)]
        assert zones == ["UTC"]
        assert [message.role for message in answers] == ["assistant", "tool", "assistant"]
        assert (answers[0].stop, answers[-1].text, answers[-1].stop) == ("tools", "It is noon.", "done")

    asyncio.run(main())


def test_a_model_without_tools_is_offered_none(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "plain.gguf", CALL)
    chunks = ask(request(model, tools=(CLOCK,)))
    assert text_of(chunks) == "".join(CALL)  # what looks like a call is words
    assert not [chunk for chunk in chunks if isinstance(chunk, CallChunk)]
    plain = [chunk.usage.input for chunk in ask(request(model)) if isinstance(chunk, UsageChunk)]
    assert [chunk.usage.input for chunk in chunks if isinstance(chunk, UsageChunk)] == plain


@pytest.mark.parametrize("tools", [True, False])
def test_a_conversation_that_was_begun_elsewhere(tmp_path: Path, tools: bool) -> None:
    """With a picture, thinking, and tools: it is readable, and goes on."""
    model = (
        tiny_model(tmp_path / "tools.gguf", ("Fine", "."), ("Fine", "."), template=TOOLS) if tools else tiny_model(tmp_path / "a.gguf")
    )
    history = [
        user("What is this?", Blob("image/png", b"x", name="cat.png"), Blob("text/plain", b"notes", name="a.txt")),
        Message(
            role="assistant",
            model="openai/gpt-5.4",
            stop="tools",
            parts=(Reasoning("hm"), Text("Let me see."), ToolCall("c1", "clock", '{"zone": "UTC"}'), ToolCall("c2", "clock", "{}")),
        ),
        Message(role="tool", parts=(ToolResult("c1", "12:00"), ToolResult("c2", "no zone", is_error=True))),
        assistant("A cat, at noon."),
        user("Sure?"),
    ]
    assert text_of(ask(request(model, *history, tools=(CLOCK,)))) == ("Fine." if tools else "Red, green and blue.")


def test_notes(tmp_path: Path) -> None:
    models = {
        "with": str(tiny_model(tmp_path / "with.gguf", template=TOOLS)),
        "without": str(tiny_model(tmp_path / "without.gguf")),
        "base": str(tiny_model(tmp_path / "base.gguf", template=None)),
    }
    assert note("smollm2", {}, tools=True) == note("smollm2", {}, tools=False) == NOTE
    assert note("with", {"models": models}, tools=True) == ""
    assert note("without", {"models": models}, tools=False) == ""
    assert note("without", {"models": models}, tools=True) == "without has no tools in its chat template: none are offered to it."
    assert note("base", {"models": models}, tools=False).startswith("base has no chat template")
    assert note("none", {"models": models}, tools=True) == note("/none.gguf", {}, tools=True) == ""


# --- the end ---------------------------------------------------------------------------------------------------------------

OWNER = """
import asyncio, sys
from contextlib import aclosing
from agentcli.core.message import user
from agentcli.core.provider import Request
from agentcli.providers import Clocks, Endpoint, create

async def main():
    provider = create("local", Endpoint(kind="local", options={"model": sys.argv[1]}), Clocks(), keep=True)
    async with aclosing(provider.stream(Request(model=sys.argv[1], messages=[user("Hi")]))) as chunks:
        async for chunk in chunks:
            print(type(chunk).__name__, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("when", ["TextChunk", "Waiting"])
def test_it_goes_when_its_owner_does(endless: Path, how: signal.Signals, when: str) -> None:
    """Also while it loads, when it cannot look whether its owner is there."""
    with subprocess.Popen([sys.executable, "-c", OWNER, str(endless)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as owner:
        assert owner.stdout
        while not owner.stdout.readline().startswith(when.encode()):
            assert owner.poll() is None
        running = psutil.Process(owner.pid).children(recursive=True)
        assert running or when == "Waiting"
        owner.send_signal(how)
        owner.stdout.close()
        owner.wait(10)
        gone(running, 1)


@pytest.mark.parametrize(("end", "code"), [("", 0), ("raise KeyError", 1), ("sys.exit(3)", 3), ("import os; os._exit(4)", 4)])
def test_a_program_that_closes_nothing(endless: Path, end: str, code: int) -> None:
    script = OWNER.replace("print(type(chunk).__name__, flush=True)", f"if type(chunk).__name__ == 'TextChunk': break\n    {end}")
    command = [sys.executable, "-W", "error", "-c", script, str(endless)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as owner:
        deadline = monotonic() + 10
        running: list[psutil.Process] = []
        while not running and owner.poll() is None and monotonic() < deadline:
            running = psutil.Process(owner.pid).children(recursive=True)
        said = owner.communicate(timeout=10)[1]
        assert running
        gone(running, 1)
    assert owner.returncode == code
    assert (b"KeyError" in said) == (code == 1)
    assert said == b"" or code == 1


def test_the_process_is_told_nothing_that_is_none_of_its_business(endless: Path) -> None:
    os.environ["OPENAI_API_KEY"] = "sk-secret"

    async def main() -> None:
        provider = local()
        async with aclosing(provider.stream(request(endless))) as chunks:
            async for chunk in chunks:
                if isinstance(chunk, TextChunk):
                    break
            (running,) = children()
            assert "OPENAI_API_KEY" not in running.environ()
            assert os.getsid(running.pid) == running.pid
            listening = [one for one in running.net_connections() if one.status == psutil.CONN_LISTEN]
            assert not listening
        await provider.aclose()

    asyncio.run(main())


def test_it_is_imported_without_llama_cpp() -> None:
    script = """
import sys
sys.modules["xllamacpp"] = None
import asyncio
from agentcli.core.message import user
from agentcli.core.provider import ProviderError, Request
from agentcli.providers import Clocks, Endpoint, create
from agentcli.providers.local import installed
assert not installed()
async def main():
    provider = create("local", Endpoint(kind="local"), Clocks(), keep=False)
    try:
        async for _ in provider.stream(Request(model="/x.gguf", messages=[user("Hi")])):
            pass
    except ProviderError as error:
        print(error.kind, error.message, error.hint, sep="|")
    await provider.aclose()
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=30)
    assert done.stderr == ""
    kind, message, hint = done.stdout.strip().split("|")
    assert (kind, message) == ("not_found", "x needs llama.cpp, which is not installed")
    assert hint.startswith("Install it: ")


def test_it_is_light_to_import() -> None:
    heavy = ("xllamacpp", "httpx", "zipfile", "hashlib", "importlib.metadata")
    script = f"import sys, agentcli.providers.local; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)
    assert done.stdout == "[]\n"
    assert installed()

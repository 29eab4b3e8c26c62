"""Answers from a script: what the guide promises, and what it says of a wrong one."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import aclosing
from pathlib import Path
from time import monotonic
from typing import Any, get_args

import pytest

from agentcli.core.agent import Agent
from agentcli.core.event import Waiting
from agentcli.core.message import Message, Reasoning, Text, ToolCall, ToolResult, Usage, assistant, user
from agentcli.core.provider import Chunk, Draft, Provider, ProviderError, Request, TextChunk, ToolSpec
from agentcli.core.stream import collect
from agentcli.core.thread import Thread
from agentcli.errors import Exit, UserError
from agentcli.providers import Clocks, Endpoint, create
from agentcli.providers.scripted.script import Call, Fault, Kind, Script, Tokens, Turn
from agentcli.tools import load

CLOCK = ToolSpec("clock", "", {})


def scripted(script: str | Path | None = None, *, idle: float = 30.0) -> Provider:
    options = {} if script is None else {"script": str(script)}
    return create("scripted", Endpoint(kind="scripted", options=options), Clocks(idle=idle), keep=False)


def written(folder: Path, script: str | dict[str, Any], name: str = "answers.toml") -> Path:
    path = folder / name
    path.write_text(script if isinstance(script, str) else json.dumps(script), encoding="utf-8")
    return path


def chunks_of(
    provider: Provider, *messages: Message, model: str = "any", tools: tuple[ToolSpec, ...] = (), **settings: Any
) -> list[Chunk]:
    request = Request(model=model, messages=list(messages), tools=tools, settings=settings)
    return asyncio.run(collect(provider.stream(request)))


def answer_of(
    provider: Provider, *messages: Message, model: str = "any", tools: tuple[ToolSpec, ...] = (), **settings: Any
) -> Message:
    draft = Draft()
    for chunk in chunks_of(provider, *messages, model=model, tools=tools, **settings):
        draft.add(chunk)
    return draft.message(author=None, model=None)


def conversation(provider: Provider, *said: str) -> list[str]:
    """What the script answers when a person says these things, each answer from a thread that was just read from disk."""
    document, answers = Thread().dump(), []
    for text in said:
        thread = Thread.load(document)
        (*_, (answer, _)) = asyncio.run(collect(Agent(provider, "any").invoke(text, thread)))
        answers.append(answer.text)
        document = thread.dump()
    return answers


FULL = """
[[turn]]
reasoning = "Hm."
text = "Let me see."
calls = [{tool = "clock"}, {tool = "find", arguments = {name = "{{message}}", deep = {list = ["{{message}}", 1]}}}]
usage = {input = 12, output = 40, cached = 3, reasoning = 2}
"""


def test_an_answer_with_everything(tmp_path: Path) -> None:
    said = answer_of(scripted(written(tmp_path, FULL)), user("cats"))
    assert said.parts[:2] == (Reasoning("Hm."), Text("Let me see."))
    assert [(call.name, json.loads(call.arguments)) for call in said.calls] == [
        ("clock", {}),
        ("find", {"name": "cats", "deep": {"list": ["cats", 1]}}),
    ]
    assert len({call.id for call in said.calls}) == 2
    assert (said.stop, said.usage) == ("tools", Usage(12, 40, 3, 2))


def test_text_comes_word_by_word_and_whole(tmp_path: Path) -> None:
    text = "  One two,\n\n- three\tfour \n"
    provider = scripted(written(tmp_path, {"turn": [{"text": text}]}, "a.json"))
    chunks = chunks_of(provider, user("x"))
    assert chunks[0] == Waiting(what="answering")
    pieces = [chunk.text for chunk in chunks if isinstance(chunk, TextChunk)]
    assert "".join(pieces) == text
    assert len(pieces) == 6


def test_turns_come_in_their_order_and_the_last_one_stays(tmp_path: Path) -> None:
    turns = "\n".join(f'[[turn]]\ntext = "{text}"' for text in ("one", "two", "three"))
    path = written(tmp_path, turns)
    assert conversation(scripted(path), *"abcde") == ["one", "two", "three", "three", "three"]
    path.write_text(f"loop = true\n{turns}")
    assert conversation(scripted(path), *"abcde") == ["one", "two", "three", "one", "two"]


def test_a_pattern_chooses_and_does_not_count_as_a_turn(tmp_path: Path) -> None:
    script = """
    [[turn]]
    text = "one"
    [[turn]]
    when = "hel+o|hi there"
    text = "greeting"
    [[turn]]
    text = "two"
    """
    said = ["x", "well, HELLO", "y", "z"]
    assert conversation(scripted(written(tmp_path, script)), *said) == ["one", "greeting", "two", "two"]


def test_a_script_without_a_turn_for_it_says_so(tmp_path: Path) -> None:
    path = written(tmp_path, '[[turn]]\nwhen = "hello"\ntext = "hi"')
    assert conversation(scripted(path), "bye") == ["The script has no turn for this."]


def test_the_answers_of_a_turn_follow_the_tools(tmp_path: Path) -> None:
    script = """
    [[turn]]
    when = "time"
    [[turn.answer]]
    calls = [{tool = "clock", arguments = {timezone = "UTC"}}]
    [[turn.answer]]
    text = "It is {{result}}; you asked: {{message}}"
    """
    provider = scripted(written(tmp_path, script))
    asked = user("what time?")
    first = answer_of(provider, user("time"), assistant("old"), asked)
    assert first.calls == (ToolCall(first.calls[0].id, "clock", '{"timezone":"UTC"}'),)
    results = Message(role="tool", parts=(ToolResult(first.calls[0].id, "noon"),))
    assert answer_of(provider, user("time"), assistant("old"), asked, first, results).text == "It is noon; you asked: what time?"
    again = answer_of(provider, asked, first, results, first, results, first, results)
    assert again.text == "It is noon; you asked: what time?", "the last answer stays"


def test_a_turn_that_needs_a_tool_is_passed_over_without_it(tmp_path: Path) -> None:
    script = """
    [[turn]]
    needs = ["clock"]
    calls = [{tool = "clock"}]
    [[turn]]
    text = "I have no clock."
    """
    provider = scripted(written(tmp_path, script))
    assert answer_of(provider, user("x")).text == "I have no clock."
    assert answer_of(provider, user("x"), tools=(CLOCK,)).calls[0].name == "clock"


def test_words_filled_in_can_be_shortened_to_a_line(tmp_path: Path) -> None:
    provider = scripted(written(tmp_path, {"turn": [{"text": "{{message:10}}|{{ message:3 }}|{{other}}|{{result}}"}]}, "a.json"))
    assert answer_of(provider, user("one\ntwo three four")).text == "one two t…|on…|{{other}}|"


def test_arguments_as_text_are_sent_as_they_are(tmp_path: Path) -> None:
    provider = scripted(written(tmp_path, """[[turn]]\ncalls = [{tool = "f", arguments = '{"a": {{message}}'}]"""))
    assert answer_of(provider, user("x")).calls[0].arguments == '{"a": {{message}}'


@pytest.mark.parametrize("stop", ["done", "length", "refused"])
def test_an_answer_ends_as_the_script_says(tmp_path: Path, stop: str) -> None:
    assert answer_of(scripted(written(tmp_path, f'[[turn]]\ntext = "a"\nstop = "{stop}"')), user("x")).stop == stop


def test_an_answer_may_say_nothing(tmp_path: Path) -> None:
    assert answer_of(scripted(written(tmp_path, '[[turn]]\ntext = ""')), user("x")).parts == ()


# Time


def seconds_of(provider: Provider, **settings: Any) -> float:
    began = monotonic()
    chunks_of(provider, user("x"), **settings)
    return monotonic() - began


def test_a_pause_and_a_rate_take_their_time_and_nothing_else_does(tmp_path: Path) -> None:
    words = "word " * 20  # 100 characters
    paused = scripted(written(tmp_path, f'[[turn]]\ntext = "{words}"\npause = 0.3', "a.toml"))
    paced = scripted(written(tmp_path, f'rate = 1\n[[turn]]\ntext = "{words}"\nrate = 250', "b.toml"))
    quick = scripted(written(tmp_path, f'[[turn]]\ntext = "{words * 100}"', "c.toml"))
    assert 0.3 <= seconds_of(paused) < 1.5
    assert 0.25 <= seconds_of(paced) < 1.5
    assert seconds_of(paced, rate=0) < 0.25, "-o rate=0"
    assert seconds_of(quick) < 0.25


def test_the_idle_clock_is_a_script_s_too(tmp_path: Path) -> None:
    provider = scripted(written(tmp_path, '[[turn]]\ntext = "a"\npause = 60'), idle=0.05)
    with pytest.raises(ProviderError) as caught:
        chunks_of(provider, user("x"))
    assert (caught.value.kind, caught.value.exit_code) == ("stalled", 75)
    assert "0.05 s" in caught.value.message


def test_a_pause_can_be_cancelled(tmp_path: Path) -> None:
    provider = scripted(written(tmp_path, '[[turn]]\ntext = "a"\npause = 20'))

    async def main() -> None:
        async with asyncio.timeout(0.05):
            await collect(provider.stream(Request(model="any", messages=[user("x")])))

    with pytest.raises(TimeoutError):
        asyncio.run(main())


# Faults


def broken(provider: Provider) -> tuple[str, ProviderError]:
    """What was said before the fault, and the fault."""
    said: list[str] = []

    async def main() -> None:
        async with aclosing(provider.stream(Request(model="any", messages=[user("x")]))) as chunks:
            async for chunk in chunks:
                said.append(chunk.text if isinstance(chunk, TextChunk) else "")  # noqa: PERF401  (what came before the fault counts)

    with pytest.raises(ProviderError) as caught:
        asyncio.run(main())
    return "".join(said), caught.value


def test_a_fault_before_the_answer(tmp_path: Path) -> None:
    script = """
    [[turn]]
    fault = {kind = "rate_limit", message = "slow down", status = 429, retry-after = 2.5, hint = "wait"}
    """
    said, error = broken(scripted(written(tmp_path, script)))
    assert said == ""
    assert (error.kind, error.message, error.hint, error.status, error.retry_after, error.exit_code) == (
        "rate_limit", "slow down", "wait", 429, 2.5, 75,
    )  # fmt: skip


@pytest.mark.parametrize("after", [0, 1, 5, 6, 11, 50])
def test_an_answer_cut_off_after_so_many_characters(tmp_path: Path, after: int) -> None:
    script = {"turn": [{"text": "Hello there", "calls": [{"tool": "f"}], "fault": {"kind": "cut", "after": after}}]}
    said, error = broken(scripted(written(tmp_path, script, "a.json")))
    assert said == "Hello there"[:after]
    assert (error.kind, error.message) == ("cut", "the answer was cut off")


@pytest.mark.parametrize("after", [4, 8, 12])
def test_an_answer_that_was_cut_off_is_gone_on_with_behind_the_fault(after: int, tmp_path: Path) -> None:
    one = {"when": "hi", "reasoning": "Hm.", "text": "Hello there", "fault": {"kind": "cut", "after": after}}
    agent = Agent(scripted(written(tmp_path, {"turn": [one, {"text": "?"}]}, "a.json")), "any")
    thread = Thread()
    with pytest.raises(ProviderError):
        asyncio.run(collect(agent.stream("hi", thread)))
    assert thread.messages[-1].text == "Hello there"[: after - 3]
    asyncio.run(collect(agent.stream(None, thread)))
    assert [message.text for message in thread.messages] == ["hi", "Hello there"]


def test_a_stall_ends_with_the_idle_clock(tmp_path: Path) -> None:
    provider = scripted(written(tmp_path, '[[turn]]\ntext = "Hello there"\nfault = {kind = "stalled", after = 5}'), idle=0.1)
    began = monotonic()
    said, error = broken(provider)
    assert (said, error.kind) == ("Hello", "stalled")
    assert 0.1 <= monotonic() - began < 2


def test_every_kind_of_fault_has_words_and_its_exit_code(tmp_path: Path) -> None:
    for kind in [
        "unreachable",
        "tls",
        "auth",
        "not_found",
        "bad_request",
        "context_length",
        "too_large",
        "redirect",
        "server",
        "protocol",
        "overloaded",
    ]:
        _, error = broken(scripted(written(tmp_path, f'[[turn]]\nfault = {{kind = "{kind}"}}')))
        assert error.kind == kind
        assert error.message
        assert error.exit_code == (75 if kind == "overloaded" else 69)


# Scripts that are wrong

WRONG = {
    "not toml": ("rate = 1\nturn =\n", "not TOML", "line 2, column 7"),
    "not utf-8": (b"\xff\xfe", "not TOML", ""),
    "nul": (b"\0", "not TOML", ""),
    "empty": ("", "", "turn"),
    "no turns": ("turn = []", "turn: ", ""),
    "turns that are no list": ("[turn]\ntext = 'a'", "turn: ", ""),
    "misspelt key": ("[[turn]]\ntext = 'a'\n[[turn]]\ntxet = 'a'", "turn 2: there is no key `txet`", "`text`"),
    "misspelt key deep inside": (
        "[[turn]]\n[[turn.answer]]\ntext = ''\n[[turn.answer]]\ncalls = [{tool = 'a'}, {tol = 'a'}]",
        "turn 1, answer 2, calls 2: ",
        "",
    ),
    "strange key": ("[[turn]]\nzzzzzz = 1", "turn 1: there is no key `zzzzzz`", "The keys are: "),
    "wrong type": ("[[turn]]\ntext = 5", "turn 1, text: Expected `str | null`, got `int`", ""),
    "wrong kind": ("[[turn]]\nfault = {kind = 'earthquake'}", "turn 1, fault, kind: ", "earthquake"),
    "wrong stop": ("[[turn]]\ntext = ''\nstop = 'interrupted'", "turn 1, stop: ", ""),
    "negative pause": ("[[turn]]\ntext = ''\npause = -1", "turn 1, pause: ", ""),
    "endless pause": ("[[turn]]\ntext = ''\npause = inf", "turn 1, pause: ", ""),
    "nothing to say": ("[[turn]]\nwhen = 'a'", "turn 1: an answer needs", ""),
    "nothing to say in an answer": ("[[turn]]\n[[turn.answer]]\npause = 1", "turn 1: an answer needs", ""),
    "both forms": ("[[turn]]\ntext = 'a'\n[[turn.answer]]\ntext = 'b'", "turn 1: it has both", ""),
    "bad pattern": ("[[turn]]\ntext = ''\nwhen = '(['", "turn 1: `when` is not a regular expression", ""),
}


@pytest.mark.parametrize(("script", "message", "more"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_script_is_a_configuration_error_that_names_file_and_place(
    tmp_path: Path, script: str | bytes, message: str, more: str
) -> None:
    path = tmp_path / "answers.toml"
    path.write_bytes(script if isinstance(script, bytes) else script.encode())
    with pytest.raises(UserError) as caught:
        chunks_of(scripted(path), user("x"))
    error = caught.value
    assert error.exit_code == Exit.CONFIG
    assert error.message.startswith(f"the script {path} cannot be used: {message}")
    assert more in error.message + error.hint
    assert error.hint


@pytest.mark.parametrize("data", ["", "{", "[]", '{"turn": [{"text": NaN}]}', "[" * 100_000, '{"turn": [{"text": "a"}]}}'])
def test_a_wrong_json_script_is_one_too(tmp_path: Path, data: str) -> None:
    path = tmp_path / "answers.json"
    path.write_text(data)
    with pytest.raises(UserError) as caught:
        chunks_of(scripted(path), user("x"))
    assert caught.value.exit_code == Exit.CONFIG


@pytest.mark.parametrize("model", ["nowhere.toml", "./", "a\0b", "x" * 5000, "~nobody-at-all/x.toml"])
def test_a_script_that_is_not_there_is_a_configuration_error(model: str) -> None:
    with pytest.raises(UserError) as caught:
        chunks_of(scripted(), user("x"), model=model)
    assert caught.value.exit_code == Exit.CONFIG


# Where the script is


def test_the_model_is_the_path_of_the_script(tmp_path: Path) -> None:
    path = written(tmp_path, '[[turn]]\ntext = "mine"')
    assert answer_of(scripted(), user("x"), model=str(path)).text == "mine"


def test_a_script_from_the_configuration_answers_whatever_the_model_is_called(tmp_path: Path) -> None:
    path = written(tmp_path, '[[turn]]\ntext = "mine"')
    assert answer_of(scripted(path), user("x"), model="demo").text == "mine"


def test_a_script_that_was_changed_is_read_again(tmp_path: Path) -> None:
    path = written(tmp_path, '[[turn]]\ntext = "one"')
    provider = scripted(path)
    assert answer_of(provider, user("x")).text == "one"
    path.write_text('[[turn]]\ntext = "another"')
    assert answer_of(provider, user("x")).text == "another"


GUIDE = Path(__file__).parent.parent.parent / "docs" / "guides" / "scripted.md"


def test_every_script_in_the_guide_is_one(tmp_path: Path) -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    scripts = [block for block in blocks if "[[turn]]" in block]
    assert len(scripts) >= 4
    for script in scripts:
        try:
            chunks_of(scripted(written(tmp_path, script)), user("What time is it?"))
        except ProviderError:
            assert "fault" in script


def test_the_guide_names_every_key_and_every_kind_of_fault() -> None:
    told = GUIDE.read_text(encoding="utf-8")
    keys = {key for kind in (Script, Turn, Call, Fault, Tokens) for key in kind.__struct_encode_fields__}
    assert [name for name in sorted(keys) if not re.search(rf"\b{name}\b", told)] == []
    assert [kind for kind in get_args(Kind) if f"`{kind}`" not in told] == []


# The demonstration


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("hello", "# Hello!"),
        ("Hi!", "| `help` |"),
        ("help", "OPENAI_API_KEY"),
        ("How do I get a real model?", "OPENAI_BASE_URL"),
        ("which model are you?", "[providers.lab]"),
        ("Show me some Python code", "```python"),
        ("thanks!", "Ctrl-D"),
        ("what time is it?", "agentcli --tool clock"),
        ("Erzähl mir was", "“Erzähl mir was”"),
        ("", "You said"),
        ("x " * 5000, "…”"),
        ("this", "You said"),
    ],
)
def test_the_demonstration_answers_anything(said: str, found: str) -> None:
    answer = answer_of(scripted(), user(said), model="demo", rate=0)
    assert found in answer.text
    assert answer.stop == "done"
    assert len(answer.text) < 2000


def test_the_demonstration_looks_at_the_clock_and_says_what_it_saw() -> None:
    async def main() -> Thread:
        thread = Thread()
        agent = Agent(scripted(), "demo", tools=[load("clock")], settings={"rate": 0})
        await collect(agent.stream("Hi, what time is it?", thread))
        return thread

    thread = asyncio.run(main())
    assert [message.role for message in thread.messages] == ["user", "assistant", "tool", "assistant"]
    result = thread.messages[2].results[0]
    assert not result.is_error
    assert result.content in thread.messages[3].text


def test_the_demonstration_comes_at_the_pace_of_a_model() -> None:
    began = monotonic()
    assert "Ctrl-D" in answer_of(scripted(), user("thanks"), model="demo").text
    assert 0.3 < monotonic() - began < 3

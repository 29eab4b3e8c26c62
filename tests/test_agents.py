"""Named agents: their files, where they stand among the layers, and what is wrong with them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentcli import assemble
from agentcli.assemble.named import Agents, named, wrong
from agentcli.config import Loaded, load
from agentcli.config.agent import AgentConfig, allowed, check_name, decoded, file_of, find, laid_over, misnamed, names, template
from agentcli.config.agent import load as load_agent
from agentcli.config.document import LIMIT
from agentcli.core.agent import Agent
from agentcli.core.thread import Thread
from agentcli.errors import Exit, UserError
from agentcli.tools.clock import clock
from agentcli.ui.agents import gone
from agentcli.ui.slash.words import offered
from tests.test_startup import run
from tests.ui.chats import chat_on, play

WHOLE = """\
description = "Reviews a change."
model = "lab/qwen"
tools = ["clock", "mine.py:lines"]
max-steps = 7
instructions = '''
You review.
Be terse.'''

[settings]
temperature = 0
stop = ["END"]
"""
LAB = "[providers.lab]\nbase-url = 'http://127.0.0.1:9/v1'\n"
BAD_NAMES = [
    "", ".", "..", "../x", "/etc/passwd", "a/b", "a\\b", "-rf", "_x", "a b", "x.toml", "x\n", "\x1b[2J", "\u202egnp", "\udcff", "é",
    "none", "NONE", "agentcli", "Agentcli", "x" * 65, "x" * 300,
]  # fmt: skip


def write(name: str, text: str | bytes) -> Path:
    file = file_of(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def configure(text: str) -> None:
    file = Path(os.environ["AGENTCLI_HOME"]) / "config.toml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)


def refused(work: Callable[[], object], code: int = Exit.CONFIG) -> UserError:
    with pytest.raises(UserError) as caught:
        work()
    assert caught.value.exit_code == code, caught.value.message
    return caught.value


# --- the file ---


def test_a_file_is_read_whole_and_its_tools_are_beside_it() -> None:
    file = write("reviewer", WHOLE)
    agent = load_agent("reviewer")
    assert agent.file == file
    assert agent.config == AgentConfig(
        description="Reviews a change.",
        model="lab/qwen",
        tools=("clock", str(file.parent / "mine.py:lines")),
        max_steps=7,
        instructions="You review.\nBe terse.",
        settings={"temperature": 0, "stop": ["END"]},
    )


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "\ufeff"])
def test_a_file_that_says_nothing_is_an_agent(text: str) -> None:
    write("a", text)
    assert load_agent("a").config == AgentConfig()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("mdoel = 'a/b'", ":1: unknown key `mdoel`; did you mean `model`?"),
        ("\n\nmodel = 1", ":3: `model`: expected text in one line, found 1"),
        ("description = 'a\\nb'\ndescription = 'c'", ":2: not TOML: "),
        ('description = "a\\nb"', ":1: `description`: expected text in one line"),
        ("tools = 'clock'", ":1: `tools`: expected a list of texts, found the text 'clock'"),
        ("max-steps = 0", ":1: `max-steps`: expected a whole number above 0, found 0"),
        ("max_steps = 1", ":1: unknown key `max_steps`; did you mean `max-steps`?"),
        ("instructions = ['a']", ":1: `instructions`: expected text, found a list"),
        ("[settings]\n\ntemperature = {}", ":3: `settings.temperature`: expected text, a number"),
        ("[settings]\n'a b' = 1", ":2: `a b` in [settings] must be a name"),
        ("[providers.lab]\nbase-url = 'http://evil.example'", ":1: unknown key `providers`"),
        ("model = ", ":1: not TOML: "),
        ("x = " + "[" * 10_000, " is nested too deeply"),
        (b"\xff\xfem\x00", " is UTF-16"),
        (b"a = 'b'\n\0", " holds a NUL byte in line 2"),
        (b"\xff", " is not UTF-8"),
        (b"#" * (LIMIT + 1), " is larger than 1 MiB"),
    ],
)
def test_a_file_that_is_wrong_is_told_with_its_line(text: str | bytes, says: str) -> None:
    file = write("a", text)
    error = refused(lambda: load_agent("a"))
    assert error.message.startswith(f"{file}{says}"), error.message
    assert "config edit" not in error.hint


def test_what_is_no_file_is_told_and_does_not_hang(tmp_path: Path) -> None:
    file_of("a").mkdir(parents=True)
    os.mkfifo(file_of("b"))
    file_of("c").symlink_to("nowhere")
    assert "is not a file" in refused(lambda: load_agent("a")).message
    assert "is not a file" in refused(lambda: load_agent("b")).message
    assert find("c") is None
    os.environ["AGENTCLI_HOME"] = str(tmp_path / "other")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "agents").write_text("a file")
    refused(names)
    refused(lambda: find("a"))


@pytest.mark.parametrize("name", BAD_NAMES)
def test_only_a_name_is_a_name(name: str) -> None:
    assert not allowed(name)
    assert find(name) is None
    refused(lambda: check_name(name), Exit.USAGE)
    error = refused(lambda: load_agent(name), Exit.USAGE)
    assert error.message.isprintable()
    assert len(error.message) < 100


@pytest.mark.parametrize("name", ["a", "9", "a-b_c", "A1", "x" * 64])
def test_any_name_is_a_name(name: str) -> None:
    check_name(name)
    write(name, "")
    assert names() == [name]


def test_nothing_is_read_outside_the_folder(tmp_path: Path) -> None:
    write("good", "")
    (tmp_path / "home" / "secret.toml").write_text("model = 'a/b'")
    for name in ("../secret", "./../secret", str(tmp_path / "home" / "secret")):
        refused(lambda name=name: load_agent(name), Exit.USAGE)  # type: ignore[misc]
    (tmp_path / "home" / "agents" / "a b.toml").write_text("")
    (tmp_path / "home" / "agents" / ".hidden.toml").write_text("")
    (tmp_path / "home" / "agents" / "good.toml~").write_text("")
    assert names() == ["good"]
    assert misnamed() == ["a b.toml"]


def test_the_nearest_name_is_offered() -> None:
    assert "agents new NAME" in refused(lambda: load_agent("x"), Exit.USAGE).hint
    for name in ("reviewer", "cook", "Ada", *(f"number-{at}" for at in range(20))):
        write(name, "")
    assert refused(lambda: load_agent("Reviwer"), Exit.USAGE).hint == "Did you mean reviewer?"
    hint = refused(lambda: load_agent("zzz"), Exit.USAGE).hint
    assert hint.startswith("There are: Ada, cook, number-0, ")
    assert hint.endswith(", ….")


# --- writing one ---


def test_the_empty_template_sets_nothing_and_says_everything() -> None:
    text = template(AgentConfig())
    assert decoded(Path("/x/a.toml"), text) == AgentConfig()
    opened = "\n".join(line.removeprefix("# ") for line in text.splitlines() if "=" in line or line.startswith("# ["))
    assert {*AgentConfig.__struct_encode_fields__} == {line.partition(" ")[0].strip("[]") for line in opened.splitlines()} - {
        "temperature"
    }
    decoded(Path("/x/a.toml"), opened)


LINES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@settings(deadline=None)
@given(
    st.builds(
        AgentConfig,
        description=LINES,
        tools=st.lists(LINES.filter(lambda name: ".py:" not in name), max_size=3).map(tuple),
        max_steps=st.integers(1, 1_000_000),
        instructions=TEXTS | st.text('"\\\n\r\t\x01a', max_size=12),
        settings=st.dictionaries(
            st.sampled_from(["stop", "max-tokens", "1"]), st.integers(0, 9) | st.booleans() | LINES | st.lists(LINES)
        ),
    )
)
def test_what_is_written_is_read_again(config: AgentConfig) -> None:
    assert decoded(Path("/x/a.toml"), template(config)) == config


# --- among the layers ---


def over(text: str, **flags: object) -> Loaded:
    write("a", text)
    return laid_over(load(overrides=flags), load_agent("a"))


def test_an_agent_is_over_the_file_and_the_variables_and_under_the_flags() -> None:
    configure("model = 'a/file'\nmax-steps = 1\n")
    os.environ["AGENTCLI_MODEL"] = "a/variable"
    assert over("model = 'a/agent'\nmax-steps = 2").config.model == "a/agent"
    assert over("").config.model == "a/variable"
    assert over("max-steps = 2").config.max_steps == 2
    assert over("").config.max_steps == 1
    loaded = over("model = 'a/agent'\nmax-steps = 2", model="a/flag", max_steps=3)
    assert (loaded.config.model, loaded.config.max_steps) == ("a/flag", 3)


def test_an_agent_is_whole_in_its_instructions_and_tools() -> None:
    configure("system = 'Be kind.'\ntools = ['clock']\n")
    os.environ["AGENTCLI_SYSTEM"] = "Be quick."
    config = over("").config
    assert (config.system, config.tools) == ("", ())
    config = over("instructions = 'Review.'\ntools = ['x.py:y']").config
    assert (config.system, config.tools) == ("Review.", (str(file_of("a").parent / "x.py:y"),))
    config = over("instructions = 'Review.'\ntools = ['x']", system="Sing.", tools=["clock"]).config
    assert (config.system, config.tools) == ("Sing.", ("clock",))
    assert over("tools = ['x']", tools=[]).config.tools == ()  # --no-tools


def test_settings_are_joined() -> None:
    configure("[settings]\ntemperature = 1\nmax-tokens = 5\nseed = 1\n")
    loaded = over("[settings]\ntemperature = 0\ntop-p = 0.5\nseed = 2", settings={"top-p": 0.9, "seed": 3})
    assert loaded.config.settings == {"temperature": 0, "max-tokens": 5, "seed": 3, "top-p": 0.9}


def test_one_agent_takes_the_place_of_another() -> None:
    configure("model = 'a/file'\nsystem = 'Be kind.'\n")
    write("b", "instructions = 'Cook.'")
    first = over("model = 'lab/x'\ninstructions = 'Review.'\n[settings]\nseed = 1\n")
    second = laid_over(first, load_agent("b"))
    assert (second.config.model, second.config.system, second.config.settings) == ("a/file", "Cook.", {})
    assert second.own == first.own == load()
    assert named(second, "none") == named(second, None) == load()


def test_the_rest_of_the_configuration_is_as_it_was() -> None:
    configure(f"timeout = 7\nsave = false\n{LAB}")
    before, after = load(), over(WHOLE)
    for key in set(before.config.__struct_fields__) - {"model", "system", "tools", "max_steps", "settings"}:
        assert getattr(before.config, key) == getattr(after.config, key), key


# --- which agent it is ---


def test_a_thread_gets_the_name_and_has_its_agent_again() -> None:
    configure(LAB)
    write("a", "instructions = 'Review.'")
    thread, loaded = Thread(), load()
    assert assemble.answering(loaded, thread, None) is loaded
    assert assemble.answering(loaded, thread, "a").config.system == "Review."
    assert b'"agent": "a"' in thread.dump()
    assert assemble.answering(loaded, thread, None).config.system == "Review."
    assert assemble.configured_agent(assemble.answering(loaded, thread, None), "lab/x", keep=False).name == "a"
    assert assemble.answering(loaded, thread, "none").agent is None
    assert thread.agent is None
    assert assemble.configured_agent(loaded, "lab/x", keep=False).name == "agentcli"


@pytest.mark.parametrize("name", ["a", "../../etc/passwd", "\x1b[2J", "x" * 1000, "none", "agentcli"])
def test_a_thread_keeps_the_name_of_an_agent_that_is_gone(name: str) -> None:
    thread, told = Thread(agent=name), list[str]()
    loaded = load()
    assert assemble.answering(loaded, thread, None, tell=told.append) is loaded
    assert told == [gone(name)]
    assert told[0].isprintable()
    assert len(told[0]) < 200
    assert thread.agent == name


def test_an_agent_whose_file_is_wrong_is_not_passed_over() -> None:
    file = write("a", "instructions = 1")
    error = refused(lambda: assemble.answering(load(), Thread(agent="a"), None))
    assert error.message.startswith(f"{file}:1: ")


# --- what only others can judge ---


def test_a_model_that_there_is_not_is_a_fault_of_the_file() -> None:
    configure(f"[aliases]\nfast = 'openai/mini'\n{LAB}")
    for good in ("openai/x", "lab/x", "lab", "ollama", "fast"):
        write("a", f"model = '{good}'")
        assert named(load(), "a").config.model == good
    for bad, says in {"nobody/x": "no provider is called 'nobody'", "qwen": "'qwen' does not name a model"}.items():
        file = write("a", f"# hm\nmodel = '{bad}'")
        error = refused(lambda: named(load(), "a"))
        assert error.message == f"{file}:2: `model`: {says}"
        assert named(load(overrides={"model": "openai/x"}), "a").config.model == "openai/x"  # another one is asked


def test_a_tool_that_there_is_not_is_a_fault_of_the_file() -> None:
    configure(LAB)
    file = write("a", "description = 'x'\ntools = ['clok']")
    error = refused(lambda: assemble.configured_agent(named(load(), "a"), "lab/x", keep=False))
    assert error.message == f"{file}:2: `tools`: there is no tool 'clok'"
    error = refused(
        lambda: assemble.configured_agent(named(load(overrides={"tools": ["clok"]}), "a"), "lab/x", keep=False), Exit.USAGE
    )
    assert error.message == "there is no tool 'clok'"


def test_what_is_wrong_is_found_without_running_anything(tmp_path: Path) -> None:
    tool = tmp_path / "mine.py"
    tool.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\ndef lines(): pass\n")

    def found(model: str = "", tools: tuple[str, ...] = ()) -> dict[str, str]:
        return {key: error.message for key, error in wrong(load(), AgentConfig(model=model, tools=tools))}

    assert found("openai/x", ("clock", f"{tool}:lines")) == {}
    assert found("nobody/x", (str(tool),)) == {
        "model": "no provider is called 'nobody'",
        "tools": f"say which function of {tool} is the tool",
    }
    assert found(tools=("nowhere.py:f",)) == {"tools": "there is no file nowhere.py"}
    assert found(tools=("clok",)) == {"tools": "there is no tool 'clok'"}
    assert list(wrong(None, AgentConfig(model="nobody/x"))) == []  # who knows
    assert not (tmp_path / "ran").exists()


# --- in a chat ---


def cast(**flags: object) -> tuple[Agents, Callable[[str | None, str], Agent]]:
    agents = Agents(load(overrides=flags), lambda loaded, model: assemble.configured_agent(loaded, model, keep=True))
    return agents, lambda name, model: asyncio.run(agents.make(name, model))


def said(agent: Agent) -> tuple[str, str, str]:
    return agent.name, agent.full_model, agent.instructions


def test_a_chat_changes_between_agents() -> None:
    configure(f"system = 'Be kind.'\n{LAB}")
    write("a", "model = 'lab/big'\ninstructions = 'Review.'")
    write("b", "description = 'Cooks'\ninstructions = 'Cook.'")
    write("c", "nonsense = 1")
    agents, make = cast()
    assert agents.rows() == [("a", ""), ("b", "Cooks"), ("c", "its file is wrong")]
    assert said(agents.on("lab/x", None)) == ("agentcli", "lab/x", "Be kind.")
    assert said(make("a", "lab/x")) == ("a", "lab/big", "Review.")
    assert said(make("b", "lab/x")) == ("b", "lab/x", "Cook.")
    assert said(make(None, "lab/y")) == ("agentcli", "lab/y", "Be kind.")
    refused(lambda: make("c", "lab/x"))
    refused(lambda: make("nobody", "lab/x"), Exit.USAGE)
    file_of("a").unlink()
    assert said(agents.on("lab/y", "a")) == ("a", "lab/y", "Review.")  # it answers on, though its file is gone
    assert said(cast(model="lab/flag")[1]("b", "lab/x")) == ("b", "lab/flag", "Cook.")


# --- start-up ---


def test_without_an_agent_nothing_of_this_is_loaded() -> None:
    ours = {"agentcli.config.agent", "agentcli.assemble.named", "agentcli.ui.agents"}
    assert not run("ask", "-m", "scripted/demo", "hi")[1] & ours
    write("a", "description = 'x'")
    unwanted = {"asyncio", "tomlkit", "httpx", "prompt_toolkit", "ssl", "agentcli.assemble", "agentcli.store", "agentcli.core.agent"}
    assert sorted(run("agents", "list")[1] & unwanted) == []
    assert sorted(run("agents", "new", "--help")[1] & (unwanted | {"msgspec", "tomllib", "agentcli.config"})) == []


# --- /agent, without a terminal ---


def test_another_agent_answers_in_the_chat(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chat = chat_on(tmp_path, tools=(clock,), instructions="Be kind.")
    asyncio.run(play(chat, "/agent"))
    assert "No agent is named; the model is fake/model.\n  ada  counts\n  bob\n" in capsys.readouterr().err
    asyncio.run(play(chat, "/agent bob", "hi", "/system Sing.", "/tools off clock"))
    assert said(chat.session.agent) == ("bob", "fake/model", "Sing.")
    assert chat.store.seen(chat.session.thread.id).agent == "bob"
    asyncio.run(play(chat, "/model fake/other"))
    assert said(chat.session.agent) == ("bob", "fake/other", "Sing.")
    asyncio.run(play(chat, "/agent ada"))
    assert said(chat.session.agent) == ("ada", "fake/ada's", "You are ada.")  # what was said to bob, ada does not hear
    assert (chat.off, chat.session.agent.tools) == ({"clock"}, ())
    assert chat.facts() == "ada · fake/ada's"
    refused(lambda: asyncio.run(play(chat, "/agent nobody")), Exit.USAGE)
    assert (chat.agent, chat.session.thread.agent) == ("ada", "ada")
    asyncio.run(play(chat, "/new"))
    assert (chat.agent, chat.session.thread.agent) == ("ada", "ada")
    asyncio.run(play(chat, "/agent none"))
    assert said(chat.session.agent) == ("agentcli", "fake/ada's", "Be kind.")
    assert chat.session.thread.agent is None
    assert [name for name, _ in offered(chat, list)["/agent"]("")] == ["ada", "bob", "none"]


def test_a_thread_that_cannot_be_gone_to_leaves_the_agent_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = (chat_on(tmp_path, thread=thread) for thread in (Thread(agent="bob"), Thread()))
    for chat in (first, second):
        asyncio.run(play(chat, "hi"))
    busy = first.session.thread.id
    refused(lambda: asyncio.run(play(second, f"/resume {busy}")), 1)  # the other chat has it
    assert (second.agent, second.session.thread.agent) == (None, None)
    first.session.close()
    asyncio.run(play(second, f"/resume {busy}"))
    assert (second.agent, second.session.thread.id) == ("bob", busy)
    assert "bob answers here, on fake/model." in capsys.readouterr().err
    second.session.close()

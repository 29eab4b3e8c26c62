"""Named agents as a person has them: `agentcli agents`, `-a`, `/agent`, and what arrives at the model."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.model_server import Asked, ModelServer
from tests.program import PROGRAM, agentcli, environment, start
from tests.terminal import Terminal

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")

ATTACK = "\x9b31m\u202eevil\u2066\u200b\U000e0041 done"
REVIEWER = """\
description = "Reviews a change."
model = "openai/big"
tools = ["mine.py:lines"]
instructions = "You review."

[settings]
temperature = 0.5
seed = 7
"""
CONFIG = "system = 'Be kind.'\ntools = ['clock']\n[settings]\nseed = 1\ntop-p = 0.9\n"
TOOL = 'def lines(text: str) -> int:\n    """Count the lines."""\n    return len(text.splitlines())\n'


def home() -> Path:
    return Path(os.environ["AGENTCLI_HOME"])


def write(name: str, text: str) -> Path:
    file = home() / "agents" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


@pytest.fixture
def reviewer() -> Path:
    write("mine.py", TOOL)
    file = write("reviewer.toml", REVIEWER)
    (home() / "config.toml").write_text(CONFIG)
    return file


def instructions(asked: Asked) -> str:
    return "\n".join(message["content"] for message in asked.body["messages"] if message["role"] in ("system", "developer"))


def tools(asked: Asked) -> list[str]:
    return [tool["function"]["name"] for tool in asked.body.get("tools", [])]


def had(asked: Asked) -> tuple[str, str, list[str]]:
    """What was asked of the model: which one, its instructions, its tools."""
    return asked.body["model"], instructions(asked), tools(asked)


def ask(server: ModelServer, *arguments: str, code: int = 0, **more: str | None) -> subprocess.CompletedProcess[str]:
    done = agentcli("ask", *arguments, server=server, **more)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def thread() -> dict[str, Any]:
    (file,) = (home() / "threads").glob("*.json")
    found: dict[str, Any] = json.loads(file.read_bytes())
    return found


OWN = ("any", "Be kind.", ["clock"])
ITS = ("big", "You review.", ["lines"])


# --- what arrives at the model ---


def test_an_agent_has_its_own_model_instructions_tools_and_settings(server: ModelServer, reviewer: Path, tmp_path: Path) -> None:
    ask(server, "-a", "reviewer", "hi")
    asked = server.requests[-1]
    assert had(asked) == ITS
    assert (asked.body["temperature"], asked.body["seed"], asked.body["top_p"]) == (0.5, 7, 0.9)
    assert thread()["agent"] == "reviewer"
    assert [message.get("author") for message in thread()["messages"]] == [None, "reviewer"]
    ask(server, "--no-save", "hi")
    assert had(server.requests[-1]) == OWN


def test_flags_go_before_the_agent(server: ModelServer, reviewer: Path) -> None:
    ask(server, "-a", "reviewer", "-m", "openai/other", "-s", "Sing.", "--tool", "clock", "-o", "seed=9", "hi")
    assert had(server.requests[-1]) == ("other", "Sing.", ["clock"])
    assert (server.requests[-1].body["seed"], server.requests[-1].body["temperature"]) == (9, 0.5)
    ask(server, "-a", "reviewer", "--no-tools", "--no-save", "hi")
    assert had(server.requests[-1]) == ("big", "You review.", [])


def test_what_an_agent_does_not_say(server: ModelServer, reviewer: Path) -> None:
    write("plain.toml", "")
    ask(server, "-a", "plain", "hi")
    assert had(server.requests[-1]) == ("any", "", [])
    assert server.requests[-1].body["seed"] == 1


def test_an_agents_tool_runs_and_its_steps_count(server: ModelServer, reviewer: Path) -> None:
    reviewer.write_text("max-steps = 1\n" + REVIEWER)
    server.calls("lines", {"text": "a\nb"}).then.says("Two.")
    done = ask(server, "-a", "reviewer", "hi", code=1)
    assert "limit of steps" in done.stderr
    reviewer.write_text(REVIEWER)
    server.calls("lines", {"text": "a\nb"}).then.says("Two.")
    with ModelServer().calls("lines", {"text": "a\nb"}).then.says("Two.") as other:
        assert ask(other, "-a", "reviewer", "--no-save", "hi").stdout == "Two.\n"
        assert other.requests[-1].body["messages"][-1]["content"] == "2"


# --- a thread keeps its agent ---


@pytest.mark.parametrize("how", ["-c", "-t", "--fork"])
def test_a_thread_has_its_agent_again(how: str, server: ModelServer, reviewer: Path) -> None:
    ask(server, "-a", "reviewer", "hi")
    first = thread()["id"]
    ask(server, *{"-c": ["-c"], "-t": ["-t", first], "--fork": ["-t", first, "--fork"]}[how], "more")
    assert had(server.requests[-1]) == ITS
    rows = json.loads(agentcli("threads", "list", "--json").stdout)
    assert {row["agent"] for row in rows} == {"reviewer"}
    assert len(rows) == 1 + (how == "--fork")


def test_another_agent_takes_a_thread_over_and_none_leaves_it(server: ModelServer, reviewer: Path) -> None:
    write("cook.toml", "instructions = 'You cook.'")
    ask(server, "-a", "reviewer", "hi")
    ask(server, "-c", "-a", "cook", "hi")
    assert (had(server.requests[-1]), thread()["agent"]) == (("any", "You cook.", []), "cook")
    ask(server, "-c", "hi")
    assert instructions(server.requests[-1]) == "You cook."
    ask(server, "-c", "-a", "none", "hi")
    assert (had(server.requests[-1]), thread()["agent"]) == (OWN, None)
    ask(server, "-c", "hi")
    assert had(server.requests[-1]) == OWN
    assert [message.get("author") for message in thread()["messages"] if message["role"] == "assistant"] == [
        "reviewer", "cook", "cook", "agentcli", "agentcli",
    ]  # fmt: skip


def test_an_agent_that_is_gone_is_told_and_may_come_back(server: ModelServer, reviewer: Path) -> None:
    ask(server, "-a", "reviewer", "hi")
    reviewer.rename(reviewer.with_suffix(".old"))
    done = ask(server, "-c", "hi")
    assert done.stderr.startswith("note: there is no agent reviewer any more")
    assert had(server.requests[-1]) == OWN
    assert ask(server, "-c", "-q", "hi").stderr == ""
    assert thread()["agent"] == "reviewer"
    reviewer.with_suffix(".old").rename(reviewer)
    assert ask(server, "-c", "hi").stderr == ""
    assert had(server.requests[-1]) == ITS


def test_an_agent_whose_file_has_become_wrong_does_not_answer_as_another(server: ModelServer, reviewer: Path) -> None:
    ask(server, "-a", "reviewer", "hi")
    before = thread()
    reviewer.write_text("instructions = 7")
    done = ask(server, "-c", "hi", code=78)
    assert done.stderr.startswith(f"error: {reviewer}:1: `instructions`: expected text, found 7\n")
    assert json.loads(ask(server, "-c", "--json", "hi", code=78).stdout)["error"]["kind"] == "config"
    assert thread() == before
    assert len(server.requests) == 1


def test_after_a_crash_the_thread_still_has_its_agent(server: ModelServer, reviewer: Path) -> None:
    server.stalls("mid-stream", text="Once upon a").then.says(" time.")
    program = start("ask", "-a", "reviewer", "hi", server=server)
    assert program.stdout
    assert os.read(program.stdout.fileno(), 100)
    program.send_signal(signal.SIGKILL)
    program.communicate(timeout=10)
    ask(server, "-c")
    assert had(server.requests[-1])[:2] == ITS[:2]
    assert (thread()["agent"], thread()["messages"][-1]["author"]) == ("reviewer", "reviewer")


# --- faults ---


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("modle = 'x'", 78, ":1: unknown key `modle`; did you mean `model`?"),
        ("[settings]\nseed = {}", 78, ":2: `settings.seed`: expected"),
        ("\nmodel = 'nobody/x'", 78, ":2: `model`: no provider is called 'nobody'"),
        ("tools = ['clok']", 78, ":1: `tools`: there is no tool 'clok'"),
        ("tools = ['gone.py:f']", 78, ":1: `tools`: there is no file"),
        ("=", 78, ":1: not TOML"),
    ],
)
def test_a_fault_names_file_and_line(server: ModelServer, text: str, code: int, says: str) -> None:
    file = write("a.toml", text)
    done = ask(server, "-a", "a", "hi", code=code)
    assert done.stderr.startswith(f"error: {file}{says}"), done.stderr
    assert server.requests == []


@pytest.mark.parametrize("name", ["", "../secret", "/etc/passwd", "-rf", "x" * 300, "a b", "\x1b[2J\x07", "\u202egnp", "\udcff", "."])
def test_a_name_that_is_none_finds_nothing(server: ModelServer, reviewer: Path, name: str) -> None:
    (home() / "secret.toml").write_text("model = 'a/b'")
    for done in (ask(server, f"--agent={name}", "hi", code=2), agentcli("agents", "show", "--", name)):
        assert done.returncode == 2
        assert done.stderr.startswith("error: there is no agent '")
        assert done.stderr.replace("\n", "").isprintable()
    done = agentcli("agents", "new", "--", name)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: an agent cannot be called '")
    assert sorted(path.name for path in home().rglob("*.toml")) == ["config.toml", "reviewer.toml", "secret.toml"]


def test_the_nearest_name_is_offered(server: ModelServer, reviewer: Path) -> None:
    assert "hint: Did you mean reviewer?" in ask(server, "-a", "reviwer", "hi", code=2).stderr


# --- agentcli agents ---


def test_new_writes_a_file_that_is_nobody_elses_and_never_over_another(server: ModelServer) -> None:
    write("mine.py", TOOL)
    arguments = ["-d", "Reads.", "-m", "openai/big", "-i", 'Be\n"terse".', "--tool", "agents/mine.py:lines", "-o", "seed=7"]
    file = home() / "agents" / "new-one.toml"
    done = subprocess.run(
        [*PROGRAM, "agents", "new", "new-one", *arguments], cwd=home(), capture_output=True, text=True, timeout=40, env=environment()
    )
    assert (done.returncode, done.stdout) == (0, f"{file}\n"), done.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    ask(server, "-a", "new-one", "hi")
    assert had(server.requests[-1]) == ("big", 'Be\n"terse".', ["lines"])
    assert server.requests[-1].body["seed"] == 7
    before = file.read_bytes()
    again = agentcli("agents", "new", "new-one")
    assert (again.returncode, file.read_bytes()) == (2, before)
    assert "agents edit new-one" in again.stderr


def test_new_makes_the_folder_for_nobody_else() -> None:
    assert agentcli("agents", "new", "a").returncode == 0
    assert [stat.S_IMODE(path.stat().st_mode) for path in (home(), home() / "agents")] == [0o700, 0o700]
    assert "# instructions = " in (home() / "agents" / "a.toml").read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-m", "gpt"], "--model: 'gpt' does not name a model"),
        (["-m", "nobody/x"], "--model: no provider is called 'nobody'"),
        (["--tool", "clok"], "--tool: there is no tool 'clok'"),
        (["--tool", "gone.py:f"], "--tool: there is no file"),
        (["-d", ""], "--description: expected text in one line"),
        (["-d", "a\nb"], "--description: expected text in one line"),
        (["-o", "seed"], "-o takes KEY=VALUE"),
        (["-o", "a b=1"], "-o a b: `a b` in [settings] must be a name"),
    ],
)
def test_new_writes_nothing_that_would_not_work(arguments: list[str], says: str) -> None:
    done = agentcli("agents", "new", "a", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {says}"), done.stderr
    assert not (home() / "agents").exists()


def test_list_and_show(reviewer: Path) -> None:
    write("Ada.toml", "")
    write("broken.toml", "x")
    write("not one.toml", "")
    done = agentcli("agents", "list")
    assert (done.returncode, done.stdout) == (0, "Ada\t\t\nreviewer\tReviews a change.\topenai/big\n")
    assert f"warning: {home()}/agents/broken.toml:1: not TOML" in done.stderr
    assert "warning: 'not one.toml' is no agent" in done.stderr
    ada, found = json.loads(agentcli("agents", "list", "--json").stdout)
    assert {key: value for key, value in ada.items() if value} == {"name": "Ada", "path": str(home() / "agents" / "Ada.toml")}
    assert [*ada] == ["name", "description", "model", "tools", "max_steps", "settings", "instructions", "path"] == [*found]
    assert json.loads(agentcli("agents", "show", "reviewer", "--json").stdout) == found
    assert found["tools"] == [str(home() / "agents" / "mine.py:lines")]
    shown = agentcli("agents", "show", "reviewer").stdout
    assert shown.startswith("reviewer: Reviews a change.\nmodel:     openai/big\n")
    assert "settings:  temperature=0.5, seed=7\n" in shown
    assert shown.endswith("\n\nYou review.\n")
    assert agentcli("agents", "show", "broken").returncode == 78


def test_what_a_file_says_is_harmless_on_a_terminal_and_exact_in_a_pipe() -> None:
    write("evil.toml", f'description = "{ATTACK}"\nmodel = "a/{ATTACK}"\ninstructions = "\\u001b[2J{ATTACK}"\n')
    assert ATTACK in agentcli("agents", "list").stdout
    assert agentcli("agents", "show", "evil").stdout.endswith(f"\x1b[2J{ATTACK}\n")
    for arguments in (["list"], ["list", "--json"], ["show", "evil"], ["show", "evil", "--json"]):
        with Terminal([*PROGRAM, "agents", *arguments], env=environment(TERM="xterm", NO_COLOR="1"), size=(120, 40)) as terminal:
            assert terminal.wait() == 0
            raw = terminal.raw.decode()
        assert "evil" in raw
        assert not set(raw) & set("\x1b\x9b\u202e\u2066\u200b\U000e0041")
    env = {"_AGENTCLI_COMPLETE": "fish"}
    offered = agentcli("agents", "show", "", **env).stdout
    assert offered.startswith("words\nevil\t")
    assert offered.replace("\n", "").replace("\t", "").isprintable()


def editor(tmp_path: Path, program: str) -> dict[str, str]:
    """An editor that carries out Python on the `text` of its file, and counts how often it was called."""
    script = tmp_path / "editor"
    head = f"#!{sys.executable}\nimport sys\nopen({str(tmp_path / 'calls')!r}, 'a').write('x')\n"
    script.write_text(f"{head}path = sys.argv[-1]\ntext = open(path).read()\n{program}\nopen(path, 'w').write(text)\n")
    script.chmod(0o755)
    return {"EDITOR": str(script), "VISUAL": ""}


def test_edit_says_what_is_wrong_and_keeps_it(reviewer: Path, tmp_path: Path) -> None:
    reviewer.chmod(0o644)
    assert agentcli("agents", "edit", "reviewer", **editor(tmp_path, "text += 'stop = 1\\n'")).returncode == 0
    assert reviewer.read_text() == f"{REVIEWER}stop = 1\n"
    assert stat.S_IMODE(reviewer.stat().st_mode) == 0o600
    done = agentcli("agents", "edit", "reviewer", **editor(tmp_path, "text = 'tool = 1\\n'"))
    assert done.returncode == 78
    assert done.stderr.startswith(f"error: {reviewer}:1: unknown key `tool`; did you mean `tools`?")
    assert "kept as you left it" in done.stderr
    assert reviewer.read_text() == "tool = 1\n"
    done = agentcli("agents", "edit", "reviewer", **editor(tmp_path, "text = 'tools = [\"clok\"]\\n'"))  # opens also what is wrong
    assert done.returncode == 78
    assert done.stderr.startswith(f"error: {reviewer}:1: `tools`: there is no tool 'clok'")
    done = agentcli("agents", "edit", "reviewer", **editor(tmp_path, "sys.exit(3)"))
    assert (done.returncode, reviewer.read_text()) == (1, 'tools = ["clok"]\n')
    assert agentcli("agents", "edit", "reviwer", **editor(tmp_path, "")).returncode == 2
    assert agentcli("agents", "edit", "reviewer", EDITOR="no-such-editor", VISUAL="").returncode == 1


@pytest.mark.parametrize(("answer", "code", "calls"), [("y", 0, "xx"), ("n", 78, "x"), ("", 78, "x")])
def test_on_a_terminal_edit_offers_to_go_on(reviewer: Path, tmp_path: Path, answer: str, code: int, calls: str) -> None:
    env = editor(tmp_path, "text = 'tools = []' if text == 'wrong' else 'wrong'")
    with Terminal([*PROGRAM, "agents", "edit", "reviewer"], env=environment(**env), size=(100, 30)) as terminal:
        terminal.until("Edit it again? [y/N]")
        assert "not TOML" in terminal.text()
        terminal.send(f"{answer}\r")
        assert terminal.wait() == code
    assert (tmp_path / "calls").read_text() == calls
    assert reviewer.read_text() == ("tools = []" if code == 0 else "wrong")


# --- in a chat ---


def chat(server: ModelServer, *arguments: str, **more: Any) -> Terminal:
    env = environment(server, TERM="xterm-256color", NO_COLOR=None, SHELL="/bin/sh")
    return Terminal([*PROGRAM, *arguments], env=env, size=(100, 40), **more)


def ready(terminal: Terminal) -> bool:
    return next((row for row in reversed(terminal.screen()) if row), "") == ">"


def type_in(terminal: Terminal, line: str, until: str) -> None:
    """Type a line; wait for what comes of it, and for the prompt."""
    count = terminal.text().count(until)
    terminal.send(f"{line}\r")
    terminal.until(lambda terminal: terminal.text().count(until) > count and ready(terminal))


def test_a_chat_with_an_agent(server: ModelServer, reviewer: Path) -> None:
    with chat(server.echo(), "-a", "reviewer") as terminal:
        terminal.until(ready)
        assert "agentcli · reviewer · openai/big (the agent's) · /help" in terminal.text()
        type_in(terminal, "one", "one\n\n")
        assert had(server.requests[-1]) == ITS
        terminal.until(lambda terminal: any("reviewer · openai/big · " in row for row in terminal.screen()))
        type_in(terminal, "/model openai/other", "openai/other")
        type_in(terminal, "two", "two\n\n")
        assert had(server.requests[-1]) == ("other", "You review.", ["lines"])
        terminal.send("\x04")
        assert terminal.wait() == 0
    with chat(server, "resume", thread()["id"]) as terminal:
        terminal.until(ready)
        assert "agentcli · reviewer · " in terminal.text()
        type_in(terminal, "three", "three\n\n")
        assert had(server.requests[-1]) == ITS


def test_agents_change_in_a_chat(server: ModelServer, reviewer: Path) -> None:
    write("cook.toml", "description = 'Cooks'\ninstructions = 'You cook.'")
    write("broken.toml", "x")
    with chat(server.echo()) as terminal:
        terminal.until(ready)
        type_in(terminal, "one", "one\n\n")
        assert had(server.requests[-1]) == OWN
        type_in(terminal, "/agent", "reviewer  Reviews a change.")
        assert "No agent is named; the model is openai/any." in terminal.text()
        type_in(terminal, "/agent reviewer", "The agent is reviewer; the model is openai/big.")
        type_in(terminal, "/system Sing.", "Sing.")
        type_in(terminal, "two", "two\n\n")
        assert had(server.requests[-1]) == ("big", "Sing.", ["lines"])
        type_in(terminal, "/agent reviwer", "Did you mean reviewer?")
        type_in(terminal, "/agent broken", "agents edit broken")
        type_in(terminal, "/agent cook", "The agent is cook; the model is openai/any.")
        type_in(terminal, "three", "three\n\n")
        assert had(server.requests[-1]) == ("any", "You cook.", [])
        assert thread()["agent"] == "cook"
        type_in(terminal, "/new", "A new thread.")
        type_in(terminal, "four", "four\n\n")
        assert had(server.requests[-1]) == ("any", "You cook.", [])
        type_in(terminal, "/agent none", "No agent is named; the model is openai/any.")
        type_in(terminal, "five", "five\n\n")
        assert had(server.requests[-1]) == OWN
        terminal.send("\x04")
        assert terminal.wait() == 0
    assert sorted(str(row["agent"]) for row in json.loads(agentcli("threads", "list", "--json").stdout)) == ["None", "cook"]


def test_a_thread_that_is_resumed_in_a_chat_brings_its_agent(server: ModelServer, reviewer: Path) -> None:
    ask(server.echo(), "-a", "reviewer", "hi")
    name = thread()["id"]
    with chat(server) as terminal:
        terminal.until(ready)
        type_in(terminal, "one", "one\n\n")
        type_in(terminal, f"/resume {name}", "reviewer answers here, on openai/big.")
        type_in(terminal, "two", "two\n\n")
        assert had(server.requests[-1]) == ITS
        other = next(row["id"] for row in json.loads(agentcli("threads", "list", "--json").stdout) if row["id"] != name)
        type_in(terminal, f"/resume {other}", "No named agent answers here, on openai/any.")
        type_in(terminal, "three", "three\n\n")
        assert had(server.requests[-1]) == OWN
        reviewer.unlink()
        type_in(terminal, f"/resume {name}", "there is no agent reviewer any more")
        type_in(terminal, "four", "four\n\n")
        assert had(server.requests[-1]) == OWN


def test_tab_completes_an_agent_in_a_chat(server: ModelServer, reviewer: Path) -> None:
    write("cook.toml", "")
    with chat(server.echo()) as terminal:
        terminal.until(ready)
        terminal.send("/agent rev\t")
        terminal.until(lambda terminal: "> /agent reviewer" in terminal.screen())
        terminal.send("\r")
        terminal.until("The agent is reviewer; the model is openai/big.")

"""Which model is asked, as a person and a script see it: aliases, fallback, the window of a model, and no model at all."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from agentcli.config import places
from agentcli.core.message import assistant, user
from agentcli.core.thread import Thread
from agentcli.store.threads import Store
from tests.model_server import ModelServer, Reply
from tests.program import PROGRAM, agentcli, environment
from tests.program.test_context import is_for_a_summary
from tests.terminal import Terminal

needs_terminal = pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")


@pytest.fixture
def other() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


def said(text: str) -> Reply:
    return ModelServer().says(text)._script[0]


def configured(text: str) -> None:
    file = Path(os.environ["AGENTCLI_HOME"]) / "config.toml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)


def counted() -> Thread:
    """A saved thread of about eight thousand tokens."""
    turns = [message for number in range(20) for message in (user(f"question {number} " * 60), assistant(f"answer {number} " * 60))]
    thread = Thread.of(*turns)
    with Store(places().threads, places().blobs, places().cache).hold(thread) as writer:
        writer.commit()
    return thread


def two(server: ModelServer, other: ModelServer, more: str = "") -> None:
    """A configuration with two servers, of which the second is the fallback of the first."""
    configured(
        f"model = 'first'\nfallback = ['lab/big', 'second']\n{more}\n[aliases]\nfirst = 'lab/big'\nsecond = 'den/small'\n"
        f"[providers.lab]\nbase-url = '{server.url}'\n[providers.den]\nbase-url = '{other.url}'\n"
    )


def test_another_model_is_asked_when_one_is_overloaded(server: ModelServer, other: ModelServer) -> None:
    server.fails(529, retry_after="0").then.fails(529, retry_after="0").then.says("I am back")
    other.says("Here I am")
    two(server, other)
    done = agentcli("ask", "--json", "hello")
    said = json.loads(done.stdout)
    assert (done.returncode, said["text"], said["model"], said["retries"]) == (0, "Here I am", "den/small", 1)
    assert "lab/big" in done.stderr
    assert "den/small" in done.stderr
    assert other.requests[-1].body["model"] == "small"
    again = json.loads(agentcli("ask", "--json", "-c", "and now?").stdout)
    assert (again["text"], again["model"]) == ("I am back", "lab/big")


def test_retries_that_a_person_wants_are_made_first(server: ModelServer, other: ModelServer) -> None:
    server.fails(529, retry_after="0")
    other.says("Here I am")
    two(server, other, "retries = 3")
    assert agentcli("ask", "hello").stdout == "Here I am\n"
    assert len(server.requests) == 4


def test_a_key_that_is_refused_is_no_outage(server: ModelServer, other: ModelServer) -> None:
    server.fails(401)
    two(server, other)
    assert agentcli("ask", "hello").returncode == 69
    assert not other.requests


def test_a_fallback_without_a_key_is_no_fault_until_it_is_asked(server: ModelServer) -> None:
    server.says("I am here").then.fails(529, retry_after="0")
    configured(f"model = 'lab/big'\nfallback = ['anthropic/claude-sonnet-5']\n[providers.lab]\nbase-url = '{server.url}'\n")
    assert agentcli("ask", "hello").stdout == "I am here\n"
    done = agentcli("ask", "hello")
    assert done.returncode == 75
    assert "anthropic/claude-sonnet-5: there is no key for anthropic" in done.stderr


def test_a_fallback_has_a_window_of_its_own(server: ModelServer, other: ModelServer) -> None:
    thread = counted()
    configured(
        f"model = 'lab/big'\nfallback = ['den/small']\n[providers.lab]\nbase-url = '{server.url}'\n"
        f"[providers.den]\nbase-url = '{other.url}'\ncontext = 6000\n"
    )
    server.fails(529, retry_after="0")
    other.decides(lambda asked: said("They counted." if is_for_a_summary(asked.body) else "Gladly"))
    done = agentcli("ask", "-t", thread.id, "go on")
    assert (done.returncode, done.stdout) == (0, "Gladly\n")
    assert "They counted." in json.dumps(other.requests[-1].body["messages"])


def test_the_command_for_a_key_is_run_once(server: ModelServer, tmp_path: Path) -> None:
    thread = counted()
    script = tmp_path / "key.sh"
    script.write_text(f"echo asked >> {tmp_path}/log\necho sk-hidden\n")
    configured(f"[providers.lab]\nbase-url = '{server.url}'\nkey-command = 'sh {script}'\n")
    server.says("Gladly")
    assert agentcli("ask", "-t", thread.id, "go on").stdout == "Gladly\n"
    assert (tmp_path / "log").read_text() == "asked\n"
    assert server.requests[-1].headers["authorization"] == "Bearer sk-hidden"


def test_when_all_fail_the_first_fault_is_told_with_a_word_about_the_others(server: ModelServer, other: ModelServer) -> None:
    server.fails(529, retry_after="0")
    other.fails(503, retry_after="0")
    two(server, other)
    done = agentcli("ask", "hello")
    assert done.returncode == 75
    assert "lab is overloaded (529)" in done.stderr
    assert "den/small: den is overloaded (503)" in done.stderr


def test_before_a_window_is_full_the_thread_is_compacted(server: ModelServer) -> None:
    thread = counted()
    configured(f"model = 'lab/big'\n[providers.lab]\nbase-url = '{server.url}'\ncontext = 6000\n")
    server.decides(lambda asked: said("They counted." if is_for_a_summary(asked.body) else "Gladly"))
    done = agentcli("ask", "-t", thread.id, "go on")
    assert (done.returncode, done.stdout) == (0, "Gladly\n")
    assert "became a summary" in done.stderr
    *summed, asked = server.requests
    assert summed
    assert "They counted." in json.dumps(asked.body["messages"])
    assert len(json.dumps(asked.body)) < 6000 * 3


@needs_terminal
def test_a_chat_says_how_full_the_model_is(server: ModelServer) -> None:
    thread = counted()
    configured(f"model = 'lab/big'\n[providers.lab]\nbase-url = '{server.url}'\ncontext = 12000\n")
    server.replies(replace(said("Gladly"), delay=1.0, usage=[]))  # long enough for the status line to be drawn
    env = environment(TERM="xterm-256color", NO_COLOR=None)
    with Terminal([*PROGRAM, "resume", thread.id], env=env, size=(100, 30)) as terminal:
        terminal.until(lambda terminal: b"\x1b[?2004h" in terminal.raw)
        terminal.send("go on\r")
        terminal.until(lambda terminal: re.search(r"lab/big.* · .*lab/big · [\d.]+k tokens · \d\d% full", terminal.text()))
        terminal.until("Gladly")
        terminal.until(lambda terminal: re.search(r"\nlab/big · [\d.]+k tokens · \d\d% full\n>", terminal.text()))


@needs_terminal
def test_a_chat_completes_models_and_takes_an_alias(server: ModelServer, other: ModelServer) -> None:
    server.says("I am big")
    other.says("I am small")
    two(server, other)
    with Terminal([*PROGRAM], env=environment(TERM="xterm-256color", NO_COLOR=None), size=(100, 30)) as terminal:
        terminal.until("lab/big")
        terminal.send("/model sec\t")
        terminal.until("/model second")
        terminal.send("\r")
        terminal.until("The model is den/small.")
        terminal.send("hello\r")
        terminal.until("I am small")
    assert other.requests[-1].body["model"] == "small"


@needs_terminal
@pytest.mark.skipif(not find_spec("xllamacpp"), reason="the extra `local` is not installed")
def test_a_chat_without_any_model_offers_the_embedded_one() -> None:
    env = environment(TERM="xterm-256color", PIP_INDEX_URL="http://127.0.0.1:9/simple", PIP_NO_INDEX="", HTTP_PROXY=None)
    with Terminal([*PROGRAM], env=env, size=(100, 30)) as terminal:
        terminal.until("Fetch it now? [y/N]")
        terminal.send("\r")
        assert terminal.wait() == 78
        terminal.until("there is no model to ask")
    with Terminal([*PROGRAM], env=env, size=(100, 30)) as terminal:
        terminal.until("Fetch it now? [y/N]")
        terminal.send("y\r")
        assert terminal.wait() == 69
        terminal.until("127.0.0.1:9")

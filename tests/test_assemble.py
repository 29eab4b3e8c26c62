"""What the parts are put together from: which model, where its provider is, and the command that prints a key."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path
from time import monotonic

import pytest

from agentcli import assemble
from agentcli.config import Config, keyring
from agentcli.core.thread import Thread
from agentcli.errors import Exit, UserError
from agentcli.providers import Endpoint
from tests.model_server import ModelServer


def key_of(home: Path, command: str) -> str | None:
    file = home / "config.toml"
    file.write_text(f"[providers.lab]\nbase-url = 'http://h/v1'\nkey-command = {command!r}\n")
    return assemble.endpoint("lab", assemble.config(file)).key


def test_a_command_prints_the_key(tmp_path: Path) -> None:
    assert key_of(tmp_path, "echo sk-hidden") == "sk-hidden"
    assert key_of(tmp_path, "true") is None


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("sh -c 'echo sk-hidden; echo sk-hidden >&2; exit 3'", "sh left with the exit code 3"),
        ("no-such-program sk-hidden", "no-such-program cannot be started"),
        ('echo "sk-hidden', "cannot be told apart"),
        (f"{sys.executable} -c \"import os; os.write(1, b'sk-hidden \\\\xff')\"", "not text"),
        (" ", "cannot be told apart"),
    ],
)
def test_a_command_that_fails_is_named_without_its_words(tmp_path: Path, command: str, says: str) -> None:
    file = tmp_path / "config.toml"
    escaped = command.replace("\\", "\\\\").replace('"', '\\"')
    file.write_text(f"[providers.lab]\nbase-url = 'http://h/v1'\nkey-command = \"{escaped}\"\n")
    with pytest.raises(UserError) as caught:
        assemble.endpoint("lab", assemble.config(file))
    assert caught.value.exit_code == Exit.CONFIG
    assert says in caught.value.message
    assert "sk-hidden" not in f"{caught.value} {caught.value.hint}"
    assert "key-command" in caught.value.hint


# --- where a provider is, and what it speaks ---


def reached(name: str, **environment: str) -> tuple[str, str]:
    os.environ.update(environment)
    place = assemble.endpoint(name, assemble.config())
    return place.kind, place.base_url


def test_openai_speaks_responses_to_itself_and_chat_to_those_that_imitate_it() -> None:
    assert reached("openai", OPENAI_API_KEY="k") == ("openai-responses", "https://api.openai.com/v1")
    assert reached("openai", OPENAI_BASE_URL="https://eu.api.openai.com/v1")[0] == "openai-responses"
    assert reached("openai", OPENAI_BASE_URL="http://127.0.0.1:8080/v1") == ("openai-chat", "http://127.0.0.1:8080/v1")
    assert reached("openai", OPENAI_BASE_URL="https://api.openai.com.example.org/v1")[0] == "openai-chat"


def test_the_configuration_says_which_of_the_two(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[providers.openai]\nkind = 'openai-responses'\nbase-url = 'http://h/v1'\n")
    assert assemble.endpoint("openai", assemble.config(file)).kind == "openai-responses"


@pytest.mark.parametrize(
    ("said", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:11434/v1"),
        ("0.0.0.0", "http://127.0.0.1:11434/v1"),
        ("0.0.0.0:11500", "http://127.0.0.1:11500/v1"),
        (":11500", "http://127.0.0.1:11500/v1"),
        ("http://gpu", "http://gpu:80/v1"),
        ("https://gpu/", "https://gpu:443/v1"),
        ("gpu:1/prefix", "http://gpu:1/prefix"),
        ("[::1]:5", "http://[::1]:5/v1"),
    ],
)
def test_ollama_says_where_it_is_in_many_ways(said: str, url: str) -> None:
    assert reached("ollama", OLLAMA_HOST=said) == ("openai-chat", url)


@pytest.mark.parametrize("url", ["http://[::1", "localhost:abc", "http://h:99999", " "])
def test_an_address_that_is_none_is_said_when_it_is_asked(url: str) -> None:
    os.environ.update(OPENAI_BASE_URL=url, OLLAMA_HOST=url)
    for name in ("openai", "ollama"):
        with suppress(UserError):  # " " is as good as none, and then a key is missing
            assert assemble.endpoint(name, assemble.config()).kind.startswith("openai")


def test_azure_leaves_the_path_out() -> None:
    with pytest.raises(UserError, match="no base URL") as caught:
        assemble.endpoint("azure", assemble.config())
    assert "AZURE_OPENAI_ENDPOINT" in caught.value.hint
    url = reached("azure", AZURE_OPENAI_ENDPOINT="https://me.openai.azure.com/", AZURE_OPENAI_API_KEY="k")[1]
    assert url == "https://me.openai.azure.com/openai/v1"


def test_a_server_on_this_machine_needs_no_key() -> None:
    assert reached("llamacpp") == ("openai-chat", "http://127.0.0.1:8080/v1")


def test_who_is_set_up(tmp_path: Path) -> None:
    assert assemble.configured(Config()) == []
    os.environ["OPENAI_API_KEY"] = "x"
    assert assemble.configured(Config()) == ["openai"]
    os.environ["OLLAMA_HOST"] = "h"
    keyring.file().parent.mkdir(parents=True, exist_ok=True)
    keyring.file().write_bytes(keyring.listing(["groq"]))
    file = tmp_path / "config.toml"
    file.write_text("[providers.lab]\nbase-url = 'http://lab/v1'\n[providers.gemini]\nkey-command = 'true'\n")
    assert assemble.configured(assemble.config(file).config) == ["openai", "groq", "ollama", "lab", "gemini"]


def test_where_a_server_is_can_be_known_without_its_key(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f"[providers.openai]\nkey-command = 'touch {tmp_path}/asked'\n")
    loaded = assemble.config(file)
    os.environ["OPENAI_BASE_URL"] = "http://127.0.0.1:8080/v1/"
    found = assemble.place("openai", loaded)
    assert (found.base_url, found.kind, found.key) == ("http://127.0.0.1:8080/v1", "openai-chat", None)
    assert not (tmp_path / "asked").exists()


def test_keys_that_take_long_are_asked_for_at_once_and_not_waited_for_long(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    slow = "".join(f"[providers.slow{number}]\nbase-url = 'http://h/v1'\nkey-command = 'sleep 5'\n" for number in range(3))
    file.write_text(slow + "[providers.quick]\nbase-url = 'http://h/v1'\nkey-command = 'echo sk'\n")
    began = monotonic()
    found = asyncio.run(assemble.endpoints(["slow0", "slow1", "slow2", "quick"], assemble.config(file), patience=1.5))
    assert monotonic() - began < 4
    assert isinstance(quick := found["quick"], Endpoint)
    assert quick.key == "sk"
    assert isinstance(late := found["slow0"], UserError)
    assert "the key of slow0 took longer than 1.5 s" in late.message


def test_a_damaged_list_of_the_keyring_is_a_fault_only_for_whoever_needs_a_key() -> None:
    keyring.file().parent.mkdir(parents=True, exist_ok=True)
    keyring.file().write_text("{x")
    assert reached("ollama") == ("openai-chat", "http://127.0.0.1:11434/v1")
    assert reached("openai", OPENAI_BASE_URL="http://127.0.0.1:8080/v1")[0] == "openai-chat"
    with pytest.raises(UserError, match=r"keys\.json"):
        reached("groq")
    assert reached("groq", GROQ_API_KEY="k")[0] == "openai-chat"


# --- which model ---


def chosen(thread: Thread | None = None, model: str | None = None, config: str = "") -> assemble.Choice:
    file = Path(os.environ["AGENTCLI_HOME"]) / "config.toml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(config)
    return asyncio.run(assemble.choose(assemble.config(None, {"model": model}), thread))


def test_a_name_that_was_said_comes_before_everything(server: ModelServer) -> None:
    os.environ.update(OPENAI_BASE_URL=server.url, ANTHROPIC_API_KEY="k")
    thread = Thread(model="groq/a")
    assert chosen(thread, "mistral/b") == ("mistral/b", "--model")
    assert chosen(thread) == ("groq/a", "this thread's")
    assert chosen() == ("openai/test", "the first model at OPENAI_BASE_URL")
    del os.environ["OPENAI_BASE_URL"]
    assert chosen() == ("anthropic/claude-sonnet-5", "ANTHROPIC_API_KEY is set")


def test_an_alias_and_a_provider_alone_are_names_too(server: ModelServer) -> None:
    config = f"[aliases]\nfast = 'lab/small'\nbad = 'lab'\n[providers.lab]\nbase-url = '{server.url}'\n"
    assert chosen(model="fast", config=config).name == "lab/small"
    assert chosen(model="lab", config=config).name == "lab/test"
    assert chosen(config=config).name == "lab/test"
    assert chosen(model="anthropic").name == "anthropic/claude-sonnet-5"
    with pytest.raises(UserError, match="the alias 'bad' says 'lab', which does not name a model"):
        chosen(model="bad", config=config)
    with pytest.raises(UserError, match="'fats' does not name a model") as caught:
        chosen(model="fats", config=config)
    assert "Did you mean fast, which is lab/small?" in caught.value.hint


def test_a_server_that_is_named_but_silent_is_passed_over(server: ModelServer) -> None:
    os.environ["OLLAMA_HOST"] = "127.0.0.1:1"
    assert chosen(config=f"[providers.lab]\nbase-url = '{server.url}'\n").name == "lab/test"
    os.environ["GEMINI_API_KEY"] = "k"
    assert chosen().name == "gemini/gemini-3.5-flash"


def test_a_server_that_is_named_but_silent_is_a_fault_if_there_is_no_other() -> None:
    os.environ["OLLAMA_HOST"] = "127.0.0.1:1"
    with pytest.raises(UserError, match="cannot connect") as caught:
        chosen()
    assert "-m ollama/" in caught.value.hint

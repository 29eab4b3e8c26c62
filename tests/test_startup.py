"""Start-up is a feature: what a command does not need, it does not load."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from agentcli import assemble
from agentcli.core.message import Message, Text, Usage, user
from agentcli.core.thread import Thread

_RUN = """
import sys
sys.argv = ["agentcli", *sys.argv[1:]]
from agentcli.__main__ import main
try:
    main()
finally:
    print("\\n".join(sorted(sys.modules)), file=sys.stderr)
"""

_NETWORK = {"ssl", "socket"}
_HEAVY = {"httpx", "httpcore", "rich", "prompt_toolkit", "asyncio", "tomlkit", "platformdirs", "pygments", "markdown_it"}


def run(*arguments: str) -> tuple[str, set[str]]:
    """What a command prints, and which modules it loads."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "COLUMNS": "80"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout, set(done.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [
        (["--version"], _HEAVY | {"typer", "msgspec", "re", "typing", "agentcli.cli", "agentcli.core"}),
        (["--help"], _HEAVY | {"msgspec", "tomllib", "json", "agentcli.core", "agentcli.ui", "agentcli.config"}),
        (["ask", "--help"], _HEAVY | {"msgspec", "tomllib", "agentcli.core", "agentcli.config"}),
        (
            ["models", "--help"],
            _HEAVY | {"msgspec", "tomllib", "agentcli.core", "agentcli.config", "agentcli.ui", "agentcli.assemble"},
        ),
        (["threads", "list"], _HEAVY | _NETWORK | {"agentcli.core.agent", "agentcli.session"}),
        (
            ["local", "list"],
            _HEAVY | _NETWORK | {"xllamacpp", "agentcli.store", "agentcli.core.agent", "agentcli.providers.local.fetch"},
        ),
        (["keys", "list"], _HEAVY | _NETWORK | {"keyring", "agentcli.assemble", "agentcli.store", "agentcli.core.agent"}),
        (["config", "show"], _HEAVY | {"agentcli.session"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_does_not_load_what_it_does_not_need(arguments: list[str], unwanted: set[str]) -> None:
    assert sorted(run(*arguments)[1] & unwanted) == []


@pytest.mark.parametrize(
    ("words", "unwanted"),
    [
        ([""], {"msgspec", "tomllib", "agentcli.core", "agentcli.config", "agentcli.ui", "agentcli.cli.ask"}),
        (["ask", "--"], {"msgspec", "tomllib", "agentcli.core", "agentcli.config", "agentcli.ui"}),
        (["-m", ""], {"agentcli.store", "agentcli.ui", "agentcli.core.agent"}),
        (["-t", ""], {"agentcli.ui.render", "agentcli.core.agent", "agentcli.store.threads"}),
        (["keys", "set", ""], {"keyring", "agentcli.store"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_tab_in_a_shell_loads_even_less(words: list[str], unwanted: set[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "agentcli", *words],
        capture_output=True,
        text=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "_AGENTCLI_COMPLETE": "fish"},
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "agentcli.cli.complete.place" in loaded
    assert sorted(loaded & (_HEAVY | _NETWORK | {"agentcli.assemble", "agentcli.session"} | unwanted)) == []


@pytest.mark.parametrize("arguments", [["usage"], ["usage", "--json"], ["threads", "list", "--json"]], ids=" ".join)
def test_prices_are_worked_out_once_and_not_by_every_command(arguments: list[str]) -> None:
    answer = Message(role="assistant", model="openai/gpt-5.4", usage=Usage(1_000_000, 0), parts=(Text("Hello."),))
    assemble.store().add(Thread.of(user("Hi"), answer))
    first, loaded = run(*arguments)
    assert ("genai_prices" in loaded) == bool(find_spec("genai_prices"))
    again, loaded = run(*arguments)
    assert sorted(loaded & (_HEAVY | _NETWORK | {"genai_prices", "pydantic", "agentcli.core.agent", "agentcli.session"})) == []
    assert again == first


def test_asking_a_plain_http_server_loads_no_other_http_stack_and_no_tls() -> None:
    """The answer comes through the program's own transport: neither httpcore nor anyio nor a TLS context."""
    from tests.model_server import ModelServer

    with ModelServer().says("hello") as server:
        done = subprocess.run(
            [sys.executable, "-c", _RUN, "ask", "-m", "openai/any", "hi"],
            capture_output=True,
            text=True,
            timeout=30,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "OPENAI_BASE_URL": server.url},
        )
    assert done.stdout == "hello\n"
    assert (
        sorted(set(done.stderr.split()) & {"httpcore", "h11", "anyio", "rich", "click", "pygments", "prompt_toolkit", "certifi"}) == []
    )

"""Start-up is a feature: what a command does not need, it does not load."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_RUN = """
import sys
sys.argv = ["agentcli", *sys.argv[1:]]
from agentcli.__main__ import main
try:
    main()
finally:
    print("\\n".join(sorted(sys.modules)), file=sys.stderr)
"""

_HEAVY = {"httpx", "httpcore", "rich", "prompt_toolkit", "asyncio", "tomlkit", "platformdirs", "pygments", "markdown_it"}


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [
        (["--version"], _HEAVY | {"typer", "msgspec", "re", "typing", "agentcli.cli", "agentcli.core"}),
        (["--help"], _HEAVY | {"msgspec", "tomllib", "json", "agentcli.core", "agentcli.ui", "agentcli.config"}),
        (["ask", "--help"], _HEAVY | {"msgspec", "tomllib", "agentcli.core", "agentcli.config"}),
        (["threads", "list"], _HEAVY | {"ssl", "socket", "agentcli.core.agent", "agentcli.session"}),
        (["config", "show"], _HEAVY | {"agentcli.session"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_does_not_load_what_it_does_not_need(arguments: list[str], unwanted: set[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *arguments], capture_output=True, text=True, timeout=30, env={**os.environ, "COLUMNS": "80"}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert sorted(set(done.stderr.split()) & unwanted) == []


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

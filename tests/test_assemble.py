"""What the parts are put together from: the command that prints a key."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from agentcli import assemble
from agentcli.errors import Exit, UserError


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

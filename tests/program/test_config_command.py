"""`agentcli config` and `agentcli doctor`, the real program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.model_server import ModelServer


def agentcli(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agentcli", *arguments],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=50,
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "home" / "config.toml"


def test_set_get_show_unset(file: Path) -> None:
    assert agentcli("config", "path").stdout == f"{file}\n"
    done = agentcli("config", "set", "model", "lab/qwen")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert file.read_text() == 'model = "lab/qwen"\n'
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert agentcli("config", "get", "model").stdout == "lab/qwen\n"
    lines = agentcli("config", "show", AGENTCLI_TIMEOUT="9").stdout.splitlines()
    assert lines[0] == f"# {file}"
    assert [" ".join(line.split()) for line in lines[1:4]] == [
        'model = "lab/qwen" # config.toml:1',
        "system = (not set) # default",
        "timeout = 9 # AGENTCLI_TIMEOUT",
    ]
    assert agentcli("config", "unset", "model").returncode == 0
    done = agentcli("config", "get", "model")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: `model` is not set\n\nhint: ")


def test_show_hides_what_may_be_secret(file: Path) -> None:
    file.parent.mkdir()
    file.write_text(
        "[providers.lab]\nbase-url = 'http://h/v1?key=sk-hidden'\nkey-env = 'LAB_KEY'\nheaders = { A = 'sk-hidden' }\n"
        "[providers.b]\nkey-command = 'echo sk-hidden'\n"
    )
    text = agentcli("config", "show", LAB_KEY="sk-hidden").stdout
    values: dict[str, Any] = json.loads(agentcli("config", "show", "--json", LAB_KEY="sk-hidden").stdout)["values"]
    got = [agentcli("config", "get", key).stdout for key in ("providers.lab.headers.A", "providers.b.key-command", "providers")]
    assert "sk-hidden" not in text + json.dumps(values) + "".join(got)
    assert "config.toml:3; it is set" in text
    assert values["providers.lab.key-env"] == {"value": "LAB_KEY", "origin": f"{file}:3", "set": True}
    assert values["providers.lab.headers.A"]["value"] == "…"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("set", "timeuot", "3"), "did you mean `timeout`?"),
        (("set", "timeout", "-1"), "expected a number of seconds, 0 or more, found the text '-1'"),
        (("get", "nothing"), "unknown key `nothing`"),
        (("show", "--config", "/nowhere/config.toml"), "there is no such file"),
        (("set", "providers.lab.key", "sk-hidden"), "does not belong in this file"),
    ],
)
def test_what_is_wrong_is_said(file: Path, arguments: tuple[str, ...], says: str) -> None:
    done = agentcli("config", *arguments)
    assert (done.returncode, done.stdout) == (78, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not file.exists()


def test_a_variable_that_goes_before_the_file_is_told(file: Path) -> None:
    done = agentcli("config", "set", "model", "a/b", AGENTCLI_MODEL="c/d")
    assert (done.returncode, done.stderr) == (0, "note: AGENTCLI_MODEL is set, and goes before the file\n")


def test_a_link_stays_a_link(file: Path, tmp_path: Path) -> None:
    file.parent.mkdir()
    real = tmp_path / "dotfiles.toml"
    real.write_text("# mine\n")
    file.symlink_to(real)
    assert agentcli("config", "set", "retries", "1").returncode == 0
    assert file.is_symlink()
    assert real.read_text() == "# mine\nretries = 1\n"


def editor(tmp_path: Path, program: str) -> str:
    script = tmp_path / "an editor.py"
    script.write_text(f"import pathlib, sys\npath = pathlib.Path(sys.argv[-1])\n{program}\n")
    return f"'{sys.executable}' '{script}' --wait"


def test_edit_begins_with_everything_in_comments(file: Path, tmp_path: Path) -> None:
    command = editor(tmp_path, "text = path.read_text(); path.write_text(text.replace('# timeout = 300', 'timeout = 60'))")
    done = agentcli("config", "edit", VISUAL=command, EDITOR="false")
    assert (done.returncode, done.stderr) == (0, "")
    assert agentcli("config", "get", "timeout").stdout == "60\n"
    assert file.stat().st_mode & 0o777 == 0o600


def test_edit_says_what_is_wrong_and_keeps_it(file: Path, tmp_path: Path) -> None:
    done = agentcli("config", "edit", VISUAL="", EDITOR=editor(tmp_path, "path.write_text('timeuot = 60')"))
    assert done.returncode == 78
    assert f"{file}:1: unknown key `timeuot`; did you mean `timeout`?" in done.stderr
    assert "kept as you left it" in done.stderr
    assert file.read_text() == "timeuot = 60"


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [("no-such-editor", 1, "cannot be started"), ("false", 1, "ended with 1"), ("vi 'x", 78, "cannot be read")],
)
def test_an_editor_that_fails(command: str, code: int, says: str) -> None:
    done = agentcli("config", "edit", VISUAL=command)
    assert done.returncode == code
    assert says in done.stderr


def test_doctor_without_a_model() -> None:
    done = agentcli("doctor")
    assert done.returncode == 78
    assert "fault  model          there is no model to ask\n" in done.stdout
    assert "Traceback" not in done.stderr


def test_doctor_with_a_server(server: ModelServer) -> None:
    done = agentcli("doctor", "--json", OPENAI_BASE_URL=server.url, AGENTCLI_MODEL="openai/test", OPENAI_API_KEY="sk-hidden")
    report = json.loads(done.stdout)
    assert (done.returncode, report["ok"]) == (0, True), done.stdout + done.stderr
    topics = {check["topic"] for check in report["checks"]}
    assert topics >= {"version", "paths", "configuration", "model", "keys", "network", "server", "terminal", "threads"}
    assert "sk-hidden" not in done.stdout + done.stderr


def test_doctor_with_a_server_that_is_gone() -> None:
    done = agentcli("doctor", AGENTCLI_MODEL="openai/test", OPENAI_BASE_URL="http://u:sk-hidden@127.0.0.1:1/v1")
    assert done.returncode == 1
    assert "fault  server         openai, http://…@127.0.0.1:1/v1: nothing listens there" in done.stdout
    assert "sk-hidden" not in done.stdout + done.stderr


def test_doctor_with_a_wrong_file(file: Path) -> None:
    file.parent.mkdir()
    file.write_text("timeuot = 3\n")
    done = agentcli("doctor")
    assert done.returncode == 78
    assert f"fault  configuration  {file}:1: unknown key `timeuot`" in done.stdout


def test_doctor_finds_a_damaged_thread(file: Path) -> None:
    threads = file.parent / "threads"
    threads.mkdir(parents=True)
    (threads / "k7m29xqd.json").write_text("{")
    done = agentcli("doctor", AGENTCLI_MODEL="scripted/demo")
    assert "fault  threads        1 of 1 cannot be read: k7m29xqd" in done.stdout
    assert (threads / "k7m29xqd.json").read_text() == "{"

"""`agentcli keys`: no key is ever shown, and one gets in only where nobody can see it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agentcli.config import keyring
from agentcli.errors import Exit
from tests import keyrings
from tests.docs import ROOT
from tests.model_server import ModelServer
from tests.program import PROGRAM, agentcli

KEY = "sk-hidden-7f3a9c"


@pytest.fixture(autouse=True)
def _backend(tmp_path: Path) -> None:
    os.environ |= {
        "PYTHON_KEYRING_BACKEND": "tests.keyrings.File",
        "KEYRING_FILE": str(tmp_path / "keyring.json"),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }


def keys(*arguments: str, stdin: str = "", **more: str | None) -> subprocess.CompletedProcess[str]:
    done = agentcli("keys", *arguments, stdin=stdin, **more)
    assert KEY not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def listed() -> dict[str, dict[str, Any]]:
    return {row["provider"]: row for row in json.loads(keys("list", "--json").stdout)}


def configure(text: str) -> None:
    file = Path(os.environ["AGENTCLI_HOME"]) / "config.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_list_says_where_each_key_comes_from_and_opens_nothing() -> None:
    configure("[providers.lab]\nkey-command = 'touch ran'\n[providers.work]\nkey-env = 'WORK_KEY'\n")
    keyring.file().write_bytes(keyring.listing(["gemini", "gone"]))
    os.environ |= {"OPENAI_API_KEY": KEY, "PYTHON_KEYRING_BACKEND": "tests.keyrings.Silent"}
    rows = listed()
    assert {name: row["where"] for name, row in rows.items() if row["where"]} == {
        "openai": "environment",
        "lab": "command",
        "gemini": "keyring",
        "gone": "keyring",
    }
    assert (rows["lab"]["name"], rows["work"]["variable"], rows["openai"]["in_keyring"]) == ("touch", "WORK_KEY", False)
    lines = keys("list").stdout.splitlines()
    assert "openai\tenvironment\tOPENAI_API_KEY" in lines
    assert "work\t\t" in lines
    assert not Path("ran").exists()


def test_a_key_that_is_set_is_used_until_it_is_removed(server: ModelServer) -> None:
    done = keys("set", "openai", stdin=f"  {KEY}\n")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "The key of openai is in the keyring (keyrings File).\n"
    assert keyrings.entries() == {"agentcli/openai": KEY}
    assert json.loads(keyring.file().read_text()) == {"keyring": ["openai"]}
    assert stat.S_IMODE(keyring.file().stat().st_mode) == 0o600
    assert listed()["openai"]["where"] == "keyring"
    keys("set", "openai", stdin=KEY)
    assert json.loads(keyring.file().read_text()) == {"keyring": ["openai"]}
    assert agentcli("ask", "hello", server=server).stdout == "hello\n"
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    refused = keys("remove", "openai")
    assert (refused.returncode, "--yes" in refused.stderr) == (Exit.USAGE, True)
    assert keys("remove", "openai", "--yes").returncode == 0
    assert keyrings.entries() == {}
    assert listed()["openai"]["where"] is None
    assert keys("remove", "openai", "--yes").returncode == Exit.USAGE


def test_a_variable_that_goes_before_it_is_named() -> None:
    done = keys("set", "openai", stdin=KEY, OPENAI_API_KEY="sk-other")
    assert done.returncode == 0
    assert done.stderr.endswith("note: OPENAI_API_KEY goes before it\n")


@pytest.mark.parametrize("words", [["openai", KEY], ["openai", "--key", KEY], ["openai", f"--key={KEY}"], [KEY, "openai"], [KEY]])
def test_a_key_on_the_command_line_is_refused_and_not_repeated(words: list[str]) -> None:
    done = agentcli("keys", "set", *words, stdin=KEY)
    assert done.returncode == Exit.USAGE
    assert keyrings.entries() == {}
    if words[0] != KEY or len(words) > 1:
        assert KEY not in done.stderr
        assert "the shell remembers it" in done.stderr


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("", "nothing came on stdin"),
        (" \n\n", "nothing came on stdin"),
        (f"{KEY}\n{KEY}\n", "one line"),
        (f"{KEY}ü", "letters like"),
        (f"“{KEY}”", "letters like"),
        (f'"{KEY}"', "quotes"),
        (f"export K={KEY}", "blanks"),
        (f"{KEY}\x07", "control characters"),
        ("x" * 20_000, "longer than 16 KiB"),
    ],
)
def test_what_is_no_key(typed: str, says: str) -> None:
    done = keys("set", "openai", stdin=typed)
    assert done.returncode == Exit.USAGE
    assert says in done.stderr
    assert keyrings.entries() == {}
    assert not keyring.file().exists()


@pytest.mark.parametrize("name", ["opnai", "local", "scripted", "../x", "a b", ""])
def test_not_every_name_takes_a_key(name: str) -> None:
    done = keys("set", name, stdin=KEY)
    assert done.returncode == Exit.USAGE
    assert keyrings.entries() == {}


@pytest.mark.parametrize("backend", ["keyring.backends.fail.Keyring", "keyring.backends.null.Keyring", "no.such.Keyring"])
def test_without_a_keyring_the_other_ways_are_named(backend: str) -> None:
    done = keys("set", "openai", stdin=KEY, PYTHON_KEYRING_BACKEND=backend)
    assert done.returncode == Exit.CONFIG
    assert "export OPENAI_API_KEY=…" in done.stderr
    assert "key-command" in done.stderr


def test_without_the_package_the_extra_is_named(tmp_path: Path) -> None:
    (tmp_path / "keyring.py").write_text("raise ImportError")
    done = keys("set", "openai", stdin=KEY, PYTHONPATH=f"{tmp_path}:{os.environ['PYTHONPATH']}")
    assert done.returncode == Exit.CONFIG
    assert "pip install" in done.stderr
    assert "[keyring]" in done.stderr


def test_the_package_is_not_imported_for_nothing(tmp_path: Path, server: ModelServer) -> None:
    (tmp_path / "keyring.py").write_text("import os; os._exit(99)")
    path = f"{tmp_path}:{os.environ['PYTHONPATH']}"
    assert keys("list", PYTHONPATH=path).returncode == 0
    keys("set", "anthropic", stdin=KEY)
    assert agentcli("ask", "hello", server=server, PYTHONPATH=path).stdout == "hello\n"
    keys("set", "openai", stdin=KEY)
    assert agentcli("ask", "hello", server=server, PYTHONPATH=path, OPENAI_API_KEY="sk-other").stdout == "hello\n"
    assert agentcli("ask", "hello", server=server, PYTHONPATH=path).returncode == 99


def test_a_keyring_that_is_locked_loses_nothing() -> None:
    keys("set", "openai", stdin="sk-first")
    done = keys("set", "openai", stdin=KEY, PYTHON_KEYRING_BACKEND="tests.keyrings.Locked")
    assert done.returncode == Exit.CONFIG
    assert "the collection is locked" in done.stderr
    assert keys("remove", "--yes", "openai", PYTHON_KEYRING_BACKEND="tests.keyrings.Locked").returncode == Exit.CONFIG
    assert listed()["openai"]["where"] == "keyring"
    assert keyrings.entries() == {"agentcli/openai": "sk-first"}


def test_a_keyring_that_keeps_nothing_is_not_written_down() -> None:
    for backend in ("Locked", "Forgetful"):
        keys("set", "gemini", stdin=KEY)
        done = keys("set", "openai", stdin=KEY, PYTHON_KEYRING_BACKEND=f"tests.keyrings.{backend}")
        assert done.returncode == Exit.CONFIG
        assert keyring.names() == ["gemini"]


@pytest.mark.parametrize("damage", ['{"keyring": [', '{"keyring": "openai"}', "[]", ""])
def test_a_list_of_keys_that_is_damaged_is_told_before_a_key_is_kept(damage: str) -> None:
    keys("set", "gemini", stdin=KEY)
    keyring.file().write_text(damage)
    done = keys("set", "openai", stdin=KEY)
    assert done.returncode == Exit.CONFIG
    assert f"cannot read {keyring.file()}" in done.stderr
    assert keyrings.entries() == {"agentcli/gemini": KEY}
    assert keyring.file().read_text() == damage


def test_where_the_name_cannot_be_written_down_no_key_is_kept() -> None:
    keyring.file().with_suffix(".lock").mkdir(parents=True)
    done = keys("set", "openai", stdin=KEY)
    assert done.returncode == Exit.FAILED
    assert "cannot lock" in done.stderr
    assert keyrings.entries() == {}


def test_of_many_keys_that_are_kept_at_once_none_is_forgotten() -> None:
    script = "import sys; from agentcli.cli.keys import note; [note(add=f'{sys.argv[1]}{number}') for number in range(30)]"
    writers = [subprocess.Popen([sys.executable, "-W", "error", "-c", script, name]) for name in "abc"]
    assert [writer.wait(30) for writer in writers] == [0, 0, 0]
    assert sorted(keyring.names()) == sorted(f"{name}{number}" for name in "abc" for number in range(30))
    assert [each.name for each in keyring.file().parent.iterdir()] == ["keys.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals on Windows")
class TestAtATerminal:
    """What is typed is not seen, and the terminal is as it was."""

    def started(self, *arguments: str) -> Any:
        from tests.terminal import Terminal

        return Terminal([*PROGRAM, "keys", *arguments])

    def test_what_is_typed_is_not_seen(self) -> None:
        with self.started("set", "openai") as terminal:
            before = terminal.modes()
            terminal.until("Key for openai (it is not shown):")
            terminal.send(f"{KEY}\recho more\r")
            terminal.until("is in the keyring")
            assert terminal.wait() == 0
            assert KEY not in terminal.raw.decode()
            assert terminal.modes() == before
        assert keyrings.entries() == {"agentcli/openai": KEY}

    @pytest.mark.parametrize(("keys", "code"), [("sk\x03", 130), ("\x04", 2), ("\r", 2)])
    def test_leaving_without_a_key(self, keys: str, code: int) -> None:
        with self.started("set", "openai") as terminal:
            before = terminal.modes()
            terminal.until("not shown):")
            terminal.send(keys)
            assert terminal.wait() == code
            assert terminal.modes() == before
            assert "Traceback" not in terminal.text()
        assert keyrings.entries() == {}

    def test_a_terminal_that_is_closed_gets_its_echo_back(self) -> None:
        import signal

        for number in (signal.SIGTERM, signal.SIGHUP):
            with self.started("set", "openai") as terminal:
                before = terminal.modes()
                terminal.until("not shown):")
                terminal.signal(number)
                assert terminal.wait() == 128 + number
                assert terminal.modes() == before

    @pytest.mark.parametrize(("answer", "code", "left"), [("\r", 1, 1), ("n\r", 1, 1), ("\x04", 1, 1), ("y\r", 0, 0)])
    def test_removing_asks_first(self, answer: str, code: int, left: int) -> None:
        agentcli("keys", "set", "openai", stdin=KEY)
        with self.started("remove", "openai") as terminal:
            terminal.until("[y/N]")
            terminal.send(answer)
            assert terminal.wait() == code
        assert len(keyrings.entries()) == left

    def test_the_list_is_laid_out(self) -> None:
        agentcli("keys", "set", "openai", stdin=KEY)
        os.environ["ANTHROPIC_API_KEY"] = KEY
        with self.started("list") as terminal:
            assert terminal.wait() == 0
            rows = [" ".join(row.split()) for row in terminal.text().splitlines()]
        assert rows[:3] == ["PROVIDER KEY", "openai in the keyring", "anthropic ANTHROPIC_API_KEY"]
        assert "gemini none (GEMINI_API_KEY is not set)" in rows

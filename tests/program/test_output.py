"""Where output goes and what becomes of it: terminals, slow and absent readers, full disks, hostile text."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from tests.program import PROGRAM, agentcli, environment, start
from tests.terminal import Terminal

# C1 controls, DEL, bidi, what hides in a font without being a control, and what C0 can do
HOSTILE = "a\x9b2Jb\x9d0;owned\x9c\u202ec\x7fd\u115f\u3164\u2066e"
ESCAPES = f"{HOSTILE}\x1b]0;owned\x07\x1b[2J"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")

needs_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., list[str]]:
    """The arguments that make the program ask a script with these answers."""

    def write(*answers: dict[str, Any]) -> list[str]:
        path = tmp_path / "script.json"
        path.write_text(json.dumps({"rate": 0, "turn": [{"answer": list(answers)}]}))
        return ["-m", f"scripted/{path}"]

    return write


def home() -> Path:
    return Path(os.environ["AGENTCLI_HOME"])


def on_terminal(*arguments: str, **env: str) -> tuple[str, int]:
    """What the program wrote to a terminal, and its exit code."""
    with Terminal([*PROGRAM, *arguments], emulate=False, env=environment(**env)) as terminal:
        code = terminal.wait(20)
        return terminal.raw.decode().replace("\r\n", "\n"), code


def eventually(true: Callable[[], object], seconds: float = 15) -> None:
    end = monotonic() + seconds
    while not true():
        assert monotonic() < end, "it never came to that"
        sleep(0.02)


def saved() -> bool:
    """Is there a thread that nobody holds any more?"""
    threads = home() / "threads"
    return any(threads.glob("*.json")) and all(path.suffix == ".json" for path in threads.iterdir())


def harmless(written: str) -> bool:
    rest = COLOURS.sub("", written)
    return all(character.isprintable() or character in "\n\t" for character in rest) and not set("\u115f\u3164") & set(rest)


def into_full_disk(*arguments: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    with open("/dev/full", "wb") as full:
        return subprocess.run(
            [*PROGRAM, *arguments],
            env=environment(**env),
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=30,
            stdin=subprocess.DEVNULL,
        )


class TestTerminal:
    def test_gets_json_that_does_not_act_on_it(self, script: Callable[..., list[str]]) -> None:
        written, code = on_terminal("ask", "--json", "hi", *script({"text": ESCAPES}))
        assert harmless(written)
        assert (json.loads(written)["text"], code) == (ESCAPES, 0)

    def test_gets_lines_of_json_that_do_not_act_on_it(self, script: Callable[..., list[str]]) -> None:
        written, _ = on_terminal("ask", "--jsonl", "hi", *script({"text": HOSTILE}))
        assert harmless(written)
        assert json.loads(written.splitlines()[-1])["text"] == HOSTILE

    def test_gets_the_failure_of_json_too(self) -> None:
        written, code = on_terminal("ask", "--json", f"--thread={HOSTILE}", "hi")
        assert harmless(written)
        assert code == 2

    def test_gets_an_answer_that_fits_a_schema_without_what_acts_on_it(self, script: Callable[..., list[str]]) -> None:
        answer = f'{{"name":\r"{HOSTILE}",\r\n"age": 3}}'
        written, code = on_terminal("ask", "--schema", "name, age int", "hi", *script({"text": answer}))
        assert harmless(written)
        assert (json.loads(written), code) == ({"name": HOSTILE, "age": 3}, 0)

    def test_gets_values_of_the_configuration_made_visible(self, tmp_path: Path) -> None:
        file = tmp_path / f"c{ESCAPES.replace('/', '')}.toml"
        file.write_text(f"system = {json.dumps(ESCAPES)}\n".replace("\x7f", "\\u007f"))
        for arguments in (["get", "system"], ["get", "settings"], ["path"], ["show"], ["show", "--json"]):
            written, _ = on_terminal("config", *arguments, "--config", str(file))
            assert harmless(written), arguments

    def test_gets_the_path_of_threads_made_visible(self, tmp_path: Path) -> None:
        written, code = on_terminal("threads", "path", AGENTCLI_HOME=str(tmp_path / ESCAPES))
        assert harmless(written)
        assert code == 0

    @pytest.mark.parametrize("arguments", [[ESCAPES], [f"--{ESCAPES}"], ["ask", f"--timeout={ESCAPES}"], ["ask", f"-{ESCAPES}"]])
    def test_gets_usage_errors_made_visible(self, arguments: list[str]) -> None:
        written, code = on_terminal(*arguments)
        assert harmless(written)
        assert code == 2

    def test_gets_a_traceback_made_visible(self, tmp_path: Path) -> None:
        run = "from agentcli import cli; cli.COMMANDS['broken'] = ('broken:command', ''); cli.run()"
        command = [sys.executable, "-c", run, "broken", "--verbose"]
        (tmp_path / "broken.py").write_text(f"def command(verbose: bool = False) -> None:\n    raise RuntimeError({ESCAPES!r})\n")
        with Terminal(command, emulate=False, env=environment(PYTHONPATH=str(tmp_path))) as terminal:
            assert terminal.wait(20) == 1
            written = terminal.raw.decode().replace("\r\n", "\n")
        assert "RuntimeError" in written
        assert harmless(written)

    def test_gets_no_colours_with_plain(self, tmp_path: Path) -> None:
        assert "\x1b[" in on_terminal("ask", "-m", "nonsense", "hi")[0]
        assert "\x1b[" not in on_terminal("ask", "--plain", "-m", "nonsense", "hi")[0]
        assert "\x1b[" not in on_terminal("ask", "--plain", "--nonsense")[0]
        assert "\x1b[" not in on_terminal("ask", "-m", "nonsense", "hi", AGENTCLI_PLAIN="1")[0]

    def test_that_cannot_show_every_character_gets_a_list_to_pick_from(self, script: Callable[..., list[str]]) -> None:
        agentcli("ask", "日本", *script({"text": "ok"}))
        env = environment(LC_ALL="C", LANG="C", PYTHONUTF8="0", PYTHONIOENCODING="ascii", PYTHONCOERCECLOCALE="0")
        with Terminal([*PROGRAM, "resume"], env=env) as terminal:
            terminal.until("Which thread?")


class TestReaders:
    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_who_did_not_get_all_are_not_told_it_was_success(
        self, number: signal.Signals, code: int, script: Callable[..., list[str]]
    ) -> None:
        program = start("ask", "hi", *script({"text": "word " * 200_000}))
        eventually(saved)
        program.send_signal(number)
        assert program.wait(20) == code
        got, _ = program.communicate(timeout=20)
        assert 0 < len(got) < 1_000_000

    def test_who_are_slow_get_all(self, script: Callable[..., list[str]]) -> None:
        program = start("ask", "hi", *script({"text": "word " * 200_000}))
        eventually(saved)
        got, _ = program.communicate(timeout=20)
        assert (len(got), program.returncode) == (1_000_001, 0)

    def test_who_leave_the_notices_unread_get_the_answer(self, script: Callable[..., list[str]]) -> None:
        program = start("ask", "hi", *script({"reasoning": "thought " * 50_000, "text": "Hello"}))
        assert program.stdout
        assert program.stdout.readline() == b"Hello\n"
        _, notices = program.communicate(timeout=20)
        assert (len(notices), program.returncode) == (400_002, 0)

    def test_who_leave_the_notices_unread_do_not_stop_the_clock(self, script: Callable[..., list[str]]) -> None:
        first = {"reasoning": "thought " * 50_000, "calls": [{"tool": "clock", "arguments": {}}]}
        program = start("ask", "--timeout", "1", "--tool", "clock", "hi", *script(first, {"pause": 60, "text": "late"}))
        assert program.wait(20) == 124
        program.communicate(timeout=20)

    def test_who_leave_the_notices_unread_do_not_stop_ctrl_c(self, script: Callable[..., list[str]]) -> None:
        first = {"reasoning": "thought " * 50_000, "text": "Hello", "calls": [{"tool": "clock", "arguments": {}}]}
        program = start("ask", "--tool", "clock", "hi", *script(first, {"pause": 60, "text": "late"}))
        assert program.stdout
        assert os.read(program.stdout.fileno(), 5) == b"Hello"
        program.send_signal(signal.SIGINT)
        assert program.wait(20) == 130
        program.communicate(timeout=20)

    @pytest.mark.parametrize("arguments", [["--help"], ["ask", "--help"], ["config", "show"], ["--version"]])
    def test_who_are_gone_are_no_error(self, arguments: list[str]) -> None:
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run([*PROGRAM, *arguments], env=environment(), stdout=write, stderr=subprocess.PIPE, timeout=20)
        os.close(write)
        assert (done.returncode, done.stderr) == (141, b"")


@needs_full
class TestFullDisk:
    MESSAGE = b"error: cannot write to stdout: No space left on device\n"

    @pytest.mark.parametrize("form", [[], ["--json"], ["--jsonl"], ["--schema", "name"]])
    def test_is_told_by_ask(self, form: list[str], script: Callable[..., list[str]]) -> None:
        done = into_full_disk("ask", *form, "hi", *script({"text": '{"name": "Ada"}'}))
        assert (done.stderr, done.returncode) == (self.MESSAGE, 1)

    @pytest.mark.parametrize(
        "arguments",
        [
            ["--version"],
            ["-V"],
            ["--help"],
            ["ask", "--help"],
            ["config", "show"],
            ["config", "path"],
            ["doctor"],
            ["threads", "path"],
        ],
    )
    def test_is_told_by_every_command(self, arguments: list[str]) -> None:
        done = into_full_disk(*arguments)
        assert (done.stderr, done.returncode) == (self.MESSAGE, 1)

    def test_is_told_by_lists(self, script: Callable[..., list[str]]) -> None:
        agentcli("ask", "hi", *script({"text": "ok"}))
        for arguments in (["threads", "list"], ["threads", "list", "--json"], ["threads", "search", "hi"]):
            assert into_full_disk(*arguments).stderr == self.MESSAGE


class TestEnd:
    def test_leaving_at_once_waits_for_no_reader(self) -> None:
        code = (
            "import os, select, sys\n"
            "from agentcli.ui.terminal import leave_now\n"
            "while select.select((), (1,), (), 0)[1]: os.write(1, b'x' * 4096)\n"
            "sys.stdout.write('more')\n"
            "leave_now(7)"
        )
        program = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment(PYTHONUNBUFFERED=None))
        assert program.wait(20) == 7
        assert program.stdout
        program.stdout.close()

    def test_a_task_that_will_not_be_cancelled_does_not_hold_up_an_error(self) -> None:
        code = (
            "import asyncio\n"
            "from agentcli.cli import start\n"
            "from agentcli.errors import UserError\n"
            "async def deaf():\n"
            "    while True:\n"
            "        try: await asyncio.sleep(60)\n"
            "        except asyncio.CancelledError: pass\n"
            "async def main():\n"
            "    global task\n"
            "    task = asyncio.create_task(deaf())\n"
            "    await asyncio.sleep(0)\n"
            "    raise UserError('it broke', exit_code=69)\n"
            "start(main)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=20)
        assert (done.stderr, done.returncode) == (b"error: it broke\n", 69)


class TestAsk:
    def test_keeps_steps_apart_by_an_empty_line(self, script: Callable[..., list[str]]) -> None:
        first = {"text": "one\nX", "calls": [{"tool": "clock", "arguments": {}}]}
        done = agentcli("ask", "--tool", "clock", "-q", "hi", *script(first, {"text": "two"}))
        assert done.stdout == "one\nX\n\ntwo\n"

    def test_what_a_tool_prints_is_no_answer(self, script: Callable[..., list[str]], tmp_path: Path) -> None:
        tool = tmp_path / "mine.py"
        tool.write_text("print('loading')\n\ndef loud() -> str:\n    '''Loud.'''\n    print('noise')\n    return 'ok'\n")
        first = {"calls": [{"tool": "loud", "arguments": {}}]}
        done = agentcli("ask", "--yes", "--tool", f"{tool}:loud", "hi", *script(first, {"text": "Done."}))
        assert (done.stdout, done.returncode) == ("Done.\n", 0)
        assert "loading" in done.stderr
        assert "noise" in done.stderr

    @pytest.mark.parametrize("form", ["--json", "--jsonl"])
    def test_says_in_its_one_document_that_nothing_is_saved(self, form: str, script: Callable[..., list[str]], tmp_path: Path) -> None:
        tool = tmp_path / "mine.py"
        tool.write_text(
            "import os, pathlib, shutil\n\ndef wreck() -> str:\n    '''Wreck.'''\n"
            "    threads = pathlib.Path(os.environ['AGENTCLI_HOME'], 'threads')\n"
            "    shutil.rmtree(threads)\n    threads.write_text('')\n    return 'ok'\n"
        )
        first = {"calls": [{"tool": "wreck", "arguments": {}}]}
        done = agentcli("ask", form, "--yes", "--tool", f"{tool}:wreck", "hi", *script(first, {"text": "Done."}))
        ended = [each for each in map(json.loads, done.stdout.splitlines()) if each.get("event", "turn_ended") == "turn_ended"]
        assert [(each["text"], each["error"]["kind"]) for each in ended] == [("Done.", "unsaved")]
        assert done.returncode != 0
        assert "fault of agentcli" not in done.stderr

    @pytest.mark.parametrize("arguments", [["--fork"], ["-c", "-t", "abc"]])
    def test_wants_to_know_which_thread(self, arguments: list[str], script: Callable[..., list[str]]) -> None:
        model = script({"text": "ok"})
        agentcli("ask", "hi", *model)
        done = agentcli("ask", *arguments, "hi", *model)
        assert done.returncode == 2
        assert "--fork" in done.stderr or "--continue" in done.stderr
        assert len(list((home() / "threads").glob("*.json"))) == 1

    def test_takes_a_setting_nested_beyond_reason_as_text(self, script: Callable[..., list[str]]) -> None:
        assert agentcli("ask", "hi", "-o", "a=" + "[" * 50_000, *script({"text": "ok"})).stdout == "ok\n"

    def test_json_comes_also_for_a_setting_that_is_none(self) -> None:
        done = agentcli("ask", "--json", "hi", "-o", "a")
        assert (json.loads(done.stdout)["error"]["kind"], done.returncode) == ("usage", 2)

"""`agentcli ask` as scripts use it: exact bytes, exact exit codes, and a thread that is always there afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.model_server import ModelServer, sse
from tests.program import PROGRAM, agentcli, environment, start


def threads() -> list[dict[str, Any]]:
    folder = Path(os.environ["AGENTCLI_HOME"]) / "threads"
    found = [json.loads(path.read_bytes()) for path in folder.glob("*.json")]
    return sorted(found, key=lambda thread: str(thread["updated"]))


def said(server: ModelServer, request: int = -1) -> str:
    content = server.requests[request].body["messages"][-1]["content"]
    assert isinstance(content, str)
    return content


class TestStdout:
    def test_is_the_models_text_byte_for_byte_with_one_newline_at_the_end(self, server: ModelServer) -> None:
        text = "# Héllo \u2028 [b]x[/b] \x1b[31m\ttab  \r\n```\n日本 🎉"
        server.says(text, chunks=7)
        done = agentcli("ask", "hi", server=server)
        assert (done.stdout, done.stderr, done.returncode) == (text + "\n", "", 0)

    def test_has_no_second_newline_if_the_answer_ends_with_one(self, server: ModelServer) -> None:
        assert agentcli("ask", "hi", server=server.says("a\n")).stdout == "a\n"

    def test_streams_as_it_arrives(self, server: ModelServer) -> None:
        server.stalls("mid-stream", text="Hello there")
        program = start("ask", "hi", server=server)
        assert program.stdout
        assert os.read(program.stdout.fileno(), 100)
        program.send_signal(signal.SIGINT)
        program.communicate(timeout=10)

    def test_json_is_one_document(self, server: ModelServer) -> None:
        done = agentcli("ask", "--json", "hi", server=server.says("Hello"))
        answer = json.loads(done.stdout)
        assert list(answer)[:12] == [
            *["thread", "model", "stop", "text", "reasoning", "tool_calls", "usage", "cost"],
            *["seconds", "first_token_seconds", "retries", "denied"],
        ]
        assert (answer["text"], answer["stop"], answer["error"], answer["thread"]) == ("Hello", "done", None, threads()[0]["id"])
        assert answer["usage"] == {"input": 12, "output": 40, "cached": 0, "reasoning": 0, "cache_write": 0, "total": 52}

    def test_json_comes_also_after_a_failure(self, server: ModelServer) -> None:
        done = agentcli("ask", "--json", "hi", server=server.fails(401))
        answer = json.loads(done.stdout)
        assert (answer["stop"], answer["error"]["kind"], done.returncode) == ("failed", "auth", 69)

    @pytest.mark.parametrize("form", ["--json", "--jsonl"])
    def test_json_comes_also_if_the_turn_could_not_begin(self, form: str, server: ModelServer) -> None:
        done = agentcli("ask", form, "-t", "zzzzzzzz", "hi", server=server)
        answer = json.loads(done.stdout)
        assert (answer["stop"], answer["error"]["kind"], done.returncode) == ("failed", "usage", 2)

    def test_jsonl_is_an_event_a_line_and_ends_with_the_turn(self, server: ModelServer) -> None:
        done = agentcli("ask", "--jsonl", "hi", server=server.says("Hello there", chunks=2))
        events = [json.loads(line) for line in done.stdout.splitlines()]
        assert "".join(event["text"] for event in events if event["event"] == "text_delta") == "Hello there"
        assert [event["event"] for event in events if event["event"] == "message_added"] == ["message_added"] * 2
        assert events[-1]["event"] == "turn_ended"
        assert events[-1]["text"] == "Hello there"

    def test_a_reader_that_goes_away_ends_it_quietly_and_the_thread_is_saved(self, server: ModelServer) -> None:
        server.says("line\n" * 20000, chunks=4000)
        program = start("ask", "hi", server=server)
        assert program.stdout
        assert program.stderr
        program.stdout.readline()
        program.stdout.close()
        assert program.wait(timeout=20) == 141
        assert program.stderr.read() == b""
        program.stderr.close()
        assert threads()[0]["messages"][1]["stop"] == "interrupted"

    @pytest.mark.parametrize("closed", [">&-", "<&- >&-"])
    def test_closed_from_the_start(self, closed: str, server: ModelServer) -> None:
        done = subprocess.run(
            ["sh", "-c", f'exec "$@" {closed}', "sh", *PROGRAM, "ask", "hi"],
            env=environment(server.says("Hello")),
            capture_output=True,
            timeout=20,
            stdin=subprocess.DEVNULL,
        )
        assert (done.returncode, done.stderr) == (141, b"")
        assert threads()[0]["messages"][0]["parts"][0]["text"] == "hi"

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
    def test_a_full_disk_behind_stdout_is_not_success(self, server: ModelServer) -> None:
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [*PROGRAM, "ask", "hi"],
                env=environment(server.says("Hello")),
                stdout=full,
                stderr=subprocess.PIPE,
                timeout=20,
                stdin=subprocess.DEVNULL,
            )
        assert done.returncode != 0
        assert b"Traceback" not in done.stderr

    def test_an_empty_answer_is_said_to_be_one(self, server: ModelServer) -> None:
        done = agentcli("ask", "hi", server=server.says(""))
        assert (done.returncode, done.stdout.strip()) == (0, "")
        assert "note: the model said nothing" in done.stderr
        assert agentcli("ask", "-q", "hi", server=server.afresh().says("")).stderr == ""
        assert "said nothing" not in agentcli("ask", "hi", server=server.afresh().says("hello")).stderr

    def test_two_forms_of_one_answer_are_one_too_many(self) -> None:
        assert agentcli("ask", "--json", "--jsonl", "hi").returncode == 2


class TestStdin:
    def test_is_the_prompt_if_there_is_no_other(self, server: ModelServer) -> None:
        assert agentcli("ask", server=server.echo(), stdin="2+2?\n").stdout == "2+2?\n"

    def test_a_dash_is_stdin(self, server: ModelServer) -> None:
        assert agentcli("ask", "-", server=server.echo(), stdin="2+2?").stdout == "2+2?\n"

    def test_joins_a_prompt_as_a_marked_block(self, server: ModelServer) -> None:
        agentcli("ask", "Sum", "up:", server=server, stdin="one\ntwo\n")
        assert said(server) == "Sum up:\n\n<stdin>\none\ntwo\n</stdin>"

    def test_is_not_needed_to_end_for_a_prompt_of_arguments(self, server: ModelServer) -> None:
        program = start("ask", "hi", server=server.says("Hello"), stdin=subprocess.PIPE)
        assert program.stdout
        assert program.stderr
        assert program.stdout.read() == b"Hello\n"
        assert program.wait(timeout=20) == 0
        assert b"nothing came on stdin" in program.stderr.read()
        for pipe in (program.stdin, program.stdout, program.stderr):
            assert pipe
            pipe.close()

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who holds a pipe")
    def test_of_a_slow_producer_in_a_pipeline_is_waited_for(self, server: ModelServer) -> None:
        command = '(sleep 4; echo late) | "$@"'
        done = subprocess.run(
            ["sh", "-c", command, "sh", *PROGRAM, "ask", "Say:"], env=environment(server.echo()), capture_output=True, timeout=30
        )
        assert b"late" in done.stdout

    def test_that_is_not_text_does_no_harm(self, server: ModelServer) -> None:
        assert agentcli("ask", server=server.echo(), stdin=b"a\xff\xfeb").stdout == "a\ufffd\ufffdb\n"

    def test_of_ten_megabytes(self, server: ModelServer) -> None:
        assert agentcli("ask", server=server.says("ok"), stdin="x" * 10_000_000).stdout == "ok\n"
        assert len(said(server)) == 10_000_000

    def test_empty_is_no_question(self) -> None:
        done = agentcli("ask")
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert "\n\nhint: " in done.stderr


class TestFiles:
    def test_a_text_goes_along_as_a_block(self, server: ModelServer, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("content\n")
        agentcli("ask", "What?", "-f", str(tmp_path / "a.txt"), server=server)
        assert "content" in json.dumps(server.requests[-1].body["messages"])

    def test_an_image_goes_along_as_one(self, server: ModelServer, tmp_path: Path) -> None:
        (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 50_000)
        agentcli("ask", "What?", "-f", str(tmp_path / "a.png"), server=server)
        kinds = [part["type"] for part in server.requests[-1].body["messages"][-1]["content"]]
        assert sorted(kinds) == ["image_url", "text"]
        assert len((Path(os.environ["AGENTCLI_HOME"]) / "threads" / f"{threads()[0]['id']}.json").read_bytes()) < 5000
        agentcli("ask", "-c", "Again?", server=server)
        assert "image_url" in json.dumps(server.requests[-1].body)

    def test_a_pipe_of_the_shell_goes_along_and_one_without_a_writer_does_not_hang(self, server: ModelServer, tmp_path: Path) -> None:
        command = '"$@" -f <(echo piped in)'
        done = subprocess.run(
            ["bash", "-c", command, "bash", *PROGRAM, "ask", "What?"],
            env=environment(server),
            capture_output=True,
            timeout=20,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, done.stderr
        assert "piped in" in said(server)
        os.mkfifo(tmp_path / "fifo")
        assert agentcli("ask", "What?", "-f", str(tmp_path / "fifo"), server=server).returncode == 2

    @pytest.mark.parametrize("name", ["missing", "folder", "binary"])
    def test_what_cannot_go_along_is_named(self, name: str, tmp_path: Path, server: ModelServer) -> None:
        (tmp_path / "folder").mkdir()
        (tmp_path / "binary").write_bytes(b"\x00\xff\xfe")
        done = agentcli("ask", "x", "-f", str(tmp_path / name), server=server)
        assert done.returncode == 2
        assert name in done.stderr


class TestThreads:
    def test_are_saved_and_gone_on_in(self, server: ModelServer) -> None:
        agentcli("ask", "one", server=server.echo())
        thread = threads()[0]["id"]
        agentcli("ask", "-c", "two", server=server)
        agentcli("ask", "-t", thread[:5].upper(), "three", server=server)
        assert [message["parts"][0]["text"] for message in threads()[0]["messages"]] == ["one", "one", "two", "two", "three", "three"]
        assert [message["content"] for message in server.requests[-1].body["messages"]] == ["one", "one", "two", "two", "three"]
        assert len(threads()) == 1

    def test_a_fork_leaves_the_thread_alone(self, server: ModelServer) -> None:
        agentcli("ask", "one", server=server.echo())
        agentcli("ask", "-c", "--fork", "two", server=server)
        assert sorted(len(thread["messages"]) for thread in threads()) == [2, 4]
        assert threads()[-1]["parent"]["thread"] == threads()[0]["id"]

    def test_are_not_saved_if_not_wanted(self, server: ModelServer) -> None:
        assert agentcli("ask", "--no-save", "one", server=server.echo()).returncode == 0
        assert threads() == []

    @pytest.mark.parametrize("name", ["zzzzzzzz", "../x", "/etc/passwd", "", "x" * 300, "\u202e", "-rf"])
    def test_an_unknown_id_is_an_error_and_never_a_new_thread(self, name: str, server: ModelServer) -> None:
        done = agentcli("ask", f"--thread={name}", "hi", server=server)
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert "\u202e" not in done.stderr
        assert threads() == []

    def test_there_is_nothing_to_continue(self, server: ModelServer) -> None:
        assert agentcli("ask", "-c", "hi", server=server).returncode == 2

    def test_survive_kill_9_in_mid_answer(self, server: ModelServer) -> None:
        server.stalls("mid-stream", text="Hello there").then.says("I am back")
        program = start("ask", "hi", server=server)
        assert program.stdout
        seen = os.read(program.stdout.fileno(), 100)
        journal = next((Path(os.environ["AGENTCLI_HOME"]) / "threads").glob("*.journal"))
        server.wait_until(lambda: b"text_delta" in journal.read_bytes(), timeout=5)
        program.kill()
        program.communicate(timeout=10)
        done = agentcli("ask", "-c", "and?", server=server)
        assert (done.stdout, done.returncode) == ("I am back\n", 0)
        messages = threads()[0]["messages"]
        assert [message.get("stop") for message in messages] == [None, "crashed", None, "done"]
        assert messages[1]["parts"][0]["text"].startswith(seen.decode().strip())


class TestExitCodes:
    @pytest.mark.parametrize(
        ("status", "code"),
        [(400, 69), (401, 69), (403, 69), (404, 69), (413, 69), (418, 69), (429, 75), (500, 69), (502, 69), (503, 75), (529, 75)],
    )
    def test_of_what_a_server_says(self, status: int, code: int, server: ModelServer) -> None:
        done = agentcli("ask", "hi", server=server.fails(status), AGENTCLI_RETRIES="0")
        assert done.returncode == code, done.stderr
        assert done.stdout == ""
        assert done.stderr.startswith("error: ")
        assert "Traceback" not in done.stderr

    @pytest.mark.parametrize("fault", ["cut", "reset", "error_event", "html", "redirects"])
    def test_of_answers_that_go_wrong(self, fault: str, server: ModelServer) -> None:
        match fault:
            case "cut":
                server.cut(600, text="Hello there, how are you today?")
            case "reset":
                server.reset(600, text="Hello there, how are you today?")
            case "error_event":
                server.error_event(code="overloaded_error")
            case "html":
                server.html()
            case "redirects":
                server.redirects("http://127.0.0.1:1/")
        done = agentcli("ask", "hi", server=server, AGENTCLI_RETRIES="0")
        assert done.returncode == (69 if fault in ("html", "redirects") else 75), done.stderr
        assert done.stderr.startswith("error: ")

    def test_refused_connection(self) -> None:
        done = agentcli("ask", "-m", "openai/x", "hi", OPENAI_BASE_URL="http://127.0.0.1:9/v1", AGENTCLI_RETRIES="0")
        assert done.returncode == 69
        assert "127.0.0.1:9" in done.stderr

    def test_a_stall(self, server: ModelServer) -> None:
        done = agentcli("ask", "--idle-timeout", "0.3", "hi", server=server.stalls("mid-stream", text="Hello there"))
        assert done.returncode == 75
        assert done.stdout.strip()

    def test_the_turns_time_runs_out(self, server: ModelServer) -> None:
        done = agentcli("ask", "--timeout", "0.5", "hi", server=server.stalls("mid-stream", text="Hello there"))
        assert done.returncode == 124
        assert done.stdout.strip()
        assert threads()[0]["messages"][1]["stop"] == "timed_out"

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
    def test_signals_save_what_there_is(self, number: signal.Signals, code: int, server: ModelServer) -> None:
        server.stalls("mid-stream", text="Hello there")
        program = start("ask", "hi", server=server)
        assert program.stdout
        os.read(program.stdout.fileno(), 100)
        program.send_signal(number)
        _, errors = program.communicate(timeout=10)
        assert program.returncode == code
        assert b"Traceback" not in errors
        assert threads()[0]["messages"][1]["stop"] == "interrupted"
        server.wait_until(lambda: server.connections[-1].closed is not None)

    def test_no_model(self) -> None:
        done = agentcli("ask", "hi")
        assert done.returncode == 78
        for way in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "agentcli local install"):
            assert way in done.stderr

    @pytest.mark.parametrize("name", ["x", "nobody/x", "openai/", "/x", "openai/gpt"])
    def test_a_model_that_cannot_be_asked(self, name: str) -> None:
        done = agentcli("ask", "-m", name, "hi")
        assert done.returncode == 78
        assert "hint: " in done.stderr

    def test_the_first_model_of_a_server_is_asked_if_none_is_named(self, server: ModelServer) -> None:
        done = agentcli("ask", "hi", OPENAI_BASE_URL=server.echo().url)
        assert done.stdout == "hi\n"

    @pytest.mark.parametrize(
        "arguments", [["--nonsense"], ["ask", "--nonsense"], ["nonsense"], ["ask", "-o", "x", "hi"], ["ask", "--timeout", "x"]]
    )
    def test_usage(self, arguments: list[str]) -> None:
        done = agentcli(*arguments)
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert "\n\nhint: " in done.stderr

    def test_an_answer_at_its_limit_is_not_whole(self, server: ModelServer) -> None:
        choice = {"index": 0, "delta": {"content": "Hel"}, "finish_reason": "length"}
        done = agentcli("ask", "hi", server=server.raw(sse({"choices": [choice]}) + b"data: [DONE]\n\n"))
        assert (done.returncode, done.stdout) == (1, "Hel\n")
        assert "not whole" in done.stderr


TOOLS = '''
from agentcli import tool

def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b

@tool(asks=True)
def risky() -> str:
    """Do something risky."""
    open("ran", "a").write("x")
    return "done it"
'''


class TestTools:
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        Path("mine.py").write_text(TOOLS)

    def test_a_function_in_a_file_is_a_tool(self, server: ModelServer) -> None:
        server.calls("add", {"a": 2, "b": 2}).then.says("It is 4.")
        done = agentcli("ask", "--tool", "mine.py:add", "2+2?", server=server)
        assert (done.stdout, done.returncode) == ("It is 4.\n", 0)
        assert "add" in done.stderr
        assert server.requests[-1].body["messages"][-1]["content"] == "4"
        assert server.requests[0].body["tools"][0]["function"]["name"] == "add"

    def test_a_wrong_argument_is_named_to_the_model(self, server: ModelServer) -> None:
        server.calls("add", {"a": "two", "b": 2}).then.says("Sorry.")
        agentcli("ask", "--tool", "mine.py:add", "2+2?", server=server)
        assert "$.a" in server.requests[-1].body["messages"][-1]["content"]

    def test_one_that_asks_is_denied_in_a_pipe(self, server: ModelServer) -> None:
        server.calls("risky", {}).then.says("I was not allowed to.")
        done = agentcli("ask", "--tool", "mine.py:risky", "go", server=server)
        assert (done.returncode, done.stdout) == (77, "I was not allowed to.\n")
        assert not Path("ran").exists()

    def test_and_runs_once_with_yes(self, server: ModelServer) -> None:
        server.calls("risky", {}).then.says("Done.")
        assert agentcli("ask", "--yes", "--tool", "mine.py:risky", "go", server=server).returncode == 0
        assert Path("ran").read_text() == "x"

    def test_what_a_tool_prints_is_not_the_answer(self, server: ModelServer) -> None:
        Path("loud.py").write_text(
            "import os, subprocess\n\ndef loud() -> str:\n    'Be loud.'\n    print('printed')\n    os.write(1, b'written')\n"
            "    subprocess.run(['echo', 'started'])\n    return 'ok'\n"
        )
        server.calls("loud", {}).then.says("Done.")
        done = agentcli("ask", "--tool", "loud.py:loud", "go", server=server)
        assert done.stdout == "Done.\n"
        for words in ("printed", "written", "started"):
            assert words in done.stderr

    def test_nor_is_what_its_file_prints_when_it_is_read_or_what_a_thread_of_it_prints_later(self, server: ModelServer) -> None:
        Path("loud.py").write_text(
            "import os, threading, time\n\nos.system('echo started')\nprint('read')\n\n"
            "def later() -> None:\n    while True:\n        print('later')\n        time.sleep(0.01)\n\n"
            "def loud() -> str:\n    'Be loud.'\n    threading.Thread(target=later, daemon=True).start()\n    return 'ok'\n"
        )
        server.calls("loud", {}).then.says(["Do", "ne."], pause=0.2)
        done = agentcli("ask", "--tool", "loud.py:loud", "go", server=server, PYTHONUNBUFFERED=None)
        assert done.stdout == "Done.\n"

    def test_the_clock_is_built_in(self, server: ModelServer) -> None:
        server.calls("clock", {}).then.says("Noon.")
        assert agentcli("ask", "--tool", "clock", "time?", server=server).stdout == "Noon.\n"

    def test_the_limit_of_steps(self, server: ModelServer) -> None:
        done = agentcli(
            "ask", "--json", "--max-steps", "2", "--tool", "mine.py:add", "go", server=server.calls("add", {"a": 1, "b": 1})
        )
        assert done.returncode == 1
        assert json.loads(done.stdout)["stop"] == "tools"
        assert json.loads(done.stdout)["tool_calls"][0]["name"] == "add"
        assert len(server.requests) == 2

    def test_an_unknown_tool(self, server: ModelServer) -> None:
        done = agentcli("ask", "--tool", "mine.py:ad", "go", server=server)
        assert done.returncode == 2
        assert "add" in done.stderr


class TestGoingOn:
    @pytest.fixture
    def half(self, server: ModelServer) -> str:
        """The thread of an answer that was cut off."""
        server.stalls("mid-stream", text="Once upon a time" * 2)
        done = agentcli("ask", "--idle-timeout", "0.3", "a story", server=server)
        assert (done.returncode, done.stdout.rstrip("\n")) == (75, "Once upon a time")
        server.afresh()
        return str(threads()[0]["id"])

    @pytest.mark.parametrize("options", [("-c",), ("-t", "ID", "-c"), ("-t", "ID", "--continue", "-m", "openai/other")])
    def test_what_is_new_is_printed_and_the_thread_has_the_whole(self, options: Any, half: str, server: ModelServer) -> None:
        server.says(" there was", chunks=3)
        done = agentcli("ask", *(half if one == "ID" else one for one in options), server=server)
        assert (done.stdout, done.stderr, done.returncode) == (" there was\n", "", 0)
        (thread,) = threads()
        assert [message["parts"][-1]["text"] for message in thread["messages"]] == ["a story", "Once upon a time there was"]
        assert thread["messages"][1]["stop"] == "done"
        sent = server.requests[0].body["messages"]
        assert [message["role"] for message in sent] == ["user", "assistant", "user"]
        assert sent[1]["content"] == "Once upon a time"

    def test_as_json_it_is_the_whole(self, half: str, server: ModelServer) -> None:
        done = agentcli("ask", "-t", half, "-c", "--json", server=server.says(" there was"))
        answer = json.loads(done.stdout)
        assert (answer["text"], answer["stop"], answer["usage"]["total"]) == ("Once upon a time there was", "done", 52)

    def test_as_events_the_pieces_are_new_and_the_message_is_whole(self, half: str, server: ModelServer) -> None:
        done = agentcli("ask", "-t", half, "-c", "--jsonl", server=server.says(" there was"))
        events = [json.loads(line) for line in done.stdout.splitlines()]
        assert "".join(event["text"] for event in events if event["event"] == "text_delta") == " there was"
        (added,) = [event["message"] for event in events if event["event"] == "message_added"]
        assert added["parts"] == [{"type": "text", "text": "Once upon a time there was"}]
        assert events[-1]["text"] == "Once upon a time there was"

    def test_cut_off_again_it_is_gone_on_with_again(self, half: str, server: ModelServer) -> None:
        server.stalls("mid-stream", text=" there was" * 2).then.says(" a fox")
        done = agentcli("ask", "-t", half, "-c", "--json", "--idle-timeout", "0.3", server=server)
        assert (json.loads(done.stdout)["text"], done.returncode) == ("Once upon a time there was", 75)
        assert agentcli("ask", "-t", half, "-c", "--json", server=server).returncode == 0
        assert threads()[0]["messages"][1]["parts"][0]["text"] == "Once upon a time there was a fox"

    def test_after_a_kill_it_is_what_there_was_and_what_had_come(self, half: str, server: ModelServer) -> None:
        server.stalls("mid-stream", text=" there was" * 2).then.says(" a fox")
        program = start("ask", "-t", half, "-c", server=server)
        assert program.stdout
        assert os.read(program.stdout.fileno(), 100) == b" there was"
        journal = Path(os.environ["AGENTCLI_HOME"]) / "threads" / f"{half}.journal"
        server.wait_until(lambda: b" there was" in journal.read_bytes())
        program.kill()
        program.communicate(timeout=10)
        done = agentcli("ask", "-t", half, "-c", "--json", server=server)
        assert json.loads(done.stdout)["text"] == "Once upon a time there was a fox"

    def test_if_nothing_comes_the_thread_is_as_it_was(self, half: str, server: ModelServer) -> None:
        before = threads()[0]["messages"]
        done = agentcli("ask", "-t", half, "-c", server=server.fails(401))
        assert (done.returncode, threads()[0]["messages"]) == (69, before)

    def test_a_copy_goes_on_and_the_thread_stays(self, half: str, server: ModelServer) -> None:
        assert agentcli("ask", "-t", half, "-c", "--fork", server=server.says(" there was")).returncode == 0
        assert [thread["messages"][1]["stop"] for thread in threads()] == ["failed", "done"]

    def test_a_question_that_was_never_answered_is_asked_again(self, server: ModelServer) -> None:
        assert agentcli("ask", "hi", server=server.fails(401)).returncode == 69
        server.afresh()
        assert agentcli("ask", "-c", server=server.says("Hello")).stdout == "Hello\n"
        assert [message["role"] for message in threads()[0]["messages"]] == ["user", "assistant"]

    @pytest.mark.parametrize("form", [(), ("--json",)])
    def test_there_may_be_nothing_to_go_on_from(self, form: tuple[str, ...], server: ModelServer) -> None:
        agentcli("ask", "hi", server=server.says("Hello"))
        done = agentcli("ask", "-c", *form, server=server)
        assert done.returncode == 2
        assert "nothing to go on from" in done.stderr
        assert "hint: " in done.stderr
        assert len(server.requests) == 1

    def test_without_any_thread(self, server: ModelServer) -> None:
        done = agentcli("ask", "-c", server=server)
        assert done.returncode == 2
        assert "no thread to continue" in done.stderr

    def test_a_prompt_is_the_next_question(self, half: str, server: ModelServer) -> None:
        server.says("Yes.")
        assert agentcli("ask", "-c", "Well?", server=server).stdout == "Yes.\n"
        assert agentcli("ask", "-c", server=server, stdin="And?\n").stdout == "Yes.\n"
        roles = [message["role"] for message in threads()[0]["messages"]]
        assert roles == ["user", "assistant", "user", "assistant", "user", "assistant"]

    def test_two_threads_for_one_prompt_are_one_too_many(self, half: str, server: ModelServer) -> None:
        assert agentcli("ask", "-t", half, "-c", "Well?", server=server).returncode == 2
        assert agentcli("ask", "-t", half, "-c", server=server, stdin="Well?").returncode == 2
        assert agentcli("ask", "-t", half, "-c", "-f", __file__, server=server).returncode == 2
        assert agentcli("ask", "-t", half, "-c", "", server=server).returncode == 2
        assert server.requests == []

    def test_a_stdin_that_is_silent_is_not_waited_for(self, half: str, server: ModelServer) -> None:
        program = start("ask", "-t", half, "-c", server=server.says(" there was"), stdin=subprocess.PIPE)
        out, err = _left_open(program)
        assert out == b" there was\n"
        assert err == b"" or b"nothing came on stdin" in err

    def test_a_schema_is_held_to_the_whole(self, server: ModelServer) -> None:
        server.stalls("mid-stream", text='{"name": "A' * 2).then.says('da"}')
        agentcli("ask", "--json", "--idle-timeout", "0.3", "who?", server=server)
        done = agentcli("ask", "-c", "--schema", "name", server=server)
        assert (done.returncode, json.loads(done.stdout)) == (0, {"name": "Ada"})
        assert "response_format" not in server.requests[1].body


def _left_open(program: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """What a program says whose stdin stays open and silent."""
    assert program.stdin
    assert program.stdout
    assert program.stderr
    program.wait(timeout=20)
    with program.stdin, program.stdout, program.stderr:
        return program.stdout.read(), program.stderr.read()


class TestSchema:
    def test_the_answer_fits(self, server: ModelServer) -> None:
        server.says('```json\n{"name": "Ada", "age": 36}\n```')
        done = agentcli("ask", "--schema", "name, age int", "who?", server=server)
        assert (json.loads(done.stdout), done.returncode) == ({"name": "Ada", "age": 36}, 0)
        assert server.requests[0].body["response_format"]["json_schema"]["schema"]["required"] == ["name", "age"]

    def test_one_that_does_not_is_repaired_once(self, server: ModelServer) -> None:
        server.says('{"name": "Ada"}').then.says('{"name": "Ada", "age": 36}')
        done = agentcli("ask", "--schema", "name, age int", "who?", server=server)
        assert json.loads(done.stdout)["age"] == 36
        assert "age" in said(server)

    def test_or_it_is_an_error(self, server: ModelServer) -> None:
        done = agentcli("ask", "--schema", "name, age int", "who?", server=server.says("I do not know."))
        assert (done.returncode, done.stdout) == (65, "")
        assert len(server.requests) == 2

    @pytest.mark.parametrize("schema", ["", "a b c", "{", '{"type": "nonsense"}', "none.json", '{"$ref": "http://127.0.0.1:9/x"}'])
    def test_a_schema_that_is_none(self, schema: str, server: ModelServer) -> None:
        assert agentcli("ask", "--schema", schema, "who?", server=server).returncode == 2


class TestEnvironment:
    def test_without_a_home(self, server: ModelServer, tmp_path: Path) -> None:
        done = agentcli(
            "ask", "hi", server=server.says("Hello"), AGENTCLI_HOME=None, HOME=str(tmp_path / "none" / "home"), XDG_DATA_HOME=None
        )
        assert "Traceback" not in done.stderr

    def test_in_the_c_locale(self, server: ModelServer) -> None:
        done = agentcli("ask", "hé", server=server.echo(), LC_ALL="C", LANG="C", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
        assert (done.stdout, done.returncode) == ("hé\n", 0)

    def test_with_few_open_files(self, server: ModelServer) -> None:
        done = subprocess.run(
            ["sh", "-c", 'ulimit -n 32; exec "$@"', "sh", *PROGRAM, "ask", "hi"],
            env=environment(server.says("Hello")),
            capture_output=True,
            timeout=20,
            stdin=subprocess.DEVNULL,
        )
        assert done.stdout == b"Hello\n"

    def test_an_unwritable_home_does_not_lose_the_answer(self, server: ModelServer, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        done = agentcli("ask", "hi", server=server.says("Hello"), AGENTCLI_HOME=str(tmp_path / "file" / "home"))
        assert done.returncode != 0
        assert "Traceback" not in done.stderr
        assert done.stderr.count("error: ") >= 1

    def test_a_key_is_nowhere(self, server: ModelServer) -> None:
        done = agentcli("ask", "--verbose", "--json", "hi", server=server.fails(401), OPENAI_API_KEY="sk-very-secret")
        assert server.requests[0].headers["authorization"] == "Bearer sk-very-secret"
        assert "very-secret" not in done.stdout + done.stderr
        home = Path(os.environ["AGENTCLI_HOME"])
        assert not any(b"very-secret" in path.read_bytes() for path in home.rglob("*") if path.is_file())

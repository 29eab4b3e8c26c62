"""`agentcli threads` as a script sees it: what is on stdout, what is on stderr, and the exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agentcli import assemble
from agentcli.core.message import Blob, Message, Text, ToolCall, ToolResult, assistant, user
from agentcli.core.thread import Thread

LARGE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 200

# Names that are no ids, and must not become paths.
ODD = ("../x", "/etc/passwd", "..", ".", "", " ", "x" * 300, "a\nb", "\x1b[2J", "\u202ek7m", "k7m/../k7m", "-", "%s", "\udcff", "*")


def run(*arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-W", "error", "-m", "agentcli", "threads", *arguments]
    return subprocess.run(command, input=data, capture_output=True, timeout=30)


def ok(*arguments: str, data: bytes = b"") -> str:
    done = run(*arguments, data=data)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


def failed(code: int, *arguments: str, data: bytes = b"") -> str:
    done = run(*arguments, data=data)
    assert (done.returncode, done.stdout) == (code, b"")
    said = done.stderr.decode()
    assert said.startswith("error: ")
    assert "Traceback" not in said
    return said


def saved(*messages: Message, name: str = "", age: float = 0, title: str = "") -> Thread:
    thread = Thread.of(*messages, title=title)
    thread.id = name or thread.id
    thread.model = "openai/gpt-5.4"
    thread.updated = datetime.now(UTC) - timedelta(seconds=age)
    assemble.store().save(thread)
    return thread


def talk(name: str = "k7m29xqd", age: float = 0) -> Thread:
    call = ToolCall("c1", "clock", '{"zone": "UTC"}')
    return saved(
        user("What time\tis it?"),
        Message(role="assistant", author="agentcli", stop="tools", parts=(call,)),
        Message(role="tool", parts=(ToolResult("c1", "12:00"),)),
        Message(role="assistant", author="agentcli", stop="interrupted", parts=(Text("It is *noon*.\nOr \x1b[31mlater"),)),
        name=name,
        age=age,
    )


def damage(name: str = "badbad00") -> tuple[Path, bytes]:
    path = assemble.store().path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    path.write_bytes(b'{"format": 1, "id": "badbad00", "messages": [')
    path.chmod(0o600)
    return path, path.read_bytes()


def threads() -> list[str]:
    return [row.id for row in assemble.store().rows()]


def test_list_is_newest_first_one_row_a_line() -> None:
    for number in range(23):
        saved(user(f"Question {number}\nmore"), name=f"aaaaaa{number:02}", age=number * 60)
    done = run("list")
    rows = [line.split("\t") for line in done.stdout.decode().splitlines()]
    assert [row[0] for row in rows] == [f"aaaaaa{number:02}" for number in range(23)]
    assert rows[3][1:3] == ["Question 3 more", "1"]
    assert datetime.fromisoformat(rows[3][3]).tzinfo is not None
    assert rows[3][4] == "openai/gpt-5.4"
    assert done.stderr == b""
    some = run("list", "-n", "2")
    assert len(some.stdout.splitlines()) == 2
    assert b"21 more" in some.stderr
    assert failed(2, "list", "-n", "-1")


def test_list_as_json_is_all_of_them() -> None:
    for number in range(23):
        saved(user(f"Question {number}"), name=f"aaaaaa{number:02}", age=number * 60)
    rows = json.loads(ok("list", "--json"))
    assert [row["id"] for row in rows] == [f"aaaaaa{number:02}" for number in range(23)]
    assert list(rows[0]) == ["id", "title", "created", "updated", "messages", "model", "agent", "path", "tokens", "cost"]
    assert (rows[0]["messages"], rows[0]["model"], rows[0]["agent"]) == (1, "openai/gpt-5.4", None)
    assert json.loads(Path(rows[0]["path"]).read_bytes())["id"] == "aaaaaa00"
    assert len(json.loads(ok("list", "--json", "-n", "2"))) == 2


def test_no_threads_is_no_error() -> None:
    done = run("list")
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"no threads yet" in done.stderr
    assert json.loads(run("list", "--json").stdout) == []
    assert json.loads(ok("search", "--json", "x")) == []


def test_damaged_threads_are_named_and_the_others_listed() -> None:
    talk()
    path, before = damage()
    for arguments in (["list"], ["list", "--json"], ["search", "noon"]):
        done = run(*arguments)
        assert done.returncode == 0
        assert b"k7m29xqd" in done.stdout
        assert b"badbad00" not in done.stdout
        assert str(path).encode() in done.stderr
        assert b"hint: " in done.stderr
    for arguments in (["show", "bad"], ["fork", "bad"], ["rename", "bad", "x"], ["export", "bad"]):
        assert str(path) in failed(65, *arguments)
    assert path.read_bytes() == before
    assert ok("path", "bad").strip() == str(path)


def test_check_finds_and_repairs() -> None:
    talk()
    done = run("check")
    assert (done.returncode, done.stdout) == (0, b"")
    path, before = damage()
    done = run("check")
    assert done.returncode == 65
    assert done.stdout.decode().startswith(f"{path}\t")
    assert path.read_bytes() == before
    (finding,) = json.loads(run("check", "--json").stdout)
    assert (finding["path"], finding["done"]) == (str(path), None)
    assert run("check", "k7m").returncode == 0
    assert run("check", "bad").returncode == 65
    done = run("check", "--repair")
    assert done.returncode == 0
    assert any(file.read_bytes() == before for file in path.parent.iterdir())
    assert "k7m29xqd" in ok("list")


def test_show_in_a_pipe_is_exact_and_numbered() -> None:
    talk()
    shown = ok("show", "k7m")
    assert shown.startswith("What time is it?\nk7m29xqd · openai/gpt-5.4 · 4 messages · ")
    assert "\n[1] You · " in shown
    assert "\nWhat time\tis it?\n\n[2] agentcli · " in shown
    assert '\n[call clock]\n{"zone": "UTC"}\n' in shown
    assert "\n[result clock]\n12:00\n" in shown
    assert "\nIt is *noon*.\nOr \x1b[31mlater\n[This answer was stopped before it was finished.]\n" in shown


def test_times_without_a_zone_and_of_any_year_are_shown() -> None:
    path = assemble.store().path("k7m29xqd")
    talk()
    document = json.loads(path.read_bytes())
    document["messages"][0]["at"] = "2026-01-31T12:00:00"
    document["messages"][1]["at"] = "0001-01-01T00:00:00+10:00"
    document["updated"] = "9999-12-31T23:59:59"
    path.write_text(json.dumps(document))
    assert "[1] You · 2026-01-31T12:00:00\n" in ok("show", "k7m")
    assert "k7m29xqd\tWhat time is it?\t4\t9999-12-31T23:59:59Z" in ok("list")
    for kind in ("md", "html", "json"):
        assert "9999-12-31" in ok("export", "k7m", "--format", kind)


def test_show_as_json_is_the_document() -> None:
    talk()
    assert ok("show", "--json", "k7m29xqd").encode() == assemble.store().path("k7m29xqd").read_bytes()


@pytest.mark.parametrize("locale", ["C", "C.UTF-8", "en_US.ISO-8859-1"])
def test_a_pipe_gets_utf8_in_every_locale(locale: str) -> None:
    saved(user("naïve 漢字"), name="k7m29xqd")
    os.environ["LC_ALL"] = locale
    os.environ["PYTHONUTF8"] = "0"
    os.environ["PYTHONCOERCECLOCALE"] = "0"
    assert "naïve 漢字" in ok("show", "k7m")
    assert "naïve 漢字" in ok("list")


def test_an_unknown_id_names_the_nearest() -> None:
    talk()
    saved(user("Something else"), name="zzzzzzzz")
    for arguments in (["show"], ["fork"], ["export"], ["path"], ["delete", "--yes"], ["check"]):
        assert "k7m29xqd" in failed(2, *arguments, "k7m29xqe")
    assert "k7m29xqd" in failed(2, "rename", "k7m29xqe", "x")
    assert sorted(threads()) == ["k7m29xqd", "zzzzzzzz"]


def test_an_ambiguous_beginning_lists_the_candidates() -> None:
    talk("k7m29xqd")
    talk("k7m00000")
    talk("zzzzzzzz")
    said = failed(2, "show", "k7m")
    assert "k7m29xqd" in said
    assert "k7m00000" in said
    assert "zzzzzzzz" not in said
    assert "[1] You" in ok("show", "k7m2")


@pytest.mark.parametrize("odd", ODD)
def test_what_is_no_id_is_an_error_that_touches_nothing(odd: str) -> None:
    talk()
    before = {path: path.read_bytes() for path in Path(os.environ["AGENTCLI_HOME"]).rglob("*.json")}
    said = failed(2, "show", odd)
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert len(said) < 500
    failed(2, "delete", "--yes", "k7m", odd)
    assert {path: path.read_bytes() for path in Path(os.environ["AGENTCLI_HOME"]).rglob("*.json")} == before


def test_an_id_that_looks_like_an_option_is_a_usage_error() -> None:
    failed(2, "show", "-rf")
    failed(2, "show", "--", "-rf")
    failed(2, "delete", "--yes", "-rf")
    failed(2, "show")
    failed(2, "frobnicate")


def test_rename() -> None:
    talk()
    assert ok("rename", "k7m", "Time", "  of\nday") == ""
    assert json.loads(ok("list", "--json"))[0]["title"] == "Time of day"
    failed(2, "rename", "k7m", " ")
    failed(2, "rename", "k7m")
    assert json.loads(ok("list", "--json"))[0]["title"] == "Time of day"


def test_delete_needs_a_yes() -> None:
    talk("k7m29xqd")
    talk("zzzzzzzz")
    assert "--yes" in failed(2, "delete", "k7m", data=b"y\n")
    assert len(threads()) == 2
    assert ok("delete", "--yes", "k7m", "k7m29xqd") == ""
    assert threads() == ["zzzzzzzz"]


def test_delete_of_a_damaged_thread() -> None:
    path, _ = damage()
    assert ok("delete", "--yes", "bad") == ""
    assert not path.exists()


def test_fork() -> None:
    parent = talk()
    whole, part = ok("fork", "k7m").strip(), ok("fork", "k7m", "--at", "2").strip()
    store = assemble.store()
    assert store.open(whole).messages == parent.messages
    cut = store.open(part)
    assert cut.messages[:2] == parent.messages[:2]
    assert [result.call_id for result in cut.messages[2].results] == ["c1"]  # settled
    assert cut.parent is not None
    assert (cut.parent.thread, cut.parent.message) == ("k7m29xqd", parent.messages[1].id)
    for wrong in ("0", "5", "-1"):
        assert "4" in failed(2, "fork", "k7m", "--at", wrong)
    failed(2, "fork", "k7m", "--at", "x")


def test_export_and_import_carry_a_thread_with_its_attachments(tmp_path: Path) -> None:
    saved(user("Look.", Blob("image/png", LARGE, name="face.png")), assistant("A **face**."), name="k7m29xqd")
    file = tmp_path / "out.json"
    assert ok("export", "k7m", "-o", str(file)) == ""
    os.environ["AGENTCLI_HOME"] = str(tmp_path / "other")
    assert ok("import", str(file)).strip() == "k7m29xqd"
    second = ok("import", "-", data=file.read_bytes()).strip()
    assert second != "k7m29xqd"
    store = assemble.store()
    for name in ("k7m29xqd", second):
        thread = store.open(name)
        store.load_blobs(thread)
        blob = thread.messages[0].parts[1]
        assert isinstance(blob, Blob)
        assert blob.data == LARGE
        assert thread.messages[1].text == "A **face**."
    assert 'src="data:image/png;base64,' in ok("export", "k7m", "--format", "html")


def test_export_says_which_attachment_is_gone() -> None:
    saved(user("Look.", Blob("image/png", LARGE, name="face.png")), name="k7m29xqd")
    for file in (Path(os.environ["AGENTCLI_HOME"]) / "blobs").iterdir():
        file.unlink()
    done = run("export", "k7m")
    assert done.returncode == 0
    assert b"Attachment: face.png" in done.stdout
    assert done.stderr.startswith(b"warning: ")
    assert b"face.png" in done.stderr


def test_export_formats_and_files(tmp_path: Path) -> None:
    talk()
    assert ok("export", "k7m").startswith("# What time is it?")
    assert ok("export", "k7m", "--format", "md", "-o", "-").startswith("# What time is it?")
    assert json.loads(ok("export", "k7m", "--format", "json"))["id"] == "k7m29xqd"
    assert "no format" in failed(2, "export", "k7m", "--format", "pdf")
    file = tmp_path / "a.html"
    ok("export", "k7m", "-o", str(file))
    assert file.read_text().startswith("<!DOCTYPE html>")
    assert "--force" in failed(2, "export", "k7m", "-o", str(file), "--format", "md")
    assert file.read_text().startswith("<!DOCTYPE html>")
    ok("export", "k7m", "-o", str(file), "--format", "md", "--force")
    assert file.read_text().startswith("# What time is it?")
    failed(1, "export", "k7m", "-o", str(tmp_path / "missing" / "a.md"))
    failed(1, "export", "k7m", "-o", str(tmp_path), "--force")


def test_import_of_messages_and_of_nonsense(tmp_path: Path) -> None:
    name = ok("import", "-", data=b'[{"role": "user", "content": "Hello there"}, {"role": "assistant", "content": "Hi"}]').strip()
    assert "Hello there" in ok("show", name)
    for data in (b"", b"\0", b"{}", b"[" * 100_000, b'{"format": 99}', b"\xff\xfe", b"not json"):
        assert "not a thread" in failed(65, "import", "-", data=data)
    failed(2, "import", str(tmp_path / "missing.json"))
    failed(65, "import", str(tmp_path))
    assert threads() == [name]


@pytest.mark.parametrize("claimed", ["../../x", "/tmp/x", "", "K7M29XQD", "k7m29xqdd", "\x1b[2J", "con"])
def test_an_imported_id_is_never_a_path(claimed: str) -> None:
    thread = Thread.of(user("q"))
    thread.id = claimed
    name = ok("import", "-", data=thread.dump()).strip()
    assert threads() == [name]
    files = {path.name for path in Path(os.environ["AGENTCLI_HOME"]).parent.rglob("*.json")}
    assert files == {f"{name}.json"}


def test_search() -> None:
    talk(age=60)
    saved(user("When is NOON?\nAt twelve."), name="zzzzzzzz")
    rows = [line.split("\t") for line in ok("search", "noon").splitlines()]
    assert rows == [
        ["zzzzzzzz", "When is NOON? At twelve.", "1", "user", "When is NOON?"],
        ["k7m29xqd", "What time is it?", "4", "assistant", "It is *noon*."],
    ]
    assert json.loads(ok("search", "--json", "when", "is"))[0] == {
        "id": "zzzzzzzz",
        "title": "When is NOON? At twelve.",
        "message": 1,
        "role": "user",
        "line": "When is NOON?",
    }
    done = run("search", "-n", "1", "noon")
    assert len(done.stdout.splitlines()) == 1
    assert b"more" in done.stderr
    assert len(json.loads(ok("search", "--json", "-n", "1", "noon"))) == 1
    done = run("search", "nowhere to be found")
    assert (done.returncode, done.stdout) == (0, b"")
    failed(2, "search", " ")


def test_path_is_the_folder_or_the_file() -> None:
    talk()
    home = Path(os.environ["AGENTCLI_HOME"])
    assert ok("path").strip() == str(home / "threads")
    assert ok("path", "k7m").strip() == str(home / "threads" / "k7m29xqd.json")


@pytest.mark.parametrize("arguments", [["list", "-n", "0"], ["show", "k7m"], ["search", "word"], ["export", "k7m"]])
def test_a_reader_that_goes_away_ends_it_quietly(arguments: list[str]) -> None:
    saved(user("word " * 10), *[assistant("word " * 2000 + "\n") for _ in range(30)], name="k7m29xqd")
    if arguments[0] == "list":
        for number in range(40):
            saved(user("word"), title="a long title " * 400, name=f"aaaaaa{number:02}")
    process = subprocess.Popen(
        [sys.executable, "-m", "agentcli", "threads", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=30) == 141


def test_a_closed_stdout_is_quiet() -> None:
    talk()
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" -m agentcli threads show k7m >&-', sys.executable], stderr=subprocess.PIPE, timeout=30
    )
    assert (done.returncode, done.stderr) == (141, b"")

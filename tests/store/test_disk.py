"""Replacing and reading a file."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from agentcli.errors import UserError
from agentcli.store import disk


def test_replace_makes_the_file_and_its_folders_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        disk.replace(tmp_path / "a" / "b" / "file", b"one")
    finally:
        os.umask(before)
    assert (tmp_path / "a" / "b" / "file").read_bytes() == b"one"
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "a" / "b" / "file").stat().st_mode) == 0o600


def test_replace_keeps_readers_of_the_old_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    disk.replace(path, b"old" * 1000)
    with path.open("rb") as reader:
        disk.replace(path, b"new")
        assert reader.read() == b"old" * 1000
    assert path.read_bytes() == b"new"


def test_a_failed_replace_leaves_the_old_file_and_no_temporary_one(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()  # no file can replace a folder
    with pytest.raises(disk.SaveError) as error:
        disk.replace(tmp_path / "file", b"new")
    assert str(tmp_path / "file") in error.value.message
    assert error.value.hint
    assert error.value.exit_code == 1
    assert not error.value.replaced
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_file_in_place_of_the_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("")
    with pytest.raises(UserError, match="cannot save"):
        disk.replace(tmp_path / "folder" / "file", b"new")


@pytest.mark.skipif(sys.platform == "win32", reason="no FIFOs")
def test_read_never_waits_and_reads_only_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    with pytest.raises(disk.ReadError, match="FIFO"):
        disk.read(tmp_path / "fifo")
    with pytest.raises(disk.ReadError, match="folder"):
        disk.read(tmp_path / "folder")
    with pytest.raises(disk.ReadError, match="device"):
        disk.read(Path("/dev/zero"))


def test_read_has_a_limit(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1 << 30)  # sparse: a gigabyte that takes no space
    with pytest.raises(disk.ReadError, match="1073741824 bytes"):
        disk.read(tmp_path / "large")
    (tmp_path / "small").write_bytes(b"x" * 100)
    assert disk.read(tmp_path / "small", 100) == b"x" * 100
    with pytest.raises(disk.ReadError):
        disk.read(tmp_path / "small", 99)


def test_set_aside_overwrites_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"one", b"two"):
        path.write_bytes(content)
        disk.set_aside(path)
    path.write_bytes(b"three")
    disk.set_aside(path, copy=True)
    found = {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()}
    assert found == {"file": b"three", "file.damaged-1": b"one", "file.damaged-2": b"two", "file.damaged-3": b"three"}

"""Outputs of tools that are too long for a thread."""

from __future__ import annotations

import os
from pathlib import Path
from time import time

import pytest

from agentcli.errors import UserError
from agentcli.store.outputs import DAYS, keep


def test_what_is_kept_is_for_its_owner_alone_as_is_every_folder_above_it(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "agentcli" / "tool-output"
    old = os.umask(0o022)
    try:
        path = keep(folder, "run_command", "é\n" * 3)
    finally:
        os.umask(old)
    assert path.read_bytes() == "é\n".encode() * 3
    assert path.name.startswith("run_command-")
    if os.name != "nt":
        assert path.stat().st_mode & 0o777 == 0o600
        assert {above.stat().st_mode & 0o777 for above in (folder, folder.parent, folder.parent.parent)} == {0o700}


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "", "a\0b", "x" * 300, ".."])
def test_no_name_of_a_tool_leads_elsewhere(tmp_path: Path, name: str) -> None:
    assert keep(tmp_path / "o", name, "x").parent == tmp_path / "o"


def test_two_outputs_of_one_tool_are_two_files(tmp_path: Path) -> None:
    assert keep(tmp_path, "a", "1") != keep(tmp_path, "a", "2")


def test_what_is_older_than_a_month_goes_when_the_next_comes(tmp_path: Path) -> None:
    old, young = keep(tmp_path, "a", "old"), keep(tmp_path, "a", "young")
    os.utime(old, (time() - (DAYS + 1) * 86400,) * 2)
    os.utime(young, (time() - (DAYS - 1) * 86400,) * 2)
    (tmp_path / "folder").mkdir()
    os.utime(tmp_path / "folder", (0, 0))
    new = keep(tmp_path, "a", "new")
    assert set(tmp_path.iterdir()) == {young, new, tmp_path / "folder"}


def test_no_room_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot save"):
        keep(tmp_path / "file", "a", "x")

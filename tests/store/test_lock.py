"""One writer, whoever it is, and nobody after its death."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from time import monotonic

import pytest

from agentcli.errors import UserError
from agentcli.store.lock import BusyError, Lock, _owned

HOLD = """
import sys, pathlib
from agentcli.errors import UserError
from agentcli.store.lock import Lock
lock = Lock.take(pathlib.Path(sys.argv[1]), "thread k7m29xqd")
print("held", flush=True)
sys.stdin.read()
"""


def holder(path: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdin=-1, stdout=-1, text=True)
    assert child.stdout
    assert child.stdout.readline() == "held\n"
    return child


def end(child: subprocess.Popen[str]) -> None:
    assert child.stdin
    assert child.stdout
    child.stdin.close()
    child.stdout.close()
    child.wait(10)


def test_a_second_process_is_refused_and_told_by_whom(tmp_path: Path) -> None:
    path = tmp_path / "k7m29xqd.lock"
    child = holder(path)
    try:
        began = monotonic()
        with pytest.raises(BusyError, match=rf"thread k7m29xqd is in use by agentcli, process {child.pid}, since \d\d:\d\d$") as error:
            Lock.take(path, "thread k7m29xqd")
        assert monotonic() - began < 1
        assert "--fork" in error.value.hint
    finally:
        end(child)
    with Lock.take(path, "thread k7m29xqd"):
        pass


def test_a_process_that_has_the_thread_itself_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "k7m29xqd.lock"
    with Lock.take(path, "thread k7m29xqd"), pytest.raises(BusyError, match="in use by this program already") as error:
        Lock.take(path, "thread k7m29xqd", patience=0)
    assert error.value.ours
    child = holder(path)
    try:
        with pytest.raises(BusyError) as error:
            Lock.take(path, "thread k7m29xqd", patience=0)
        assert not error.value.ours
    finally:
        end(child)


def test_a_killed_owner_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    child = holder(path)
    child.send_signal(signal.SIGKILL)
    child.wait(10)
    end(child)
    assert path.exists()
    Lock.take(path, "it", patience=0).release()


def test_release_removes_the_file(tmp_path: Path) -> None:
    with Lock.take(tmp_path / "lock", "it"):
        assert (tmp_path / "lock").exists()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_file_that_says_nothing_sensible_still_locks(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with Lock.take(path, "it"):
        os.truncate(path, 0)
        with pytest.raises(BusyError, match="it is in use by another process"):
            Lock.take(path, "it", patience=0)


def test_many_at_once_never_two_owners(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    owners: list[int] = []
    most: list[int] = []

    def work(number: int) -> None:
        for _ in range(25):
            with Lock.take(path, "it", patience=30):
                owners.append(number)
                most.append(len(owners))
                owners.remove(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(most) == 150
    assert max(most) == 1


def test_a_lock_on_a_file_that_was_removed_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = Lock.take(path, "it")
    waiting = os.open(path, os.O_RDWR)  # as one does who found the file before its owner removed it
    try:
        assert not _owned(path, waiting)
        first.release()
        assert not _owned(path, waiting)
        with Lock.take(path, "it"):
            assert not _owned(path, waiting)
    finally:
        os.close(waiting)


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot lock"):
        Lock.take(tmp_path / "file" / "lock", "it")

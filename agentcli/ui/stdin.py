"""What is piped into the program.

With a prompt on the command line, piped input is added to it. Whether there will be any cannot be seen: `curl … | agentcli ask "Sum
up"` and a cron job that merely inherited an open pipe look the same until something comes. Waiting for ever hangs the second, not
waiting loses the first one's data. So a silent pipe is looked at once: if a process other than our ancestors holds its other end, as
in a shell's pipeline, it is a producer and is waited for; otherwise input has `PATIENCE` seconds to begin.
"""

from __future__ import annotations

import os
import select
import stat
import sys

from agentcli.core.message import speakable
from agentcli.errors import Exit, UserError

__all__ = ["PATIENCE", "marked", "read_all", "read_if_any", "typed"]

PATIENCE = 3.0
_LOOK_AFTER = 0.25  # seconds of silence before anyone asks who holds the other end
_MOST = 32 << 20


def typed(words: list[str]) -> str:
    """The words of a command line as text, also where the locale could not decode them."""
    text = " ".join(words)
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    except UnicodeEncodeError:  # halves of surrogate pairs, as Windows lets them through
        return speakable(text)


def marked(piped: str) -> str:
    """Piped input as a block that goes along with a prompt."""
    return f"<stdin>\n{piped.rstrip()}\n</stdin>" if piped.strip() else ""


def read_all() -> str:
    """Everything on stdin, until its end."""
    if sys.stdin is None:
        return ""
    data = sys.stdin.buffer.read(_MOST + 1)
    if len(data) > _MOST:
        raise UserError(f"more than {_MOST >> 20} MiB on stdin", hint="Send a part of it.", exit_code=Exit.USAGE)
    return speakable(data.decode("utf-8-sig", "replace"))


def read_if_any() -> tuple[str, bool]:
    """What is piped in, and whether we gave up waiting for it."""
    if sys.stdin is None or sys.stdin.closed:
        return "", False
    fd = sys.stdin.fileno()
    kind = os.fstat(fd).st_mode
    if os.isatty(fd) or stat.S_ISCHR(kind):
        return "", False
    if stat.S_ISREG(kind) or sys.platform == "win32":
        return read_all(), False
    if not _readable(fd, _LOOK_AFTER) and not _has_producer(os.fstat(fd).st_ino) and not _readable(fd, PATIENCE - _LOOK_AFTER):
        return "", True
    return read_all(), False


def _readable(fd: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN | select.POLLHUP)
    return bool(poll.poll(seconds * 1000))


def _has_producer(inode: int) -> bool:
    """Does a process that is not one of our ancestors hold the pipe? Only Linux can tell; elsewhere nobody does."""
    name = f"pipe:[{inode}]"
    ours = _ancestors()
    for process in os.listdir("/proc") if os.path.isdir("/proc/self/fd") else ():
        if not process.isdigit() or int(process) in ours:
            continue
        try:
            held = [f"/proc/{process}/fd/{number}" for number in os.listdir(f"/proc/{process}/fd")]
            if any(os.readlink(link) == name for link in held):
                return True
        except OSError:  # gone, or somebody else's
            continue
    return False


def _ancestors() -> set[int]:
    found: set[int] = set()
    process = os.getpid()
    while process > 0 and process not in found:
        found.add(process)
        try:
            with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
                process = int(file.read().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            break
    return found

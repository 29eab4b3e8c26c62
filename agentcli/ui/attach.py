"""Files that go along with a message.

What a file is, its first bytes say: images and PDFs become attachments, text becomes a marked block of the message. Anything else is
refused by name, because no model could take it.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable

from agentcli.core.message import Blob, Message, Part, Text, speakable, user
from agentcli.errors import Exit, UserError

__all__ = ["message"]

_MOST = 32 << 20

# the first bytes -> the media type
_KINDS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"%PDF-": "application/pdf",
}


def message(text: str, files: Iterable[str], piped: str = "") -> Message:
    """What a person says, then what was piped in and the files they named."""
    return user(*filter(None, (text, piped)), *map(_part, files))


def _part(name: str) -> Part:
    data = _read(name)
    for start, media_type in _KINDS.items():
        if data.startswith(start):
            return Blob(media_type, data, name=os.path.basename(name))
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return Blob("image/webp", data, name=os.path.basename(name))
    try:
        content = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _refused(name, "it is neither text (UTF-8) nor an image or a PDF") from None
    return Text(speakable(f'<file name="{os.path.basename(name)}">\n{content.rstrip()}\n</file>'))


def _read(name: str) -> bytes:
    if name == "-":
        return _of_size(name, sys.stdin.buffer.read(_MOST + 1) if sys.stdin else b"")
    if name.startswith(("http://", "https://")):
        raise UserError(f"cannot attach {name}: only files can be", hint=f"curl -s {name} | agentcli ask …", exit_code=Exit.USAGE)
    path = os.path.expanduser(name)
    try:
        # a pipe without a writer would hang a plain open; a shell's <(command) is a pipe with one
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(fd, "rb") as file:
            kind = os.fstat(fd).st_mode
            if not (stat.S_ISREG(kind) or stat.S_ISFIFO(kind)):
                raise _refused(name, "it is not a file")
            if sys.platform != "win32":
                os.set_blocking(fd, True)
            data = file.read(_MOST + 1)
            if not data and stat.S_ISFIFO(kind):
                raise _refused(name, "nothing came out of this pipe")
    except OSError as error:
        raise _refused(name, error.strerror or str(error)) from None
    return _of_size(name, data)


def _of_size(name: str, data: bytes) -> bytes:
    if len(data) > _MOST:
        raise _refused(name, f"it is larger than {_MOST >> 20} MiB")
    return data


def _refused(name: str, why: str) -> UserError:
    return UserError(f"cannot attach {name}: {why}", exit_code=Exit.USAGE)

"""Attachments, each kept once.

A blob of more than `LARGEST_INLINE` bytes is not written into the thread document but into `blobs/<sha256 of its bytes>`, and the
document keeps that name as `ref`. The same picture in ten threads is one file, and a document stays small.
A blob is on disk before the document or journal that names it. Nothing here removes one: only `threads check --repair` does, when no
thread names it any more.

In memory a stowed blob keeps its bytes beside the `ref`, so that it is not hashed again at the next save.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from agentcli.core.message import Blob, Message
from agentcli.errors import Exit, UserError
from agentcli.store import disk

__all__ = ["LARGEST_INLINE", "Blobs", "written"]

LARGEST_INLINE = 32 * 1024  # bytes

_REF = re.compile(r"[0-9a-f]{64}")  # a ref comes from a document, so it may be anything: it never becomes a path unseen


class Blobs:
    """The folder of attachments."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, data: bytes) -> str:
        """Keep the bytes and say under which name."""
        from hashlib import sha256

        ref = sha256(data).hexdigest()
        path = self.folder / ref
        try:
            there = path.stat().st_size == len(data)
        except OSError:
            there = False
        if not there:
            disk.replace(path, data)
        return ref

    def get(self, blob: Blob) -> bytes:
        """The bytes of a blob, wherever they are."""
        if blob.data is not None:
            return blob.data
        name = blob.name or f"an attachment ({blob.media_type})"
        if not blob.ref or not _REF.fullmatch(blob.ref):
            raise UserError(
                f"the bytes of {name} are not stored: its ref is {ascii(blob.ref)[:80]}",
                hint="Attach it again, or leave that message out with `agentcli threads fork --at`.",
                exit_code=Exit.DATA,
            )
        path = self.folder / blob.ref
        try:
            data = disk.read(path)
        except FileNotFoundError:
            reason = "the file is missing"
        except disk.ReadError as error:
            reason = str(error)
        else:
            from hashlib import sha256

            if sha256(data).hexdigest() == blob.ref:
                return data
            reason = "its content has changed"
        raise UserError(
            f"cannot read {name} from {path}: {reason}",
            hint="Attach it again, put the file back, or see `agentcli threads check`.",
            exit_code=Exit.DATA,
        )

    def has(self, ref: str) -> bool:
        return bool(_REF.fullmatch(ref)) and (self.folder / ref).is_file()

    def stow(self, message: Message) -> Message:
        """The message with each large blob in the folder, named by its ref. The same object if there is none."""
        return _change(message, self._stow)

    def load(self, message: Message) -> Message:
        """The message with the bytes of each blob. The same object if there is none to load."""
        return _change(message, self._load)

    def _stow(self, blob: Blob) -> Blob:
        if blob.ref or blob.data is None or len(blob.data) <= LARGEST_INLINE:
            return blob
        return replace(blob, ref=self.put(blob.data))

    def _load(self, blob: Blob) -> Blob:
        return blob if blob.data is not None else replace(blob, data=self.get(blob))


def written(message: Message) -> Message:
    """The message as it is written: a blob with a ref without its bytes."""
    return _change(message, lambda blob: replace(blob, data=None) if blob.ref and blob.data is not None else blob)


def _change(message: Message, change: Callable[[Blob], Blob]) -> Message:
    parts = message.parts
    for part in parts:
        if type(part) is Blob:
            break
    else:
        return message
    changed = tuple(change(part) if isinstance(part, Blob) else part for part in parts)
    if all(new is old for new, old in zip(changed, parts, strict=True)):
        return message
    return replace(message, parts=changed)

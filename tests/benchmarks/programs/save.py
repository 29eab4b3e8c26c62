"""Save a thread at the end of a turn again and again, and the same bytes with the file calls alone.

Arguments: folder, messages, rounds. Prints {"save": [s, ...], "floor": [s, ...]}.
"""

import json
import os
import sys
from pathlib import Path
from time import perf_counter

from agentcli import Thread, assistant, user
from agentcli.store.threads import Store


def plain(folder: Path, data: bytes) -> None:
    """A temporary file, written, synced and renamed, and the folder synced."""
    descriptor = os.open(folder / "floor.tmp", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(descriptor, data)
    os.fsync(descriptor)
    os.close(descriptor)
    os.replace(folder / "floor.tmp", folder / "floor")
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def timed(work: object, *words: object) -> float:
    assert callable(work)
    began = perf_counter()
    work(*words)
    return perf_counter() - began


folder = Path(sys.argv[1])
said = "The quick brown fox jumps over the lazy dog. " * 5
thread = Thread.of(*(message for _ in range(int(sys.argv[2]) // 2) for message in (user(said), assistant(said))))
store = Store(folder / "threads", folder / "blobs", folder / "cache")
store.save(thread)
times: dict[str, list[float]] = {"save": [], "floor": []}
with store.hold(thread) as writer:
    for _ in range(int(sys.argv[3])):
        writer.begin()
        thread.append(user("Go on."))
        times["save"].append(timed(writer.commit))
        times["floor"].append(timed(plain, folder, thread.dump()))
print(json.dumps(times))

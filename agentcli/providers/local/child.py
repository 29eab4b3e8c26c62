"""The process that a local model lives in. It is run as a file, and imports nothing of this program.

llama.cpp in our own process would take the whole program with it when it falls over, log onto the terminal, and could not be stopped
while it loads. Here it can do none of that. Orders come down stdin and what the model says goes up stdout, a JSON object a line:

    down   {"path": …, "context": …, …}       once: which model, and how
           {"ask": 7, "body": {…}}            a question, as chat completions have it; questions wait their turn
           {"stop": 7}                        it is not wanted any more
    up     {"ready": true}                    the model is loaded
           {"of": 7, "begun": true}           it is this question's turn
           {"of": 7, "chunk": {…}}            a piece of the answer, as chat completions have it
           {"of": 7, "error": "…"}            it cannot be asked so
           {"of": 7, "end": true}             that was all

Stopping takes effect with the next token, or the next few tokens of the question that are read. Where that takes too long, since the
model is large, the process leaves (`STUBBORN`), and its owner starts another. It also leaves when stdin ends: then its owner is gone.
While a model loads, nothing here can look at stdin; on Linux the system ends the process with its owner, also then.

llama.cpp brings a web server along, on a port of the loopback. It has no use here: it is given a key that nobody knows, and, where
the system lets us (Linux), its socket is shut as soon as the model is loaded.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import sys
import threading
from contextlib import suppress
from importlib import import_module
from queue import SimpleQueue
from time import sleep
from typing import Any, NoReturn

__all__ = ["FAILED", "STUBBORN", "UNUSABLE"]

FAILED, UNUSABLE, STUBBORN = 70, 71, 75  # exit codes: the model cannot be loaded, llama.cpp cannot, a stop took too long

_BATCH = 64  # tokens of a question that are read at once: a stop waits for so many. Fewer are slower, more are hardly faster
_BATCH_GPU = 512
_FURTHER = {"verbosity": 1, "cache_ram_mib": 0, "cors_origins": "", "ui": False, "n_threads_http": 1}  # verbosity: errors
_LOG = 0.1  # seconds that the thread which writes llama.cpp's log has to say why
_DESCRIPTORS = 256  # where the web server's socket is looked for


def main() -> None:
    out = os.dup(1)
    os.dup2(2, 1)  # llama.cpp may print: not between the lines
    settings = json.loads(sys.stdin.buffer.readline())
    _end_with(settings["parent"])
    child = _Child(_load(settings), out, settings["patience"])
    _shut_web_server()
    child.run()


def _load(settings: dict[str, Any]) -> Any:
    """The model, loaded: a server that is asked without HTTP."""
    try:
        xllamacpp = import_module("xllamacpp")  # it has no types
    except ImportError as error:
        _leave(UNUSABLE, str(error))
    gpu = False
    with suppress(Exception):
        gpu = any("GPU" in repr(device["type"]) for device in xllamacpp.get_device_info())
    params = xllamacpp.CommonParams()
    params.model.path = settings["path"]
    params.n_ctx = settings["context"]
    params.n_parallel = 1
    params.n_batch = params.n_ubatch = _BATCH_GPU if gpu else _BATCH
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings["threads"]
    params.api_keys = [os.urandom(16).hex()]
    for name, value in _FURTHER.items():  # not every version has all of them, and none of them is needed
        with suppress(AttributeError, TypeError):
            setattr(params, name, value)
    with suppress(AttributeError):
        params.fit_params, params.warmup = gpu, settings["warm"]
    try:
        return xllamacpp.Server(params)
    except Exception as error:  # noqa: BLE001  (whatever it is, it is told)
        sleep(_LOG)
        _leave(FAILED, str(error))


class _Child:
    """A loaded model, and the questions that wait for it."""

    def __init__(self, server: Any, out: int, patience: float) -> None:
        self._server = server
        self._out = out
        self._patience = patience
        self._lock = threading.Lock()
        self._orders: SimpleQueue[tuple[int, str]] = SimpleQueue()
        self._known: set[int] = set()  # questions that have not ended
        self._stopped: set[int] = set()
        self._current = 0

    def run(self) -> None:
        """Until stdin ends, which is how the owner goes."""
        self._say('{"ready": true}')
        threading.Thread(target=self._answer_all, daemon=True).start()
        for line in sys.stdin.buffer:
            order = json.loads(line)
            if "ask" in order:
                self._known.add(order["ask"])
                self._orders.put((order["ask"], json.dumps(order["body"])))
            elif order["stop"] in self._known:
                self._stop(order["stop"])
        os._exit(0)

    def _stop(self, number: int) -> None:
        self._stopped.add(number)
        watch = threading.Timer(self._patience, self._insist, (number,))
        watch.daemon = True
        watch.start()

    def _insist(self, number: int) -> None:
        if self._current == number:
            _leave(STUBBORN, "")

    def _answer_all(self) -> None:
        while True:
            number, body = self._orders.get()
            if number not in self._stopped:
                self._current = number
                self._say(f'{{"of": {number}, "begun": true}}')
                self._answer(number, body)
                self._current = 0
            self._say(f'{{"of": {number}, "end": true}}')
            self._known.discard(number)
            self._stopped.discard(number)

    def _answer(self, number: int, body: str) -> None:
        def hear(chunk: Any) -> bool:
            if number in self._stopped:
                return True  # this is how it is told to stop
            self._say(f'{{"of": {number}, "chunk": {chunk if isinstance(chunk, str) else json.dumps(chunk)}}}')
            return False

        try:
            self._server.handle_chat_completions(body, hear)
        except Exception as error:  # noqa: BLE001  (whatever it is, it is told)
            self._say(json.dumps({"of": number, "error": str(error)}))

    def _say(self, line: str) -> None:
        data = memoryview(f"{line}\n".encode(errors="replace"))
        with self._lock:
            try:
                while data:
                    data = data[os.write(self._out, data) :]
            except OSError:
                os._exit(0)  # nobody listens any more


def _end_with(parent: int) -> None:
    """Be ended by the system when the thread that started this process ends, which is when its owner does."""
    if sys.platform == "linux":
        with suppress(ImportError, OSError, AttributeError):
            import ctypes
            import signal

            ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        if os.getppid() != parent:  # it is gone already
            os._exit(0)


def _shut_web_server() -> None:
    for number in range(3, _DESCRIPTORS):
        with suppress(OSError):
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                with socket.socket(fileno=os.dup(number)) as listening:
                    if listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                        listening.shutdown(socket.SHUT_RDWR)


def _leave(code: int, why: str) -> NoReturn:
    with suppress(OSError):
        os.write(2, f"{why}\n".encode(errors="replace"))
    os._exit(code)


if __name__ == "__main__":
    main()

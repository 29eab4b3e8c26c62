"""A function in a daemon thread of its own, for what blocks and cannot be told to stop: tools, the system's resolver.

The loop's own threads (`asyncio.to_thread`) hold up the exit of the program until they are done, and are few. A thread of this kind
does neither.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

__all__ = ["in_thread"]

T = TypeVar("T")


def in_thread(function: Callable[..., T], /, *args: Any, name: str = "") -> asyncio.Future[T]:
    """What the function will have returned, or raised. If nobody waits for it any more it runs on, unheard."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(setter: Callable[[Any], None], value: object) -> None:
        if not future.done():
            setter(value)

    def work() -> None:
        outcome: object
        setter: Callable[[Any], None]
        try:
            outcome, setter = context.run(function, *args), future.set_result
        except BaseException as error:  # noqa: BLE001  (raised again where it is awaited)
            # A future cannot hold a StopIteration, and a SystemExit in it would end the program.
            fit = isinstance(error, Exception) and not isinstance(error, StopIteration)
            words = f"{type(error).__name__}: {error}".removesuffix(": ")
            outcome, setter = error if fit else RuntimeError(words), future.set_exception
        with suppress(RuntimeError):  # the loop is closed: nobody is waiting any more
            loop.call_soon_threadsafe(settle, setter, outcome)

    context = contextvars.copy_context()
    threading.Thread(target=work, name=name or getattr(function, "__name__", ""), daemon=True).start()
    return future

"""A question through the whole stack: Http, its transports, and the decoder of chat completions."""

from __future__ import annotations

import json
import os
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

from agentcli.core.event import Retrying, Waiting
from agentcli.core.provider import Chunk, ProviderError, StopChunk, TextChunk
from agentcli.providers import Clocks
from agentcli.providers.http import Http
from agentcli.providers.openai_chat.answer import Answer

QUICK = Clocks(connect=5.0, idle=5.0, retries=0)


@dataclass
class Outcome:
    """What came, and how it ended."""

    chunks: list[Chunk] = field(default_factory=list)
    error: ProviderError | None = None

    @property
    def text(self) -> str:
        return "".join(chunk.text for chunk in self.chunks if isinstance(chunk, TextChunk))

    @property
    def whole(self) -> bool:
        """The stream said that the answer is complete."""
        return self.error is None and any(isinstance(chunk, StopChunk) for chunk in self.chunks)

    @property
    def kind(self) -> str | None:
        return self.error.kind if self.error else None

    @property
    def retries(self) -> list[Retrying]:
        return [chunk for chunk in self.chunks if isinstance(chunk, Retrying)]

    @property
    def waits(self) -> list[str]:
        return [chunk.what for chunk in self.chunks if isinstance(chunk, Waiting)]


def http(url: str, *, clocks: Clocks = QUICK, keep: bool = False, key: str = "sk-secret") -> Http:
    return Http("lab", url, {"authorization": f"Bearer {key}"} if key else {}, clocks, keep, key_name="LAB_KEY")


async def ask(through: Http, *, model: str = "test", prompt: str = "Hi") -> Outcome:
    """One question."""
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": prompt}]}
    outcome = Outcome()
    try:
        async with aclosing(through.stream("/chat/completions", json.dumps(body).encode(), Answer)) as chunks:
            async for chunk in chunks:
                outcome.chunks.append(chunk)
    except ProviderError as error:
        outcome.error = error
    return outcome


async def once(url: str, *, clocks: Clocks = QUICK, key: str = "sk-secret") -> Outcome:
    """One question, and everything closed after it."""
    through = http(url, clocks=clocks, key=key)
    try:
        return await ask(through)
    finally:
        await through.aclose()


def open_files() -> int:
    """Descriptors of this process."""
    return len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else len(os.listdir("/dev/fd"))

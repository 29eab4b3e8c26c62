"""What it keeps in memory: `ask` at its peak, and a chat that waits."""

from __future__ import annotations

from tests.benchmarks import Row, Setup, benchmark
from tests.benchmarks.measure import AGENTCLI, Pty, answer, environment, in_turns, program
from tests.benchmarks.screen import CHAT, PROMPT, held

MB = 1e6


@benchmark
def memory(setup: Setup) -> list[Row]:
    def peak(argv: list[str]) -> float:
        return float(answer(program("peak", *argv), environment(setup)))

    def idle(argv: list[str], question: bytes = b"") -> float:
        with Pty(argv, environment(setup)) as terminal:
            terminal.until(PROMPT)
            if question:
                terminal.send(question)
                terminal.until(rb"word")
                terminal.until(PROMPT)
            terminal.rest(2 if not setup.quick else 0.3)  # what is imported behind the prompt
            return held(terminal.pid)["resident"]

    ask = [*AGENTCLI, "ask", "-m", "openai/chunks=100", "hi"]
    long = [*AGENTCLI, "ask", "-m", "openai/chunks=20000", "hi"]
    chat = [*CHAT, "openai/chunks=100"]
    peaks = in_turns(
        1, {"httpx": lambda: peak(program("httpx_ask", setup.url, "chunks=100")), "ask": lambda: peak(ask), "long": lambda: peak(long)}
    )
    chats = in_turns(
        1, {"minimal": lambda: idle(program("minimal_prompt")), "chat": lambda: idle(chat), "answered": lambda: idle(chat, b"go\r")}
    )
    found = {name: done[0] / MB for name, done in (peaks | chats).items()}
    return [
        Row("`ask`, resident memory at its peak", found["ask"], "MB", found["httpx"], "httpx in 15 lines", 45),
        Row("`ask`, 20,000 chunks, resident memory at its peak", found["long"], "MB", found["httpx"], "httpx in 15 lines"),
        Row("idle chat, resident memory", found["chat"], "MB", found["minimal"], "a minimal prompt-toolkit program", 60),
        Row("idle chat after an answer, resident memory", found["answered"], "MB", found["minimal"], "the same", 60),
    ]

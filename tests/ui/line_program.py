"""A chat with nobody to talk to, on the screen that only appends: the program that `test_line.py` runs on a terminal.

What is sent is printed as `got …`. A few words make it do something else: `turn` takes a turn that ends at the next SIGUSR1, `ask` one
that asks a question there, `question` asks one at once, `back …` has a text put back, `aside` gives the terminal away until a line was
typed there.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

from agentcli.core.event import TextDelta, TurnEnded
from agentcli.ui import terminal
from agentcli.ui.interrupt import Interrupts
from agentcli.ui.line import Line

CHILD = "import termios; print('modes', termios.tcgetattr(0)); print('child read', ascii(input()))"


class Program:
    def __init__(self, screen: Line) -> None:
        self.screen = screen
        self.go = asyncio.Event()

    async def take(self, text: str) -> None:
        match text.split(" ", 1):
            case ["turn"]:
                await self.turn(None)
            case ["ask"]:
                await self.turn("Run it? 1 yes, 2 no:")
            case ["question"]:
                print("answer", ascii(await self.screen.ask("Which one?")), flush=True)
            case ["back", words]:
                self.screen.put_back(words)
            case ["aside"]:
                async with self.screen.aside():
                    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", CHILD], check=True)
            case _:
                print("got", ascii(text), flush=True)

    async def turn(self, question: str | None) -> None:
        form = self.screen.form("test/model")
        try:
            form.show(TextDelta("a", "t", "Working on it.\n"))
            await self.go.wait()
            self.go.clear()
            if question:
                print("answer", ascii(await self.screen.ask(question)), flush=True)
            form.show(TextDelta("a", "t", "Ready."))
            form.show(TurnEnded("a", "t"))
        except asyncio.CancelledError:
            form.show(TurnEnded("a", "t", stop="interrupted"))
            self.screen.hold()
            raise
        finally:
            form.close()

    async def run(self) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self.go.set)
        with Interrupts(stays=True, go_on=self.screen.go_on) as interrupts:
            self.screen.on_stop = interrupts.press
            async with self.screen:
                while sent := await self.screen.line():
                    if sent.text == "leave":
                        break
                    with self.screen.interruptible():
                        await interrupts.run(self.take(sent.text))
                    interrupts.forget()
        print("left", flush=True)


async def main() -> None:
    history = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    await Program(Line(history=history)).run()


if __name__ == "__main__":
    terminal.hush()
    try:
        asyncio.run(main())
    finally:
        terminal.restore()

"""The floor of a chat: a minimal prompt-toolkit program, with Typer imported as a command line would."""

import asyncio
from contextlib import suppress

import typer  # noqa: F401
from prompt_toolkit import PromptSession

with suppress(EOFError):
    asyncio.run(PromptSession[str]("> ").prompt_async())

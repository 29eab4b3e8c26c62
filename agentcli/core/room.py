"""Room in the model's window: when a turn sends less of its thread, and how that is done.

`Room` joins the parts: need.py says whether the conversation is too long, compact.py what to leave out, summary.py has the summary
written. What is decided becomes a `Compaction` in the thread, and a `Compacted` event for whoever writes the turn down. Most turns do
without, so this module and those below it are imported when the first one needs them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple

from msgspec.structs import replace

from agentcli.core import need
from agentcli.core.compact import Need, Plan, plan, standing_summary, view
from agentcli.core.document import Compaction
from agentcli.core.event import Compacted, Event, Waiting
from agentcli.core.provider import Model, ToolSpec
from agentcli.core.summary import Summary, summarise, transcript
from agentcli.core.thread import Thread
from agentcli.core.weight import beside, weight
from agentcli.errors import UserError

__all__ = ["Chosen", "Room"]


class Chosen(NamedTuple):
    """What is to be left out, and what for."""

    plan: Plan
    need: Need


class Room:
    """The room that a thread needs, with the instructions, tools and settings that are sent beside it."""

    def __init__(self, thread: Thread, *, instructions: str, tools: Sequence[ToolSpec], settings: dict[str, Any]) -> None:
        self.thread = thread
        self.settings = settings
        self.beside = beside(instructions, tools)
        self._missed = False  # a summary did not reach the goal: what has to stay nearly fills the window

    def ahead(self, model: Model) -> Chosen | None:
        """What to leave out of the next request; None if there is room enough, or nothing to be done about it."""
        if not model.window:
            return None
        wanted = need.ahead(self.thread, model.window, self.settings, self.beside, missed=self._missed)
        return self._chosen(wanted) if wanted else None

    def refused(self, model: Model, said: str) -> Chosen | None:
        """What to leave out after the server said that it is too long."""
        return self._chosen(need.refused(self.thread, model.window, self.settings, self.beside, said))

    def wanted(self, model: Model) -> Chosen:
        """What to leave out because a person wants it so."""
        if chosen := self._chosen(need.wanted(self.thread, model.window, self.beside)):
            return chosen
        raise UserError("there is nothing to leave out yet", hint="A conversation that is getting too long is compacted by itself.")

    async def carry_out(self, chosen: Chosen, model: Model, wish: str = "") -> AsyncGenerator[Event, None]:
        """Compact the thread as planned. A ProviderError of the summary comes through; the thread is as it was then."""
        thread, (planned, wanted) = self.thread, chosen
        if planned.summarise:
            yield Waiting(what="compacting")
            earlier = standing_summary(thread)
            events = summarise(
                model,
                transcript(thread.messages[earlier.count if earlier else 0 : planned.summarise]),
                before=earlier.summary if earlier else "",
                portion=wanted.portion,
                room=planned.room,
                wish=wish,
                settings=self.settings,
            )
            async with aclosing(events):
                async for event in events:
                    if isinstance(event, Summary):
                        made = Compaction(
                            through="", count=planned.summarise, summary=event.text, model=model.full_name, usage=event.usage
                        )
                        yield self._compacted(made, wanted)
                    else:
                        yield event
        if planned.shorten:
            yield self._compacted(Compaction(through="", count=planned.shorten), wanted)

    def _chosen(self, wanted: Need) -> Chosen | None:
        if not (planned := plan(self.thread, wanted)):
            return None
        self._missed = self._missed or (planned.summarise > 0 and not planned.reached)
        return Chosen(planned, wanted)

    def _compacted(self, made: Compaction, wanted: Need) -> Compacted:
        thread = self.thread
        made = replace(made, through=thread.messages[made.count - 1].id)
        before, after = (self.beside + weight(messages) for messages in (view(thread), view(thread, made)))
        made = replace(made, before=round(before * wanted.ratio), after=round(after * wanted.ratio))
        thread.compact(made)
        return Compacted(compaction=made)

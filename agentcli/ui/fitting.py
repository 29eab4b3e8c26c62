"""An answer that must fit a schema (`ask --schema`): held back until it does.

The provider is asked for it where it can be, the model is told in words always, and the answer is checked here always. One that does
not fit gets one chance to be repaired, told what is wrong; the second one is an error (65).
"""

from __future__ import annotations

from msgspec.structs import replace

from agentcli.core.event import Event, Failure, TextDelta, TurnEnded
from agentcli.errors import Exit, UserError
from agentcli.ui.form import DOCUMENTS, FORMS, Still
from agentcli.ui.notices import Notices, Talk
from agentcli.ui.pipe import Pipe
from agentcli.ui.schema import Schema
from agentcli.ui.stdout import stream_json

__all__ = ["Fitting"]


class Fitting(Still):
    """Shows an answer once it has ended, if it fits. `wrong` is why it does not."""

    def __init__(self, out: Pipe, talk: Talk, form: str, schema: Schema) -> None:
        self.wrong: UserError | None = None
        self._out = out
        self._schema = schema
        self._notices = Notices(talk)
        self._inner = FORMS[form](out, talk, "") if form in DOCUMENTS else None
        self._lines = form == "jsonl"

    def show(self, event: Event) -> None:
        if isinstance(event, TurnEnded):
            self._end(event)
        elif self._inner and self._lines:
            self._inner.show(event)
        elif not isinstance(event, TextDelta):
            self._notices.show(event)

    def repair(self, ended: TurnEnded) -> str | None:
        """What to say to the model about an answer that does not fit."""
        why = self._why(ended)
        return f"That does not fit: {why}. {self._schema.instructions}" if why else None

    def close(self) -> None:
        self._notices.close()
        if self._inner:
            self._inner.close()

    def _end(self, ended: TurnEnded) -> None:
        self._notices.close()
        if why := self._why(ended):
            self.wrong = UserError(f"the answer does not fit the schema: {why}", exit_code=Exit.DATA)
            ended = replace(ended, error=Failure("schema", self.wrong.message))
        if self._inner:
            self._inner.show(ended)
        elif ended.stop == "done" and not why:
            stream_json(self._out, f"{self._schema.fit(ended.text)}\n".encode())

    def _why(self, ended: TurnEnded) -> str:
        """Why an answer that the model ended does not fit; empty if it does."""
        if ended.stop != "done":
            return ""
        try:
            self._schema.fit(ended.text)
        except ValueError as error:
            return str(error) or "it does not say what is wrong"
        return ""

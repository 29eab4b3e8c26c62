"""Saved threads to pick from, newest first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from agentcli.core.message import now
from agentcli.core.thread import Thread
from agentcli.errors import UserError
from agentcli.store.index import Row
from agentcli.store.threads import Store
from agentcli.store.wording import cut
from agentcli.ui.pick.cells import fit, steady
from agentcli.ui.pick.choice import Found, Offer, folded
from agentcli.ui.pick.source import Preview
from agentcli.ui.theme import paint
from agentcli.ui.threads import ago, titled

__all__ = ["Threads", "last_exchange"]

_WIDTHS = {"age": 14, "messages": 4, "model": 28, "id": 8}
_HEADS = {"age": "UPDATED", "messages": "MSGS", "model": "MODEL", "id": "ID"}
_NARROW = 12  # cells of a model's name, before it is left out
# What is left out where the title would get fewer cells than this.
_LEAVING = (("model", 26), ("messages", 26), ("id", 26), ("age", 20))
_ENOUGH = 4000  # characters of an answer


class Threads:
    """See the top of the file. A thread that cannot be read is not among them."""

    question = "Which thread? "
    hint = "type to search titles and texts"
    verb = "opens"
    last = False

    def __init__(self, store: Store) -> None:
        self.rows: list[Row] = []
        self._store = store
        self._model = 0  # cells of the longest name of a model

    def offers(self) -> Sequence[Offer]:
        self.rows = [row for row in self._store.rows() if row.damaged is None]
        self._model = min(max((len(model) for model in {row.model or "" for row in self.rows}), default=0), _WIDTHS["model"])
        return [Offer(row.id, folded(row.title)) for row in self.rows]

    def head(self, width: int) -> str:
        title, others = self._columns(width)
        cells = [fit("TITLE", title), *(fit(_HEADS[name], size, right=name == "messages") for name, size in others.items())]
        return paint("dim", f"  {'  '.join(cells)}")

    def row(self, place: int, width: int, *, selected: bool) -> str:
        row = self.rows[place]
        title, others = self._columns(width)
        model = row.model or ""
        if len(model) > others.get("model", 0):
            model = model.partition("/")[2] or model
        said = {"age": ago(row.updated, now()), "messages": str(row.messages), "model": model, "id": row.id}
        cells = [fit(steady(said[name], size), size, right=name == "messages") for name, size in others.items()]
        name = fit(titled(steady(row.title, title)), title)
        return f"{paint('prompt', '>') if selected else ' '} {paint('bold', name) if selected else name}{_rest(cells)}"

    def search(self, wanted: Iterable[tuple[int, Sequence[str]]]) -> Iterator[Found | None]:
        asked = list(wanted)
        hits = self._store.find((self.rows[place], words) for place, words in asked)
        for (place, _), hit in zip(asked, hits, strict=True):
            yield Found(place, hit.line or " ") if hit else None

    def preview(self, place: int) -> Preview:
        try:
            return last_exchange(self._store.seen(self.rows[place].id))
        except (UserError, OSError) as error:  # damaged or deleted meanwhile
            return Preview("", "", str(error))

    def _columns(self, width: int) -> tuple[int, dict[str, int]]:
        """The cells of the title, and of the other columns as far as there is room for them."""
        others = _WIDTHS | {"model": max(self._model, 5)}

        def room() -> int:
            return width - 2 - sum(size + 2 for size in others.values())

        others["model"] -= max(min(_LEAVING[0][1] - room(), others["model"] - _NARROW), 0)
        for name, least in _LEAVING:
            if room() < least:
                del others[name]
        return max(room(), 0), others


def last_exchange(thread: Thread) -> Preview:
    """What was asked last, and the answer."""
    messages = thread.messages
    asked = next((place for place in range(len(messages) - 1, -1, -1) if messages[place].role == "user"), 0)
    question = messages[asked].text if messages and messages[asked].role == "user" else ""
    answers = [message for message in messages[asked:] if message.role == "assistant"]
    text = next((message.text for message in reversed(answers) if message.text), "")
    return Preview(question[:_ENOUGH], text[:_ENOUGH], cut(answers[-1]) if answers else "")


def _rest(cells: Sequence[str]) -> str:
    return f"  {paint('dim', '  '.join(cells))}" if cells else ""

"""What is sent of a conversation that has become too long: a view of it.

The thread keeps everything that was said. `view()` is what a model gets: `sendable()` messages, and where compactions stand in the
thread, less of them. There are two kinds of compaction, and both only name a place in the thread:

- up to there, long tool results, attached files and pictures are sent shortened, with a mark that says what was left out;
- in place of what stands up to there, a summary is sent, in a marked block at the beginning. If the place is within a turn, after
  some rounds of its tools, the question of that turn follows, word for word.

`plan()` chooses. It never cuts between a call and its result. It takes the mildest way that reaches the goal: results of older turns
first, then a summary of the older turns, and only then what was done in the newest turn; the last thing that the user said stays
whole. A plan makes the view smaller, whatever the summary says, or there is none: so compaction comes to an end.

Nothing here asks a model: room.py carries a plan out. Sizes are those of weight.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from msgspec.structs import replace

from agentcli.core.document import Compaction
from agentcli.core.message import Blob, Message, Part, Text, ToolResult
from agentcli.core.thread import Thread, sendable
from agentcli.core.weight import BYTES_A_TOKEN, part_weight, text_weight, weight

__all__ = ["LONG", "WORTH", "Need", "Plan", "cut", "fitted", "plan", "shortened", "standing_summary", "view"]

LONG = 1_200  # characters of a result or an attached text that are sent whole, however old it is
WORTH = 200.0  # tokens that a compaction has to save

_SUMMARY = (500, 4_000)  # tokens that a summary may always take, and at most
_LEAST_SUMMARY = 50  # below that nothing can be said


class Need(NamedTuple):
    """How much is to be left out: down to `goal` tokens, and `least` tokens at least. `tail` tokens of older turns stay word for word.

    A summary that does not come down to the goal has to save `gain` tokens. One request for a summary may carry `portion` tokens. All
    these are estimated tokens; a real one is `ratio` of them. `summarise`: rather write a summary than only shorten results.
    """

    goal: float
    tail: float
    portion: float
    least: float = WORTH
    gain: float = 0.0
    ratio: float = 1.0
    summarise: bool = False


class Plan(NamedTuple):
    """What to leave out: stand a summary of at most `room` tokens for the first `summarise` messages; shorten the first `shorten`.

    `reached`: does that come down to the goal?
    """

    summarise: int
    shorten: int
    room: int
    reached: bool = True


# What is sent


def view(thread: Thread, *more: Compaction) -> list[Message]:
    """The messages as a model gets them; `more`: as it would, with one more compaction."""
    return _sent(thread.messages, *_state([*thread.standing, *more]))


def standing_summary(thread: Thread) -> Compaction | None:
    """The summary that a model gets."""
    return _state(thread.standing)[0]


def _state(standing: list[Compaction]) -> tuple[Compaction | None, int]:
    """The summary that is sent, and how many messages are sent shortened."""
    summary, shorten = None, 0
    for one in standing:
        if one.summary:
            summary = one
        else:
            shorten = max(shorten, one.count)
    return summary, shorten


def _sent(messages: Sequence[Message], summary: Compaction | None, shorten: int) -> list[Message]:
    if summary is None and not shorten:
        return sendable(messages)
    begin = summary.count if summary else 0
    asked = _last_question(messages, len(messages))
    kept = [shortened(one) if at < shorten and at != asked else one for at, one in enumerate(messages[begin:], begin)]
    if summary:
        head = [_block(summary)]
        if (not kept or kept[0].role != "user") and (question := _last_question(messages, begin)) >= 0:
            one = messages[question]
            head.append(shortened(one) if question < shorten and question != asked else one)
        kept = head + kept
    return sendable(kept)


def _block(summary: Compaction) -> Message:
    """The message that a summary is sent as."""
    text = (
        f"[This conversation is too long to be sent whole. A summary stands for its first {summary.count} messages:]\n\n"
        f"{summary.summary}\n\n[The end of the summary. What follows was said word for word.]\n\n"
    )
    return Message(id=summary.through, at=summary.at, role="user", parts=(Text(text),))


def shortened(message: Message) -> Message:
    """The message with its long tool results, attached files and pictures shortened. The same object if there are none."""
    if message.role == "tool":
        parts = tuple(_short_result(part) for part in message.parts)
    else:
        words = next((at for at, part in enumerate(message.parts) if isinstance(part, Text)), 0)  # a user's own: the others are files
        parts = tuple(_short_attachment(part, own=at == words or message.role != "user") for at, part in enumerate(message.parts))
    if all(one is other for one, other in zip(parts, message.parts, strict=True)):
        return message
    return replace(message, parts=parts)


def _short_result(part: Part) -> Part:
    if isinstance(part, ToolResult) and len(part.content) > LONG:
        return replace(part, content=cut(part.content, LONG))
    return part


def _short_attachment(part: Part, *, own: bool) -> Part:
    if isinstance(part, Blob) and part_weight(part) > LONG / BYTES_A_TOKEN:
        return Text(f"[An attachment was here, and is left out now: {part.name or 'unnamed'} ({part.media_type})]")
    if isinstance(part, Text) and not own and len(part.text) > LONG:
        return replace(part, text=cut(part.text, LONG))
    return part


def cut(text: str, most: int) -> str:
    """The beginning and the end of a text that has more than `most` characters, and how much is left out between them."""
    if len(text) <= most:
        return text
    mark = f"\n[… {len(text) - most} characters or more are left out here …]\n"
    room = most - len(mark)
    if room < 2:
        return text[: max(most, 0)]
    end = room // 3
    return text[: room - end] + mark + text[len(text) - end :]


def fitted(text: str, tokens: float) -> str:
    """The text, cut so that it takes no more than so many tokens."""
    most, short = len(text), text
    while (taken := text_weight(short)) > tokens:
        most = int(most * tokens / taken)
        short = cut(text, most)
    return short


def _last_question(messages: Sequence[Message], before: int) -> int:
    """Where the user said something last, before that place; -1 for nowhere."""
    return next((at for at in range(before - 1, -1, -1) if messages[at].role == "user"), -1)


# What to leave out


def plan(thread: Thread, need: Need) -> Plan | None:
    """The mildest way to the goal, or the one that comes nearest to it; None if none saves enough."""
    messages = thread.messages
    summary, shorten = _state(thread.standing)
    begin = summary.count if summary else 0
    before = weight(view(thread))
    best: tuple[int, Plan] | None = None
    ways = _ways(messages, begin, shorten, need.tail)
    for stand, short in sorted(ways, key=lambda way: not way[0]) if need.summarise else ways:
        standing = Compaction(through="", count=stand, summary=" ") if stand else summary
        after = weight(_sent(messages, standing, max(short, shorten)))
        room = int(min((before - after) / 2, max(_SUMMARY[0], min(need.tail / 8, _SUMMARY[1])))) if stand else 0
        after += room
        short = short if short > shorten else 0
        if before - after < max(need.least, 1) or (stand and room < _LEAST_SUMMARY):
            continue
        if after <= need.goal:
            return Plan(stand, short, room)
        if (best is None or after < best[0]) and not (stand and before - after < need.gain):
            best = after, Plan(stand, short, room, reached=False)
    return best[1] if best else None


def _ways(messages: list[Message], begin: int, shorten: int, tail: float) -> list[tuple[int, int]]:
    """What could be left out, the mildest first: (how many messages a summary stands for, up to where they are shortened)."""
    end = len(messages)
    newest = max(_last_question(messages, end), begin)
    left = _left([shortened(one) if at < shorten else one for at, one in enumerate(messages[begin:], begin)])
    turns = (at for at in range(begin, newest) if at == begin or messages[at].role == "user")
    older = next((at for at in turns if left[at - begin] <= tail), newest)
    rounds = [at for at in range(newest + 1, end) if messages[at].role != "tool"]
    last = rounds[-1] if rounds else end
    ways = [(0, older), (older, 0), (0, last), (0, end), (older, last), (older, end)]
    if rounds:
        left = _left([shortened(one) for one in messages[begin:]])
        some = (tail, tail / 3)  # where the question itself is long, there is not so much room for its rounds
        ways += [(next((at for at in rounds if left[at - begin] <= most), last), end) for most in some]
    return [(stand, short) for stand, short in ways if stand > begin or (stand == 0 and short > begin)]


def _left(messages: list[Message]) -> list[int]:
    """How much each message and all that come after it are."""
    return list(accumulate(weight([message]) for message in reversed(messages)))[::-1]

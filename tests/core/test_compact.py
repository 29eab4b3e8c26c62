"""Compaction as a view: valid, smaller or not done, never an orphan, and an end to it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import msgspec
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from agentcli.core.compact import LONG, Need, Plan, cut, fitted, plan, shortened, view
from agentcli.core.document import Compaction
from agentcli.core.message import Blob, Message, Part, Text, ToolCall, ToolResult, assistant, user
from agentcli.core.thread import Thread, sendable
from agentcli.core.weight import text_weight, weight
from tests.core.test_thread import absurd, assert_valid

sizes = st.sampled_from([0, 3, 300, 1_199, 1_201, 5_000, 40_000])
words = sizes.map(lambda size: "word " * (size // 5 + 1))
picture = Blob("image/png", b"x" * 10, name="a.png")
questions = st.builds(
    lambda text, more, blob: user(text, *more, *([picture] if blob else [])), words, st.lists(words, max_size=1), st.booleans()
)
call_ids = st.lists(st.sampled_from(["call_0", "call_1", "call_2"]), min_size=1, max_size=3, unique=True)


def _round(ids: list[str], sizes: list[int]) -> list[Message]:
    asked = assistant("see:", *(ToolCall(one, "look", "{}") for one in ids))
    results = (ToolResult(one, f"{one} " * (size // 7 + 1)) for one, size in zip(ids, sizes, strict=True))
    return [asked, Message(role="tool", parts=tuple(results))]


rounds = call_ids.flatmap(lambda ids: st.lists(sizes, min_size=len(ids), max_size=len(ids)).map(lambda many: _round(ids, many)))
turns = st.builds(
    lambda question, work, answer: [question, *(message for one in work for message in one), *answer],
    questions,
    st.lists(rounds, max_size=4),
    st.lists(words.map(assistant), max_size=1),
)
likely = st.lists(turns, max_size=5).map(lambda many: [message for one in many for message in one])
threads = st.one_of(likely, likely, absurd)
needs = st.builds(
    Need,
    goal=st.sampled_from([0.0, 300.0, 2_000.0, 20_000.0]),
    tail=st.sampled_from([0.0, 500.0, 10_000.0]),
    portion=st.just(1_000.0),
    least=st.sampled_from([0.0, 200.0, 2_000.0]),
    gain=st.sampled_from([0.0, 5_000.0]),
    summarise=st.booleans(),
)


def settled(messages: list[Message]) -> Thread:
    thread = Thread(messages=list(messages))
    thread.settle()
    return thread


def carry_out(thread: Thread, chosen: Plan, summary: str = "s" * 20_000) -> list[Compaction]:
    """As a turn does, with a model that says as much as it can. What was done."""
    done = []
    for count, words in ((chosen.summarise, fitted(summary, chosen.room)), (chosen.shorten, "")):
        if count:
            done.append(Compaction(through=thread.messages[count - 1].id, count=count, summary=words))
            thread.compact(done[-1])
    return done


def last_said(messages: list[Message]) -> tuple[Part, ...]:
    """What the user said last."""
    return next((message.parts for message in reversed(messages) if message.role == "user"), ())


def exchanges(messages: list[Message]) -> Iterator[tuple[str, str]]:
    """Each call that is sent, with the result that answers it."""
    for asked, heard in pairwise(messages):
        results = {result.call_id: result.content for result in heard.results}
        for call in asked.calls:
            yield call.id, results[call.id]


# Found by a random run: a summary that may take no tokens is none.
NO_ROOM = [
    assistant(Blob("image/png", b"x"), ToolCall("a", "", "")),
    Message(role="user", parts=()),
    assistant("hello"),
]


@settings(deadline=None, derandomize=True, max_examples=300)
@given(threads, needs, st.sampled_from(["s", "é", "字", "a字b"]))
@example(NO_ROOM, Need(goal=0, tail=0, portion=1_000, least=0), "s")
def test_a_compacted_conversation_is_valid_and_smaller_and_there_is_an_end(messages: list[Message], need: Need, said: str) -> None:
    thread = settled(messages)
    before = msgspec.json.encode(thread.messages)
    whole = sendable(thread.messages)
    weights = [weight(view(thread))]
    while chosen := plan(thread, need):
        short = max((one.count for one in thread.standing if not one.summary), default=0)
        assert not chosen.shorten or chosen.shorten > short, "nothing is shortened twice"
        carry_out(thread, chosen, said * 20_000)
        sent = view(thread)
        weights.append(weight(sent))
        assert weights[-1] <= weights[-2] - max(need.least, 1), "smaller, or not done at all"
        assert len(weights) < 30, "it comes to an end"
        assert_valid(sent)
        assert sendable(sent) == sent
        assert view(thread) == sent
        for one in thread.standing:
            following = thread.messages[one.count : one.count + 1]
            assert not one.summary or not following or following[0].role != "tool", "a call is cut off from its result"
        kept, all_of_them = list(exchanges(sent)), list(exchanges(whole))
        assert len(kept) <= len(all_of_them)
        for (name, heard), (same, original) in zip(reversed(kept), reversed(all_of_them), strict=False):
            assert (name, heard) in ((same, original), (same, cut(original, LONG))), "a result that nobody gave"
    assert msgspec.json.encode(thread.messages) == before, "the thread keeps everything"
    assert plan(thread, need) is None
    assert view(Thread.load(thread.dump())) == view(thread)


@settings(deadline=None, derandomize=True, max_examples=150)
@given(likely, needs)
def test_the_last_thing_that_the_user_said_stays_word_for_word(messages: list[Message], need: Need) -> None:
    thread = settled(messages)
    assume(any(message.role == "user" for message in messages))
    last = last_said(thread.messages)
    while chosen := plan(thread, need):
        carry_out(thread, chosen)
    assert last_said(view(thread))[-len(last) :] == last


# A fork that ends where a summary within a turn does: nothing of that turn is left but its question.
WITHIN = [user("go on until it works"), *(message for _ in range(8) for message in _round(["call_0"], [5_000]))]


@settings(deadline=None, derandomize=True, max_examples=150)
@given(likely, needs, st.integers(0, 30))
@example(WITHIN, Need(goal=300, tail=3_000, portion=1_000, least=0, summarise=True), 13)
def test_taking_messages_back_brings_the_earlier_view_back(messages: list[Message], need: Need, at: int) -> None:
    thread = settled(messages)
    while chosen := plan(thread, need):
        carry_out(thread, chosen)
    fork = thread.fork(at)
    assert fork.standing == [one for one in thread.standing if one.count <= at] == (fork.compactions or [])
    assert_valid(view(fork))
    if last := last_said(fork.messages):
        assert last_said(view(fork))[-len(last) :] == last, "the question of a fork is sent, too"
    if at >= len(thread.messages):
        assert view(fork) == view(thread)
    elif not fork.standing:
        assert view(fork) == sendable(fork.messages)
    taken = thread.undo()
    while taken:
        assert_valid(view(thread))
        assert all(one.count <= len(thread.messages) for one in thread.compactions or ())
        taken = thread.undo()
    assert (thread.standing, view(thread)) == ([], sendable(thread.messages))


@settings(deadline=None, derandomize=True, max_examples=150)
@given(likely, needs)
def test_what_is_no_longer_written_down_makes_no_difference(messages: list[Message], need: Need) -> None:
    """As the thread grows, and as it is taken back: it is sent as if every compaction had been kept."""
    thread = Thread()
    ever: list[Compaction] = []

    def as_if_all_were_kept() -> list[Message]:
        return view(Thread(messages=thread.messages, compactions=ever))

    for message in messages:
        thread.append(message)
        if message.calls or not (chosen := plan(thread, need)):
            continue
        ever += carry_out(thread, chosen)
        assert view(thread) == as_if_all_were_kept()
        short = [one.count for one in thread.standing if not one.summary]
        questions = [at for at, said in enumerate(thread.messages) if said.role == "user"]
        assert len(short) <= len(questions) + 1, "one in a turn"
    while thread.undo():
        assert view(thread) == as_if_all_were_kept()


def test_a_turn_of_many_rounds_leaves_one_shortening_and_the_keys_of_others() -> None:
    thread = Thread.of(user("go"), *(message for _ in range(20) for message in _round(["call_0"], [5_000])))
    for count in (3, 7, 7, 21):
        thread.compact(Compaction(through=thread.messages[count - 1].id, count=count))
    thread.compact(Compaction(through=thread.messages[9].id, count=10, summary="s"))
    assert [(one.count, one.summary) for one in thread.standing] == [(21, ""), (10, "s")]
    document = msgspec.json.decode(thread.dump())
    document["compactions"][0]["mood"] = "brief"
    again = Thread.load(msgspec.json.encode(document))
    again.compact(Compaction(through=again.messages[30].id, count=31))
    kept = msgspec.json.decode(again.dump())["compactions"]
    assert kept[:2] == document["compactions"]
    assert [one["count"] for one in kept] == [21, 10, 31]
    again.compact(Compaction(through=again.messages[32].id, count=33))
    assert [one.count for one in again.standing] == [21, 10, 33]


@settings(deadline=None, derandomize=True, max_examples=100)
@given(threads)
def test_what_is_shortened_is_not_shortened_again(messages: list[Message]) -> None:
    for message in messages:
        short = shortened(message)
        assert shortened(short) is short
        assert weight([short]) <= weight([message])


@given(st.text(max_size=3_000), st.integers(0, 2_000))
def test_a_cut_text_is_as_long_as_it_may_be(text: str, most: int) -> None:
    assert len(cut(text, most)) <= most or cut(text, most) == text
    assert cut(text, len(text)) == text


@given(st.text(max_size=3_000), st.integers(0, 900))
def test_a_fitted_text_takes_no_more_than_it_may_in_any_script(text: str, tokens: int) -> None:
    short = fitted(text, tokens)
    assert text_weight(short) <= tokens
    assert short == text or text_weight(text) > tokens


def test_a_cut_says_how_much_is_left_out_and_keeps_both_ends() -> None:
    short = cut(f"begin{'x' * 9_000}end", LONG)
    assert short.startswith("beginxxx")
    assert short.endswith("xxxend")
    assert "7808 characters or more are left out here" in short


def conversation(turns: int = 10, rounds: int = 0, size: int = 3_500) -> Thread:
    """Turns of a question, so many rounds with a result of that size, and an answer of as much."""
    messages: list[Message] = []
    for number in range(turns):
        messages.append(user(f"question {number}"))
        for _ in range(rounds):
            messages += _round(["call_0"], [size])
        messages.append(assistant(f"answer {number}: " + "x" * size))
    return Thread.of(*messages)


def test_results_of_older_turns_are_shortened_first() -> None:
    thread = conversation(turns=5, rounds=3, size=7_000)
    chosen = plan(thread, Need(goal=25_000, tail=9_000, portion=1_000))
    assert chosen == Plan(0, 4 * 8, 0)
    carry_out(thread, chosen)
    kept = [result.content for message in view(thread) for result in message.results]
    assert [len(content) <= LONG for content in kept] == [True] * 12 + [False] * 3
    assert "left out here" in kept[0]


def test_then_a_summary_stands_for_older_turns_and_the_newest_are_kept_whole() -> None:
    thread = conversation(turns=10)
    chosen = plan(thread, Need(goal=6_000, tail=3_100, portion=1_000))
    assert chosen
    assert (chosen.summarise, chosen.shorten) == (14, 0)
    carry_out(thread, chosen, "They asked questions.")
    first, *others = view(thread)
    assert first.role == "user"
    assert first.parts[0] == Text(
        "[This conversation is too long to be sent whole. A summary stands for its first 14 messages:]\n\nThey asked questions.\n\n"
        "[The end of the summary. What follows was said word for word.]\n\n"
    )
    assert first.parts[1:] == thread.messages[14].parts
    assert others == thread.messages[15:]


def test_a_turn_that_is_too_long_by_itself_loses_its_older_results_and_then_its_older_rounds() -> None:
    thread = Thread.of(user("old"), assistant("y" * 350), user("go on until it works", picture))
    for _ in range(20):
        thread.messages += _round(["call_0"], [7_000])
    shorter = plan(thread, Need(goal=12_000, tail=5_000, portion=1_000))
    assert shorter == Plan(0, len(thread.messages) - 2, 0), "the last results stay whole"
    carry_out(thread, shorter)
    assert picture in view(thread)[2].parts
    chosen = plan(thread, Need(goal=4_500, tail=2_000, portion=1_000))
    assert chosen
    assert chosen.summarise > 3
    assert thread.messages[chosen.summarise].role == "assistant"
    carry_out(thread, chosen, "It does not work yet.")
    first, second, *_ = view(thread)
    assert first.parts[1:] == (Text("go on until it works"), picture)
    assert second == thread.messages[chosen.summarise]
    thread.append(assistant("It works."))
    thread.append(user("thanks"))
    assert view(thread)[0].parts[1] == Text("go on until it works"), "the picture of an older turn is left out"
    assert picture not in view(thread)[0].parts
    assert view(thread)[-1].text == "thanks"


def test_a_later_summary_takes_the_place_of_an_earlier_one() -> None:
    thread = conversation(turns=6)
    for summary, turns in (("They began.", 6), ("They went on.", 12)):
        chosen = plan(thread, Need(goal=3_000, tail=1_100, portion=1_000, summarise=True))
        assert chosen
        carry_out(thread, chosen, summary)
        assert (chosen.summarise, len(thread.messages)) == (2 * turns - 2, 2 * turns)
        assert summary in view(thread)[0].text
        if turns == 6:
            for message in conversation(turns=6).messages:
                thread.append(message)
    assert "They began." not in view(thread)[0].text
    del thread.messages[12:]
    assert "They began." in view(thread)[0].text


@pytest.mark.parametrize(
    "thread",
    [Thread(), conversation(turns=1), Thread.of(user("x" * 100_000)), conversation(turns=8, size=10)],
    ids=["nothing", "one turn", "one long question", "short ones"],
)
def test_where_there_is_nothing_to_leave_out_nothing_is_planned(thread: Thread) -> None:
    assert plan(thread, Need(goal=0, tail=0, portion=1_000, summarise=True)) is None


def test_attachments_of_older_turns_are_left_out_and_the_users_words_are_not() -> None:
    file = '<file name="log.txt">\n' + "line\n" * 5_000 + "</file>"
    thread = Thread.of(user("q" * 9_000, file, picture), assistant("ok"), user("and this?", file, picture), assistant("ok"))
    thread.compact(Compaction(through=thread.messages[-1].id, count=4))
    old, _, new, _ = view(thread)
    assert old.parts[0] == Text("q" * 9_000)
    assert isinstance(old.parts[1], Text)
    assert len(old.parts[1].text) == LONG
    assert old.parts[2] == Text("[An attachment was here, and is left out now: a.png (image/png)]")
    assert new == thread.messages[2]


def test_a_compaction_holds_for_the_messages_that_it_was_made_of() -> None:
    thread = conversation(turns=3)
    mine = Compaction(through=thread.messages[1].id, count=2, summary="s")
    for other in (
        Compaction(through=thread.messages[1].id, count=3, summary="s"),
        Compaction(through="nobody", count=2, summary="s"),
        Compaction(through=thread.messages[1].id, count=0, summary="s"),
        Compaction(through=thread.messages[1].id, count=-4, summary="s"),
        Compaction(through=thread.messages[1].id, count=1 << 70, summary="s"),
    ):
        thread.compactions = [mine, other]
        assert thread.standing == [mine]
        thread.compact(msgspec.structs.replace(other, summary=""))  # as the journal of another program may have it
        assert thread.standing == [mine]
    document = msgspec.json.decode(thread.dump())
    assert document["compactions"] == [{"through": mine.through, "count": 2, "at": document["compactions"][0]["at"], "summary": "s"}]
    thread.messages[0] = user("something else")
    del thread.messages[1]
    assert "compactions" not in msgspec.json.decode(thread.dump())
    assert list(document) == [
        "format", "id", "title", "created", "updated", "revision", "agent", "model", "parent", "compactions", "messages",
    ]  # fmt: skip


def test_unknown_keys_of_a_compaction_are_kept() -> None:
    thread = conversation(turns=2)
    thread.compact(Compaction(through=thread.messages[0].id, count=1, summary="s"))
    document = msgspec.json.decode(thread.dump())
    document["compactions"][0]["mood"] = "brief"
    document["compactions"][0]["usage"] = {"input": 1, "output": 2, "audio": 3}
    again = Thread.load(msgspec.json.encode(document))
    again.compact(Compaction(through=thread.messages[1].id, count=2))
    kept = msgspec.json.decode(again.dump())["compactions"]
    assert kept[0] == document["compactions"][0]
    assert kept[1].keys() == {"through", "count", "at"}


@pytest.mark.parametrize("wrong", [None, {}, [{}], [{"count": 1}], [{"through": "a"}], [{"through": "a", "count": "1"}], ["a"]])
def test_a_document_with_a_wrong_compaction_is_refused(wrong: object) -> None:
    document = msgspec.json.decode(conversation(turns=1).dump()) | {"compactions": wrong}
    with pytest.raises(ValueError, match="compactions"):
        Thread.load(msgspec.json.encode(document))

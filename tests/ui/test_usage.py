"""Tokens and money: days are the person's, what is not known is said, and no price is made up."""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import UTC, date, datetime, timedelta
from importlib.util import find_spec
from typing import Any

import pytest

from agentcli import assemble
from agentcli.config import places
from agentcli.core.document import Compaction
from agentcli.core.message import Message, Text, ToolResult, Usage, user
from agentcli.core.thread import Thread
from agentcli.providers import Endpoint
from agentcli.providers.catalogue import Catalogue
from agentcli.providers.catalogue.model import Listed, Rates
from agentcli.providers.catalogue.price import Cost
from agentcli.store.index import Row
from agentcli.store.usage import SMALL, packed, spent
from agentcli.ui.cost import Pricing, cost_of, cost_of_all, money, priced
from agentcli.ui.usage import account, of_thread
from tests.program import PROGRAM, agentcli, environment

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
TODAY = date(2026, 1, 31)


def price(model: str, usage: Usage, at: datetime) -> Cost | None:
    """A cent for each answer, and a dollar for a thousand tokens; ten for requests above 32,000. Free models and unknown ones."""
    if not model.startswith("fake/"):
        return Cost(0.0) if model.startswith("free/") else None
    return Cost(0.01 + usage.total * (0.01 if usage.read > 32_000 else 0.001))


def answer(at: datetime = NOON, model: str | None = "fake/m", usage: Usage | None = Usage(10, 5)) -> Message:  # noqa: B008  (frozen)
    return Message(role="assistant", parts=(Text("x"),), model=model, usage=usage, at=at)


def row(*messages: Message) -> Row:
    return Row("00000000", "t", NOON, NOON, 1, None, None, "", None, packed(spent(messages)))


# What it costs.


def test_a_sum_costs_what_its_answers_cost() -> None:
    usages = [Usage(1_001, 7), Usage(30_000, 3), Usage(11, 0)]
    (found,) = spent([answer(usage=usage) for usage in usages])
    whole = priced(found, price)
    assert whole
    assert whole.amount == pytest.approx(sum(each.amount for usage in usages if (each := price("fake/m", usage, NOON))))


def test_a_large_request_is_priced_as_one() -> None:
    found = spent([answer(usage=Usage(SMALL + 1, 0)), answer(usage=Usage(20_000, 0)), answer(usage=Usage(20_000, 0))])
    assert cost_of_all(found, price) == {"amount": pytest.approx(0.03 + 320.01 + 40), "currency": "USD"}


def test_the_cost_of_a_turn_is_known_or_it_is_not() -> None:
    compaction = Compaction(through="x", count=1, model="fake/m", usage=Usage(1000, 0))
    said = [user("q"), answer(), Message(role="tool", parts=(ToolResult("c", "x"),)), answer()]
    assert cost_of(said, price) == {"amount": 0.05, "currency": "USD"}
    assert cost_of([*said, compaction], price) == {"amount": 1.06, "currency": "USD"}
    assert cost_of([*said, answer(model="free/m")], price) == {"amount": 0.05, "currency": "USD"}
    assert cost_of([answer(model="free/m")], price) == {"amount": 0.0, "currency": "USD"}
    for unknown in (answer(model="other/m"), answer(model=None), answer(usage=None)):
        assert cost_of([*said, unknown], price) is None
    assert cost_of([user("q")], price) is None


def test_results_that_were_only_shortened_cost_nothing() -> None:
    shortened, unpaid = Compaction(through="x", count=1), Compaction(through="x", count=1, summary="They spoke.")
    assert cost_of([user("q"), answer(), shortened], price) == {"amount": 0.025, "currency": "USD"}
    assert cost_of([shortened], price) is None
    assert cost_of([user("q"), answer(), unpaid], price) is None  # a model wrote it, and nobody knows for how much


def test_sums_of_two_currencies_are_not_made() -> None:
    euros = lambda model, usage, at: Cost(1.0, "EUR" if model == "fake/n" else "USD")  # noqa: E731
    assert cost_of([answer(), answer(model="fake/n")], euros) is None
    whole = account([row(answer(), answer(model="fake/n"))], euros, 1, TODAY).total
    assert (whole.amount, whole.unpriced) == (1.0, 15)


@pytest.mark.parametrize(
    ("amount", "shown"),
    [(0, "$0"), (1e-9, "<$0.000001"), (1.25e-6, "$0.000001"), (0.000123, "$0.00012"), (0.0512, "$0.051"), (0.1, "$0.10"),
     (1.234, "$1.23"), (1234.5, "$1,234.50")],
)  # fmt: skip
def test_money_is_told_with_digits_that_say_something(amount: float, shown: str) -> None:
    assert money(amount, "USD") == shown
    assert money(1, "EUR") == "EUR 1.00"


# By day and model.


def test_by_day_and_model() -> None:
    before = NOON - timedelta(days=1)
    rows = [row(answer(), answer(before, "fake/n")), row(answer(), answer(model="other/m"), answer(model="free/m"))]
    made = account(rows, price, 3, TODAY)
    assert made.days == [date(2026, 1, 29), date(2026, 1, 30), date(2026, 1, 31)]
    days = {day.day: (each.answers, each.usage.total, round(each.amount, 3), each.unpriced) for day, each in made.by_day.items()}
    assert days == {29: (0, 0, 0, 0), 30: (1, 15, 0.025, 0), 31: (4, 60, 0.05, 15)}
    assert list(made.models) == ["fake/m", "fake/n", "free/m", "other/m"]
    assert (made.total.answers, made.total.cost) == (5, "$0.075+")
    assert [each.cost for each in made.models.values()] == ["$0.050", "$0.025", "$0", "?"]


def test_what_is_older_or_still_to_come_is_not_counted() -> None:
    rows = [row(answer(NOON + timedelta(days=days))) for days in (-2, -1, 0, 1)]
    assert account(rows, price, 2, TODAY).total.answers == 2


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="a process has one time zone on Windows")
@pytest.mark.parametrize(
    ("zone", "days"),
    [("UTC", [30, 31]), ("Pacific/Auckland", [31]), ("Asia/Kathmandu", [31]), ("America/Los_Angeles", [30])],
)
def test_a_day_is_the_persons(zone: str, days: list[int]) -> None:
    os.environ["TZ"] = zone
    time.tzset()
    try:
        midnight = datetime(2026, 1, 31, tzinfo=UTC)
        made = account([row(answer(midnight - timedelta(minutes=1)), answer(midnight))], price, 3, date(2026, 2, 1))
        assert sorted(day.day for day, _ in made.by) == days
        last = datetime(9999, 12, 31, 23, 59, tzinfo=UTC)  # beyond which there is no day, in some places
        assert account([row(answer(last))], price, 3, date(2026, 2, 1)).total.answers == 0
    finally:
        del os.environ["TZ"]
        time.tzset()


def test_ten_thousand_threads_take_a_moment() -> None:
    rows = [row(*(answer(NOON - timedelta(minutes=number + 7 * back)) for back in range(8))) for number in range(10_000)]
    began = time.process_time()
    made = account(rows, price, 30, TODAY)
    assert made.total.answers > 50_000
    assert time.process_time() - began < 3


# The command.


def saved(*messages: Message, title: str = "Title") -> Thread:
    thread = Thread.of(*messages, title=title)
    assemble.store().save(thread)
    return thread


def some() -> None:
    now = datetime.now(UTC)
    saved(
        answer(now, "ollama/llama", Usage(1200, 34, cached=200)),
        answer(now - timedelta(days=2), "lab/qwen", Usage(70_000, 5_000)),
        answer(now - timedelta(days=400), "ollama/llama", Usage(9, 9)),
    )


def shown(*arguments: str, size: tuple[int, int] = (80, 24), **more: str) -> list[str]:
    from tests.terminal import Terminal

    with Terminal([*PROGRAM, *arguments], size=size, env=environment(COLUMNS=None, LINES=None, **more)) as terminal:
        assert terminal.wait() == 0
        return terminal.text().splitlines()


def test_as_json() -> None:
    some()
    found = json.loads(agentcli("usage", "--json", "--days", "7").stdout)
    assert list(found) == ["days", "models", "total"]
    assert len(found["days"]) == 7
    assert found["days"][-1] == {
        "day": datetime.now().date().isoformat(),  # noqa: DTZ005
        "answers": 1, "input": 1200, "output": 34, "cached": 200, "reasoning": 0,
        "cost": {"amount": 0.0, "currency": "USD"}, "unpriced": 0,
    }  # fmt: skip
    assert [(each["model"], each["cost"], each["unpriced"]) for each in found["models"]] == [
        ("lab/qwen", None, 75_000),
        ("ollama/llama", {"amount": 0.0, "currency": "USD"}, 0),
    ]
    assert (found["total"]["input"], found["total"]["unpriced"]) == (71_200, 75_000)
    assert json.loads(agentcli("usage", "--json", "--days", "1000").stdout)["total"]["answers"] == 3


def test_in_a_pipe_a_line_is_a_day_and_a_model() -> None:
    some()
    lines = [line.split("\t") for line in agentcli("usage").stdout.splitlines()]
    assert [line[1:] for line in lines] == [["lab/qwen", "70000", "5000", "0", ""], ["ollama/llama", "1200", "34", "200", "0"]]
    assert "price not known for lab/qwen" in agentcli("usage").stderr


def test_nothing_yet() -> None:
    done = agentcli("usage")
    assert (done.returncode, done.stdout) == (0, "")
    assert json.loads(agentcli("usage", "--json").stdout)["total"]["answers"] == 0


@pytest.mark.parametrize("days", ["0", "-1", "x", "99999999"])
def test_days_that_cannot_be(days: str) -> None:
    assert agentcli("usage", "--days", days).returncode == 2


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals on Windows")
class TestAtATerminal:
    def test_bars_and_a_table(self) -> None:
        some()
        lines = shown("usage")
        assert lines[0].count("█") > 40
        assert lines[0].split()[2] == "75.0k"
        assert (lines[1].split()[1:], lines[2].split()[1:]) == (["0"], ["█", "1.2k", "$0"])
        assert lines[4].split() == ["MODEL", "ANSWERS", "INPUT", "CACHED", "OUTPUT", "COST"]
        assert lines[5].split() == ["lab/qwen", "1", "70.0k", "0", "5.0k", "?"]
        assert lines[7].split()[0] == "total"
        assert lines[8].startswith("price not known for lab/qwen")

    @pytest.mark.parametrize("columns", [1, 20, 33, 47, 200])
    def test_it_fits(self, columns: int) -> None:
        some()
        lines = shown("usage", size=(columns, 60))
        assert any(line.startswith("2") for line in lines)
        if columns >= 33:
            assert len([line for line in lines if line]) <= 11

    def test_no_colours_and_no_blocks_where_they_are_not_wanted(self) -> None:
        some()
        from tests.terminal import Terminal

        with Terminal([*PROGRAM, "usage", "--plain"], env=environment(PYTHONIOENCODING="ascii", LC_ALL="C")) as terminal:
            assert terminal.wait() == 0
            assert b"\x1b[" not in terminal.raw
            assert b"####" in terminal.raw
            assert terminal.raw.isascii()

    def test_names_of_models_do_not_act_on_the_terminal(self) -> None:
        saved(answer(datetime.now(UTC), "x/\x1b]0;evil\x07\x1b[2J"))
        text = "\n".join(shown("usage"))
        assert "x/␛]0;evil␇␛[2J" in text

    def test_threads_by_what_they_took(self) -> None:
        now = datetime.now(UTC)
        saved(answer(now, "ollama/a", Usage(10, 1)), title="Small")
        saved(answer(now, "lab/b", Usage(9_000, 1)), title="Large")
        saved(user("nothing"), title="None")
        rows = [line.split() for line in shown("threads", "list", "--sort", "tokens")]
        assert [row[1] for row in rows[1:]] == ["Large", "Small", "None"]
        assert rows[0] == ["ID", "TITLE", "MESSAGES", "UPDATED", "TOKENS", "MODEL"]
        rows = [line.split() for line in shown("threads", "list", "--sort", "cost")]
        assert [row[1] for row in rows[1:4]] == ["Small", "None", "Large"]
        assert rows[1][-2:] == ["11", "$0"]
        assert [row["title"] for row in listed("--sort", "tokens", "-n", "2")] == ["Large", "Small"]
        assert [(row["tokens"], row["cost"]) for row in listed()] == [
            (None, None),
            (9001, None),
            (11, {"amount": 0.0, "currency": "USD"}),
        ]
        assert agentcli("threads", "list", "--sort", "tokens").stdout.splitlines()[0].split("\t")[-1] == "9001"
        assert agentcli("threads", "list", "--sort", "size").returncode == 2


def listed(*arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(agentcli("threads", "list", "--json", *arguments).stdout)
    return found


# A conversation.


def prices() -> Pricing:
    return Pricing(places().cache, {"ollama": Endpoint(kind="openai-chat", base_url="http://127.0.0.1:11434/v1")}.get)


@pytest.mark.skipif(find_spec("genai_prices") is None, reason="the extra `prices` is not installed")
def test_a_provider_of_ones_own_has_the_prices_of_whom_it_asks() -> None:
    own = {
        "work": Endpoint(kind="openai-chat", base_url="https://api.openai.com/v1"),
        "lab": Endpoint(kind="openai-chat", base_url="http://lab/v1"),
    }
    pricing = Pricing(places().cache, own.get)
    found = pricing("work/gpt-5.4", Usage(1000, 0), NOON)
    assert found
    assert found == pricing("openai/gpt-5.4", Usage(1000, 0), NOON)
    assert found.amount > 0
    assert pricing("lab/gpt-5.4", Usage(1000, 0), NOON) is None
    assert pricing.hint == ""


def test_of_a_conversation() -> None:
    thread = Thread.of(
        user("a"), answer(model="ollama/m"), user("b"), answer(model="ollama/m", usage=Usage(30, 7, cached=20, reasoning=3))
    )
    lines = of_thread(thread, 100, prices()).splitlines()
    assert lines == [
        "Last turn  30 tokens in (20 from a cache), 7 out (3 thinking) · $0",
        "Thread     40 tokens in (20 from a cache), 12 out (3 thinking) · $0",
        "Context    about 37 tokens of 100, 37% full",
    ]


def test_of_a_conversation_with_several_models() -> None:
    thread = Thread.of(user("a"), answer(model="ollama/m"), user("b"), answer(model="lab/\x1b[2J"))
    lines = of_thread(thread, None, prices()).splitlines()
    assert [line.split("  ")[0] for line in lines[:2]] == ["Last turn", "Thread"]
    assert lines[2] == "  lab/␛[2J  10 tokens in, 5 out"
    assert lines[3].startswith("  ollama/m")
    assert lines[4].startswith("Context")
    assert "full" not in lines[4]
    assert lines[5].startswith("price not known for lab/␛[2J")


def test_of_a_conversation_that_has_not_begun_or_is_not_counted() -> None:
    assert of_thread(Thread(), None, prices()) == "Nothing was said yet."
    lines = of_thread(Thread.of(user("a"), answer(usage=None)), None, prices()).splitlines()
    assert lines[0] == "Last turn  tokens not known: the server did not say"


def test_where_a_provider_is_asked_decides_what_it_costs() -> None:
    """Also in lists of threads, and in the usage: as a question would find it, and without its key."""
    now = datetime.now(UTC)
    saved(answer(now, "openai/m", Usage(1_000_000, 0)))
    catalogue = Catalogue(places().cache)
    catalogue.add("openai", Endpoint(kind="openai-chat", base_url="http://lab/v1", key="k"), [Listed("m", rates=Rates(3, 4))])
    catalogue.write()
    three = {"amount": 3.0, "currency": "USD"}
    for url, cost in (("http://lab/v1/", three), ("http://other/v1", None), ("", None)):
        os.environ["OPENAI_BASE_URL"] = url
        assert listed()[0]["cost"] == cost
        assert json.loads(agentcli("usage", "--json").stdout)["total"]["cost"] == cost
    os.environ["OPENAI_BASE_URL"] = "http://lab/v1"
    places().config.parent.mkdir(parents=True, exist_ok=True)
    places().config.write_text("this is wrong")
    assert listed()[0]["cost"] == three  # what was spent can be seen all the same


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals on Windows")
def test_in_the_chat(server: Any) -> None:
    from tests.terminal import Terminal

    server.says("Hello there")
    with Terminal([*PROGRAM], env=environment(server)) as terminal:
        terminal.until(">")
        terminal.send("/usage\r")
        terminal.until("Nothing was said yet.")
        terminal.send("hello\r")
        terminal.until("Hello there")
        terminal.send("/usage\r")
        terminal.until("Last turn  12 tokens in, 40 out")
        terminal.until("Context")
        terminal.send("/quit\r")
        assert terminal.wait() == 0

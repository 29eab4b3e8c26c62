"""`ask` in a pipe: how soon the answer comes, and what each piece of it costs."""

from __future__ import annotations

from collections.abc import Callable

from tests.benchmarks import Row, Setup, benchmark
from tests.benchmarks.measure import Run, agentcli, environment, exponent, in_turns, middle, program, run

_HTTPX = "httpx in 15 lines"


def _contenders(setup: Setup, model: str) -> dict[str, Callable[[], Run]]:
    env = environment(setup)
    found = {
        "httpx": lambda: run(program("httpx_ask", setup.url, model), env),
        "agentcli": agentcli(setup, "ask", "-m", f"openai/{model}", "hi"),
        "unsaved": agentcli(setup, "ask", "--no-save", "-m", f"openai/{model}", "hi"),
    }
    if setup.llm:
        llm = setup.llm
        found["llm"] = lambda: run([llm, "-m", model, "hi"], env)
    return found


@benchmark
def ask(setup: Setup) -> list[Row]:
    runs = in_turns(setup.count(25, 1), _contenders(setup, "chunks=1"))
    floor = runs["httpx"]

    def row(what: str, name: str, field: str, limit: float | None = None) -> Row:
        return Row(what, middle(runs[name], field) * 1e3, "ms", middle(floor, field) * 1e3, _HTTPX, limit, relative=True)

    rows = [
        row("`ask`, start to first byte", "agentcli", "first", 1.1),
        row("`ask`, start to end", "agentcli", "wall", 1.1),
        row("`ask`, CPU", "agentcli", "cpu"),
        row("`ask --no-save`, start to end", "unsaved", "wall"),
    ]
    if "llm" in runs:
        rows += [row("llm: start to first byte", "llm", "first"), row("llm: start to end", "llm", "wall")]
    return rows


@benchmark
def piped(setup: Setup) -> list[Row]:
    few, many = setup.count(2_000, 200), setup.count(20_000, 400)
    models = {1: "chunks=1", few: f"chunks={few}", many: f"chunks={many}"}
    contenders = {f"{name} {n}": call for n, model in models.items() for name, call in _contenders(setup, model).items()}
    unwanted = {f"unsaved {n}" for n in models} | {f"llm {few}"}
    runs = in_turns(setup.count(15, 1), {name: call for name, call in contenders.items() if name not in unwanted})

    def beyond(name: str, n: int) -> float:
        """The CPU time of the chunks alone, a chunk."""
        return max(middle(runs[f"{name} {n}"], "cpu") - middle(runs[f"{name} 1"], "cpu"), 1e-9) / n * 1e6

    rows = [
        Row(f"piped streaming, CPU a chunk of {n:,}", beyond("agentcli", n), "µs", beyond("httpx", n), _HTTPX, 1.5, relative=True)
        for n in (few, many)
    ]
    grown, floor = (exponent(beyond(name, few) * few, beyond(name, many) * many, many / few) for name in ("agentcli", "httpx"))
    rows.append(Row(f"piped streaming, growth to {many:,} chunks", grown, "n^", floor, _HTTPX, 1.05))
    if setup.llm:
        rows.append(Row(f"llm: piped streaming, CPU a chunk of {many:,}", beyond("llm", many), "µs", beyond("httpx", many), _HTTPX))
    return rows


@benchmark
def slowly(setup: Setup) -> list[Row]:
    """Chunks that come one by one, each in a read of its own, as those of a real model do."""
    count = setup.count(2_000, 20)
    models = {"1": "chunks=1", "many": f"chunks={count},pause=0.001"}
    contenders = {f"{name} {n}": call for n, model in models.items() for name, call in _contenders(setup, model).items()}
    wanted = ("httpx", "agentcli")
    runs = in_turns(setup.count(5, 1), {name: call for name, call in contenders.items() if name.split()[0] in wanted})
    each = {name: (middle(runs[f"{name} many"], "cpu") - middle(runs[f"{name} 1"], "cpu")) / count * 1e6 for name in wanted}
    return [Row("piped streaming, chunks that come one by one, CPU a chunk", max(each["agentcli"], 0), "µs", each["httpx"], _HTTPX)]

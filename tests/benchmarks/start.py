"""How soon it is there: `--version` and `--help`."""

from __future__ import annotations

import sys

from tests.benchmarks import Row, Setup, benchmark
from tests.benchmarks.measure import agentcli, environment, in_turns, middle, nothing, program, run


@benchmark
def start(setup: Setup) -> list[Row]:
    env = environment(setup)
    script = nothing(setup.folder)
    contenders = {
        "pass": lambda: run([sys.executable, "-c", "pass"], env),
        "script": lambda: run(script, env),
        "version": agentcli(setup, "--version"),
        "typer": lambda: run([*program("bare_typer"), "--help"], env),
        "help": agentcli(setup, "--help"),
    }
    if setup.llm:
        llm = setup.llm
        contenders["llm"] = lambda: run([llm, "--version"], env)
    runs = in_turns(setup.count(25, 1), contenders)
    cpu = {name: middle(done, "cpu") * 1e3 for name, done in runs.items()}
    rows = [
        Row("a console script that does nothing, CPU", cpu["script"], "ms", cpu["pass"], "python -c pass"),
        Row("`--version`, CPU", cpu["version"], "ms", cpu["script"], "a script that does nothing", 1.3, relative=True),
        Row("`--help`, CPU", cpu["help"], "ms", cpu["typer"], "a bare Typer program's plain help", 1.4, relative=True),
    ]
    if setup.llm:
        rows.append(Row("llm: `--version`, CPU", cpu["llm"], "ms", cpu["script"], "a script that does nothing"))
    return rows

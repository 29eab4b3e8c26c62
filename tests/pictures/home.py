"""Who is seen in the pictures: a person with a model, a tool, some files and some threads.

The model is a script (docs/guides/scripted.md), so it says the same in every picture; everything around it is the real program. What
it says last stalls in mid-sentence: so there is all the time there need be to draw an answer that has not ended.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from agentcli.core.message import assistant, now, user
from agentcli.core.thread import Thread

__all__ = ["environment", "furnish"]

MODEL = "lab/qwen3"

_CONFIG = """
[providers.lab]
kind = "scripted"
script = "answers.toml"
context = 32768
"""

_ANSWERS = '''
rate = 4000

[[turn]]
when = "umbrella"

[[turn.answer]]
reasoning = "That depends on the day. There is a tool that knows how likely rain is."
text = "I look at the forecast."
calls = [{tool = "rain", arguments = {city = "Bergen, Norway"}}]
usage = {input = 412, output = 31}

[[turn.answer]]
text = """
**Yes, on Saturday.** How likely it is to rain:

| day | rain |
|:----|-----:|
| Friday | 20 % |
| Saturday | 60 % |
| Sunday | 35 % |
"""
usage = {input = 471, output = 58}

[[turn]]
when = "draw"
text = """
With `print` alone:

```python
likely = {"Friday": 20, "Saturday": 60, "Sunday": 35}

for day, percent in likely.items():
    bar = "#" * (percent // 5)  # one for 5 %
    print(f"{day:9} {bar} {percent} %")
```

Once you have Matplotlib, `plt.bar(likely.keys(), likely.values())` does the same with axes.
"""
usage = {input = 545, output = 112}

[[turn]]
when = "pack"
rate = 250
text = """
## For three days in Bergen

It rains on *two days of three*, and seldom all day long. So be dry from the outside, and warm in **thin layers**:

1. A rain jacket with a hood: in the wind an umbrella does not live long.
2. Shoes that may become wet, and a second pair that stays dry.
3. A pullover of wool, which is warm even when it is damp.
4. A bag for the camera, and for the phone, which you will want dry on the way up to the mountain.
"""
fault = {kind = "stalled", after = 378}

[[turn]]
when = "save"

[[turn.answer]]
text = "I put it into a file beside the others."
calls = [{tool = "save", arguments = {name = "packing.md", text = """# Bergen, three days

- rain jacket with a hood
- two pairs of shoes
- woollen pullover
"""}}]

[[turn.answer]]
text = "Done: {{result}}."
'''

_WEATHER = '''
from pathlib import Path

from agentcli import tool


def rain(city: str, days: int = 3) -> dict:
    """How likely it is to rain in a city in the next days, in per cent."""
    return {"city": city, "likely": [20, 60, 35][:days]}


@tool(asks=True)
def save(name: str, text: str) -> str:
    """Save a text under a name."""
    Path(name).write_text(text)
    return f"saved {len(text)} characters in {name}"
'''

_DAY = 24 * 60

# Threads, newest first: the id, how many minutes ago, title, what was asked and said.
_THREADS = (
    ("k7m29xqd", 12, "Umbrella for Bergen", "What shall I pack?", "A rain jacket with a hood, and two pairs of shoes."),
    (
        "9w3fhz0c",
        95,
        "Why the build is slow",
        "Which step takes longest?",
        "The tests: **4 min 10 s** of 6. They wait for the network.",
    ),
    ("x4t8ra1m", 7 * 60, "Plants and light", "And at night?", "Then they breathe as we do. In the rain they breathe as well."),
    ("b52ncj6e", 2 * _DAY, "Letter to the landlord", "Make it friendlier.", "Dear Ms Olsen,\n\nthank you for the quick reply."),
    ("0ydv7gks", 3 * _DAY, "SQL: rows without a partner", "Explain the anti-join.", "It keeps the rows for which nothing is found."),
    ("e6pqm3h1", 5 * _DAY, "Rain gauge with a Pico", "How often should it measure?", "Every minute. Rain seldom hurries."),
)


def furnish(folder: Path) -> None:
    """Put into an empty folder what the program finds there: `home`, which is its own, and `work`, where it is started."""
    home, work = folder / "home", folder / "work"
    (home / "threads").mkdir(parents=True)
    work.mkdir()
    (home / "config.toml").write_text(_CONFIG)
    (home / "answers.toml").write_text(_ANSWERS)
    (work / "weather.py").write_text(_WEATHER)
    for name, age, title, question, answer in _THREADS:
        thread = Thread.of(user(question), assistant(answer), title=title)
        thread.id, thread.model, thread.revision = name, MODEL, 1
        thread.updated = now() - timedelta(minutes=age + 0.5)
        (home / "threads" / f"{name}.json").write_bytes(thread.dump())


def environment(folder: Path, theme: str) -> dict[str, str]:
    """The variables of somebody who has set little; and none of those of whoever makes the pictures."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "HOME": str(folder / "work"),
        "SHELL": "/bin/sh",
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "AGENTCLI_HOME": str(folder / "home"),
        "AGENTCLI_MODEL": MODEL,
        "AGENTCLI_THEME": theme,
    }

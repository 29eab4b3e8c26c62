"""The instant model server, in a process of its own: `python -m tests.benchmarks.server`. Ends when its stdin does.

The name of a model says what it answers: `chunks=2000` as in `tests.model_server`, and two texts for a screen, `markdown=2000` and
`fence=2000` (one code fence that stays open until the end), both with `pause=0.001` behind a comma if they are to take their time.
"""

from __future__ import annotations

import sys
from contextlib import suppress

from tests.model_server import Asked, ModelServer, Reply, by_model, sse

__all__ = ["TEXTS", "text_of"]

_MARKDOWN = """## Photosynthesis, part {n}

Plants turn **light** into *sugar*: the overall reaction is `6 CO2 + 6 H2O -> C6H12O6 + 6 O2`, and [this page](https://example.org/{n})
has the details of what happens where, which takes more than a line of a terminal to say.

- chlorophyll absorbs red and blue light
- the **Calvin cycle** fixes carbon
  - with RuBisCO, which is slow

| stage | where | yields |
|---|---|---|
| light | thylakoid | ATP, NADPH |
| dark | stroma | sugar |

```python
def grow(plant, light):
    return plant + light * {n}
```

"""
_CODE = "    total = sum(value * {n} for value in values if value > {n})  # part {n}\n"
_PIECE = 5  # characters, about a token


def text_of(kind: str, chunks: int) -> str:
    """A text of so many pieces."""
    size = chunks * _PIECE
    template, before, after = TEXTS[kind]
    parts = [template.format(n=number) for number in range(size // len(template) + 1)]
    return (before + "".join(parts))[: size - len(after)] + after


TEXTS = {"markdown": (_MARKDOWN, "", ""), "fence": (_CODE, "```python\n", "\n```\n")}


def _reply(kind: str, chunks: int, **how: float) -> Reply:
    text = text_of(kind, chunks)
    pieces = [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]
    said = [sse({"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]}) for piece in pieces]
    ended = sse({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    return Reply([*said, ended, sse("[DONE]")], pause=how.get("pause", 0.0))


def main() -> None:
    with suppress(ImportError):
        import resource

        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    otherwise = by_model()
    made: dict[str, Reply] = {}

    def choose(asked: Asked) -> Reply:
        name = str(asked.body.get("model", ""))
        kind, _, rest = name.partition("=")
        if kind not in TEXTS:
            return otherwise(asked)
        if name not in made:
            chunks, *how = rest.split(",")
            made[name] = _reply(kind, int(chunks), **{key: float(value) for key, value in (part.split("=") for part in how)})
        return made[name]

    with ModelServer().decides(choose) as server:
        print(server.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()

# ruff: noqa: E501  (answers, of which a line is as long as it is)
"""Two hundred answers in Markdown: what is written on a terminal must not depend on how they arrived.

`ANSWERS` has a name for each. They are of three kinds: the small and odd ones of `corpus.py`, as they are; answers of the length and
mixture that models write, with the things that are hard on a terminal (wide tables, long lines of code, letters of two columns and of
none, lines by the thousand); and sequences of pieces that were drawn by lot, always the same.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.ui.corpus import TEXTS

__all__ = ["ANSWERS", "HUGE"]

COUNT = 200

_TALE = (
    "the pump draws water from the well and sends it through a filter of sand into the cistern where it stays until somebody opens the"
    " valve below the house which nobody has done since the winter because the pipe behind it is broken and the neighbour who knows how"
    " to mend it has moved to the coast"
)


def words(count: int, begin: int = 0) -> str:
    """So many words, the same for the same numbers."""
    tale = _TALE.split()
    return " ".join(tale[(begin + number) % len(tale)] for number in range(count))


def table(columns: int, rows: int, width: int = 6) -> str:
    """A table of about `columns * (width + 3)` columns on the screen."""
    head = " | ".join(f"head {column}".ljust(width, "·") for column in range(columns))
    line = "|".join((":---", "---:", ":--:", "---")[column % 4] for column in range(columns))
    body = "\n".join(
        "| " + " | ".join(words(max(width // 6, 1), row * columns + column) for column in range(columns)) + " |" for row in range(rows)
    )
    return f"| {head} |\n|{line}|\n{body}\n"


_CODE = {
    "python": (
        "from __future__ import annotations\n\n\nclass Well:\n    '''Holds water.'''\n\n    def __init__(self, depth: float = 3.5) -> None:\n"
        "        self.depth = depth  # metres\n\n    async def draw(self, litres: int) -> list[str]:\n"
        '        return [f"{litre:03d} of {litres} from {self.depth!r}" for litre in range(litres) if litre % 2 or self.depth > 1e3]\n'
    ),
    "js": "export const draw = async (well, { litres = 3 } = {}) => {\n  // takes `litres`\n  return `${litres} l of ${well?.name ?? 'none'}`;\n};\n",
    "ts": "type Well<T extends object = {}> = { readonly depth: number; of: T } & Record<string, unknown>;\n",
    "rust": "impl<'a> Iterator for Well<'a> {\n    type Item = &'a [u8];\n    fn next(&mut self) -> Option<Self::Item> { self.0.pop() }\n}\n",
    "go": 'func (w *Well) Draw(litres int) ([]string, error) {\n\tif litres < 0 {\n\t\treturn nil, fmt.Errorf("no: %d", litres)\n\t}\n\treturn w.take(litres), nil\n}\n',
    "c": "#include <stdio.h>\n\nint main(void) {\n\tfor (int i = 0; i < 3; i++) /* three */\n\t\tprintf(\"%d\\n\", i);\n\treturn 0;\n}\n",
    "sql": "SELECT w.name, COUNT(*) AS litres\n  FROM wells AS w LEFT JOIN draws d ON d.well = w.id -- all\n WHERE w.depth > 3.5 GROUP BY 1 ORDER BY 2 DESC;\n",
    "bash": "set -euo pipefail\nfor well in \"$@\"; do\n  curl --silent --show-error --retry 3 --output \"/tmp/${well##*/}\" \"http://127.0.0.1:8080/wells/$well?litres=$((2 * 3))\" | tee -a log\ndone\n",
    "console": "$ ls -l\ntotal 4\n-rw------- 1 me me 12 Jan  1 00:00 well.json\n",
    "json": '{\n  "wells": [{"name": "north", "depth": 3.5, "open": true, "of": null}],\n  "next": "http://127.0.0.1/?page=2&more=yes"\n}\n',
    "yaml": "wells:\n  - name: north\n    depth: 3.5 # metres\n  - {name: south, depth: ~}\ntext: |\n  kept\n    as it is\n",
    "toml": '[wells.north]\ndepth = 3.5\nnames = ["a", "b"]\n',
    "html": '<!doctype html>\n<p class="well">Water &amp; <b>more</b><!-- none --></p>\n<script>\n  draw(1 < 2 && "</p>");\n</script>\n',
    "css": ".well > p::before {\n  content: \"\\201C\";\n  color: #09f; /* blue */\n}\n",
    "diff": "--- a/well.py\n+++ b/well.py\n@@ -1,3 +1,3 @@\n def draw():\n-    return 1\n+    return 2\n",
    "make": "well.o: well.c\n\t$(CC) -c $< -o $@\n",
    "tex": "\\begin{equation}\n  \\int_0^\\infty e^{-x^2}\\,dx = \\frac{\\sqrt{\\pi}}{2} % half\n\\end{equation}\n",
    "": "no language\n\twith a tab\n    and   blanks   inside\n",
}  # fmt: skip

_FAMILY = "👩‍👩‍👧‍👦"  # four people and three joiners

_WRITTEN = {
    "how to": (
        "# Mending the pipe\n\nYou need **three** things:\n\n- a wrench\n- a *new* seal (`12 mm`)\n  - or a strip of rubber\n    - cut to size\n"
        "- patience\n\n## Steps\n\n1. Close the valve.\n2. Open the pipe:\n\n   ```bash\n   well close --all && well open pipe --section 7 --force\n   ```\n\n"
        "3. Put in the seal. " + words(30) + "\n\n   > **Careful:** it is cold.\n\n4. Done.\n\n---\n\nAsk if anything is unclear!\n"
    ),
    "review": (
        "The change looks good. Three remarks:\n\n1. **`draw()` may be called twice.** " + words(40) + "\n2. In `well.py`, line 12:\n"
        "   ```diff\n   -    return 1\n   +    return 2\n   ```\n   is what you want, I think.\n3. Tests are missing for:\n   - no water\n"
        "   - `litres=0`\n   - both at once\n\nOtherwise: **ship it**.\n"
    ),
    "comparison": "| | North | South |\n|---|:-:|--:|\n| depth | 3.5 m | 12 m |\n| water | **yes** | ~~yes~~ no |\n| `open` | x | |\n\nSo take *North*.",
    "table of words": table(4, 8, 24),
    "table 200 columns wide": table(12, 6, 14),
    "table 400 columns wide": table(16, 4, 24),
    "table of many columns": table(40, 3, 4),
    "table of many rows": table(3, 120, 8),
    "table in the middle": words(20) + "\n\n" + table(3, 3) + "\n" + words(20) + "\n",
    "tables one after another": table(2, 2) + "\n" + table(3, 2) + "\n" + table(4, 2),
    "table of wide letters": (
        "| 名前 | 深さ | 備考 |\n|---|--:|---|\n| 北の井戸 | 三・五 | とても古いので、冬のあいだは使えません |\n| 南 | 12 | 😀 よい |\n"
        "| 東の井戸 | 7 | 新しい |\n"
    ),
    "table of emoji": "| Who | What |\n|---|---|\n| 😀 | smiles |\n| 🎉🎉 | twice |\n| ✅ | done |\n| ❌ | not |\n",
    "table that is all one cell": "| text |\n|---|\n" + "".join(f"| {words(60, at)} |\n" for at in range(3)),
    "table with code and links": "| a | b |\n|---|---|\n| `x | y` | [to](http://a.b/c?d=e) |\n| ![p](q.png) | **b** *i* `c` |\n",
    "table broken off": "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 ",
    "table head only": "| a | b |\n|---|---|",
    "fences one after another": "".join(f"```{language}\n{code}```\n" for language, code in _CODE.items()),
    "fences with words between": "".join(f"In {language or 'none'}:\n\n```{language}\n{code}```\n\n" for language, code in _CODE.items()),
    "fence with long lines": "```python\n" + "".join(f"line_{n} = {'x' * 60!r} + {'y' * 90!r}  # {words(12, n)}\n" for n in range(8)) + "```\n",
    "fence with one very long line": "```\n" + "0123456789" * 150 + "\n```\nend",
    "fence never closed": "Look:\n\n```python\n" + _CODE["python"] * 4,
    "fence never closed in an item": "- Look:\n  ```python\n" + "".join(f"  {line}\n" for line in _CODE["python"].split("\n")),
    "fence never closed in a quote": "> ```python\n" + "".join(f"> {line}\n" for line in _CODE["python"].split("\n")) + "out of it\n",
    "fences in fences": "`````markdown\n````markdown\n```python\nx\n```\n````\n`````\n\n~~~~\n```\n~~~\n~~~~\n",
    "fence closed by too few": "````\ntext\n```\nstill\n````\nout",
    "fence with blank lines": "```\n\n\na\n\n\n\nb\n\n```\n\n\n\nafter\n",
    "fence of trailing blanks": "```\na   \n   b   \n\t\n   \n```\n",
    "fence of wide letters": "```python\n# 日本語のコメント、とても長いので端末の幅を超えてしまいますが、折り返しは端末がします。そしてまだ続きます。\nprint('漢字')\n```\n",
    "fence of a diagram": "```\n┌────────┐     ┌────────┐\n│  well  │ ──▶ │ filter │\n└────────┘     └────────┘\n```\n",
    "nested lists": "".join(f"{'  ' * (n % 6)}- level {n % 6}: {words(n % 9 + 1, n)}\n" for n in range(40)),
    "nested lists of numbers": "".join(f"{'    ' * (n % 4)}{n % 5 + 1}. number {n}: {words(n % 20 + 1, n)}\n" for n in range(40)),
    "lists with blank lines": "".join(f"- {words(14, n)}\n\n  {words(25, n)}\n\n" for n in range(8)),
    "list of two hundred": "".join(f"{n}. {words(n % 5 + 1, n)}\n" for n in range(1, 201)),
    "list of everything": (
        "- # heading\n- > quote\n- ```\n  code\n  ```\n- | a | b |\n  |---|---|\n  | 1 | 2 |\n- ---\n- <b>\n-     indented\n- [x]: y\n- - - deep\n"
    ),
    "list then text at once": "- one\n- two\nlazy\n\ntext\n- three\n\n\n\n- four\n",
    "tasks": "- [ ] close\n- [x] open\n  - [ ] half\n1. [x] numbered\n",
    "quotes": "> " + words(60) + "\n>\n> > " + words(30) + "\n> >\n> > - item\n> > - item\n>\n> back\n\nout\n",
    "quote with a table": "> | a | b |\n> |---|---|\n> | 1 | 2 |\n>\n> after\n",
    "rules": "a\n\n---\n\nb\n\n***\n\n_ _ _\n\n- - -\nc\n***\n",
    "headings of all sizes": "".join(f"{'#' * n} Heading {n} {words(n * 5)}\n\n{words(20, n)}\n\n" for n in range(1, 8)),
    "headings underlined": f"{words(30)}\n===\n\n{words(5)}\n---\n\nshort\n=\n",
    "headings and nothing else": "# a\n# b\n## c\n### d #\n#### e ####\n#\n##\n",
    "html page": '<h1 align="center">\n  <img src="logo.png" width="200"/>\n</h1>\n\n<p>\nText &amp; more\n</p>\n\n**bold** after <kbd>Ctrl</kbd>+<kbd>C</kbd><br/>next<br>next\n',
    "html comments": "<!-- one line -->\n\n<!--\nmany\n\nlines with `code` and **bold**\n-->\n\ntext <!-- inside --> text\n\n<!-- never closed\n\n# heading?\n",
    "html details": "<details>\n<summary>All of it</summary>\n\n```json\n{}\n```\n\n- item\n\n</details>\n",
    "html and declarations": "<?php echo 1; ?>\n\n<!DOCTYPE html>\n\n<![CDATA[\nx\n]]>\n\n<custom-tag a='b'>\ntext\n</custom-tag>\n\n</div>\n",
    "links": (
        "See [the manual](http://example.org/manual?page=1&x=%20#part 'The manual'), <http://example.org/bare>, http://example.org/plain, "
        "[http://example.org](http://example.org), [empty](), [](http://nothing.example), [nested [brackets]](http://a.b), "
        "[`code`](http://c.d), **[bold](http://e.f)** and <me@example.org>.\n"
    ),
    "links that are long": f"[{words(30)}](http://example.org/{'a-long-path/' * 20}) and then some more words.\n",
    "images": '![A well](well.png "The well") ![](empty.png) [![badge](badge.svg)](http://ci.example)\n\n![by reference][w]\n\n[w]: well.png\n',
    "references": "As [one] says, and [two][2], [three][], but not [four].\n\n[one]: http://one.example\n[2]: <http://two.example> 'Two'\n[three]: /three\n  (Three)\n\nEnd.\n",
    "footnotes": "A claim[^1] and another[^note].\n\n[^1]: Where it stands.\n[^note]: " + words(40) + "\n\n    more of it\n",
    "definitions first": "[a]: http://a.example\n[b]: http://b.example\n\n[a] and [b].\n",
    "japanese": (
        "# 井戸の話\n\n昔々、あるところに古い井戸がありました。**水**はとても冷たく、*誰も*その深さを知りませんでした。毎年、冬になると井戸は凍り、村人は川まで歩きました。\n\n"
        "1. 井戸を開ける。\n2. 桶を下ろす：`draw(3)` と入力します。\n3. 待つ。\n\n> 引用文です。とても長いので、端末の幅で折り返されますが、字が半分になることはありません。\n"
    ),
    "chinese": "## 步骤\n\n- 打开阀门，然后等待三分钟，直到水流变得清澈为止，这可能需要一些耐心。\n- 关闭阀门\n  - 检查管道是否漏水\n\n完成！全角ＡＢＣ１２３，半角ABC123。\n",
    "korean": "우물에서 물을 길어 올리는 방법은 다음과 같습니다. 먼저 밸브를 열고 잠시 기다립니다.\n\n한글 자모: ㄱㄴㄷ ㅏㅑㅓ\n",
    "hebrew and arabic": "שלום! הבאר **עמוקה** מאוד, והמים `draw(3)` קרים.\n\n- البئر عميقة جداً\n- مرحبا بالعالم 123 (456)\n\n| עברית | العربية |\n|---|---|\n| באר | بئر |\n",
    "indic, thai and vietnamese": "कुआँ बहुत गहरा है। **क्षत्रिय** और *र्क*।\n\nน้ำในบ่อเย็นมาก ที่นี่ไม่มีใครรู้ว่าลึกเท่าไร\n\nNước giếng rất lạnh, không ai biết độ sâu.\n",
    "emoji": f"# 🎉 Done!\n\n- ✅ one {_FAMILY}\n- ⚠️ two 🏳️‍🌈 🏴‍☠️\n- 🇩🇪 🇫🇷 🇯🇵 flags\n- 👍🏽 👩🏿‍🚀 tones\n- 1️⃣ 2️⃣ keys\n- ❤️ and ❤\n\n" + "😀" * 90 + "\n\n" + f"{_FAMILY} " * 40,
    "combining marks": "e\u0301 a\u0300 o\u0308 n\u0303 u\u031b\u0323 " * 20 + "\n\n**Z\u0351\u0342a\u0324\u0329l\u0334g\u0360o\u0489** is here: `h\u0336e\u0332`.\n\n- x\u20dd\n- \u0915\u094d\u0937\n",
    "symbols": "→ ⇒ ≤ ≥ ≠ ∑ ∫ √ ∞ ½ © ® ™ § ¶ † • … – — ‘a’ “b” «c» ☐ ☑ ★ ☆ ♠ ♥ ⌘ ⏎ ␛ █▓▒░ ▁▂▃▄▅▆▇ ⠋⠙⠹ ①②③ ﬁ ﷽\n" * 3,
    "a word that is very long": "x" * 700 + "\n\n- " + "y" * 300 + "\n\n> " + "z" * 300 + "\n\n# " + "w" * 300 + "\n",
    "addresses that are long": f"http://example.org/{'segment/' * 60}?{'key=value&' * 30}\n",
    "one paragraph of two thousand words": words(2000),
    "paragraphs": "\n\n".join(words(10 + 13 * n % 70, n) for n in range(40)) + "\n",
    "lines of one letter": "\n".join("abcdefghijklmnopqrstuvwxyz" * 4),
    "lines that end in breaks": "".join(f"{words(6, n)}  \n" for n in range(10)) + "".join(f"{words(6, n)}\\\n" for n in range(10)) + "end",
    "CRLF": "# Title\r\n\r\ntext\r\nmore\r\n\r\n- a\r\n- b\r\n\r\n```py\r\nx = 1\r\n\r\n```\r\n\r\n| a | b |\r\n|---|---|\r\n| 1 | 2 |\r\n",
    "CR alone": "one\rtwo\rthree\r\rfour",
    "tabs": "a\tb\tc\n\n-\titem\n\t- nested\n\t\tcode\n\n\tcode\twith\ttabs\n\n1.\tone\n\n```\n\ta\tb\n```\n\n|\ta\t|\tb\t|\n|---|---|\n|\t1\t|\t2\t|\n",
    "trailing spaces": "text   \n\n   \n\n- item   \n-   \n\n# heading   \n\n> quote   \n>   \n\n| a |   \n|---|   \n| 1 |   \n   \n",
    "blank lines without end": "a" + "\n" * 60 + "b" + "\n \n" * 20 + "c" + "\n" * 40,
    "nothing but blank lines": "\n" * 30,
    "nothing but blanks": "   \n\t\n   ",
    "emphasis of every kind": "*a* **b** ***c*** _d_ __e__ ___f___ ~~g~~ `h` ``i ` j`` **k *l* m** *n **o** p* a*b*c a_b_c **open *open `open\n",
    "escapes and entities": "\\* \\_ \\` \\# \\[ \\] \\| \\\\ &lt;b&gt; &#x1F600; &#0; &#27;[31m &#x202E; &nbsp; &hellip; &nonsense;\n",
    "controls": "bell \a, backspace \b\b\b, escape \x1b[31mred\x1b[0m, \x9b31m, title \x1b]0;t\a, form\ffeed, vertical\vtab, null \0, delete \x7f.\n\n- \x1b[2J\n",
    "mathematics": "Then $x_1 = \\frac{-b \\pm \\sqrt{b^2 - 4ac}}{2a}$, so\n\n$$\n\\sum_{i=0}^n i = \\frac{n(n+1)}{2}\n$$\n\n\\[ a * b * c \\]\n",
    "indented code": "text\n\n    code\n      more\n\n    still\n\n- item\n\n      code in it\n\ntext\n    no code\n",
    "front matter": "---\ntitle: Wells\ntags: [a, b]\n---\n\n# Wells\n",
    "a log": "\n".join(f"2026-01-01T00:00:{n:02d}Z INFO  [pump-{n % 3}] drew {n * 7} l in {n * 3} ms; {words(n % 12, n)}" for n in range(60)),
    "letters and columns": "```text\n" + "".join(f"{'-' * n}|\n" for n in range(1, 130, 3)) + "```\n",
    "as wide as the window": "\n\n".join("m" * n for n in (9, 10, 11, 39, 40, 41, 79, 80, 81, 159, 160, 161, 199, 200, 201)),
    "as wide as the window, in code": "```\n" + "\n".join("m" * n for n in (9, 10, 11, 39, 40, 41, 79, 80, 81, 159, 160, 161, 199, 200, 201)) + "\n```\n",
    "wide letters at the edge": "\n\n".join("x" * n + "漢字" * 3 for n in (7, 8, 9, 36, 37, 38, 39, 76, 77, 78, 79, 197, 198, 199)),
    "wide letters at the edge, in code": "```\n" + "\n".join("x" * n + "漢字" * 3 for n in (7, 8, 9, 36, 37, 38, 39, 76, 77, 78, 79, 197, 198, 199)) + "\n```\n",
}  # fmt: skip

# Lines by the thousand.
HUGE = {
    "ten thousand lines of a list": "".join(f"- item {n}: {words(n % 7 + 1, n)}\n" for n in range(10_000)),
    "ten thousand lines of code": "```python\n"
    + "".join(f"value_{n} = compute({n}, {words(n % 4 + 1, n)!r})\n" for n in range(10_000))
    + "```\n",
}


def _drawn_by_lot(seed: int) -> str:
    """Pieces of all kinds, one after the other."""
    dice = random.Random(seed)
    makers = (
        lambda: words(dice.randint(1, 80), dice.randrange(60)) + "\n",
        lambda: f"{'#' * dice.randint(1, 6)} {words(dice.randint(1, 12))}\n",
        lambda: table(dice.randint(1, 7), dice.randint(0, 6), dice.choice((4, 10, 24))),
        lambda: "".join(
            f"{' ' * dice.choice((0, 0, 2, 4))}{dice.choice(('-', '*', '1.', '2)', '- [x]'))} {words(dice.randint(0, 30))}\n"
            for _ in range(dice.randint(1, 12))
        ),
        lambda: "```{}\n{}```\n".format(*dice.choice(list(_CODE.items()))),
        lambda: "".join(f"> {line}\n" for line in dice.choice(_POOL).split("\n")),
        lambda: "".join(f"{' ' * dice.choice((2, 3, 4))}{line}\n" for line in dice.choice(_POOL).split("\n")),
        lambda: dice.choice(_POOL) + "\n",
        lambda: dice.choice(
            ("---\n", "```", "\n\n\n", "\t", "<div>\n", "</div>\n\n", "<!-- ", "-->\n", "**", "`", "😀漢字", "[x]: y\n", "| a\n")
        ),
    )
    text = ""
    for _ in range(dice.randint(3, 9)):
        text += dice.choice(makers)() + dice.choice(("\n", "\n", "\n", "", "\n\n\n"))
    return text if dice.random() < 0.7 else text[: dice.randrange(len(text) + 1)]


_POOL = (*TEXTS, *_WRITTEN.values())


def _all() -> Iterator[tuple[str, str]]:
    for number, text in enumerate(TEXTS):
        yield f"small {number}: {text[:20]!r}", text
    yield from _WRITTEN.items()
    yield from HUGE.items()
    for seed in range(COUNT - len(TEXTS) - len(_WRITTEN) - len(HUGE)):
        yield f"by lot {seed}", _drawn_by_lot(seed)


ANSWERS = dict(_all())
assert len(ANSWERS) == COUNT

"""A thread as Markdown, page and document, and back: nothing lost, nothing in it that acts."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from datetime import UTC, datetime
from hashlib import sha256
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from agentcli.core.document import Compaction
from agentcli.core.message import Blob, Message, Reasoning, Stop, Text, ToolCall, ToolResult, assistant, user
from agentcli.core.thread import Thread
from agentcli.errors import Exit, UserError
from agentcli.store.export import FORMATS, document, html, markdown
from agentcli.store.import_ import read
from agentcli.store.wording import CUT

PNG = b"\x89PNG\r\n\x1a\n-not-really"

# What a model, a tool or a file name may hold to attack the reader of a page.
ATTACKS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "[click](JaVaScRiPt:alert(1))",
    "[click](java\tscript:alert(1))",
    "[click](&#106;avascript:alert(1))",
    "[click](vbscript:x)",
    "[click](data:text/html;base64,PHNjcmlwdD4=)",
    "[click](file:///etc/passwd)",
    "[click](//evil.example/x)",
    "<javascript:alert(1)>",
    "![p](https://evil.example/pixel.png)",
    '![" onerror="alert(1)](https://evil.example/a.png "t\\" onload=\\"x")',
    "[![p](https://evil.example/pixel.png)](https://evil.example)",
    "[r]\n\n[r]: javascript:alert(1)",
    '```"><script>alert(1)</script>\nx\n```',
    "</code></pre><script>alert(1)</script>",
    "</details></article></main><style>*{display:none}</style>",
    "</title><script>alert(1)</script>",
    '"><svg onload=alert(1)>',
    "<iframe src=https://evil.example></iframe><link rel=stylesheet href=https://evil.example><base href=https://evil.example>",
    "| a |\n|:-:|\n| <b onclick=x>b</b> |",
)


class Page(HTMLParser):
    """The tags of a page, as a browser would see them, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "img", "br", "hr"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def talk() -> Thread:
    call = ToolCall("c1", "clock", '{"zone": "UTC"}')
    return Thread.of(
        user("What time is it?", Blob("image/png", PNG, name="face.png"), Blob("application/pdf", ref="ab12", name="a_b.pdf")),
        Message(role="assistant", author="agentcli", model="openai/gpt-5.4", stop="tools", parts=(Reasoning("I need a clock."), call)),
        Message(role="tool", parts=(ToolResult("c1", "12:00 ```"), ToolResult("c9", "no such call", is_error=True))),
        Message(role="assistant", author="agentcli", stop="done", parts=(Text("It is **noon**.\n\n```py\nprint(12)\n```\n"),)),
    )


def test_markdown_holds_everything() -> None:
    text = markdown(talk())
    assert text.startswith("# What time is it?\n\nThread `")
    assert "## 1. You\n\nWhat time is it?\n\nAttachment: face.png (image/png)\n\nAttachment: a\\_b.pdf (application/pdf)" in text
    assert "## 2. agentcli (openai/gpt-5.4)\n\n<details>\n<summary>Reasoning</summary>\n\nI need a clock." in text
    assert '<summary>Tool call: clock</summary>\n\n```json\n{"zone": "UTC"}\n```' in text
    assert "## 3. Tools\n\n<details>\n<summary>Tool result: clock</summary>\n\n````\n12:00 ```\n````" in text
    assert "<summary>Tool error: c9</summary>" in text
    assert "## 4. agentcli\n\nIt is **noon**.\n\n```py\nprint(12)\n```\n" in text


@pytest.mark.parametrize(
    ("said", "end"),
    [
        ("```py\nprint(1)", "\n```"),
        ("~~~~\nx\n~~~", "\n~~~~"),
        ("```", "\n```"),
        ("````\n```\n", "\n````"),
        ("```\nx\n```", ""),
        ("a ``` b", ""),
        ("- ```py\n  x\n  ```", ""),
        ("    ```\n", ""),
    ],
)
def test_a_code_fence_left_open_does_not_swallow_what_follows(said: str, end: str) -> None:
    text = markdown(Thread.of(user("q"), assistant(said), user("NEXT")))
    assert said.strip("\n") + end + "\n\n## 3. You" in text
    headings = [token.content for token in MarkdownIt("commonmark").parse(text) if token.type == "inline"]
    assert "3. You" in headings


@pytest.mark.parametrize("stop", CUT)
def test_an_answer_that_is_not_whole_is_marked(stop: Stop) -> None:
    message = Message(role="assistant", stop=stop, parts=(Text("half an"),))
    assert not message.whole
    thread = Thread.of(user("q"), message)
    assert f"> **{CUT[stop]}**" in markdown(thread)
    assert f'<p class="cut">{CUT[stop]}</p>' in html(thread)


def test_every_cut_has_its_words() -> None:
    stops: tuple[Stop, ...] = ("done", "tools", "length", "refused", "interrupted", "timed_out", "failed", "crashed")
    assert {stop for stop in stops if not Message(role="assistant", stop=stop, parts=()).whole} == set(CUT)
    assert 'class="cut"' not in html(talk())


def test_a_title_is_text_in_markdown() -> None:
    text = markdown(Thread(title="a *b*\n# <c> [d](e) `f`"))
    assert text.splitlines()[0] == r"# a \*b\* \# \<c\> \[d\](e) \`f\`"


def test_page_holds_everything() -> None:
    page = Page(html(talk()))
    assert page.open == []
    for said in (
        "What time is it?",
        "I need a clock.",
        '{"zone": "UTC"}',
        "12:00 ```",
        "no such call",
        "noon",
        "print(12)",
        "a_b.pdf",
    ):
        assert said in page.text
    assert len(page.all("details")) == 4  # reasoning, call, result, error
    assert page.all("img") == [{"src": f"data:image/png;base64,{b64encode(PNG).decode()}", "alt": "face.png"}]
    assert [tag["id"] for tag in page.all("article")] == ["1", "2", "3", "4"]
    assert "<strong>noon</strong>" in html(talk())


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_in_a_page_acts(attack: str) -> None:
    thread = Thread.of(
        user(attack, Blob('image/png" onload="x', PNG, name=attack), Blob("image/svg+xml", b"<svg/>", name=attack)),
        Message(
            role="assistant",
            author=attack,
            model=attack,
            stop="tools",
            parts=(Reasoning(attack), Text(attack), ToolCall("c", attack, attack)),
        ),
        Message(role="tool", parts=(ToolResult("c", attack),)),
        title=attack,
    )
    thread.model = attack
    thread.compact(Compaction(through=thread.messages[1].id, count=2, summary=attack))
    text = html(thread)
    page = Page(text)
    assert page.open == []
    allowed = {"html", "head", "meta", "title", "style", "body", "header", "main", "article", "div", "details", "summary", "time"}
    allowed |= {"h1", "p", "b", "a", "pre", "code", "em", "strong", "table", "thead", "tbody", "tr", "th", "td"}
    assert {tag for tag, _ in page.tags} <= allowed
    assert len(page.all("style")) == len(page.all("title")) == 1
    known = {"lang", "charset", "http-equiv", "content", "name", "dir", "class", "id", "datetime", "href", "rel"}
    assert {name for _, attributes in page.tags for name in attributes} <= known
    for link in page.all("a"):
        target = link["href"] or ""
        assert target.startswith(("https://", "http://", "mailto:")) or re.fullmatch(r"#\d+", target)
        assert target.startswith("#") or "noopener" in (link["rel"] or "")


def test_page_policy_allows_its_own_style_and_nothing_else() -> None:
    page = Page(html(talk()))
    policy = next(tag["content"] for tag in page.all("meta") if tag.get("http-equiv") == "Content-Security-Policy") or ""
    style = re.search(r"<style>(.*)</style>", html(talk()), re.DOTALL)
    assert style is not None
    digest = b64encode(sha256(style[1].encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:")
    assert "url(" not in style[1]
    assert "@import" not in style[1]


def test_page_shows_what_a_browser_would_hide() -> None:
    page = Page(html(Thread.of(user("a\x00b\x1bc\u202ed"), assistant("a\x00b\u2066c"))))
    assert "a\u2400b\u241bc⟨U+202E⟩d" in page.text
    assert "a\u2400b⟨U+2066⟩c" in page.text
    assert "\u202e" not in page.text


def test_page_links_tables_and_pictures() -> None:
    said = "[a](https://a.example) <mailto:b@c.example> ![cat](https://d.example/c.png)\n\n| x | y |\n|---|--:|\n| 1 | ~~2~~ |"
    page = Page(html(Thread.of(user("q"), assistant(said))))
    assert [tag["href"] for tag in page.all("a") if "rel" in tag] == [
        "https://a.example",
        "mailto:b@c.example",
        "https://d.example/c.png",
    ]
    assert "picture: cat" in page.text
    assert page.all("td") == [{}, {"class": "right"}]
    assert page.all("s") == [{}]


def test_a_summary_stands_behind_the_messages_that_it_stands_for() -> None:
    thread = talk()
    thread.compact(Compaction(through=thread.messages[0].id, count=1, summary="They *asked* for ``` the time."))
    thread.compact(Compaction(through=thread.messages[3].id, count=4))
    text = markdown(thread)
    assert text.index("## 1. You") < text.index("They *asked* for ``` the time.") < text.index("## 2. ")
    assert text.count("A summary, sent to the model in place of everything above") == 1
    page = html(thread)
    assert page.index('id="1"') < page.index("They <em>asked</em> for ``` the time.") < page.index('id="2"')
    assert Page(page).open == []


def test_the_document_comes_back_the_same() -> None:
    thread = talk()
    thread.compact(Compaction(through=thread.messages[1].id, count=2, summary="They asked for the time."))
    thread.unknown[()] = {"mood": "good"}
    again = read(document(thread).encode())
    assert again.dump() == thread.dump()
    assert json.loads(document(thread))["mood"] == "good"
    assert set(FORMATS) == {"md", "json", "html"}


def test_import_of_messages_as_apis_take_them() -> None:
    picture = f"data:image/png;base64,{b64encode(PNG).decode()}"
    calls = [
        {"id": name, "type": "function", "function": {"name": "add", "arguments": f'{{"a": {name}}}'}} for name in ("1", "2", "3")
    ]
    entries = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Add up."}, {"type": "image_url", "image_url": {"url": picture}}]},
        {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "1", "content": "one"},
        {"role": "tool", "tool_call_id": "2", "content": [{"type": "text", "text": "two"}]},
        {"role": "assistant", "content": "three"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}]},
    ]
    for data in (json.dumps(entries), json.dumps({"messages": entries}), "\ufeff" + json.dumps(entries)):
        thread = read(data.encode())
        asked, calling, results, not_run, answer, last = thread.messages
        assert thread.title == "Add up."
        assert asked.parts == (Text("Add up."), Blob("image/png", PNG))
        assert calling.reasoning == "hm"
        assert calling.stop == "tools"
        assert calling.calls[0] == ToolCall("1", "add", '{"a": 1}')
        assert [(result.call_id, result.is_error) for result in not_run.results] == [("3", True)]
        assert results.results == (ToolResult("1", "one"), ToolResult("2", "two"))
        assert answer.text == "three"
        assert last.text == "[picture: https://a.example/b.png]"
        assert thread.settle() == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "truncated"),
        (b"\0\0\0", "malformed"),
        (b"{", "truncated"),
        (b"[]", "no messages"),
        (b"{}", "neither a thread"),
        (b"3", "neither a thread"),
        (b'"x"', "neither a thread"),
        (b"[" * 100_000, "nested too deeply"),
        (b'[{"role": "user", "content": NaN}]', "malformed"),
        (b'[{"role": "user", "content": "\\ud800 and more"}]', "surrogate"),
        (b'[{"role": "user", "content": "a"}][]', "trailing"),
        ("[]".encode("utf-16"), "malformed"),
        (b'[{"role": "user", "content": "\xff"}]', "utf-8"),
        (b"[3]", "message 1: expected an object, got int"),
        (b'[{"role": "system", "content": "x"}]', "no messages"),
        (b'[{"role": "user", "content": "x"}, {"content": "x"}]', "message 2: its role is None"),
        (b'[{"role": "user", "content": 3}]', "message 1: its content is int"),
        (b'[{"role": "user", "content": [3]}]', "its content has int"),
        (b'[{"role": "user", "content": [{"type": "input_audio"}]}]', "a part of type 'input_audio'"),
        (b'[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,%"}}]}]', "not base64"),
        (b'[{"role": "tool", "content": "x"}]', "no tool_call_id"),
        (b'[{"role": "assistant", "tool_calls": [{"id": "1"}]}]', "a tool call without a function"),
        (b'{"format": 2, "id": "k7m29xqd", "messages": []}', "its format is 2; this version reads up to 1"),
        (b'{"format": 1, "messages": []}', "no id: not a thread"),
        (b'{"format": 1, "id": "k7m29xqd", "messages": [{"role": "nobody"}]}', "nobody"),
    ],
)
def test_import_of_anything_else_says_why_not(data: bytes, reason: str) -> None:
    with pytest.raises(UserError) as caught:
        read(data)
    assert caught.value.exit_code == Exit.DATA
    assert reason in caught.value.message
    assert caught.value.hint


def test_dates_with_other_offsets_are_shown_with_them() -> None:
    thread = Thread.of(user("q"))
    thread.updated = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
    assert "2026-01-31 12:00 UTC" in markdown(thread)
    assert '<time datetime="2026-01-31T12:00:00+00:00">2026-01-31 12:00 UTC</time>' in html(thread)

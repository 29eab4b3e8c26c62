"""A thread as one HTML page: to read, print, keep and pass on.

The page is a single file without scripts, and asks nothing of any network: its style is in it, pictures are `data:` URLs, a picture
that an answer points to is shown as a link. Nothing in a thread is trusted, since a model or a tool's output may have been made to
attack whoever opens the page. Four things stand against that: every text is escaped; Markdown is rendered with its HTML as text; links
lead only to http, https and mailto; and a Content-Security-Policy that allows this one style sheet, by its hash, and `data:` pictures
would stop what got past the first three.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from agentcli.core.compact import standing_summary
from agentcli.core.message import Blob, Message, Part, Reasoning, Text, ToolCall, ToolResult
from agentcli.core.thread import Thread
from agentcli.store.wording import SUMMARY, cut, numbered, speaker

__all__ = ["page"]

# Types that browsers draw and that hold no code. (SVG does.)
PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp"})

STYLE = """
:root { color-scheme: light dark; --ink: #1d1f23; --soft: #626872; --paper: #fff; --card: #f4f5f7; --line: #d9dce1; --link: #0b57d0;
  --warn: #8a3b00; --warn-card: #fff1e3; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e6ea; --soft: #9aa1ad; --paper: #16181c; --card: #20242a; --line: #363c45;
  --link: #8ab4f8; --warn: #ffb77a; --warn-card: #3a2614; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 48rem; padding: 2rem 1.25rem 4rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.6 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; }
.facts, .who { color: var(--soft); font-size: .875rem; margin: 0; }
article { margin-top: 1.75rem; unicode-bidi: isolate; }
.who { margin-bottom: .25rem; }
.who b { color: var(--ink); }
.who a { color: inherit; text-decoration: none; }
.user > .said { background: var(--card); border-radius: .75rem; padding: .1rem 1rem; white-space: pre-wrap; }
.said p { margin: .75rem 0; }
.said :is(h1, h2, h3, h4, h5, h6) { font-size: 1.1rem; margin: 1.25rem 0 .5rem; }
a { color: var(--link); }
pre { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .75rem 1rem; overflow-x: auto;
  overflow-wrap: normal; line-height: 1.45; }
code { font: .875em/1.45 ui-monospace, monospace; }
:not(pre) > code { background: var(--card); border-radius: .25rem; padding: .1em .3em; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border: 1px solid var(--line); padding: .3rem .6rem; text-align: left; }
.center { text-align: center; } .right { text-align: right; }
blockquote { border-left: .25rem solid var(--line); color: var(--soft); margin: .75rem 0; padding-left: 1rem; }
details { border: 1px solid var(--line); border-radius: .5rem; margin: .75rem 0; padding: .4rem .9rem; }
summary { color: var(--soft); cursor: pointer; }
.error > summary, .cut { color: var(--warn); }
.cut { background: var(--warn-card); border-radius: .5rem; font-weight: 600; padding: .5rem 1rem; }
img { height: auto; max-width: 100%; border-radius: .5rem; }
@media print { body { max-width: none; padding: 0; } pre { white-space: pre-wrap; } .who, h1 { break-after: avoid; } }
"""


def page(thread: Thread) -> str:
    """The thread as a complete HTML document."""
    title = _text(" ".join(thread.title.split())) or "Untitled"
    style = b64encode(sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{style}'; img-src data:; base-uri 'none'; form-action 'none'"
    facts = [f"Thread {_text(thread.id)}", *([_text(thread.model)] if thread.model else []), _time(thread.updated)]
    articles = [_article(number, message, calls) for number, message, calls in numbered(thread.messages)]
    if summary := standing_summary(thread):
        articles.insert(summary.count, _folded(SUMMARY, f'<div class="said" dir="auto">\n{_rendered(summary.summary)}</div>'))
    return f"""<!DOCTYPE html>
<html lang="und">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="agentcli">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1 dir="auto">{title}</h1>
<p class="facts">{" · ".join(facts)}</p>
</header>
<main>
{chr(10).join(articles)}
</main>
</body>
</html>
"""


def _article(number: int, message: Message, calls: dict[str, str]) -> str:
    parts = [block for part in message.parts if (block := _block(message, part, calls))]
    if note := cut(message):
        parts.append(f'<p class="cut">{escape(note)}</p>')
    who = f'<a href="#{number}">{number}</a> · <b>{_text(speaker(message))}</b> · {_time(message.at)}'
    return f'<article id="{number}" class="{message.role}">\n<p class="who">{who}</p>\n{chr(10).join(parts)}\n</article>'


def _block(message: Message, part: Part, calls: dict[str, str]) -> str:
    match part:
        case Text(text=text) if message.role == "user":
            return f'<div class="said" dir="auto">{_text(text)}</div>' if text else ""
        case Text(text=text):
            return f'<div class="said" dir="auto">\n{_rendered(text)}</div>' if text else ""
        case Reasoning(text=text):
            return _folded("Reasoning", f'<div class="said" dir="auto">\n{_rendered(text)}</div>') if text else ""
        case ToolCall():
            return _folded(f"Tool call: {part.name}", f"<pre><code>{_text(part.arguments)}</code></pre>")
        case ToolResult():
            kind = "Tool error" if part.is_error else "Tool result"
            body = f"<pre><code>{_text(part.content)}</code></pre>"
            return _folded(f"{kind}: {calls.get(part.call_id, part.call_id)}", body, is_error=part.is_error)
        case Blob():
            return _attachment(part)


def _attachment(blob: Blob) -> str:
    name = _text(blob.name or "unnamed")
    if blob.data is not None and blob.media_type in PICTURES:
        return f'<p><img src="data:{blob.media_type};base64,{b64encode(blob.data).decode()}" alt="{name}"></p>'
    return f"<p>Attachment: {name} ({_text(blob.media_type)})</p>"


def _folded(summary: str, body: str, *, is_error: bool = False) -> str:
    kind = ' class="error"' if is_error else ""
    return f"<details{kind}>\n<summary>{_text(summary)}</summary>\n{body}\n</details>"


def _time(moment: datetime) -> str:
    return f'<time datetime="{moment.isoformat()}">{moment:%Y-%m-%d %H:%M %Z}</time>'


_CONTROL = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n"} | {0x7F: 0x2421}
_BIDI = {code: f"⟨U+{code:04X}⟩" for code in (0x202A, 0x202B, 0x202C, 0x202D, 0x202E, 0x2066, 0x2067, 0x2068, 0x2069)}
_SHOWN: dict[int, int | str] = {**_CONTROL, **_BIDI}


def _shown(text: str) -> str:
    """The text with what a browser would drop, or turn the line around with, made visible."""
    return re.sub(r"\r\n?", "\n", text).translate(_SHOWN)


def _text(text: str) -> str:
    return escape(_shown(text))


def _rendered(text: str) -> str:
    return str(_MARKDOWN.render(_shown(text)))


class _Links(RendererHTML):
    """Links that say nothing to where they lead; pictures as links; alignment as a class, since the policy forbids styles."""

    def link_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        tokens[idx].attrSet("rel", "noopener noreferrer nofollow")
        return self.renderToken(tokens, idx, options, env)

    def image(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        source = str(tokens[idx].attrGet("src"))
        label = escape(f"picture: {self.renderInlineAsText(tokens[idx].children or [], options, env) or source}")
        inside = sum({"link_open": 1, "link_close": -1}.get(token.type, 0) for token in tokens[:idx])
        return label if inside else f'<a href="{escape(source)}" rel="noopener noreferrer nofollow">{label}</a>'

    def _cell(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        align = str(tokens[idx].attrs.pop("style", "")).removeprefix("text-align:")
        if align in ("center", "right"):
            tokens[idx].attrSet("class", align)
        return self.renderToken(tokens, idx, options, env)

    th_open = td_open = _cell


class _Markdown(MarkdownIt):
    def validateLink(self, url: str) -> bool:  # noqa: N802  (markdown-it's name for it)
        return re.match(r"(https?://|mailto:)", url.strip(), re.IGNORECASE) is not None


_MARKDOWN = _Markdown("commonmark", {"html": False}, renderer_cls=_Links).enable(["table", "strikethrough"])

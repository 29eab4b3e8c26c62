"""What is attached to a message: files by their bytes, pages by their address, and what a text mentions."""

from __future__ import annotations

import asyncio
import gzip
import io
import os
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentcli.core.message import Blob, Part, Text, user
from agentcli.core.provider import ProviderError
from agentcli.errors import Exit, UserError
from agentcli.providers.attached import takes
from agentcli.providers.http.fetch import fetch
from agentcli.ui.attach import check, describe, mentioned, read, with_files, with_mentions
from agentcli.ui.attach.kind import MOST_TEXT
from agentcli.ui.attach.mention import written
from agentcli.ui.attach.page import text_of
from agentcli.ui.attached import apart
from agentcli.ui.stdin import marked
from tests.providers.asking import open_files
from tests.ui.pages import Page, Pages

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 1000
PDF = b"%PDF-1.7 and so on"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Path]:
    """An empty folder that we are in."""
    folder, before = tmp_path / "here", Path.cwd()
    folder.mkdir()
    os.chdir(folder)
    yield folder
    os.chdir(before)


def got(name: str | Path) -> Part:
    return asyncio.run(read(str(name)))


def refused(name: str | Path) -> UserError:
    with pytest.raises(UserError) as caught:
        got(name)
    assert caught.value.exit_code == Exit.USAGE
    return caught.value


def office(folder: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("[Content_Types].xml", "")
        archive.writestr(f"{folder}/document.xml", "")
    return data.getvalue()


class TestFiles:
    @pytest.mark.parametrize(
        ("data", "media_type"),
        [
            (PNG, "image/png"),
            (b"\xff\xd8\xff\xe0 and so on", "image/jpeg"),
            (b"GIF89a and so on", "image/gif"),
            (b"RIFF....WEBPVP8 ", "image/webp"),
            (b"RIFF....WAVEfmt ", "audio/wav"),
            (b"ID3\x04 and so on", "audio/mpeg"),
            (b"\0\0\0\x18ftypheic\0\0", "image/heic"),
            (b"\0\0\0\x18ftypisom\0\0", "video/mp4"),
            (PDF, "application/pdf"),
            (office("word"), "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
            (office("xl"), "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ],
    )
    def test_the_bytes_say_what_it_is_and_the_name_does_not(self, data: bytes, media_type: str, here: Path) -> None:
        (here / "notes.txt").write_bytes(data)
        assert got("notes.txt") == Blob(media_type, data, name="notes.txt")

    @pytest.mark.parametrize(
        "data", ["Grüße\n".encode(), b"\xef\xbb\xbfGr\xc3\xbc\xc3\x9fe\n", "\ufeffGrüße\n".encode("utf-16-le"), "Grüße\r\n".encode()]
    )
    def test_text_is_a_block_with_its_name(self, data: bytes, here: Path) -> None:
        (here / 'a "b" <c>.png').write_bytes(data)
        assert got('a "b" <c>.png') == Text('<file name="a &quot;b&quot; &lt;c&gt;.png">\nGrüße\n</file>')

    @pytest.mark.parametrize(
        "data", [b"\xff\xfe\x00", b"caf\xe9", b"\x7fELF\x02\x01\0\0", b"text\0with a NUL", b"PK\x03\x04\x14\0 no zip", b"\0" * 100]
    )
    def test_what_is_neither_is_refused(self, data: bytes, here: Path) -> None:
        (here / "thing").write_bytes(data)
        assert "cannot attach thing: it is neither text" in refused("thing").message

    def test_what_is_no_file_is_refused(self, here: Path) -> None:
        os.mkfifo(here / "pipe")
        files = open_files()
        for name in ("missing", ".", "pipe", "/dev/null", "a\0b", "x" * 5000, ""):
            assert refused(name).message.startswith("cannot attach ")
        assert open_files() <= files

    def test_a_stdin_that_cannot_be_read_is_refused(self) -> None:
        assert refused("-").message.startswith("cannot attach -: ")  # in a test there is none

    def test_too_much_is_refused(self, here: Path) -> None:
        (here / "big.log").write_bytes(b"x" * (MOST_TEXT + 1))
        assert "more than 10 MiB" in refused("big.log").message
        with open("huge.png", "wb") as file:
            file.write(PNG)
            file.truncate(33 << 20)
        assert "larger than 32 MiB" in refused("huge.png").message

    def test_home_is_meant_by_a_tilde(self, here: Path) -> None:
        os.environ["HOME"] = str(here)
        (here / "a.txt").write_text("hi")
        assert got("~/a.txt") == Text('<file name="a.txt">\nhi\n</file>')

    def test_a_pipe_that_says_nothing_is_not_waited_for_in_a_chat(self, here: Path) -> None:
        os.mkfifo(here / "pipe")
        writer = os.open(here / "pipe", os.O_RDWR)
        begun = time.monotonic()
        with pytest.raises(UserError, match=r"nothing came for 0\.2 s"):
            asyncio.run(read("pipe", patience=0.2))
        assert time.monotonic() - begun < 5
        os.close(writer)

    def test_what_is_attached_is_told(self, here: Path) -> None:
        (here / "a.txt").write_text("hi")
        (here / "b.png").write_bytes(PNG)
        told: list[str] = []
        message = asyncio.run(with_files("Well?", ["a.txt", "b.png", "a.txt"], "piped", tell=told.append))
        assert [type(part) for part in message.parts] == [Text, Text, Text, Blob]
        assert message.parts[0] == Text("Well?")
        assert len(told) == 2
        assert "a.txt" in told[0]
        assert "image/png" in told[1]
        assert "1.0 kB" in told[1]


class TestPages:
    def test_a_page_is_its_text_with_its_address(self) -> None:
        html = b"<!doctype html><title>Hi &amp; ho</title><script>if (a<b) steal()</script><p>One <b>two</b>\nthree<p>four"
        with Pages({"/a?key=secret": Page(html, "text/html")}) as web:
            part = got(f"{web.origin}/a?key=secret#part")
        assert part == Text(f'<page url="{web.origin}/a">\nHi & ho\n\nOne two three\nfour\n</page>')

    def test_nothing_of_ours_is_sent(self) -> None:
        os.environ["OPENAI_API_KEY"] = "sk-1"
        with Pages({"/a": Page(b"hi", "text/plain")}) as web:
            got(f"{web.origin}/a")
            path, headers = web.asked[0]
        assert path == "/a"
        assert set(headers) == {"host", "accept", "accept-encoding", "user-agent", "connection"}

    @pytest.mark.parametrize(
        ("page", "media_type"),
        [
            (Page(PNG, "text/html"), "image/png"),
            (Page(PDF, "application/octet-stream"), "application/pdf"),
            (Page(b"\xff\xf1 AAC", "audio/aac"), "audio/aac"),
        ],
    )
    def test_the_bytes_say_what_it_is_before_the_server_does(self, page: Page, media_type: str) -> None:
        with Pages({"/x/my%20shot.png": page}) as web:
            assert got(f"{web.origin}/x/my%20shot.png") == Blob(media_type, page.body, name="my shot.png")

    @pytest.mark.parametrize(
        ("page", "text"),
        [
            (Page("Grüße".encode("latin-1"), "text/plain; charset=ISO-8859-1"), "Grüße"),
            (Page("Grüße".encode(), "text/plain"), "Grüße"),
            (Page("привет".encode("koi8-r"), 'text/plain; charset="koi8-r"'), "привет"),
            (Page(b"{}", "application/json"), "{}"),
            (Page(b"cnl", "text/plain; charset=rot13"), "cnl"),
            (Page("Grüße".encode(), "text/plain; charset=utf-8-le"), "Grüße"),
            (Page("<html><p>Grüße".encode(), "text/html; charset=windows-1259"), "Grüße"),
            (Page("<html><meta charset=windows-1251><p>привет".encode("cp1251")), "привет"),
            (Page(b"<html><p>caf\xe9", "text/html"), "café"),
            (Page(gzip.compress(b"packed"), "text/plain", headers=(("content-encoding", "gzip"),)), "packed"),
        ],
    )
    def test_text_is_read_as_it_is_written(self, page: Page, text: str) -> None:
        with Pages({"/": page}) as web:
            assert got(f"{web.origin}/") == Text(f'<page url="{web.origin}/">\n{text}\n</page>')

    @pytest.mark.parametrize(
        ("page", "why"),
        [
            (Page(b"", "text/plain"), "there is nothing"),
            (Page(b"no", "text/plain", 404), "127.0.0.1 says 404 (not found)"),
            (Page(b"no", "text/plain", 500), "127.0.0.1 says 500 (internal server error)"),
            (Page(b"\0\1\2", "application/zip"), "neither text"),
            (Page(b"<html><script>app()</script></html>", "text/html"), "has no text"),
            (Page(b"half", "text/plain", length=100), "cut off"),
            (Page(b"not packed", "text/plain", headers=(("content-encoding", "gzip"),)), "badly compressed"),
            (Page(gzip.compress(b"packed")[:-4], "text/plain", headers=(("content-encoding", "gzip"),)), "cut off"),
            (Page(status=302, headers=(("location", "file:///etc/passwd"),)), "no web address"),
            (Page(status=302, headers=(("location", "http://xn--/"),)), "no web address"),
            (Page(status=302, headers=(("location", "http://127.0.0.1:99999/"),)), "no web address"),
            (Page(status=302, headers=(("location", "/"),)), "more than 5 times"),
            (Page(b"hi", headers=(("not", "a\0header"),)), "does not answer as a web server does"),
        ],
    )
    def test_what_goes_wrong_is_said(self, page: Page, why: str) -> None:
        with Pages({"/": page}) as web:
            error = refused(f"{web.origin}/")
        assert error.message.startswith(f"cannot attach {web.origin}/: ")
        assert why in error.message

    @pytest.mark.parametrize("address", ["http://", "https://:80/", "http://[::1/x", "http://a b/", "http://x:99999/", "http://xn--/"])
    def test_what_is_no_address_is_refused(self, address: str) -> None:
        assert refused(address).message.endswith("that is no address")

    def test_nobody_there(self) -> None:
        assert "connection refused" in refused("http://127.0.0.1:9/").message

    def test_a_password_is_neither_sent_nor_shown(self) -> None:
        with Pages({"/": Page(b"hi")}) as web:
            error = refused(web.origin.replace("://", "://me:geheim@") + "/?token=geheim")
            assert not web.asked
        assert "geheim" not in error.message + error.hint

    def test_redirects_are_followed_and_the_last_address_is_the_name(self) -> None:
        with Pages({"/end": Page(b"here", "text/plain")}) as other:
            hops = {f"/{n}": Page(status=301, headers=(("location", f"/{n + 1}"),)) for n in range(4)}
            last = Page(status=307, headers=(("location", f"{other.origin.replace('://', '://a:b@')}/end"),))
            with Pages({**hops, "/4": last}) as web:
                assert got(f"{web.origin}/0") == Text(f'<page url="{other.origin}/end">\nhere\n</page>')
            assert "authorization" not in other.asked[0][1]

    def test_a_page_outside_cannot_lead_inside(self) -> None:
        with Pages({"/secret": Page(b"secret")}) as inside:
            outside = Page(status=302, headers=(("location", f"{inside.origin}/secret"),))
            with Pages({"http://page.example/": outside}) as proxy:
                os.environ.update(HTTP_PROXY=proxy.origin, http_proxy=proxy.origin, NO_PROXY="127.0.0.1", no_proxy="127.0.0.1")
                error = refused("http://page.example/")
            assert "on this machine" in error.message
            assert not inside.asked

    def test_the_proxy_is_asked(self) -> None:
        with Pages({"http://page.example/x/": Page(b"through", "text/plain")}) as proxy:
            os.environ.update(HTTP_PROXY=proxy.origin, http_proxy=proxy.origin)
            assert got("http://page.example/x/") == Text('<page url="http://page.example/x/">\nthrough\n</page>')

    @pytest.mark.parametrize("page", [Page(b"x" * 2000), Page(gzip.compress(b"x" * 2000), headers=(("content-encoding", "gzip"),))])
    def test_too_much_is_refused(self, page: Page) -> None:
        with Pages({"/": page}) as web, pytest.raises(ProviderError, match="larger than"):
            asyncio.run(fetch(f"{web.origin}/", most=1000))

    def test_one_that_stalls_is_given_up(self) -> None:
        with Pages({"/": Page(b"", length=100, stall=True)}) as web, pytest.raises(ProviderError, match=r"within 0\.3 s"):
            asyncio.run(fetch(f"{web.origin}/", patience=0.3))


class TestText:
    @pytest.mark.parametrize(
        ("html", "text"),
        [
            ("<ul><li>one<li>two</ul>end", "- one\n- two\n\nend"),
            ("<table><tr><td>a</td><td>b</td></tr><tr><td>c", "a | b |\nc"),
            ("<pre>a\n  b\n\tc</pre>", "a\n  b\n        c"),
            ("<div>\n <div> a  b\n </div>\n</div> <div>c</div>", "a b\nc"),
            ("a<br>b<br/>c", "a\nb\nc"),
            ("<style>p{}</style><p>x<!-- no <p> --> y", "x y"),
            ("<template><p>no</p></template><svg><text>no</text></svg>yes", "yes"),
            ("<img alt='a &lt; b'><img alt=\"\">", "[a < b]"),
            ("1 < 2 &amp; 3 > 2", "1 < 2 & 3 > 2"),
            ('<a title="x > y" href=z>link</a>', "link"),
            ("<script>never ends", ""),
            ("<!-- never ends", ""),
            ("<p", "<p"),
        ],
    )
    def test_what_is_read(self, html: str, text: str) -> None:
        assert text_of(html.encode()) == text

    @pytest.mark.parametrize("piece", ["<", "<!--", '<a "', "<a '\"", "<svg>", "</svg><svg>", "<script>", "&#", "<pre>", "<li>"])
    def test_no_page_takes_long(self, piece: str) -> None:
        begun = time.process_time()
        text_of((piece * 200_000).encode())
        assert time.process_time() - begun < 8


class TestMentions:
    def test_files_that_are_there(self, here: Path) -> None:
        (here / "src").mkdir()
        for name in ("src/a.py", "b.txt", "with space.png", 'quo"te.txt', "odd).txt", "dot."):
            (here / name).write_text("x")
        os.environ["HOME"] = str(here)
        for text, found in {
            "what is @src/a.py?": ["src/a.py"],
            "(see @src/a.py), and @b.txt.": ["src/a.py", "b.txt"],
            '@"with space.png" and @b.txt, @b.txt': ["with space.png", "b.txt"],
            '@"quo\\"te.txt"': ['quo"te.txt'],
            "@odd).txt": ["odd).txt"],
            "@dot.": ["dot."],
            "@~/b.txt!": ["~/b.txt"],
            f"@{here}/b.txt": [f"{here}/b.txt"],
            "@src @src/ @someone @@b.txt me@b.txt @ @\"\" @'b.txt' @/dev/null": [],
            "x\n@b.txt\ny": ["b.txt"],
            "`@b.txt`": ["b.txt"],
        }.items():
            assert mentioned(text) == found, text

    @pytest.mark.parametrize(
        "name", ["a.py", "a b.py", 'a"b', "a\\b", "a'b", "é.txt", "a,b", "end.", "(x)", "@x", 'a\\"b', "\\", "日本 語"]
    )
    def test_every_name_can_be_written(self, name: str, here: Path) -> None:
        (here / name).write_text("x")
        assert mentioned(f"see {written(name)}, please") == [name]

    def test_the_text_stays_as_it_was_typed_and_the_files_follow(self, here: Path) -> None:
        (here / "a.txt").write_text("hi")
        (here / "b.png").write_bytes(PNG)
        message = with_mentions("@a.txt\n or @b.png?\n", [Blob("image/gif", b"", name="first")])
        assert message.parts[0] == Text("@a.txt\n or @b.png?\n")
        assert message.parts[1:] == (Blob("image/gif", b"", name="first"), got("a.txt"), got("b.png"))

    def test_what_was_pasted_mentions_nothing(self, here: Path) -> None:
        (here / "key.txt").write_text("secret")
        assert len(with_mentions("look: @key.txt", typed="look: ").parts) == 1

    def test_one_that_cannot_be_attached_is_an_error(self, here: Path) -> None:
        (here / "a.bin").write_bytes(b"\0\1")
        with pytest.raises(UserError, match=r"cannot attach a\.bin"):
            with_mentions("@a.bin")

    @pytest.mark.parametrize("text", ["@" * 1_000_000, "@x " * 300_000, "@x" + "." * 1_000_000, '@"' * 500_000, '@"' + "\\" * 999_999])
    def test_no_text_takes_long(self, text: str, here: Path) -> None:
        begun = time.process_time()
        assert mentioned(text) == []
        assert time.process_time() - begun < 2


class TestBlocks:
    @pytest.mark.parametrize(
        "block",
        [
            '<file name="a &quot;b&quot;.txt">\nx\n</file>',
            '<command line="ls" exit="1">\n\n</command>',
            '<page url="http://a.example/">\n<file name="b">\n</file>\n</page>',
            marked("what was piped in"),
        ],
    )
    def test_what_was_attached_is_told_from_what_was_typed(self, block: str) -> None:
        assert apart(user("typed", block)) == ("typed", [Text(block)])

    @pytest.mark.parametrize("text", ["<file>", '<file name="a">', "<b>\nx\n</b>", '<file name="a">\nx\n</page>'])
    def test_what_only_looks_like_it_was_typed(self, text: str) -> None:
        assert apart(user(text)) == (text, [])

    @pytest.mark.parametrize("text", ["<file" + ' a=""' * 100_000, '<file a="' + 'x="' * 100_000 + ">", "<file>\n</file" * 100_000])
    def test_no_text_takes_long(self, text: str) -> None:
        begun = time.process_time()
        assert apart(user(text)) == (text, [])
        assert time.process_time() - begun < 2

    def test_what_was_piped_in_is_called_so(self) -> None:
        assert describe(Text(marked("four"))) == "stdin, text, 4 B"


class TestCheck:
    def test_what_cannot_be_sent_is_said_before(self) -> None:
        report = Blob("application/pdf", PDF, name="report.pdf")
        check([Text("x"), report], "openai/gpt-4", lambda kind: takes("openai-chat", kind))
        with pytest.raises(ProviderError) as caught:
            check([Text("x"), report], "local/smollm2", lambda kind: takes("local", kind))
        assert caught.value.message == "local/smollm2 cannot be sent report.pdf (application/pdf)"
        assert caught.value.hint
        assert caught.value.exit_code == Exit.UNAVAILABLE

    def test_a_description_is_one_harmless_line(self, here: Path) -> None:
        (here / "a\x1b]0;x\x07\nb.txt").write_text("x")
        assert "\x1b" not in describe(got("a\x1b]0;x\x07\nb.txt"))
        assert "\n" not in describe(got("a\x1b]0;x\x07\nb.txt"))

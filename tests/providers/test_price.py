"""What an answer costs: as `genai-prices` itself reckons, without importing it; as the provider listed it; or not known."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from agentcli.core.message import Usage
from agentcli.providers import Endpoint
from agentcli.providers.catalogue import Catalogue
from agentcli.providers.catalogue.model import Listed, Rates
from agentcli.providers.catalogue.price import Cost, Known, Prices, context_of, known
from agentcli.providers.catalogue.tariff import Period, Stepped, Tariff

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
MILLION = Usage(1_000_000, 1_000_000)


@pytest.fixture
def without_package() -> Iterator[None]:
    """As if the extra were not installed."""
    before = sys.modules.get("genai_prices")
    sys.modules["genai_prices"] = None  # type: ignore[assignment]
    yield
    del sys.modules["genai_prices"]
    if before:
        sys.modules["genai_prices"] = before


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with the package's prices."""
    pytest.importorskip("genai_prices", reason="the extra `prices` is not installed", exc_type=ImportError)
    made = tmp_path_factory.mktemp("prices")
    assert known(made).tariffs
    return made


def sold(
    folder: Path, *tariffs: Tariff, seller: str = "openai", address: str = "https://api.openai.com", others: tuple[str, ...] = ()
) -> Prices:
    """A file of prices as the program makes it, with these."""
    path = folder / "prices.msgpack"
    file: Any = msgspec.msgpack.decode(path.read_bytes(), strict=False) if path.exists() else [1, [], {}]
    file[2] = {**file[2], seller: [address, others, tariffs]}
    path.write_bytes(msgspec.msgpack.encode(file))
    return Prices(folder)


def tariff(name: str = "m", *, match: list[Any] | None = None, context: int | None = None, **prices: Any) -> Tariff:
    """A model at one price: a text, or a text and steps."""
    return Tariff(name, match or ["equals", name], context, [Period(priced(**prices))])


def priced(**prices: Any) -> dict[str, Stepped]:
    return {key: Stepped(*each) if isinstance(each, tuple) else Stepped(each) for key, each in prices.items()}


def amount(prices: Prices, usage: Usage, at: datetime = NOW, model: str = "openai/m") -> float | None:
    cost = prices.cost(model, usage, at)
    return cost.amount if cost else None


# --- the package's own arithmetic ---

USAGES = [
    Usage(1000, 100),
    Usage(0, 0),
    Usage(12, 40, cached=5, reasoning=20),
    Usage(150_000, 2_000, cached=100_000, cache_write=20_000, reasoning=1_500),
    Usage(250_001, 10, cached=250_001),
    Usage(1_200_000, 60_000, reasoning=60_000),
    Usage(10, 7, cached=3_000, cache_write=400, more_input=3_400),  # Anthropic: beside the input
    Usage(10, 7, reasoning=90, more_output=90),  # Gemini: beside the output
]
MOMENTS = [
    NOW,
    datetime(2025, 3, 1, 20, 0, tzinfo=UTC),
    datetime(2024, 1, 1, tzinfo=UTC),
    NOW.astimezone(timezone(timedelta(hours=9))),
]
SELLERS = {"openai": "openai", "anthropic": "anthropic", "gemini": "google", "mistral": "mistral", "groq": "groq", "xai": "x-ai",
           "deepseek": "deepseek", "azure": "azure", "openrouter": "openrouter"}  # fmt: skip


@pytest.mark.parametrize("name", SELLERS)
def test_each_model_costs_what_the_package_says(folder: Path, name: str) -> None:
    import genai_prices
    from genai_prices.data import providers

    prices = Prices(folder)
    seller = next(each for each in providers if each.id == SELLERS[name])
    compared = 0
    for model in seller.models[:: 1 if len(seller.models) < 150 else 7]:
        for usage, moment in product(USAGES, MOMENTS):
            theirs = genai_prices.Usage(
                input_tokens=usage.read, output_tokens=usage.written, cache_read_tokens=usage.cached,
                cache_write_tokens=usage.cache_write, output_reasoning_tokens=usage.reasoning,
            )  # fmt: skip
            mine = prices.cost(f"{name}/{model.id}", usage, moment)
            try:
                found = genai_prices.calc_price(theirs, model.id, provider_id=seller.id, genai_request_timestamp=moment)
            except LookupError:  # what it is called there is no name for it
                assert mine is None
                continue
            if mine is None:
                assert not {"input_mtok", "output_mtok"} & {key for key, price in vars(found.model_price).items() if price is not None}
                continue
            assert abs(Decimal(mine.amount) - found.total_price) < Decimal("1e-9"), (model.id, usage, moment)
            assert (prices.of(f"{name}/{model.id}") or Known()).context == found.model.context_window
            compared += 1
    assert compared > 100


@pytest.mark.parametrize(
    ("name", "seller"),
    [
        ("gpt-5.4-20260305", "openai"),  # a date in the other way of writing it
        ("GPT-5.4-Mini", "openai"),
        ("claude-sonnet-4-5-20250929", "anthropic"),
        ("gpt-5.4", "azure"),  # OpenAI's own prices
        ("claude-sonnet-4-5", "google"),
        ("no-such-model", "openai"),
        ("gpt-5.4-20261399", "openai"),
    ],
)
def test_names_of_models(folder: Path, name: str, seller: str) -> None:
    from genai_prices.data_snapshot import get_snapshot

    tariffs = Prices(folder).tariffs
    mine = tariffs.find(seller, name)
    try:
        _, theirs = get_snapshot().find_provider_model(name, None, seller, None)
    except LookupError:
        assert mine is None
    else:
        assert mine
        assert mine.id == theirs.id


@pytest.mark.parametrize(
    ("name", "url", "seller"),
    [
        ("openai", "https://api.openai.com/v1", "openai"),
        ("openai", "https://openrouter.ai/api/v1", "openrouter"),
        ("mine", "https://api.together.xyz/v1", "together"),
        ("openai", "http://127.0.0.1:8080/v1", "openai"),
        ("mine", "http://127.0.0.1:8080/v1", None),
        ("together", "", "together"),
    ],
)
def test_who_sells_at_an_address(folder: Path, name: str, url: str, seller: str | None) -> None:
    assert Prices(folder).tariffs.seller(name, url) == seller


def test_later_runs_do_not_import_the_package(folder: Path) -> None:
    program = f"""
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from agentcli.core.message import Usage
from agentcli.providers.catalogue.price import known
began = time.process_time()
assert known(Path({str(folder)!r})).cost("openai/gpt-5.4", Usage(1000, 100), datetime.now(UTC)).amount > 0
took = time.process_time() - began
assert not sys.modules.keys() & {{"genai_prices", "pydantic", "asyncio", "httpx", "importlib.metadata"}}
began = time.process_time()
import genai_prices.data
assert took < (time.process_time() - began) / 2, took
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


def test_the_file_is_made_anew_for_another_version_of_the_package(folder: Path, tmp_path: Path) -> None:
    data = (folder / "prices.msgpack").read_bytes()
    file = msgspec.msgpack.decode(data)
    file[1][1] += 1
    file[2] = {}
    (tmp_path / "prices.msgpack").write_bytes(msgspec.msgpack.encode(file))
    assert known(tmp_path).cost("openai/gpt-5.4", MILLION, NOW)
    assert (tmp_path / "prices.msgpack").read_bytes() == data
    assert (tmp_path / "prices.msgpack").stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("without_package")
def test_what_was_made_of_it_stays_good_without_the_package(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "prices.msgpack").write_bytes((folder / "prices.msgpack").read_bytes())
    assert known(tmp_path).cost("openai/gpt-5.4", MILLION, NOW)


# --- without the package: the arithmetic, on prices of our own ---


@pytest.mark.usefixtures("without_package")
class TestArithmetic:
    def test_tokens_that_have_a_price_of_their_own_are_counted_once(self, tmp_path: Path) -> None:
        prices = sold(
            tmp_path,
            tariff(input_mtok="3", output_mtok="15", cache_read_mtok="0.3", cache_write_mtok="3.75", output_reasoning_mtok="10"),
        )
        assert amount(prices, MILLION) == 18
        assert amount(prices, Usage(1_000_000, 0, cached=400_000, cache_write=100_000)) == 1.5 + 0.12 + 0.375
        assert amount(prices, Usage(0, 0, cached=1_000_000, more_input=1_000_000)) == 0.3
        assert amount(prices, Usage(0, 1_000_000, reasoning=500_000)) == 12.5
        assert amount(prices, Usage(0, 0, reasoning=500_000, more_output=500_000)) == 5

    def test_tokens_without_one_cost_what_others_do(self, tmp_path: Path) -> None:
        prices = sold(tmp_path, tariff(input_mtok="3", output_mtok="15"))
        assert amount(prices, Usage(1_000_000, 1_000_000, cached=900_000, cache_write=50_000, reasoning=1_000_000)) == 18

    def test_a_server_that_counts_wrongly_costs_no_less_than_nothing(self, tmp_path: Path) -> None:
        prices = sold(tmp_path, tariff(input_mtok="3", output_mtok="15", cache_read_mtok="0.3"))
        assert amount(prices, Usage(10, 0, cached=1_000_000)) == 0.3

    def test_steps(self, tmp_path: Path) -> None:
        prices = sold(tmp_path, tariff(input_mtok=("1", [(100, "2"), (200, "4")]), output_mtok=("10", [(200, "20")])))
        for tokens, price in ((100, 1), (101, 2), (200, 2), (201, 4)):
            assert amount(prices, Usage(tokens, 0)) == tokens * price / 1e6
        assert amount(prices, Usage(201, 1_000_000)) == 201 * 4 / 1e6 + 20
        assert amount(prices, Usage(0, 0, cached=201, more_input=201)) == 201 * 4 / 1e6

    def test_a_price_for_a_request(self, tmp_path: Path) -> None:
        assert amount(sold(tmp_path, tariff(input_mtok="1", output_mtok="1", requests_kcount="5")), Usage(0, 0)) == 0.005

    def test_amounts_are_as_exact_as_they_can_be(self, tmp_path: Path) -> None:
        prices = sold(tmp_path, tariff(input_mtok="0.1", output_mtok="0.2"))
        assert amount(prices, Usage(1, 1)) == 0.0000003
        assert amount(prices, Usage(10_000_000, 10_000_000)) == 3.0

    def test_a_price_from_a_day_on(self, tmp_path: Path) -> None:
        periods = [
            Period(priced(input_mtok="1")),
            Period(priced(input_mtok="2"), date(2026, 1, 1)),
            Period(priced(input_mtok="3"), date(2026, 6, 1)),
        ]
        prices = sold(tmp_path, Tariff("m", ["equals", "m"], None, periods))
        for moment, price in ((datetime(2025, 12, 31, 23, 59, tzinfo=UTC), 1), (datetime(2026, 1, 1, tzinfo=UTC), 2), (NOW, 3)):
            assert amount(prices, MILLION, moment) == price
        east = timezone(timedelta(hours=9))
        assert amount(prices, MILLION, datetime(2026, 1, 1, 8, 59, tzinfo=east)) == 1
        assert amount(prices, MILLION, datetime(2026, 1, 1, 9, 0, tzinfo=east)) == 2

    @pytest.mark.parametrize(("hours", "cheap"), [((time(16, 30), time(0, 30)), {17, 23, 0}), ((time(1), time(3)), {1, 2})])
    def test_hours(self, tmp_path: Path, hours: tuple[time, time], cheap: set[int]) -> None:
        periods = [Period(priced(input_mtok="2")), Period(priced(input_mtok="1"), None, hours)]
        prices = sold(tmp_path, Tariff("m", ["equals", "m"], None, periods))
        at = [datetime(2026, 11, 20, hour, tzinfo=UTC) for hour in range(24)]
        assert {moment.hour for moment in at if amount(prices, MILLION, moment) == 1} >= cheap
        assert amount(prices, MILLION, datetime(2026, 11, 20, 3, 0, tzinfo=UTC)) == 2

    def test_whose_price_it_is(self, tmp_path: Path) -> None:
        sold(
            tmp_path,
            tariff(match=["or_", [["starts_with", "gpt"], ["and_", [["contains", "-x"], ["ends_with", "y"]]]]], input_mtok="1"),
        )
        prices = sold(tmp_path, tariff("own", input_mtok="2"), seller="azure", address="https://x", others=("openai", "nobody"))
        for model, price in (("gpt-9", 1), ("GPT", 1), ("a-x-y", 1), ("a-x", None), ("own", None), ("z", None)):
            assert amount(prices, MILLION, model=f"openai/{model}") == price
        assert amount(prices, MILLION, model="azure/own") == 2
        assert amount(prices, MILLION, model="azure/gpt-9") == 1

    def test_a_model_that_is_not_sold_by_the_token(self, tmp_path: Path) -> None:
        prices = sold(tmp_path, tariff(context=5))
        assert prices.cost("openai/m", MILLION, NOW) is None
        assert prices.of("openai/m") == Known(context=5)

    def test_what_is_known(self, tmp_path: Path) -> None:
        prices = sold(tmp_path, tariff(input_mtok=("3", [(10, "6")]), output_mtok="15", cache_read_mtok="0.3", context=1000))
        assert prices.of("openai/m") == Known(1000, None, Rates(3, 15, 0.3), ())
        assert prices.of("openai/other") is None
        assert prices.of("nobody/m") is None
        assert prices.of("m") is None

    def test_nothing_to_pay_on_a_machine_of_ones_own(self, tmp_path: Path) -> None:
        prices = known(tmp_path)
        for name in ("ollama", "llamacpp", "lmstudio", "vllm", "local", "scripted"):
            assert prices.cost(f"{name}/m", MILLION, NOW) == Cost(0.0, "USD")
        for kind in ("local", "scripted"):
            assert prices.cost("mine/m", MILLION, NOW, Endpoint(kind=kind)) == Cost(0.0)
        assert prices.cost("mine/m", MILLION, NOW, Endpoint(kind="openai-chat", base_url="http://127.0.0.1:1")) is None

    def test_what_the_provider_lists_goes_first(self, tmp_path: Path) -> None:
        prices = sold(
            tmp_path, tariff(input_mtok="3", output_mtok="15", context=1000), seller="openrouter", address="https://openrouter.ai"
        )
        catalogue = Catalogue(tmp_path)
        place = Endpoint(kind="openai-chat", base_url="https://openrouter.ai/api/v1", key="k")
        model = Listed("m", context=2000, output=100, rates=Rates(1, 2, 0.5, request=0.25), can=("tools",))
        catalogue.add("openrouter", place, [model, Listed("n", context=7)])
        catalogue.write()
        assert prices.of("openrouter/m", place) == Known(2000, 100, Rates(1, 2, 0.5, request=0.25), ("tools",))
        assert prices.cost("openrouter/m", Usage(1_000_000, 1_000_000, cached=500_000), NOW) == Cost(0.5 + 0.25 + 2 + 0.25)
        assert prices.cost("openrouter/m", Usage(1_000_000, 0), NOW, place) == Cost(1 + 0.25)
        assert prices.of("openrouter/n") == Known(7)
        assert prices.of("openrouter/x", listed=Listed("x", output=3)) == Known(None, 3)

    def test_what_an_imitation_lists_is_not_what_the_vendor_asks(self, tmp_path: Path) -> None:
        prices = sold(tmp_path, tariff("gpt-5.4", input_mtok="3", output_mtok="15", context=400_000))
        here = Endpoint(kind="openai-chat", base_url="http://127.0.0.1:8080/v1", key="k")
        there = Endpoint(kind="openai-responses", base_url="https://api.openai.com/v1")
        prices.catalogue.add("openai", here, [Listed("gpt-5.4", context=4096, rates=Rates(0, 0))])
        prices.catalogue.write()
        for place in (there, None):
            assert Prices(tmp_path).cost("openai/gpt-5.4", MILLION, NOW, place) == Cost(18)
            assert Prices(tmp_path).of("openai/gpt-5.4", place) == Known(400_000, None, Rates(3, 15))
            assert context_of("openai/gpt-5.4", 0, tmp_path, place) == 400_000
        assert Prices(tmp_path).cost("openai/gpt-5.4", MILLION, NOW, here) == Cost(0)
        assert Prices(tmp_path).of("openai/gpt-5.4", here) == Known(4096, None, Rates(0, 0))
        assert context_of("openai/gpt-5.4", 0, tmp_path, here) == 4096

    def test_how_much_a_model_holds(self, tmp_path: Path) -> None:
        sold(tmp_path, tariff(input_mtok="1", context=1000))
        assert context_of("openai/m", 0, tmp_path) == 1000
        assert context_of("openai/m", 500, tmp_path) == 500
        assert context_of("openai/other", 0, tmp_path) is None
        assert context_of("openai/other", 0, tmp_path / "nowhere") is None

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\x00",
            b"nothing",
            b"\xc1" * 9,
            b"\x91" * 100_000,
            msgspec.msgpack.encode([2, [], {}]),
            b"\x93\x01\x90\x81\xa6openai\x05",
        ],
    )
    def test_a_damaged_file_is_as_none(self, tmp_path: Path, data: bytes) -> None:
        (tmp_path / "prices.msgpack").write_bytes(data)
        assert known(tmp_path).cost("openai/m", MILLION, NOW) is None
        assert not known(tmp_path).tariffs

    def test_a_file_that_is_cut_or_changed_anywhere(self, tmp_path: Path) -> None:
        sold(tmp_path, tariff(input_mtok=("1", [(5, "2")]), output_mtok="1", context=5))
        whole = (tmp_path / "prices.msgpack").read_bytes()
        for at in range(len(whole)):
            for data in (whole[:at], whole[:at] + bytes([whole[at] ^ 0x81]) + whole[at + 1 :]):
                (tmp_path / "prices.msgpack").write_bytes(data)
                prices = known(tmp_path)
                prices.of("openai/m")
                prices.cost("openai/m", MILLION, NOW)

    def test_nothing_is_there(self, tmp_path: Path) -> None:
        assert known(tmp_path / "nowhere").cost("openai/gpt-5.4", MILLION, NOW) is None
        assert not os.listdir(tmp_path)


@pytest.mark.parametrize("data", ["", "providers = [1]", "import no_such_module", "raise SystemError"])
def test_a_package_that_is_something_else_is_no_fault_and_is_read_once(tmp_path: Path, data: str) -> None:
    package = tmp_path / "genai_prices"
    package.mkdir()
    (package / "__init__.py").touch()
    note = f"open({str(tmp_path / 'read')!r}, 'a').write('x')\n"
    program = f"""
from pathlib import Path
from agentcli.providers.catalogue.price import known
assert not known(Path({str(tmp_path / "cache")!r})).tariffs
"""

    def read() -> int:
        """How often the package was read, after the program has run once more."""
        own = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, env=own)
        assert done.returncode == 0, done.stderr
        return len((tmp_path / "read").read_text())

    (package / "data.py").write_text(note + data)
    assert [read(), read(), read()] == [1, 1, 1]
    (package / "data.py").write_text(f"{note}{data}\n# another version")
    assert [read(), read()] == [2, 2]


@pytest.mark.usefixtures("without_package")
def test_one_provider_at_a_time_is_read(tmp_path: Path) -> None:
    path = tmp_path / "prices.msgpack"
    good = msgspec.msgpack.encode([tariff(input_mtok="1")])
    sellers = {"openai": ["https://x", [], Raw(good)], "mistral": ["https://y", [], "nonsense"]}
    path.write_bytes(msgspec.msgpack.encode([1, [], sellers]))
    assert amount(known(tmp_path), MILLION) == 1
    assert amount(known(tmp_path), MILLION, model="mistral/m") is None

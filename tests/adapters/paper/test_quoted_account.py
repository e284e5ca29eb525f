"""A paper account on live quotes: its file holds all that it is made again from, and is of these rules alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from paper_kit import ARITHMETIC, copy_of
from quote_kit import CLOSE, DAY, FOREVER, OPEN, DaySessions, fills, kinds, quote

from ordersmith.actors.errors import BrokerUnavailable, ConfigError
from ordersmith.actors.model import Instrument, Order
from ordersmith.actors.ports import NewOrder, OrderFound
from ordersmith.actors.snapshots import SyncAccount
from ordersmith.adapters.paper.quoted_account import AnySymbol, QuotedAccount
from ordersmith.adapters.simulated.rules import ExchangeRules

pytestmark = pytest.mark.anyio

RULES = ExchangeRules(cash=Decimal(100_000))
EVERY = AnySymbol(Instrument(), {"L": Instrument(lot=Decimal(5))})


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: Any) -> Any:
    return request.param


def account_at(path: Path, rules: ExchangeRules = RULES, symbols: AnySymbol = EVERY, **options: Any) -> QuotedAccount:
    return QuotedAccount(path, rules, symbols, DaySessions(), arithmetic=ARITHMETIC, **{"fresh_ns": 60, **options})


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[QuotedAccount]:
    account = account_at(path)
    await account.open()
    await account.start()
    try:
        yield account
    finally:
        await account.close()


async def sent(account: QuotedAccount, name: str, order: Order, now_ns: int = OPEN) -> list[Any]:
    said = await account.handle([(NewOrder(f"{name}.1", order, FOREVER, 0), 1, None)], now_ns)
    return [report for report, _ in said]


async def read(account: QuotedAccount) -> Any:
    ((found, _),) = await account.handle([(SyncAccount(1, 0, "0"), 0, None)], OPEN)
    return found


async def test_an_account_goes_on_where_the_process_was_killed(tmp_path: Path) -> None:
    """What filled on a quote is in the file before it is told, and so are what waits and what was taken of the quote."""
    path = tmp_path / "paper.db"
    async with opened(path) as account:
        assert not await account.pass_time(OPEN)
        assert not await account.quotes([quote(size=100)], OPEN)
        assert fills(await sent(account, "b", Order.buy("A", 150))) == [("b.1", "100", "10.1")]
        said = await account.quotes([quote(size=20, at_ns=OPEN + 1)], OPEN + 1)
        assert fills([report for report, _ in said]) == [("b.1", "20", "10.1")]
        killed = copy_of(path, "killed.db")
    async with opened(killed) as account:
        found = await read(account)
        assert [(each.symbol, each.quantity) for each in found.positions] == [("A", 120)]
        assert [(type(each), each.cumulative_quantity) for each in found.orders] == [(OrderFound, 120)]
        assert found.cash == Decimal(100_000) - 1212
        assert not await account.quotes([quote(size=20, at_ns=OPEN + 2)], OPEN + 2)
        said = await account.quotes([quote(size=50, at_ns=OPEN + 3)], OPEN + 3)
        assert fills([report for report, _ in said]) == [("b.1", "30", "10.1")]


async def test_sessions_pass_when_their_time_has_come(tmp_path: Path) -> None:
    """A DAY order ends at the close, also if nobody was here; nothing is due twice."""
    path = tmp_path / "paper.db"
    async with opened(path) as account:
        await account.pass_time(OPEN)
        assert account.next_change_ns() == CLOSE
        await account.quotes([quote()], OPEN)
        await sent(account, "b", Order.buy("A", 10, "9.00"))
    async with opened(path) as account:
        assert account.next_change_ns() == CLOSE
        said = await account.pass_time(DAY)
        assert kinds([report for report, _ in said]) == ["Expired"]
        assert not await account.pass_time(DAY)
        assert account.next_change_ns() == DAY + OPEN


async def test_every_symbol_is_traded_that_is_quoted(tmp_path: Path) -> None:
    """Nobody names the symbols before; those with rules of their own have them."""
    async with opened(tmp_path / "paper.db") as account:
        await account.pass_time(OPEN)
        await account.quotes([quote("NEW"), quote("L")], OPEN)
        assert fills(await sent(account, "n", Order.buy("NEW", 3))) == [("n.1", "3", "10.1")]
        (refused,) = await sent(account, "l", Order.buy("L", 3))
        assert refused.code == "BAD_QUANTITY"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"rules": ExchangeRules(cash=Decimal(5))}, "exchange.cash"),
        ({"symbols": AnySymbol(Instrument(lot=Decimal(2)), EVERY.own)}, "instruments.default"),
        ({"symbols": AnySymbol(Instrument(), {})}, "instruments.L"),
        ({"fresh_ns": 61}, "fresh_ns"),
    ],
)
async def test_a_file_is_of_one_exchange(tmp_path: Path, options: dict[str, Any], named: str) -> None:
    """Under other rules its past would have been another one, and the message says which differ."""
    path = tmp_path / "paper.db"
    async with opened(path):
        pass
    with pytest.raises(ConfigError, match=named):
        await account_at(path, **options).open()


async def test_what_cannot_be_written_down_is_not_told(tmp_path: Path) -> None:
    """A fill that the file does not have did not happen: the account is made again without it."""
    async with opened(tmp_path / "paper.db") as account:
        await account.pass_time(OPEN)
        await account.quotes([quote(ask=11.0)], OPEN)
        await sent(account, "b", Order.buy("A", 10, "10.5"))
        database = account._file._database
        assert database is not None
        database.execute("PRAGMA query_only = ON")
        with pytest.raises(BrokerUnavailable):
            await account.quotes([quote(at_ns=OPEN + 1)], OPEN + 1)
        database.execute("PRAGMA query_only = OFF")
        await account.start()
        assert not (await read(account)).positions
        said = await account.quotes([quote(at_ns=OPEN + 2)], OPEN + 2)
        assert fills([report for report, _ in said]) == [("b.1", "10", "10.1")]

"""A paper account over its lives: what the file has is what the account is, whatever ended the life before."""

from __future__ import annotations

import gc
import tracemalloc
from decimal import Decimal, localcontext
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from paper_kit import (
    ARITHMETIC,
    MINUTE_NS,
    GrowingFeed,
    Inline,
    OnAccount,
    copy_of,
    minute_bars,
    paper_account,
    state_of,
)
from random_exchange import ACTIONS, RULES, Run

from ordersmith.actors.bars import Bars, CorporateAction, CorporateActionKind
from ordersmith.actors.errors import BrokerUnavailable, ConfigError, UsageError
from ordersmith.actors.model import Order
from ordersmith.actors.ports import (
    Accepted,
    AccountReport,
    CancelRefused,
    CancelRequest,
    CashMovement,
    Executed,
    NewOrder,
    OrderFound,
    Rejected,
    StatusRequest,
)
from ordersmith.actors.snapshots import AccountSnapshot, SyncAccount
from ordersmith.adapters.simulated.exchange import ExchangeRules

FOREVER_NS = 1 << 62
FREE = ExchangeRules(cash=Decimal(10**9), participation=None)


def quick() -> TemporaryDirectory[str]:
    """A folder in memory where there is one: these tests are about contents."""
    memory = Path("/dev/shm")  # noqa: S108
    return TemporaryDirectory(dir=memory if memory.is_dir() else None)


def new(number: int, symbol: str = "A", limit_price: str | None = "11.00") -> NewOrder:
    """Return an order for 5 shares that fills with the next bar if it may pay so much."""
    return NewOrder(f"o{number}.1", Order.buy(symbol, 5, limit_price=limit_price), FOREVER_NS, 0)


def sync(account: Any, after: str = "") -> list[Any]:
    return [report for report, _ in account._handle([(SyncAccount(7, after), 0, None)], account.now_ns)]


@settings(max_examples=40, deadline=None)
@given(RULES, ACTIONS, st.integers(0, 1 << 32))
def test_power_cuts_change_nothing(rules: ExchangeRules, actions: list[Any], seed: int) -> None:
    """A run that is cut off and reopened again and again, with a short memory, tells what an uninterrupted one tells."""
    draw = Random(seed)
    if rules.fill != "close" and draw.random() < 0.5:
        rules = replace(rules, latency_submit_ns=MINUTE_NS // 2, latency_cancel_ns=MINUTE_NS // 3)
    with localcontext(ARITHMETIC), quick() as folder:
        paper = OnAccount(Path(folder) / "paper.account", rules, remembered=3)
        run, expected = Run(paper), Run(Inline(rules))
        keep = run.keep

        def keep_and_cut(reports: list[Any]) -> None:
            keep(reports)
            if draw.random() < 0.15:
                before = state_of(paper.venue)
                paper.power_cut()
                assert state_of(paper.venue) == before

        run.keep = keep_and_cut  # type: ignore[method-assign]
        assert run.play(actions).reports == expected.play(actions).reports
        told = [report for *_, report in run.reports if isinstance(report, Executed | AccountReport)]
        assert paper.account._file.activities(0) == told
        paper.close()


def test_every_committed_prefix_is_an_account(tmp_path: Path) -> None:
    """Whatever group a power cut lets the file end with, it opens as the account was after that group."""
    draw = Random(5)
    with localcontext(ARITHMETIC):
        paper = OnAccount(tmp_path / "paper.account", FREE, remembered=4)
        states = []
        for number in range(40):
            paper.handle(new(number, limit_price=draw.choice(["11.00", "9.50"])), paper.begun_ns)
            states.append((copy_of(tmp_path / "paper.account", f"cut-{number}"), state_of(paper.venue)))
            if number % 3 == 0:
                price = draw.choice([9.0, 10.0])
                row = (price, price, price, price, 1e6)
                paper.on_bars(Bars(paper.begun_ns, paper.begun_ns + MINUTE_NS, 0, False, {"A": row}))
        for path, state in states:
            other = paper_account(path, FREE, paper.feed, remembered=4)
            other._open()
            assert state_of(other.venue) == state
            other._close()
        paper.close()


def test_bars_without_orders_may_be_lost_and_are_taken_again(tmp_path: Path) -> None:
    """What was not committed is found again in the feed; bars that were handed out in this process stay taken."""
    feed = minute_bars(*[10.0] * 20)
    with localcontext(ARITHMETIC):
        account = paper_account(tmp_path / "paper.account", FREE, feed)
        account._open()
        account._handle([(new(1), 0, None)], 0)
        for _ in range(6):
            bars = account.next_bars()
            assert bars is not None
            account.match(bars)
            account.given(bars.end_ns)
        copy = copy_of(tmp_path / "paper.account", "copy")
        account._rebuild()
        assert account.venue.steps == 6
        assert account.venue.told == 1
        account._close()
        other = paper_account(copy, FREE, feed)
        other._open()
        assert other.venue.steps == 0
        assert other.next_bars() is feed.bars[0]
        other._close()
        later = paper_account(copy, FREE, feed)
        later.given(feed.bars[9].end_ns)
        later._open()
        assert later.next_bars() is feed.bars[10]
        assert later.venue.positions == {"A": 5}
        (snapshot,) = sync(later)
        assert [each.wire_id for each in snapshot.executions] == ["o1.1"]
        later._close()


def test_a_snapshot_tells_the_account_since_a_cursor(tmp_path: Path) -> None:
    """Cash, positions, all open orders, and the executions after the cursor, each told once with the next cursor."""
    with localcontext(ARITHMETIC):
        paper = OnAccount(tmp_path / "paper.account", FREE)
        paper.handle(new(1), 0)
        paper.handle(new(2, limit_price="1.00"), 0)
        paper.on_bars(Bars(0, MINUTE_NS, 0, False, {"A": (10.0, 10.0, 10.0, 10.0, 1e6)}))
        (first,) = sync(paper.account)
        assert isinstance(first, AccountSnapshot)
        assert (first.as_of, first.cash, first.cursor) == (7, Decimal(10**9) - 50, "1")
        assert [(each.symbol, each.quantity) for each in first.positions] == [("A", 5)]
        assert [each.wire_id for each in first.orders] == ["o2.1"]
        assert [each.wire_id for each in first.executions] == ["o1.1"]
        paper.power_cut()
        (again,) = sync(paper.account, first.cursor)
        assert again == replace(first, executions=())
        paper.close()


def test_why_cash_moved_is_told_again_before_a_snapshot(tmp_path: Path) -> None:
    """A dividend that was paid while nobody listened comes back under its own id, in order, and never to who asks for all."""
    dividend = CorporateAction(
        kind=CorporateActionKind.DIVIDEND, symbol="A", session=1, amount=Decimal(1), pay_session=1
    )
    row = {"A": (10.0, 10.0, 10.0, 10.0, 1e6)}
    with localcontext(ARITHMETIC):
        paper = OnAccount(tmp_path / "paper.account", FREE)
        paper.handle(new(1), 0)
        paper.on_bars(Bars(0, MINUTE_NS, 0, True, row))
        told = paper.on_bars(Bars(MINUTE_NS, 2 * MINUTE_NS, 1, False, row, (dividend,)))
        paper.power_cut()
        *again, snapshot = sync(paper.account, "1")
        assert again == told
        assert any(isinstance(report, CashMovement) for report in again)
        assert snapshot.cash == Decimal(10**9) - 45
        assert len(sync(paper.account)) == 1
        assert len(sync(paper.account, snapshot.cursor)) == 1
        paper.close()


def test_last_prices_are_known_on_todays_terms(tmp_path: Path) -> None:
    """After a restart the last closes of all symbols are there, those from before a split in new shares."""
    split = CorporateAction(kind=CorporateActionKind.SPLIT, symbol="A", session=1, ratio=Decimal(2))
    feed = GrowingFeed(
        [
            Bars(0, MINUTE_NS, 0, True, {"A": (10.0,) * 4 + (8.0,), "L": (3.0,) * 4 + (1.0,)}),
            Bars(MINUTE_NS, 2 * MINUTE_NS, 1, False, {"L": (4.0,) * 4 + (1.0,)}, (split,)),
        ]
    )
    account = paper_account(tmp_path / "paper.account", FREE, feed)
    account.given(2 * MINUTE_NS)
    account._open()
    prices = account.prices()
    assert prices is not None
    assert prices.rows == {"A": (5.0,) * 4 + (16.0,), "L": (4.0,) * 4 + (1.0,)}
    assert prices.end_ns == account.now_ns == 2 * MINUTE_NS
    account._close()


def busy(paper: OnAccount, orders: int) -> None:
    """Trade so many more orders, four a session: one fills, one is cancelled, one is refused, and one expires."""
    begun = len(paper.feed.bars)
    for number in range(begun, begun + orders // 4):
        paper.account._handle(
            [
                (new(4 * number), 0, None),
                (new(4 * number + 1, limit_price="1.00"), 0, None),
                (CancelRequest(f"o{4 * number + 1}.1"), 0, None),
                (new(4 * number + 2, "Z"), 0, None),
                (new(4 * number + 3, limit_price="1.00"), 0, None),
            ],
            paper.begun_ns,
        )
        bars = Bars(paper.begun_ns, paper.begun_ns + MINUTE_NS, number, True, {"A": (10.0,) * 4 + (1e9,)})
        paper.on_bars(bars)
        paper.feed.bars[-1] = None  # type: ignore[call-overload]  # what is past costs no memory


def test_memory_is_flat_and_nothing_is_forgotten(tmp_path: Path) -> None:
    """Over 20,000 orders memory does not grow; the first is still refused as a duplicate, and its fate still told."""
    with localcontext(ARITHMETIC), quick() as folder:
        paper = OnAccount(Path(folder) / "paper.account", FREE, remembered=500)
        busy(paper, 4_000)
        gc.collect()
        tracemalloc.start()
        try:
            busy(paper, 4_000)
            before = tracemalloc.get_traced_memory()[0]
            busy(paper, 12_000)
            gc.collect()
            grown = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        assert grown < 300_000, f"{grown} bytes more after 12,000 orders"
        assert_remembered(paper)
        paper.close()


def assert_remembered(paper: OnAccount) -> None:
    now_ns = paper.begun_ns
    (refused,) = paper.handle(new(0), now_ns)
    assert isinstance(refused, Rejected)
    assert refused.code == "DUPLICATE_ORDER_ID"
    found = [paper.handle(StatusRequest(f"o{number}.1"), now_ns)[0] for number in range(4)]
    assert all(isinstance(each, OrderFound) for each in found)
    assert [(each.state, each.cumulative_quantity) for each in found] == [
        ("DONE", 5),
        ("CANCELLED", 0),
        ("REJECTED", 0),
        ("EXPIRED", 0),
    ]
    (late,) = paper.handle(CancelRequest("o0.1"), now_ns)
    assert isinstance(late, CancelRefused)
    assert late.code == "TOO_LATE"


def test_an_id_of_long_ago_is_refused_in_later_lives(tmp_path: Path) -> None:
    """Orders that had left the exchange's memory are known after a power cut, and while the account is made again."""
    with localcontext(ARITHMETIC):
        paper = OnAccount(tmp_path / "paper.account", FREE, remembered=10)
        for number in range(30):
            paper.account._handle(
                [(new(4 * number + each, "Z" if each == 2 else "A"), 0, None) for each in range(4)], paper.begun_ns
            )
            paper.on_bars(Bars(paper.begun_ns, paper.begun_ns + MINUTE_NS, number, True, {"A": (10.0,) * 4 + (1e9,)}))
            if number % 7 == 3:
                (refused,) = paper.handle(new(0), paper.begun_ns)
                assert isinstance(refused, Rejected)
                state = state_of(paper.venue)
                paper.power_cut()
                assert state_of(paper.venue) == state
        assert [type(report) for report in paper.handle(new(200), paper.begun_ns)] == [Accepted]
        (refused,) = paper.handle(new(1), paper.begun_ns)
        assert isinstance(refused, Rejected)
        paper.close()


def test_an_id_is_refused_while_its_order_leaves_the_memory(tmp_path: Path) -> None:
    """Within one group of commands that is longer than the memory, no id passes twice; nor when that is done again."""
    with localcontext(ARITHMETIC):
        paper = OnAccount(tmp_path / "paper.account", FREE, remembered=3)
        commands = [*(new(number, "Z") for number in range(20)), new(0), StatusRequest("o1.1")]
        said = [report for report, _ in paper.account._handle([(command, 0, None) for command in commands], 0)]
        assert [report.code for report in said[:-1]] == ["UNKNOWN_SYMBOL"] * 20 + ["DUPLICATE_ORDER_ID"]
        assert said[-1].state == "REJECTED"
        paper.power_cut()
        assert not paper.venue.orders.open
        assert paper.handle(new(19), 0)[0].code == "DUPLICATE_ORDER_ID"
        paper.close()


def test_bars_that_are_taken_again_do_what_they_did(tmp_path: Path) -> None:
    """Bars that were handed out and not committed move what was under way as they did the first time."""
    rules = replace(FREE, latency_submit_ns=10, latency_cancel_ns=MINUTE_NS * 3 // 2)
    with localcontext(ARITHMETIC):
        paper = OnAccount(tmp_path / "paper.account", rules)
        paper.handle(new(1, limit_price="9.00"), 0)
        paper.on_bars(Bars(0, MINUTE_NS, 0, False, {"A": (10.0,) * 4 + (1e9,)}))
        paper.handle(CancelRequest("o1.1"), MINUTE_NS)
        copy = copy_of(tmp_path / "paper.account", "copy")
        for begun in (1, 2):
            paper.on_bars(Bars(begun * MINUTE_NS, (begun + 1) * MINUTE_NS, 0, False, {"A": (9.5,) * 4 + (1e9,)}))
            other = paper_account(copy, rules, paper.feed)
            other.given(paper.begun_ns)
            other._open()
            assert state_of(other.venue) == {**state_of(paper.venue), "shown": state_of(other.venue)["shown"]}
            other._file.close()
        assert not paper.venue.orders.open
        paper.close()


def test_other_data_are_refused(tmp_path: Path) -> None:
    """Bars that changed, and data that end before the account, are told in one line with the file and what to do."""
    path = tmp_path / "paper.account"
    with localcontext(ARITHMETIC):
        paper = OnAccount(path, FREE)
        paper.handle(new(1), 0)
        for number in range(3):
            paper.on_bars(Bars(number * MINUTE_NS, (number + 1) * MINUTE_NS, 0, False, {"A": (10.0,) * 4 + (1e9,)}))
        paper.close()
        changed = minute_bars(10.0, 10.5, 10.0)
        for bars in changed.bars:
            bars.closes_session = False
        for feed, words in (
            (changed, "has traded on other bars than the data have up to 1970-01-01 00:02:00 UTC"),
            (minute_bars(), "the data end after 0"),
        ):
            account = paper_account(path, FREE, feed)
            with pytest.raises(ConfigError, match=words) as raised:
                account._open()
            assert str(raised.value).startswith(f"{path}: ")
            assert "delete it to begin a new account" in str(raised.value)
            assert "\n" not in str(raised.value)


def test_an_exchange_that_fills_otherwise_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version whose exchange does other things with the same orders must not go on with the account."""
    path = tmp_path / "paper.account"
    with localcontext(ARITHMETIC):
        paper = OnAccount(path, FREE)
        paper.handle(new(1), 0)
        paper.on_bars(Bars(0, MINUTE_NS, 0, False, {"A": (10.0, 10.5, 9.0, 10.5, 1e9)}))
        paper.close()
        monkeypatch.setattr(
            "ordersmith.adapters.simulated.costs.Costs.market_price",
            lambda self, reference, is_buy, limit: reference + Decimal("0.01"),
        )
        with pytest.raises(ConfigError, match="does not execute the orders of this paper account"):
            paper_account(path, FREE, paper.feed)._open()


def test_after_a_failed_write_the_account_is_made_again(tmp_path: Path) -> None:
    """A command whose group cannot be written is not answered, and is not known to the account that is made again."""
    with localcontext(ARITHMETIC):
        paper = OnAccount(tmp_path / "paper.account", FREE)
        paper.handle(new(1), 0)
        before = state_of(paper.venue)
        database = paper.account._file._joined()
        database.execute("PRAGMA query_only = ON")
        with pytest.raises(BrokerUnavailable, match=r"paper\.account: the paper account cannot be written: "):
            paper.handle(new(2), 0)
        database.execute("PRAGMA query_only = OFF")
        with pytest.raises(UsageError):
            paper.account.venue.cash  # noqa: B018 - it knows of an order that the file has not
        paper.account._rebuild()
        assert state_of(paper.account.venue) == before
        paper.close()


def test_a_step_that_cannot_be_written_spoils_nothing(tmp_path: Path) -> None:
    """What a failed commit has counted is counted anew: the next start finds the account, and nothing that contradicts itself."""
    path, feed = tmp_path / "paper.account", minute_bars(10.0, 10.0, 10.0)

    async def trade() -> None:
        account = paper_account(path, FREE, feed)
        await account.open()
        await account.start()
        account.match(account.next_bars())
        await account.commit()
        await account.handle([(new(1), 1, None)], account.now_ns)
        assert account.match(account.next_bars())
        database = account._file._joined()
        database.execute("PRAGMA query_only = ON")
        with pytest.raises(BrokerUnavailable):
            await account.commit()
        database.execute("PRAGMA query_only = OFF")
        await account.close()
        again = paper_account(path, FREE, feed)
        await again.open()
        await again.close()

    with localcontext(ARITHMETIC):
        anyio.run(trade)

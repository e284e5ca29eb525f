"""What to look at on an account at Alpaca before it is traded: each thing a finding, with what to do about it.

It reads, opens both streams for a moment, and, where it may, places one order for a share at half the price and cancels it.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Any, NamedTuple, TypeVar
from uuid import uuid4

import anyio
import anyio.to_thread
import msgspec

from ...actors.errors import BrokerAuthError, BrokerError, DataError
from ..calendar import EPOCH_DAY, load_schedule
from ..disk_checks import Finding
from .access import Access
from .answers import Answer, Outcome, Unsent, read_of
from .clients import TradingRest
from .examination_prices import PLAIN_SYMBOL, latest_prices
from .examination_streams import examine_streams
from .latest import Latest
from .wire import WireOrder, decode

T = TypeVar("T")

PAPER_ACCOUNT = "PA"
"""How the number of a paper account begins."""

GOOD_SKEW_S, TOLERABLE_SKEW_S = 0.5, 2.0
DAYS_COMPARED = 60
FAR = Decimal("0.5")
"""A far order's limit, as a share of the last price: nothing trades there."""
CANCELLED_WITHIN_S = 10.0
LITTLE_LEFT = 20


class Terms(NamedTuple):
    """What to look at: `symbols` and `calendar` of the configuration, the account that it is `expected` to be."""

    symbols: Sequence[str]
    calendar: str
    expected: str | None
    may_place: bool


class _Account(msgspec.Struct):
    account_number: str
    status: str = ""
    cash: Decimal = Decimal(0)
    equity: Decimal = Decimal(0)
    buying_power: Decimal = Decimal(0)
    multiplier: Decimal = Decimal(1)
    trading_blocked: bool = False
    account_blocked: bool = False
    transfers_blocked: bool = False
    trade_suspended_by_user: bool = False
    shorting_enabled: bool = False


class _Clock(msgspec.Struct):
    timestamp: datetime
    is_open: bool


class _Day(msgspec.Struct):
    date: date
    open: str
    close: str


async def examine_account(
    access: Access, *, symbols: Sequence[str], calendar: str, expected: str | None, may_place: bool
) -> AsyncIterator[Finding]:
    """Yield what is found. Nothing is raised: what cannot be looked at is a finding."""
    terms = Terms(symbols, calendar, expected, may_place)
    client = TradingRest(access)
    try:
        answer = await _asked(client, "GET", "/account")
        account, finding = _keys(access, answer)
        yield finding
        if account is None:
            return
        for finding in (*_account(access, account, expected), _limit(answer)):
            yield finding
        yield await _clock(client)
        yield await _calendar(client, terms.calendar)
        async for finding in examine_streams(access, terms.symbols or (PLAIN_SYMBOL,)):
            yield finding
        prices, finding = await latest_prices(access, terms.symbols or (PLAIN_SYMBOL,))
        yield finding
        yield await _far_order(client, terms, prices)
    finally:
        client.close()


async def _asked(client: TradingRest, method: str, path: str, data: Any = None) -> Outcome:
    return await anyio.to_thread.run_sync(client.ask, method, path, data, abandon_on_cancel=True)


# --- Account -----------------------------------------------------------------------------------------------------------


def _keys(access: Access, outcome: Outcome) -> tuple[_Account | None, Finding]:
    where = access.base_url
    try:
        account = decode(read_of(outcome, "account").body, _Account, "account")
    except BrokerAuthError as error:
        kind, other = ("paper", "live") if access.paper else ("live", "paper")
        advice = f"take the keys of the {kind} account: those of {other} trading are refused here; a reset made the old ones void"
        return None, Finding("keys", False, str(error), advice)
    except BrokerError as error:
        return None, Finding(
            "keys", False, str(error), f"see whether {where} can be reached from here, or try again later"
        )
    return account, Finding("keys", True, f"{where} takes them")


def _account(access: Access, account: _Account, expected: str | None) -> Iterator[Finding]:
    number, kind = account.account_number, "paper" if access.paper else "live"
    is_paper = number.startswith(PAPER_ACCOUNT)
    if is_paper is not access.paper:
        yield Finding(
            "account", False, f"{number} is not a {kind} account", "correct execution.alpaca.paper, or the keys"
        )
    elif expected is not None and expected != number:
        yield Finding(
            "account", False, f"the keys are those of {number}, not of {expected}", "type the account of these keys"
        )
    else:
        money = f"cash {account.cash:,.2f}, equity {account.equity:,.2f}, buying power {account.buying_power:,.2f}"
        yield Finding("account", True, f"{kind} account {number}: {money}, multiplier {account.multiplier}")
    blocked = [name for name, is_so in _blocks(account) if is_so]
    if blocked or account.status != "ACTIVE":
        found = ", ".join([f"status {account.status or 'unknown'}", *blocked])
        yield Finding(
            "permissions", False, found, "look at the account in Alpaca's dashboard: it takes no orders as it is"
        )
    else:
        short = "and may sell short" if account.shorting_enabled else "and may not sell short"
        yield Finding("permissions", True, f"the account is active, may trade, {short}")


def _blocks(account: _Account) -> Iterator[tuple[str, bool]]:
    yield "trading is blocked", account.trading_blocked
    yield "the account is blocked", account.account_blocked
    yield "trading is suspended by its owner", account.trade_suspended_by_user


def _limit(outcome: Outcome) -> Finding:
    if not isinstance(outcome, Answer) or outcome.limit is None or outcome.remaining is None:
        return Finding("rate limit", None, "the answers do not say", "200 requests a minute are assumed")
    found = f"{outcome.remaining} of {outcome.limit} requests are left in this minute"
    if outcome.remaining < LITTLE_LEFT:
        return Finding("rate limit", None, found, "something else uses these keys: give each program its own")
    return Finding("rate limit", True, found)


# --- Time --------------------------------------------------------------------------------------------------------------


async def _clock(client: TradingRest) -> Finding:
    began, wall_s = time.perf_counter(), time.time()
    clock = _decoded(await _asked(client, "GET", "/clock"), _Clock, "clock")
    if isinstance(clock, str):
        return Finding("clock", False, clock, "try again later")
    half_s = (time.perf_counter() - began) / 2
    skew_s = abs(clock.timestamp.timestamp() - wall_s - half_s)
    market = "open" if clock.is_open else "closed"
    found = f"{skew_s * 1e3:.0f} ms apart (the question took {2 * half_s * 1e3:.0f} ms); the market is {market}"
    if skew_s <= GOOD_SKEW_S + half_s:
        return Finding("clock", True, found)
    is_bad = skew_s > TOLERABLE_SKEW_S + half_s
    return Finding("clock", False if is_bad else None, found, "set this machine's clock by NTP")


async def _calendar(client: TradingRest, name: str) -> Finding:
    today = datetime.now().astimezone().date()
    last = today + timedelta(days=DAYS_COMPARED)
    path = f"/calendar?start={today}&end={last}"
    days = _decoded(await _asked(client, "GET", path), list[_Day], "calendar")
    if isinstance(days, str):
        return Finding("calendar", False, days, "try again later")
    try:
        schedule = await anyio.to_thread.run_sync(load_schedule, name, today, last)
    except DataError as error:
        return Finding("calendar", False, str(error), "correct data.calendar")
    zone = _zone(schedule.timezone)
    ours = {}
    for session, open_ns, close_ns in zip(schedule.sessions, schedule.opens, schedule.closes, strict=True):
        day = date.fromordinal(session + EPOCH_DAY)
        if today <= day <= last:
            ours[day] = (_wall(open_ns, zone), _wall(close_ns, zone))
    theirs = {day.date: (day.open, day.close) for day in days}
    wrong = sorted(day for day in ours.keys() | theirs.keys() if ours.get(day) != theirs.get(day))
    if not wrong:
        return Finding("calendar", True, f"{len(ours)} sessions up to {last} are the same in {name} and at Alpaca")
    first = wrong[0]
    found = f"{len(wrong)} of {len(theirs)} days differ from {name}; {first}: Alpaca {theirs.get(first)}, {name} {ours.get(first)}"
    return Finding("calendar", False, found, "update exchange_calendars, or correct data.calendar")


def _zone(name: str) -> Any:
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


def _wall(at_ns: int, zone: Any) -> str:
    return datetime.fromtimestamp(at_ns // 1_000_000_000, zone).strftime("%H:%M")


# --- The far order -------------------------------------------------------------------------------------------


async def _far_order(client: TradingRest, terms: Terms, prices: dict[str, Latest]) -> Finding:
    name = "far order"
    if not terms.may_place:
        return Finding(
            name, None, "not placed: the account is not a paper account", "--place-order places it there, too"
        )
    symbol, limit = _far_limit(prices)
    if limit is None:
        return Finding(name, None, "not placed: no price is known", "")
    order_id = f"doctor-{uuid4().hex[:16]}"
    body = {
        "symbol": symbol,
        "qty": "1",
        "side": "buy",
        "type": "limit",
        "time_in_force": "day",
        "limit_price": str(limit),
        "client_order_id": order_id,
    }
    began = time.perf_counter()
    outcome = await _asked(client, "POST", "/orders", body)
    took_s = time.perf_counter() - began
    if isinstance(outcome, Unsent):
        return Finding(name, False, f"not written: {outcome.reason}", "see whether Alpaca can be reached")
    if isinstance(outcome, Answer) and outcome.status in (403, 422):
        return Finding(
            name, False, f"1 {symbol} at {limit} was refused: {outcome.text}", "orders of this kind will be, too"
        )
    is_certain = isinstance(outcome, Answer) and outcome.is_ok
    placed = _decoded(outcome, WireOrder, "order") if is_certain else await _find(client, order_id)
    if isinstance(placed, str):
        return Finding(
            name, False, f"its fate is not known: {placed}", f"look for {order_id} in the dashboard and cancel it"
        )
    end = await _cancelled(client, placed.id)
    found = f"1 {symbol} at {limit} was accepted in {took_s * 1e3:.0f} ms"
    if end is None or end.status != "canceled":
        state = "unknown" if end is None else end.status
        return Finding(name, False, f"{found}; cancelled, it is {state}", f"look for {order_id} in the dashboard")
    return Finding(name, True, f"{found}, and cancelled {(time.perf_counter() - began - took_s) * 1e3:.0f} ms later")


def _far_limit(prices: dict[str, Latest]) -> tuple[str, Decimal | None]:
    for symbol, latest in prices.items():
        for price in (latest.last, latest.bid, latest.ask):
            if price > 0:
                return symbol, (Decimal(repr(price)) * FAR).quantize(Decimal("0.01"), ROUND_DOWN)
    return "", None


async def _find(client: TradingRest, order_id: str) -> WireOrder | str:
    path = f"/orders:by_client_order_id?client_order_id={order_id}"
    return _decoded(await _asked(client, "GET", path), WireOrder, "order")


async def _cancelled(client: TradingRest, broker_order_id: str) -> WireOrder | None:
    """Cancel, and return the order once it is over, or as it is when the time is."""
    await _asked(client, "DELETE", f"/orders/{broker_order_id}")
    order: WireOrder | None = None
    with anyio.move_on_after(CANCELLED_WITHIN_S):
        while order is None or order.status not in {"canceled", "filled", "expired", "rejected"}:
            await anyio.sleep(0.1)
            found = _decoded(await _asked(client, "GET", f"/orders/{broker_order_id}"), WireOrder, "order")
            order = order if isinstance(found, str) else found
    return order


def _decoded(outcome: Outcome, kind: type[T], what: str) -> T | str:
    """Return the answer as a `kind`, or what is wrong in words."""
    try:
        return decode(read_of(outcome, what).body, kind, what)
    except BrokerError as error:
        return str(error)

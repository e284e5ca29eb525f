"""Alpaca's account, orders and activities without the network: what the sandbox's server speaks for.

Every call is synchronous. Time comes in as `now_ns` and never goes back; rows are the dicts that Alpaca sends as JSON. A request
that is not granted raises `Refusal`, which has the status and the body of the answer. Events of orders are collected until
`take_updates`: those of a request are there before its answer, as it happens at Alpaca.

Quotes fill at the far side, limited by its size, as Alpaca's paper engine fills at the quote; bars fill along their path. Ids and
chance come from the seed, and `dump` holds everything that is remembered: who loads it has the same future.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_DOWN, Decimal, localcontext
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import msgspec

from ...actors.bars import Bars, Row
from ...actors.model import ZERO
from . import alpaca_activities, alpaca_amends, alpaca_due, alpaca_listing, alpaca_orders
from . import alpaca_ledger as ledger
from .alpaca_desk import Desk
from .alpaca_hours import calendar_rows, clock_row, local_date
from .alpaca_json import asset_row, needed_number, order_row, read_number, read_price, read_size
from .alpaca_matching import follow_bar, match
from .alpaca_refusal import Refusal, absent, malformed
from .alpaca_settings import BrokerSettings, Listed
from .alpaca_state import ARITHMETIC, Asset, Json, Quote, State

__all__ = ["Amount", "BrokerSettings", "Json", "Listed", "Refusal", "SandboxBroker"]

Amount = Decimal | float | int | str
"""A number as it comes: from a file, from JSON, from a test."""

P = ParamSpec("P")
R = TypeVar("R")

LONGEST_CALENDAR_DAYS = 366 * 60


def exact(method: Callable[Concatenate[SandboxBroker, P], R]) -> Callable[Concatenate[SandboxBroker, P], R]:
    """Let a method compute in the broker's own decimal context, whatever the host's is."""

    @wraps(method)
    def call(self: SandboxBroker, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with localcontext(ARITHMETIC):
            return method(self, *args, **kwargs)

    return call


class SandboxBroker:
    """One account at a local Alpaca."""

    def __init__(self, settings: BrokerSettings | None = None, now_ns: int = 0) -> None:
        self.settings = settings or BrokerSettings()
        self._desk = Desk(self.settings, now_ns)
        alpaca_due.arrange_close_of_day(self._desk, now_ns)

    # --- Orders --------------------------------------------------------------------------------------------------------

    @exact
    def submit(self, now_ns: int, body: Mapping[str, Any]) -> Json:
        """Take an order, and return it as it arrived: what becomes of it is told by the updates."""
        self._advance(now_ns)
        order = alpaca_orders.place(self._desk, body)
        row = alpaca_orders.rows_with_legs(self._desk, order)
        self._advance(now_ns)
        return row

    @exact
    def replace(self, now_ns: int, order_id: str, body: Mapping[str, Any]) -> Json:
        """Take the wish to replace an order, and return the new one. That does not say that the old is replaced."""
        self._advance(now_ns)
        order = alpaca_orders.replace(self._desk, self._desk.order(order_id), body)
        row = alpaca_orders.rows_with_legs(self._desk, order)
        self._advance(now_ns)
        return row

    @exact
    def cancel(self, now_ns: int, order_id: str) -> None:
        """Take the wish to cancel an order. That does not say that it is cancelled."""
        self._advance(now_ns)
        alpaca_orders.cancel(self._desk, self._desk.order(order_id))

    @exact
    def cancel_all(self, now_ns: int) -> list[Json]:
        """Take the wish to cancel every open order: the rows of the 207 answer."""
        self._advance(now_ns)
        return alpaca_orders.cancel_all(self._desk)

    def order(self, order_id: str, nested: bool = False) -> Json:
        """Return an order, with its legs if they are asked for."""
        order = self._desk.order(order_id)
        return alpaca_orders.rows_with_legs(self._desk, order) if nested else order_row(order)

    def order_by_client_id(self, client_order_id: str) -> Json:
        """Return the order that has a client order id."""
        order_id = self._desk.state.by_client_id.get(client_order_id)
        if order_id is None:
            raise absent(f"order not found for {client_order_id}")
        return order_row(self._desk.order(order_id))

    def orders(
        self,
        status: str = "open",
        limit: int = 50,
        after: str | None = None,
        until: str | None = None,
        direction: str = "desc",
        nested: bool = False,
        side: str | None = None,
        symbols: Sequence[str] = (),
    ) -> list[Json]:
        """Return orders by the time of their arrival; `after` and `until` are exclusive."""
        return alpaca_listing.rows(self._desk, status, limit, after, until, direction, nested, side, symbols)

    # --- Positions and the account ---------------------------------------------------------------------------------------

    @exact
    def positions(self) -> list[Json]:
        """Return all positions, by symbol."""
        return [ledger.position_row(self._desk, symbol) for symbol in sorted(self._desk.state.holdings)]

    @exact
    def position(self, symbol_or_id: str) -> Json:
        """Return the position in a symbol."""
        return ledger.position_row(self._desk, self._held(symbol_or_id))

    @exact
    def close_position(
        self, now_ns: int, symbol_or_id: str, qty: Amount | None = None, percentage: Amount | None = None
    ) -> Json:
        """Close a position, or a part of it, with a market order whose client order id nobody has chosen."""
        self._advance(now_ns)
        symbol = self._held(symbol_or_id)
        held = self._desk.held(symbol)
        size, part = read_number(qty, "qty"), read_number(percentage, "percentage")
        if size is not None and part is not None:
            raise malformed("only one of qty or percentage is accepted")
        if part is not None:
            size = (abs(held) * part / 100).quantize(ledger.ATOM, ROUND_DOWN)
        size = abs(held) if size is None else size
        side = "sell" if held > ZERO else "buy"
        body = {"symbol": symbol, "qty": f"{size:f}", "side": side, "type": "market", "time_in_force": "day"}
        return self.submit(now_ns, body)

    @exact
    def close_all(self, now_ns: int, cancel_orders: bool = False) -> list[Json]:
        """Close all positions: the rows of the 207 answer."""
        self._advance(now_ns)
        if cancel_orders:
            alpaca_orders.cancel_all(self._desk)
        rows: list[Json] = []
        for symbol in sorted(self._desk.state.holdings):
            try:
                body, status = self.close_position(now_ns, symbol), 200
            except Refusal as refusal:
                body, status = refusal.body, refusal.status
            rows.append({"symbol": symbol, "status": status, "body": body})
        return rows

    @exact
    def account(self) -> Json:
        """Return the account."""
        return ledger.account_row(self._desk)

    @exact
    def activities(
        self,
        types: Sequence[str] | str = (),
        after: str | None = None,
        until: str | None = None,
        date: str | None = None,
        direction: str = "desc",
        page_size: int = 100,
        page_token: str | None = None,
    ) -> list[Json]:
        """Return a page of activities; `page_token` is the id of the last one that was seen."""
        wanted = [each for each in types.split(",") if each] if isinstance(types, str) else types
        return alpaca_activities.rows(self._desk, wanted, after, until, date, direction, page_size, page_token)

    # --- Assets and hours ------------------------------------------------------------------------------------------------

    def assets(self, status: str | None = None, asset_class: str | None = None) -> list[Json]:
        """Return the assets, by symbol."""
        if asset_class not in {None, "", "us_equity"}:
            return []
        rows = [asset_row(asset) for _, asset in sorted(self._desk.state.assets.items())]
        return [row for row in rows if status in {None, "", "all", row["status"]}]

    def asset(self, symbol_or_id: str) -> Json:
        """Return an asset by its symbol or id."""
        return asset_row(self._asset(symbol_or_id))

    def clock(self, now_ns: int) -> Json:
        """Return whether the market is open, and when it opens and closes next."""
        return clock_row(self._desk.hours, now_ns)

    def calendar(self, start: str | None = None, end: str | None = None) -> list[Json]:
        """Return the sessions of the dates from `start` to `end`; without them of the year around now."""
        today = local_date(self._desk.now_ns)
        first = _date(start, "start") or today - dt.timedelta(days=183)
        last = _date(end, "end") or max(today, first) + dt.timedelta(days=183)
        if (last - first).days > LONGEST_CALENDAR_DAYS:
            raise malformed(f"start and end are {(last - first).days} days apart; ask for 60 years at most")
        return calendar_rows(self._desk.hours, first, last)

    # --- The market ------------------------------------------------------------------------------------------------------

    @exact
    def on_bars(self, now_ns: int, bars: Bars | Mapping[str, Row]) -> None:
        """Take bars that end now, and fill what they meet on their way: within their session, if they end with it."""
        self._advance(now_ns - 1)
        rows = bars.rows if isinstance(bars, Bars) else bars
        for symbol in sorted(rows):
            follow_bar(self._desk, symbol, rows[symbol])
        self._advance(now_ns)

    @exact
    def on_quote(
        self,
        now_ns: int,
        symbol: str,
        bid: Amount | None,
        ask: Amount | None,
        bid_size: Amount | None = None,
        ask_size: Amount | None = None,
    ) -> None:
        """Take a quote, sizes in shares, and fill what it fills. What is no price is no side, what is no size is no limit."""
        self._advance(now_ns)
        quote = Quote(
            at_ns=self._desk.now_ns,
            bid=read_price(bid),
            ask=read_price(ask),
            bid_size=read_size(bid_size),
            ask_size=read_size(ask_size),
        )
        self._desk.state.quotes[symbol] = quote
        if quote.bid is not None and quote.ask is not None and quote.bid <= quote.ask:
            self._desk.state.last_prices[symbol] = (quote.bid + quote.ask) / 2
        match(self._desk, symbol)

    def next_due_ns(self) -> int | None:
        """Return when something happens next by itself: call `advance` then."""
        due = self._desk.state.due
        return due[0].at_ns if due else None

    @exact
    def advance(self, now_ns: int) -> None:
        """Let everything happen that is due until now."""
        self._advance(now_ns)

    def take_updates(self) -> list[Json]:
        """Return the trade updates since the last call: the `data` of each message of the stream."""
        updates, self._desk.state.updates = self._desk.state.updates, []
        return updates

    # --- By hand ---------------------------------------------------------------------------------------------------------

    @exact
    def book_activity(
        self,
        now_ns: int,
        activity_type: str,
        *,
        symbol: str | None = None,
        net_amount: Amount | None = None,
        qty: Amount | None = None,
        per_share_amount: Amount | None = None,
        price: Amount | None = None,
        ratio: Amount | None = None,
        new_symbol: str | None = None,
        date: str | None = None,
        description: str = "",
        keep_orders: bool = False,
    ) -> list[Json]:
        """Book what is no trade, and return its activities.

        Cash moves by `net_amount`; or, as with a dividend, by `per_share_amount` times `qty`, which is the position if it
        is not given. SPLIT and SSP take `ratio`, and a `price` at which a fraction is paid out; NC and SC take `new_symbol`;
        these cancel the open orders of the symbol, unless `keep_orders`. JNLS, ACATS, SPIN, SSO, MA and REORG move `qty`
        shares. `date` may be an earlier one.
        """
        self._advance(now_ns)
        event = alpaca_activities.Event(
            type=activity_type,
            symbol=symbol,
            net_amount=read_number(net_amount, "net_amount"),
            qty=read_number(qty, "qty"),
            per_share_amount=read_number(per_share_amount, "per_share_amount"),
            price=read_number(price, "price"),
            ratio=read_number(ratio, "ratio"),
            new_symbol=new_symbol,
            date=date,
            description=description,
            keep_orders=keep_orders,
        )
        return alpaca_activities.book(self._desk, event)

    @exact
    def fill(self, now_ns: int, order_id: str, qty: Amount, price: Amount) -> Json:
        """Fill an order by hand, at any hour and any price, and return it."""
        self._advance(now_ns)
        order = self._desk.order(order_id)
        alpaca_amends.fill(self._desk, order, needed_number(qty, "qty"), needed_number(price, "price"))
        return order_row(order)

    @exact
    def bust(self, now_ns: int, execution_id: str) -> Json:
        """Take an execution back, the last one of an order if the order's id is given; return the update."""
        self._advance(now_ns)
        return alpaca_amends.bust(self._desk, alpaca_amends.find(self._desk, execution_id))

    @exact
    def correct(self, now_ns: int, execution_id: str, qty: Amount, price: Amount) -> Json:
        """Correct an execution, the last one of an order if the order's id is given; return the update."""
        self._advance(now_ns)
        execution = alpaca_amends.find(self._desk, execution_id)
        return alpaca_amends.correct(self._desk, execution, needed_number(qty, "qty"), needed_number(price, "price"))

    @exact
    def close_session(self, now_ns: int) -> None:
        """End the session now: orders for the close trade at the last quote, other orders of the day expire."""
        self._advance(now_ns)
        alpaca_due.close_session(self._desk)

    def set_account(self, **flags: bool) -> Json:
        """Set trading_blocked, account_blocked, transfers_blocked, trade_suspended_by_user or shorting_enabled."""
        self._desk.state.flags = _changed(self._desk.state.flags, flags)
        return self.account()

    def set_asset(self, symbol: str, **changes: bool) -> Json:
        """Set tradable, marginable, shortable, easy_to_borrow, fractionable, or halted: then orders are taken and do not trade."""
        asset = self._asset(symbol)
        asset.halted = changes.pop("halted", asset.halted)
        asset.terms = _changed(asset.terms, changes)
        return asset_row(asset)

    # --- Memory ----------------------------------------------------------------------------------------------------------

    def dump(self) -> bytes:
        """Return everything that the broker remembers, as JSON. The settings are not in it."""
        return msgspec.json.encode(self._desk.state)

    def load(self, data: bytes) -> None:
        """Go on from a dump. Raises ValueError for what is none."""
        self._desk.use(msgspec.json.decode(data, type=State))

    # --- Inside ----------------------------------------------------------------------------------------------------------

    def _advance(self, now_ns: int) -> None:
        alpaca_due.advance(self._desk, now_ns)

    def _asset(self, symbol_or_id: str) -> Asset:
        asset = self._desk.asset(symbol_or_id)
        if asset is None:
            raise absent(f"asset not found for {symbol_or_id}")
        return asset

    def _held(self, symbol_or_id: str) -> str:
        symbol = self._desk.state.symbols_by_id.get(symbol_or_id, symbol_or_id)
        if not self._desk.held(symbol):
            raise absent("position does not exist")
        return symbol


S = TypeVar("S", bound=msgspec.Struct)


def _changed(flags: S, changes: Mapping[str, bool]) -> S:
    """Return a struct of flags with some of them changed."""
    known = [name for name in flags.__struct_fields__ if isinstance(getattr(flags, name), bool)]
    for name, value in changes.items():
        if name not in known or not isinstance(value, bool):
            raise malformed(f"{name}: {value!r}; give true or false for one of {', '.join(known)}")
    return msgspec.structs.replace(flags, **changes)


def _date(text: str | None, field: str) -> dt.date | None:
    if not text:
        return None
    try:
        return dt.date.fromisoformat(text[:10])
    except ValueError:
        raise malformed(f"{field}: {text!r} is no date; give it as 2026-11-20") from None

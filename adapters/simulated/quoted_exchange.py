"""The simulated exchange on live quotes instead of bars.

What holds besides what `exchange.py` says of commands, account and charges, and `quoted.py` of fills:

- A new order, and a replacement, meets the quote that stands when it arrives, and every later one until it ends.
- Whoever drives it says when sessions open and close. Between them only orders with `extended_hours` trade. At a close
  DAY orders expire, those with extended hours at the next open; then come margin calls, at an open settlement and fees.
- The far side's size is all the liquidity there is, so that `slippage`, `impact`, `participation`, and what is said of
  bars, count for nothing here.
- Splits and dividends are not known: quotes do not tell them.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from msgspec.structs import replace

from ...actors.bars import Bars
from ...actors.model import ZERO
from ...actors.ports import Accepted, Instruments, NewOrder, Replaced, ReplaceRequest, Report
from ...actors.quotes import Quote
from .exchange import ExchangeRules, SimulatedExchange
from .hours import Session, Sessions
from .orders import OrderIndex, WorkingOrder, base_id_of
from .quoted import QuoteMatching

FRESH_NS = 60_000_000_000
"""How old a quote may be that an order still trades on."""


class QuotedExchange(SimulatedExchange):
    """One account at one exchange. Feed it `handle`, `on_quotes`, `open_session` and `close_session` in order of time."""

    def __init__(
        self,
        rules: ExchangeRules,
        instruments: Instruments,
        account: str = "main",
        sessions: Sessions | None = None,
        index: OrderIndex | None = None,
        *,
        fresh_ns: int = FRESH_NS,
    ) -> None:
        plain = {"slippage": ZERO, "slippage_fixed": ZERO, "impact": None, "participation": Decimal(1)}
        rules = replace(rules, **plain, fill="next_open", same_bar_exits=False)
        super().__init__(rules, instruments, account, sessions, index)
        self._quotes = QuoteMatching(self._book, self._matching.executions, fresh_ns)
        self.session: Session | None = None

    def quote(self, symbol: str) -> Quote | None:
        """Return the newest quote of a symbol."""
        touch = self._quotes.touches.get(symbol)
        return None if touch is None else touch.quote

    def has_moved(self) -> bool:
        """Tell whether a quote has done anything since this was asked last."""
        moved, self._quotes.moved = self._quotes.moved, False
        return moved

    def on_quotes(self, quotes: Iterable[Quote], now_ns: int) -> list[Report]:
        """Let the orders meet these quotes, symbol by symbol."""
        reports: list[Report] = []
        rows = self._account.rows
        for quote in quotes:
            quote = quote.seen_by(now_ns)
            if self._quotes.take(quote) is None:
                continue
            if (price := quote.price) is not None:
                close = float(price)
                rows[quote.symbol] = (close, close, close, close, 0.0)
            if self._overnight.has_called:
                self._close_positions(now_ns, reports)
            self._quotes.match(quote.symbol, now_ns, reports)
        if reports:
            self._quotes.moved = True
        return reports

    # -- sessions

    def open_session(self, session: Session) -> list[Report]:
        """Let a session begin, at its own time. Orders trade with the first quotes that come in it."""
        self.session, self._quotes.is_open = session, True
        return self.on_bars(_instant(session, session.open_ns, closes=False))

    def close_session(self) -> list[Report]:
        """Let the session end that is open: the closing auction at the last quotes, then what ends with it."""
        session, reports = self.session, list[Report]()
        if session is None:
            return reports
        for order in list(self._book.closing.values()):
            touch = self._quotes.fresh(order.listing.symbol, session.close_ns)
            if touch is not None:
                side = touch.ask if order.is_buy else touch.bid
                self._quotes.try_once(order, side, session.close_ns, reports)
        self.session, self._quotes.is_open = None, False
        return reports + self.on_bars(_instant(session, session.close_ns, closes=True))

    def _close_positions(self, now_ns: int, reports: list[Report]) -> None:
        """Carry out a margin call as far as there are quotes to do it at: what is held long at the bid, short at the ask."""
        session = self.session
        if session is None:
            return
        rows = {}
        for symbol, held in self.positions.items():
            touch = self._quotes.fresh(symbol, now_ns)
            if touch is not None:
                price = touch.bid.price if held > ZERO else touch.ask.price
                rows[symbol] = (price, price, price, price, 0.0)
        bars = Bars(now_ns, now_ns, session.day, False, rows)
        self._overnight.begin(bars, bars, reports)
        self._quotes.moved = True

    # -- commands

    def _new(self, command: NewOrder, now_ns: int) -> list[Report]:
        reports = super()._new(command, now_ns)
        if type(reports[0]) is Accepted:
            order = self._orders.open[base_id_of(command.wire_id)]
            self._arrive(order, now_ns, reports, is_new=True)
        return reports

    def _replace(self, command: ReplaceRequest, now_ns: int) -> list[Report]:
        reports = super()._replace(command, now_ns)
        if type(reports[0]) is Replaced:
            order = self._orders.open[base_id_of(command.new_wire_id)]
            self._arrive(order, now_ns, reports, is_new=False)
        return reports

    def _arrive(self, order: WorkingOrder, now_ns: int, reports: list[Report], *, is_new: bool) -> None:
        """Let an order that begins to wait meet the quote that stands, unless it waits for an auction."""
        touch = self._quotes.fresh(order.listing.symbol, now_ns)
        if touch is None or order.queue is self._book.opening or order.queue is self._book.closing:
            return
        if is_new and order.is_trailing:
            order.mark = Decimal(repr(touch.ask.price if order.is_buy else touch.bid.price))
            order.stop = order.trailing_stop()
        self._quotes.meet(order, touch, now_ns, reports)

    def _match_at_once(self, order: WorkingOrder, now_ns: int, reports: list[Report]) -> None:
        """There are no bars whose rest an order could meet."""


def _instant(session: Session, at_ns: int, *, closes: bool) -> Bars:
    """Return bars without prices, which stand for a moment of a session."""
    return Bars(at_ns, at_ns, session.day, closes, {})

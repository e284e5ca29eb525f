"""A bar against the book: which orders it touches, when, and at what price it fills them.

- All that may trade at the open does so first, in order of arrival over all symbols. Then symbol by symbol, by their first
  order, comes what the rest of the bar reaches, in the order in which its path does. Of orders reached at once the
  first to arrive is the first to trade. The bar's volume is shared in that order.
- A stop that the open has passed fills at the open, else at its trigger, slipped both times. A stop-limit becomes a limit
  order there, judged by the path from there on. A trailing stop follows the path, point by point.
- IOC and FOK orders are tried once, at the open, and what that does not give is cancelled; so are OPG orders, which
  expire. CLS orders are tried at the close.

Only a bar that touches several orders, or a stop, is followed along its path. Trailing stops are looked at with every bar
of their symbol; every other order only with bars that touch it.
"""

from __future__ import annotations

from decimal import Decimal
from math import inf
from operator import attrgetter

from ...actors.bars import Bars, Row
from ...actors.model import TimeInForce
from ...actors.ports import BrokerOrderState, Cancelled, Executed, Expired, Report
from .book import Book, Listing
from .costs import as_decimal
from .executions import Executions
from .orders import NOT_PRICED, WorkingOrder
from .path import LOW_FIRST, Path, Walk, path_of, reached
from .rules import ExchangeRules

by_sequence = attrgetter("sequence")
CANCELLED, EXPIRED = BrokerOrderState.CANCELLED, BrokerOrderState.EXPIRED
IOC, FOK = TimeInForce.IOC, TimeInForce.FOK
AUCTIONS = (TimeInForce.OPG, TimeInForce.CLS)

Trade = tuple[WorkingOrder, Executed]


class Matching:
    """Matches bars with the orders in the book. `met` are the last bars that touched orders, and what came of it."""

    __slots__ = ("_at_close", "_at_touch", "_book", "_low_first", "_resting", "executions", "met")

    def __init__(self, rules: ExchangeRules, book: Book, executions: Executions) -> None:
        self._book = book
        self._resting = book.resting
        self.executions = executions
        self._at_touch = rules.limit_fill == "touch"
        self._low_first = LOW_FIRST[rules.path]
        self.met: tuple[Bars, list[WorkingOrder], list[Report]] | None = None
        self._at_close: tuple[Bars | None, dict[str, None]] = (None, {})  # the symbols that traded at a close

    def match(self, bars: Bars, reports: list[Report]) -> None:
        """Execute what the bars give the orders that are live at their start."""
        touched = self._touched(bars.rows, bars.end_ns)
        if not touched:
            return
        if len(touched) > 1:
            touched.sort(key=by_sequence)
        if not bars.regular:
            touched = [order for order in touched if order.asked.extended_hours]
        self.met = bars, touched, reports
        start_ns = bars.start_ns
        waiting: list[WorkingOrder] = []
        for order in touched:
            if order.arrived_ns > start_ns:
                continue
            opened = order.listing.open
            if order.plain:
                limit = order.limit
                if limit is None or (opened <= limit if order.is_buy else opened >= limit):
                    self.executions.execute(order, None, opened, start_ns, reports)
                    continue
            elif not self._waits(order, opened, start_ns, reports):
                continue
            waiting.append(order)
        if waiting:
            self._follow(waiting, bars, reports)

    def _touched(self, rows: dict[str, Row], end_ns: int) -> list[WorkingOrder]:
        """Return the orders that the bars touch, their listings ready to be matched."""
        touched: list[WorkingOrder] = []
        idle: tuple[str, ...] = ()
        for symbol, listing in self._resting.items():
            row = rows.get(symbol)
            if row is None:
                continue
            opened, high, low, _, _ = row
            unpriced, below, above = listing.unpriced, listing.below, listing.above
            if unpriced or below.best >= low or above.best >= -high:
                if not (0.0 < opened < inf and low > 0.0 and high < inf):
                    continue
                listing.begin(row, end_ns)
                touched += unpriced.values()
                if below.best >= low:
                    below.collect(low, touched)
                if above.best >= -high:
                    above.collect(-high, touched)
            elif below.best == NOT_PRICED == above.best:
                idle = (*idle, symbol)
        for symbol in idle:
            del self._resting[symbol]
        return touched

    # -- at the open

    def _waits(self, order: WorkingOrder, opened: Decimal, start_ns: int, reports: list[Report]) -> bool:
        """Do what the open makes of an order that is not plain, and tell whether it waits for the rest of the bar."""
        if order.moment is not None:
            self._try_once(order, opened, start_ns, reports)
            return False
        if order.is_passed(opened):
            self._trigger(order, opened, start_ns, reports)
            return not order.accepts(opened)
        if order.is_trailing:
            order.follow(opened)
        return True

    def _trigger(self, order: WorkingOrder, price: Decimal, at_ns: int, reports: list[Report]) -> None:
        """Make a stop order at `price` what it becomes, and execute that if it may trade there."""
        self._book.trigger(order)
        if order.accepts(price):
            self.executions.execute(order, None, price, at_ns, reports)

    def _try_once(self, order: WorkingOrder, price: Decimal, at_ns: int, reports: list[Report]) -> None:
        """Execute at `price` what its moment gives an order, and end it with that."""
        if order.accepts(price):
            enough = order.moment is not FOK or self.executions.room(order.listing) >= order.remaining
            if enough:
                self.executions.execute(order, None, price, at_ns, reports)
                if not order.remaining:
                    return
            text = "the bar's volume did not suffice"
        else:
            text = f"the market was at {price}"
        order.listing.ended_ns = order.listing.bar_end_ns
        if order.moment in AUCTIONS:
            self._book.close(order, EXPIRED)
            reports.append(Expired(order.wire_id))
            return
        what = "all at once" if order.moment is FOK else f"the last {order.remaining} at once"
        self._book.close(order, CANCELLED)
        reports.append(Cancelled(order.wire_id, f"{order.moment}: not {what}; {text}"))

    # -- inside the bar

    def _follow(self, waiting: list[WorkingOrder], bars: Bars, reports: list[Report]) -> None:
        """Execute what the bars reach after their open, symbol by symbol."""
        if len(waiting) == 1:
            self._follow_symbol(waiting, bars, reports)
            return
        groups: dict[str, list[WorkingOrder]] = {}
        for order in waiting:
            groups.setdefault(order.listing.symbol, []).append(order)
        for group in groups.values():
            self._follow_symbol(group, bars, reports)

    def _follow_symbol(self, waiting: list[WorkingOrder], bars: Bars, reports: list[Report]) -> None:
        order = waiting[0]
        listing, limit = order.listing, order.limit
        if len(waiting) == 1 and order.plain and limit is not None and not order.triggered:  # any path is as good
            if listing.reaches(order, limit, self._at_touch):
                self.executions.execute(order, limit, limit, bars.end_ns, reports)
            return
        listing.walk = walk = Walk(bars, self.path(listing, listing.holding.quantity, order.is_buy))
        self._walk(waiting, walk.path, bars.end_ns, walk.points, reports)

    def path(self, listing: Listing, position: Decimal, is_buy: bool) -> Path:
        """Return the path of the listing's bar, for the position after its open and the side of the first that waits."""
        return path_of(listing.row, self._low_first(listing.row, position, is_buy))

    def _walk(
        self, waiting: list[WorkingOrder], path: Path, at_ns: int, points: dict[str, Path], reports: list[Report]
    ) -> None:
        """Take the market along a path, past orders of one symbol that cannot trade where it begins."""
        place = path[0]
        for index, to in enumerate(path[1:], 1):
            falling = to < place
            for price, order in reached(waiting, to, falling, self._at_touch):
                points[order.wire_id] = (price, *path[index:])
                if order.stop is not None:
                    self._trigger(order, price, at_ns, reports)
                    traded = order.limit is None or order.accepts(price)
                else:
                    self.executions.execute(order, price, price, at_ns, reports)
                    traded = True
                if traded:  # whether the volume sufficed or not: nothing meets a bar twice
                    waiting.remove(order)
            for order in waiting:
                if order.is_trailing:
                    order.follow(to)
            place = to

    # -- what comes when a bar has ended

    def match_closing(self, bars: Bars, reports: list[Report]) -> None:
        """Try the orders for the closing auction at the session's last prices."""
        for order in list(self._book.closing.values()):
            self.match_close(order, bars, reports)

    def match_close(self, order: WorkingOrder, bars: Bars, reports: list[Report]) -> None:
        """Let an order meet the close of the bars that have just ended, if its symbol has a price there."""
        if not (bars.regular or order.asked.extended_hours):
            return
        close = self._close_of(order.listing, bars)
        if close is None:
            return
        before = len(reports)
        if order.moment is not None:
            self._try_once(order, close, bars.end_ns, reports)
        elif order.is_passed(close):
            self._trigger(order, close, bars.end_ns, reports)
        elif order.plain and order.accepts(close):
            self.executions.execute(order, None, close, bars.end_ns, reports)
        if any(isinstance(report, Executed) for report in reports[before:]):
            if self._at_close[0] is not bars:
                self._at_close = bars, {}
            self._at_close[1][order.listing.symbol] = None

    def traded_at_close(self, listing: Listing, bars: Bars) -> bool:
        """Tell whether anything traded at the close of the listing's bar among these."""
        of, symbols = self._at_close
        return of is bars and listing.symbol in symbols

    def _close_of(self, listing: Listing, bars: Bars) -> Decimal | None:
        """Return the close of the listing's bar among these, which nobody may have touched so far; None if it has no price."""
        row = bars.rows.get(listing.symbol)
        if row is None or not 0.0 < row[3] < inf:
            return None
        if listing.bar_end_ns != bars.end_ns:
            listing.begin(row, bars.end_ns)
        return as_decimal(row[3])

    def match_rest(self, order: WorkingOrder, rest: Path, now_ns: int, reports: list[Report]) -> None:
        """Let an order that arrives at the first point of `rest` meet that rest of the bar that has just ended."""
        place = rest[0]
        if order.is_trailing:
            order.mark = place
            order.stop = order.trailing_stop()
        if order.is_passed(place):
            self._trigger(order, place, now_ns, reports)
            if order.accepts(place):
                return
        elif order.plain and order.accepts(place):
            self.executions.execute(order, None, place, now_ns, reports)
            return
        self._walk([order], rest, now_ns, {}, reports)

    def trades(self, bars: Bars) -> list[Trade]:
        """Return what these bars, the last, have executed so far but for what came at their close."""
        if self.met is None or self.met[0] is not bars:
            return []
        _, touched, reports = self.met
        by_wire_id = {order.wire_id: order for order in touched}
        return [
            (by_wire_id[report.wire_id], report)
            for report in reports
            if isinstance(report, Executed) and report.wire_id in by_wire_id
        ]

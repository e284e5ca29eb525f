"""The paper venue on live quotes, which come once and cannot be read again.

So the quotes are inputs that are kept, but not all: thousands come for one that matters. A quote is taken down when it does
something to an order, or to what one waits for (a fill, a trigger, a trailing stop that follows, shares that are there
again), and the last of each symbol before anything that could look at it: a new order, a replacement, a session's begin and
end. All others have changed nothing but the last quote of their symbol, and the next one changes that as well; so a venue
that takes in only those that were taken down is the same. Quotes that came after the last of them are gone with the process,
as they would be old by the time of the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...actors.bars import Bars
from ...actors.ports import Instruments, NewOrder, ReplaceRequest
from ...actors.quotes import Quote
from ..simulated.hours import Session, Sessions
from ..simulated.orders import REMEMBERED
from ..simulated.quoted_exchange import QuotedExchange
from ..simulated.rules import ExchangeRules
from .inputs import AnyInput, Quoted, SessionBegan, SessionOver
from .memory import Archive
from .venue import PaperVenue, Said

LOOKS_AT_PRICES = (NewOrder, ReplaceRequest)


class QuotedVenue(PaperVenue):
    """One account at one exchange on quotes. `sessions` say when it is open."""

    exchange: QuotedExchange

    def __init__(
        self,
        rules: ExchangeRules,
        instruments: Instruments,
        archive: Archive,
        sessions: Sessions,
        *,
        account: str = "main",
        remembered: int = REMEMBERED,
        fresh_ns: int,
    ) -> None:
        super().__init__(rules, instruments, archive, account=account, sessions=sessions, remembered=remembered)
        self.exchange = QuotedExchange(rules, instruments, account, sessions, self.orders, fresh_ns=fresh_ns)
        self._sessions = sessions
        self._untaken: dict[str, None] = {}

    # --- Inputs --------------------------------------------------------------------------------------------------------

    def command(self, command: Any, cause: int, now_ns: int) -> list[Said]:
        if isinstance(command, LOOKS_AT_PRICES):
            self._take_down(max(now_ns, self.now_ns))
        return super().command(command, cause, now_ns)

    def deliver(self, until_ns: int, bar_start_ns: int | None = None) -> list[Said]:
        due_ns = self.next_due_ns()
        if due_ns is not None and due_ns <= until_ns:
            self._take_down(max(until_ns, self.now_ns))
        return super().deliver(until_ns, bar_start_ns)

    def quotes(self, quotes: Sequence[Quote], now_ns: int) -> list[Said]:
        """Take quotes that have come; of a symbol only the last counts."""
        newest = {quote.symbol: quote for quote in quotes}
        if any(map(self._hides_a_price, newest.values())):
            self._take_down(self.now_ns)
        self.now_ns = max(now_ns, self.now_ns)
        self.exchange.has_moved()  # what a command has moved is in the log
        reports = self.exchange.on_quotes(newest.values(), self.now_ns)
        for symbol in newest:
            self._untaken.pop(symbol, None)
            self._untaken[symbol] = None
        if self.exchange.has_moved():
            self._take_down(self.now_ns)
        return self._say(reports, 0)

    def next_session_ns(self) -> int | None:
        """Return when the session closes that is open, or the next one opens; None beyond the calendar's end."""
        session = self.exchange.session
        if session is not None:
            return session.close_ns
        coming = self._sessions.at(self.now_ns)
        return None if coming is None else coming.open_ns

    def pass_time(self, now_ns: int) -> list[Said]:
        """Let sessions open and close whose time has come, one after the other, also if nobody was here then."""
        said: list[Said] = []
        self.now_ns = self.now_ns or now_ns  # a new account begins now
        while (change_ns := self.next_session_ns()) is not None and change_ns <= now_ns:
            self._take_down(self.now_ns)
            session = self.exchange.session or self._sessions.at(self.now_ns)
            assert session is not None
            if self.exchange.session is None:
                said += self._open(session)
            else:
                said += self._close(session)
        return said

    def again(self, made: AnyInput, next_bars: Callable[[], Bars]) -> None:
        if isinstance(made, Quoted):
            self.quotes(made.quotes, made.at_ns)
            self._take_down(made.at_ns)
        elif isinstance(made, SessionBegan):
            self._open(Session(made.day, made.open_ns, made.close_ns))
        elif isinstance(made, SessionOver):
            assert self.exchange.session is not None
            self._close(self.exchange.session)
        else:
            super().again(made, next_bars)

    # --- Inside --------------------------------------------------------------------------------------------------------

    def _open(self, session: Session) -> list[Said]:
        self.log.append(SessionBegan(*session))
        self.now_ns = max(session.open_ns, self.now_ns)
        return self._say(self.exchange.open_session(session), 0)

    def _close(self, session: Session) -> list[Said]:
        self.log.append(SessionOver())
        self.now_ns = max(session.close_ns, self.now_ns)
        return self._say(self.exchange.close_session(), 0)

    def _hides_a_price(self, quote: Quote) -> bool:
        """Tell whether a quote that says no price comes after one that does, and that is not in the log."""
        if quote.price is not None or quote.symbol not in self._untaken:
            return False
        before = self.exchange.quote(quote.symbol)
        return before is not None and before.price is not None

    def _take_down(self, at_ns: int) -> None:
        """Log the last quotes that are not in the log."""
        if self._untaken:
            found = (self.exchange.quote(symbol) for symbol in self._untaken)
            self.log.append(Quoted(tuple(quote for quote in found if quote is not None), at_ns))
            self._untaken.clear()

"""Positions and cash, keyed by account and symbol. The ledger is in `machines/position.py`."""

from __future__ import annotations

import msgspec

from .actor import Actor, Record, fold, handler
from .events import CashMoved, OrderFilled, PositionAdjusted, SessionOpened
from .machines.position import Ledger
from .messages import GetPositions
from .model import Position
from .ports import MarketData


class Positions(Actor[GetPositions]):
    """Folds fills, and what happens without an order, into cash and holdings."""

    state: Ledger

    def __init__(self, market: MarketData, default_account: str) -> None:
        self.state = Ledger()
        self._market = market
        self._default_account = default_account

    def view(self) -> Ledger:
        """Return the ledger."""
        return self.state

    @handler
    def positions(self, message: GetPositions) -> None:
        self.ctx.reply(message.reply_to, priced(self.state, self._default_account, self._market))

    @fold
    def _opened(self, event: SessionOpened, record: Record) -> None:
        self.state.open(event)
        self.state.last_record = record.number

    @fold
    def _filled(self, event: OrderFilled, record: Record) -> None:
        ledger = self.state
        ledger.fill(event)
        ledger.last_record = record.number

    @fold
    def _cash_moved(self, event: CashMoved, record: Record) -> None:
        self.state.move_cash(event)
        self.state.last_record = record.number

    @fold
    def _adjusted(self, event: PositionAdjusted, record: Record) -> None:
        self.state.adjust(event)
        self.state.last_record = record.number


def priced(ledger: Ledger, account: str, market: MarketData) -> dict[str, Position]:
    """Return the open positions of an account with their last prices."""
    held = ledger.positions(account)
    return {
        symbol: msgspec.structs.replace(position, market_price=market.last_price(symbol))
        for symbol, position in held.items()
    }

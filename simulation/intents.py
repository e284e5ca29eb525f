"""What a client wants: orders of every kind, near the market and away from it, on the side that keeps positions small."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from random import Random
from types import MappingProxyType

from ..actors.messages import Change
from ..actors.model import ZERO, Order, OrderType, Purpose, Side, TimeInForce
from .market import Market

CENT = Decimal("0.01")
LARGEST = 100
LEAN = 400
"""The position at which nobody adds to it any more."""

DAY, GTC, IOC = TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC


class Intents:
    """Makes orders without ids. `positions` are those that the client was told last."""

    def __init__(self, random: Random, market: Market) -> None:
        self.positions: Mapping[str, Decimal] = {}
        self._random, self._market = random, market

    def order(self, kind: str) -> Order:
        """Return an order of one of the KINDS."""
        symbol = self._random.choice(self._market.symbols)
        return KINDS[kind](self, symbol, self._side(symbol))

    def exit(self) -> Order | None:
        """Return an order that closes a part of a position, now and then of more than there is; None without positions."""
        held = [symbol for symbol in self._market.symbols if self.positions.get(symbol)]
        if not held:
            return None
        random = self._random
        symbol = random.choice(held)
        position = self.positions[symbol]
        side = Side.SELL if position > ZERO else Side.BUY
        most = max(int(abs(position)), 1)
        quantity = random.randint(1, most) if random.random() < 0.75 else most + random.randint(1, LARGEST)
        if random.random() < 0.3:
            stop = self._away(symbol, side.opposite, 0.004, 0.02)
            return Order(
                symbol=symbol,
                side=side,
                quantity=Decimal(quantity),
                order_type=OrderType.STOP,
                stop_price=stop,
                purpose=Purpose.PROTECTIVE,
                time_in_force=GTC,
            )
        return Order(symbol=symbol, side=side, quantity=Decimal(quantity), purpose=Purpose.EXIT)

    def targets(self) -> dict[str, Decimal]:
        """Return target positions for some symbols."""
        random = self._random
        symbols = random.sample(self._market.symbols, random.randint(1, 3))
        return {symbol: Decimal(random.randint(-60, 120)) for symbol in symbols}

    def change(self, order: Order) -> Change:
        """Return a change of an open order: of its quantity, of its price, or of both."""
        random = self._random
        what = random.random()
        quantity = Decimal(random.randint(1, LARGEST)) if what < 0.6 else None
        if what < 0.4:
            return Change(quantity)
        away = self._away(order.symbol, order.side, -0.001, 0.012)
        if order.limit_price is not None:
            return Change(quantity, limit_price=away)
        if order.stop_price is not None:
            return Change(quantity, stop_price=self._away(order.symbol, order.side.opposite, 0.003, 0.02))
        return Change(quantity or Decimal(random.randint(1, LARGEST)))

    # --- Kinds -----------------------------------------------------------------------------------------------------------

    def market(self, symbol: str, side: Side) -> Order:
        return Order(symbol=symbol, side=side, quantity=self._quantity())

    def marketable(self, symbol: str, side: Side) -> Order:
        return self._limited(symbol, side, self._away(symbol, side, -0.006, -0.001), self._random.choice((DAY, GTC)))

    def resting(self, symbol: str, side: Side) -> Order:
        return self._limited(symbol, side, self._away(symbol, side, 0.001, 0.012), self._random.choice((DAY, GTC, GTC)))

    def immediate(self, symbol: str, side: Side) -> Order:
        return self._limited(symbol, side, self._away(symbol, side, -0.004, 0.002), IOC)

    def stop(self, symbol: str, side: Side) -> Order:
        return Order(
            symbol=symbol,
            side=side,
            quantity=self._quantity(),
            order_type=OrderType.STOP,
            stop_price=self._away(symbol, side.opposite, 0.002, 0.015),
            time_in_force=self._random.choice((DAY, GTC)),
        )

    def stop_limit(self, symbol: str, side: Side) -> Order:
        stop = self._away(symbol, side.opposite, 0.002, 0.015)
        beyond = Decimal("0.05") if side is Side.BUY else Decimal("-0.05")
        return Order(
            symbol=symbol,
            side=side,
            quantity=self._quantity(),
            order_type=OrderType.STOP_LIMIT,
            stop_price=stop,
            limit_price=stop + beyond,
            time_in_force=GTC,
        )

    # --- Numbers ---------------------------------------------------------------------------------------------------------

    def _limited(self, symbol: str, side: Side, price: Decimal, time_in_force: TimeInForce) -> Order:
        return Order(
            symbol=symbol,
            side=side,
            quantity=self._quantity(),
            order_type=OrderType.LIMIT,
            limit_price=price,
            time_in_force=time_in_force,
        )

    def _side(self, symbol: str) -> Side:
        """Return a side, the more often that of flat the larger the position is."""
        position = float(self.positions.get(symbol, ZERO))
        return Side.BUY if self._random.random() < 0.5 - position / (2 * LEAN) else Side.SELL

    def _quantity(self) -> Decimal:
        return Decimal(self._random.randint(1, LARGEST))

    def _away(self, symbol: str, side: Side, least: float, most: float) -> Decimal:
        """Return a price that is better for `side` than the market's by a fraction in this range; negative is worse."""
        price = self._market.price(symbol)
        by = Decimal(round(self._random.uniform(least, most) * 1_000_000)).scaleb(-6)
        wanted = price * (1 - by if side is Side.BUY else 1 + by)
        return max(wanted.quantize(CENT), CENT)


KINDS: Mapping[str, Callable[[Intents, str, Side], Order]] = MappingProxyType(
    {
        "market": Intents.market,
        "marketable": Intents.marketable,
        "resting": Intents.resting,
        "immediate": Intents.immediate,
        "stop": Intents.stop,
        "stop_limit": Intents.stop_limit,
    }
)

"""The prices: one walk a symbol, seen by the broker tick by tick and by the core as bars, of which some are bad.

Prices are whole cents. A walk is drawn back to where its symbol belongs, so that a long run trades at prices like those of
a short one, and leaps now and then. The market never closes: a session is a day, UTC.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from random import Random
from types import MappingProxyType

from ..actors.bars import Bars, CorporateAction, CorporateActionKind, Row
from .faults import Fault, FaultPlan
from .schedule import HOUR_NS, MINUTE_NS, Schedule

SYMBOLS: Mapping[str, Decimal] = MappingProxyType(
    {"A": Decimal("24.00"), "B": Decimal("61.50"), "C": Decimal("112.25"), "D": Decimal("178.00")}
)
"""The symbols that are traded, and where their prices begin."""

DAY_NS = 24 * HOUR_NS
TICKS_A_BAR = 4
STEP = 0.0016
"""By how much a tick moves a price at most: so a price moves by about 1.5 % in an hour."""
PULL = 0.002
"""The part of its distance from home that a price comes back with a tick."""
LEAP_CHANCE, LEAP = 0.002, 0.03
"""How often a price leaps, and by how much at most."""
VOLUME = 1_000_000.0
"""There is always enough to trade: how orders fill in parts is the broker's business."""

OnTick = Callable[[str, Decimal], None]
OnBar = Callable[[Bars, Mapping[str, bool]], None]

BAD_PRICES: tuple[Callable[[float], float], ...] = (
    lambda _: math.nan,
    lambda _: 0.0,
    lambda price: -price,
    lambda price: price * 1000,
    lambda price: price / 1000,
)
"""What a feed shows instead of a price."""


class Market:
    """Moves the prices once it is started, and tells its listeners: every tick, then the bar that ends with it."""

    def __init__(
        self,
        schedule: Schedule,
        random: Random,
        plan: FaultPlan,
        symbols: Mapping[str, Decimal] = SYMBOLS,
        every_ns: int = MINUTE_NS,
    ) -> None:
        self._schedule, self._random, self._plan, self._every_ns = schedule, random, plan, every_ns
        self._homes = {symbol: float(price * 100) for symbol, price in symbols.items()}
        self._cents = {symbol: int(price * 100) for symbol, price in symbols.items()}
        self._ranges = {symbol: (cents, cents, cents) for symbol, cents in self._cents.items()}  # open, high, low
        self._on_tick: list[OnTick] = []
        self._on_bar: list[OnBar] = []
        self._actions: list[CorporateAction] = []
        self._ticks = 0
        self._bar_began_ns = schedule.now_ns

    def listen(self, on_tick: OnTick | None = None, on_bar: OnBar | None = None) -> None:
        """Have every true price told, and every bar as the core sees it with which of its symbols have no usable price."""
        if on_tick is not None:
            self._on_tick.append(on_tick)
        if on_bar is not None:
            self._on_bar.append(on_bar)

    def start(self) -> None:
        """Begin the first bar."""
        self._bar_began_ns = self._schedule.now_ns
        self._tick_later()

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(self._cents)

    @property
    def prices(self) -> dict[str, Decimal]:
        """The true prices by symbol."""
        return {symbol: in_currency(cents) for symbol, cents in self._cents.items()}

    def price(self, symbol: str) -> Decimal:
        """Return the true price."""
        return in_currency(self._cents[symbol])

    def split(self, symbol: str, ratio: Decimal) -> None:
        """Give `ratio` new shares for one old from now on: prices are those of new shares, and the next bar says so."""
        self._homes[symbol] /= float(ratio)
        self._cents[symbol] = max(int(self._cents[symbol] / ratio), 1)
        self._ranges[symbol] = (self._cents[symbol],) * 3
        session = self._bar_began_ns // DAY_NS
        split = CorporateAction(kind=CorporateActionKind.SPLIT, symbol=symbol, session=session, ratio=ratio)
        self._actions.append(split)
        self._tell(symbol)

    # --- Ticks -----------------------------------------------------------------------------------------------------------

    def _tick_later(self) -> None:
        due_ns = self._bar_began_ns + self._every_ns * (self._ticks + 1) // TICKS_A_BAR
        self._schedule.at(due_ns, self._tick)

    def _tick(self) -> None:
        for symbol in self._cents:
            self._move(symbol)
            self._tell(symbol)
        self._ticks += 1
        if self._ticks == TICKS_A_BAR:
            self._end_bar()
        self._tick_later()

    def _move(self, symbol: str) -> None:
        random, cents = self._random, self._cents[symbol]
        size = LEAP if random.random() < LEAP_CHANCE else STEP
        drift = cents * size * (2 * random.random() - 1) + PULL * (self._homes[symbol] - cents)
        self._cents[symbol] = cents = max(round(cents + drift), 1)
        open_, high, low = self._ranges[symbol]
        self._ranges[symbol] = (open_, max(high, cents), min(low, cents))

    def _tell(self, symbol: str) -> None:
        price = in_currency(self._cents[symbol])
        for on_tick in self._on_tick:
            on_tick(symbol, price)

    # --- Bars ------------------------------------------------------------------------------------------------------------

    def _end_bar(self) -> None:
        began_ns, ended_ns = self._bar_began_ns, self._bar_began_ns + self._every_ns
        self._bar_began_ns, self._ticks = ended_ns, 0
        rows: dict[str, Row] = {}
        bad: dict[str, bool] = {}
        for symbol, cents in self._cents.items():
            open_, high, low = self._ranges[symbol]
            self._ranges[symbol] = (cents, cents, cents)
            is_spoiled = self._plan.hits(Fault.BAD_TICK)
            row = (open_ / 100, high / 100, low / 100, cents / 100, VOLUME)
            rows[symbol] = self._spoiled(row[3]) if is_spoiled else row
            bad[symbol] = not is_usable(rows[symbol][3])
        actions, self._actions = tuple(self._actions), []
        session = began_ns // DAY_NS
        bars = Bars(began_ns, ended_ns, session, ended_ns // DAY_NS > session, rows, actions)
        for on_bar in self._on_bar:
            on_bar(bars, bad)

    def _spoiled(self, close: float) -> Row:
        price = self._random.choice(BAD_PRICES)(close)
        return (price, price, price, price, VOLUME)


def is_usable(price: float) -> bool:
    """Tell whether a price may be traded by. That one is a thousand times too high cannot be seen by looking at it."""
    return math.isfinite(price) and price > 0


def in_currency(cents: int) -> Decimal:
    """Return cents as a price with two places."""
    return Decimal(cents).scaleb(-2)

"""Random markets, settings and strategies for whole backtests, as hypothesis draws them, and the run that follows from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from ordersmith.actors.bars import Bars, CorporateAction, CorporateActionKind, Row
from ordersmith.actors.messages import Flatten, HaltTrading, ResumeTrading
from ordersmith.actors.model import Order, OrderStatus, Purpose, Side, TimeInForce
from ordersmith.actors.strategy import Strategy
from ordersmith.adapters.simulated.hours import Session
from ordersmith.adapters.simulated.orders import base_id_of
from ordersmith.config import load
from ordersmith.supervisor.backtest import Backtest

SYMBOLS = {"A": "1", "L": "5"}
"""The symbols with their lots."""

BAR_NS = 1_800_000_000_000
DAY_NS = 48 * BAR_NS
FIRST_SESSION = 19_862
"""2024-05-19: three sessions later the regulators' rates change."""
OPEN_NS = 20 * BAR_NS

LAYOUTS = ("RR", "R", "xRRx", "xRx")
"""The bars of a session: R is a regular one, x one outside of the regular hours."""

Action = tuple[Any, ...]


class Timetable:
    """The calendar of a `ListFeed`: one session a day."""

    def __init__(self, layout: str) -> None:
        self._opens = layout.index("R") * BAR_NS
        self._closes = (layout.rindex("R") + 1) * BAR_NS

    def at(self, now_ns: int) -> Session:
        """Return the session that is open, else the next one."""
        day = (now_ns - OPEN_NS - self._closes) // DAY_NS + 1
        start_ns = day * DAY_NS + OPEN_NS
        return Session(day, start_ns + self._opens, start_ns + self._closes)


class ListFeed:
    """Bars from a list: what a feed is to a backtest, a session a day with the bars of a layout, and each session's corporate actions.

    The sessions of actions are counted from the first.
    """

    def __init__(
        self, steps: list[dict[str, Row]], actions: list[CorporateAction], layout: str = "RR", *, calendar: bool = False
    ) -> None:
        self.symbols = tuple(SYMBOLS)
        self.start_ns = FIRST_SESSION * DAY_NS + OPEN_NS
        self.step_count = len(steps)
        self.schedule = Timetable(layout) if calendar else None
        dated = [
            replace(action, session=FIRST_SESSION + action.session, pay_session=FIRST_SESSION + action.pay_session)
            for action in actions
        ]
        self.bars = []
        for index, rows in enumerate(steps):
            day, place = divmod(index, len(layout))
            session = FIRST_SESSION + day
            start_ns = session * DAY_NS + OPEN_NS + place * BAR_NS
            due = tuple(action for action in dated if place == 0 and action.session == session)
            closes, regular = place == layout.rindex("R"), layout[place] == "R"
            self.bars.append(Bars(start_ns, start_ns + BAR_NS, session, closes, rows, due, regular))

    def __iter__(self) -> Iterator[Bars]:
        return iter(self.bars)


def _row(opened: int, closed: int, up: int, down: int, volume: int) -> Row:
    low, high = max(min(opened, closed) - down, 1), max(opened, closed) + up
    return (opened / 100, high / 100, low / 100, closed / 100, float(volume))


PRICE = st.integers(900, 1100)
WICK = st.sampled_from([0, 10, 60, 120])
ROWS = st.builds(_row, PRICE, PRICE, WICK, WICK, st.sampled_from([0, 100, 1000, 20_000, 20_000, 20_000]))
STEP = st.builds(
    lambda rows, present: {symbol: rows[symbol] for symbol in present},
    st.fixed_dictionaries(dict.fromkeys(SYMBOLS, ROWS)),
    st.sampled_from(["AL", "AL", "AL", "A", "L"]),
)
STEPS = st.lists(STEP, min_size=8, max_size=12)

SPLITS = st.builds(
    CorporateAction,
    kind=st.just(CorporateActionKind.SPLIT),
    symbol=st.sampled_from(list(SYMBOLS)),
    session=st.integers(1, 4),
    ratio=st.sampled_from([Decimal(2), Decimal(3), Decimal("1.5"), Decimal("0.1"), Decimal(1) / 3]),
)
DIVIDENDS = st.builds(
    lambda symbol, session, cents, days: CorporateAction(
        kind=CorporateActionKind.DIVIDEND,
        symbol=symbol,
        session=session,
        amount=Decimal(cents) / 100,
        pay_session=session + days,
    ),
    st.sampled_from(list(SYMBOLS)),
    st.integers(1, 4),
    st.sampled_from([0.5, 1, 25, 333]).map(str),
    st.integers(0, 2),
)
SYMBOL_CHANGES = st.builds(
    lambda names, session: CorporateAction(
        kind=CorporateActionKind.SYMBOL_CHANGE, symbol=names[0], session=session, new_symbol=names[1]
    ),
    st.permutations(list(SYMBOLS)),
    st.integers(1, 4),
)
ACTIONS_OF_COMPANIES = st.lists(SPLITS | DIVIDENDS | SYMBOL_CHANGES, max_size=3)

QUANTITY = st.sampled_from(["5", "10", "35", "200", "1500", "3"])
TICKS = st.integers(-140, 140)
ORDINAL = st.integers(0, 9)
MOMENTS = [TimeInForce.GTC, TimeInForce.GTC, TimeInForce.DAY]
KINDS = st.one_of(
    st.tuples(st.just({}), st.sampled_from([*MOMENTS, *TimeInForce])),
    st.tuples(st.fixed_dictionaries({"limit_price": TICKS}), st.sampled_from([*MOMENTS, *MOMENTS, *TimeInForce])),
    st.tuples(st.fixed_dictionaries({"limit_price": TICKS}), st.sampled_from(MOMENTS)),
    st.tuples(
        st.one_of(
            st.fixed_dictionaries({"stop_price": TICKS}),
            st.fixed_dictionaries({"stop_price": TICKS, "limit_price": TICKS}),
            st.fixed_dictionaries({"trail_amount": st.sampled_from(["0.01", "0.2", "1"])}),
            st.fixed_dictionaries({"trail_percent": st.sampled_from(["0.1", "2", "7.5"])}),
        ),
        st.sampled_from(MOMENTS),
    ),
)
ORDER = st.builds(
    lambda symbol, side, quantity, kind, purpose, extended: (
        "order",
        symbol,
        side,
        quantity,
        *kind,
        purpose,
        extended and kind[0].keys() == {"limit_price"} and kind[1] in MOMENTS,
    ),
    st.sampled_from([*SYMBOLS] * 6 + ["NONE"]),
    st.sampled_from(["BUY", "BUY", "SELL"]),
    QUANTITY,
    KINDS,
    st.sampled_from([Purpose.ENTRY] * 5 + [Purpose.EXIT]),
    st.booleans(),
)
REPLACE = st.tuples(st.just("replace"), ORDINAL, st.none() | QUANTITY, TICKS)
TARGETS = st.tuples(
    st.just("targets"),
    st.dictionaries(st.sampled_from(list(SYMBOLS)), st.sampled_from([0, 5, 50, -40, 300]), min_size=1),
    st.booleans(),
)
RARE = st.sampled_from([("flatten",), ("halt",), *[("resume",)] * 4])
ACTIONS: st.SearchStrategy[Action] = st.one_of(
    ORDER, ORDER, ORDER, st.tuples(st.just("cancel"), ORDINAL), REPLACE, REPLACE, TARGETS, RARE
)
PLANS = st.lists(st.lists(ACTIONS, min_size=2, max_size=5), min_size=6, max_size=10)

CASH = st.sampled_from(["1000000", "20000", "700"])
DELAY = st.sampled_from(["0", "0.1", "600", "1800", "2700"])
"""Seconds: none, less than a bar, a whole one, more than one."""
SCHEDULES = st.fixed_dictionaries(
    {},
    optional={
        "per_order": st.sampled_from(["0.5"]),
        "per_share": st.sampled_from(["0.005", "0.03"]),
        "fraction": st.sampled_from(["0.0007"]),
        "minimum": st.sampled_from(["1", "3"]),
        "maximum": st.sampled_from(["0.01", "0.002"]),
    },
)
EXITS = st.lists(
    st.tuples(
        st.sampled_from([Purpose.EXIT, Purpose.PROTECTIVE]),
        st.one_of(
            st.fixed_dictionaries({"stop_price": st.integers(1, 40)}),
            st.fixed_dictionaries({"limit_price": st.integers(-40, -1)}),
            st.fixed_dictionaries({"stop_price": st.integers(1, 60), "limit_price": st.integers(1, 60)}),
            st.fixed_dictionaries({"trail_amount": st.sampled_from(["0.01", "0.2"])}),
            st.just({}),
        ),
        st.booleans(),
    ),
    min_size=1,
    max_size=2,
)
"""What answers each fill of an entry: exits some ticks against the entry (a stop) or in its favour (a limit)."""
SETTINGS = st.fixed_dictionaries(
    {
        "slippage": st.sampled_from(
            ["0", "0.001", "0.0333", {"fixed": "0.02"}, {"fraction": "0.001", "fixed": "0.0333"}]
        ),
        "commission": st.sampled_from(["0", "1", "0.35", "alpaca", "ib_fixed", "ib_tiered"]) | SCHEDULES,
        "regulatory_fees": st.booleans(),
        "impact": st.sampled_from([None, None, "1", {"coefficient": "0.3", "volatility_sessions": 3}]),
        "latency": st.just(0) | st.fixed_dictionaries({"submit": DELAY, "cancel": DELAY}),
        "fill": st.sampled_from(["next_open", "next_open", "close"]),
        "limit_fill": st.sampled_from(["through", "touch"]),
        "participation": st.sampled_from(["1", "0.1", "0.025"]),
        "price_increment": st.sampled_from(["0.0001", "0.01", "0.03"]),
        "path": st.sampled_from(["pessimistic", "adaptive", "optimistic"]),
        "same_bar_exits": st.sampled_from([True, True, False]),
        "outside_session": st.sampled_from(["next", "next", "next", "refuse"]),
        "adjust_orders_for_dividends": st.booleans(),
        "account": st.fixed_dictionaries(
            {"type": st.just("cash"), "cash": CASH, "settlement_days": st.sampled_from([0, 1, 2])}
        )
        | st.fixed_dictionaries(
            {
                "type": st.just("margin"),
                "cash": CASH,
                "short_initial_margin": st.sampled_from([None, "1.5"]),
                "borrow_rate": st.sampled_from(["0", "3"]),
                "margin_call": st.sampled_from(["flag", "liquidate"]),
            }
        ),
        "targets": st.sampled_from([TimeInForce.DAY, TimeInForce.GTC]),
        "keep": st.sampled_from(["all"]),
        "layout": st.sampled_from(LAYOUTS),
        "calendar": st.booleans(),
        "exits": st.one_of(st.just([]), EXITS, EXITS),
    }
).map(lambda drawn: drawn | {"latency": 0} if drawn["fill"] == "close" else drawn)
OF_THE_RUN = frozenset({"targets", "keep", "layout", "calendar", "exits"})
"""What is drawn with the settings and is none of the exchange's."""


OUTSIDE: dict[str, Callable[[Backtest], Any]] = {
    "flatten": lambda backtest: backtest.ask("rebalancer", Flatten),
    "halt": lambda backtest: backtest.ask("circuit_breaker", lambda to: HaltTrading("drawn", to)),
    "resume": lambda backtest: backtest.ask("circuit_breaker", lambda to: ResumeTrading("drawn", to)),
}
"""What a person does at the end of a bar, after the strategy."""


class RandomTrader(Strategy):
    """Does at the end of each bar what the plan says, and answers fills of entries with exits; prices are ticks from the last close."""

    def __init__(self, plan: list[list[Action]], exits: list[Action] | None = None) -> None:
        self.plan = plan
        self.exits = exits or []
        self.answered: dict[str, Decimal] = {}
        self.bar = -1
        self.ids: list[str] = []
        self.closes: dict[str, float] = {}

    def on_bars(self, bars: Bars) -> None:
        self.bar += 1
        self.closes |= {symbol: bars.close(symbol) for symbol in bars}
        for action in self.plan[self.bar] if self.bar < len(self.plan) else ():
            act = getattr(self, "_" + action[0], None)
            if act is not None:
                act(*action[1:])

    def on_order(self, status: OrderStatus) -> None:
        order, filled = status.order, status.filled_quantity
        fresh = filled - self.answered.get(status.client_order_id, Decimal(0))
        if not self.exits or order.purpose is not Purpose.ENTRY or fresh <= 0 or order.parent:
            return
        self.answered[status.client_order_id] = filled
        is_long = order.side is Side.BUY
        make = Order.sell if is_long else Order.buy
        base = Decimal(round(status.average_price * 100)) / 100
        for purpose, prices, lasts in self.exits:
            terms = {
                name: base - Decimal(at if is_long else -at) / 100 if isinstance(at, int) else at
                for name, at in prices.items()
            }
            in_force = TimeInForce.GTC if lasts else TimeInForce.DAY
            self.ids += self.submit(make(order.symbol, fresh, purpose=purpose, time_in_force=in_force, **terms))

    def _price(self, symbol: str, ticks: int | None) -> Decimal | None:
        if ticks is None:
            return None
        return Decimal(repr(self.closes.get(symbol, 10.0))) + Decimal(ticks).scaleb(-2)

    def _order(
        self,
        symbol: str,
        side: str,
        quantity: str,
        prices: dict[str, Any],
        tif: TimeInForce,
        purpose: Purpose,
        extended: bool = False,
    ) -> None:
        make = Order.buy if side == "BUY" else Order.sell
        terms = {name: self._price(symbol, at) if isinstance(at, int) else at for name, at in prices.items()}
        self.ids += self.submit(
            make(symbol, quantity, time_in_force=tif, purpose=purpose, extended_hours=extended, **terms)
        )

    def _pick(self, ordinal: int) -> str | None:
        """Return one of the open orders, or a closed one if none is open."""
        ours = [order_id for order_id in self.ids if not getattr(self.status(order_id), "is_closed", True)] or self.ids
        return ours[ordinal % len(ours)] if ours else None

    def _cancel(self, ordinal: int) -> None:
        order_id = self._pick(ordinal)
        if order_id is not None:
            self.cancel(order_id)

    def _replace(self, ordinal: int, quantity: str | None, ticks: int) -> None:
        order_id = self._pick(ordinal)
        status = None if order_id is None else self.status(order_id)
        if order_id is not None and status is not None:
            price = self._price(status.symbol, ticks)
            limited, stopped = status.order.limit_price is not None, status.order.stop_price is not None
            self.replace(order_id, quantity, price if limited else None, stop_price=price if stopped else None)

    def _targets(self, targets: dict[str, int], close_others: bool) -> None:
        self.set_targets(targets, close_others=close_others)


class RandomRun:
    """A backtest of a drawn market, setting and plan, stepped bar by bar."""

    def __init__(
        self,
        settings: dict[str, Any],
        steps: list[dict[str, Row]],
        plan: list[list[Action]],
        actions: list[CorporateAction] | None = None,
    ) -> None:
        backtest = {name: value for name, value in settings.items() if name not in OF_THE_RUN}
        self.settings = load(
            {
                "execution": {
                    "mode": "backtest",
                    "backtest": backtest,
                    "targets": {"time_in_force": settings["targets"].value},
                },
                "instruments": {"symbols": {symbol: {"lot": lot} for symbol, lot in SYMBOLS.items()}},
                "journal": {"keep": settings["keep"]},
                "risk": {"price_collar": None},
            }
        )
        self.feed = ListFeed(steps, actions or [], settings["layout"], calendar=settings["calendar"])
        self.trader = RandomTrader(plan, settings["exits"])
        self.plan = plan
        self.asked: list[str] = []
        self.backtest = Backtest(self.settings, self.feed, (("main", self.trader),))

    @property
    def under_way(self) -> set[str]:
        """The orders that have commands under way to the exchange."""
        delayed = self.backtest._delayed
        return set() if delayed is None else {base_id_of(entry.command.wire_id) for entry in delayed.transit.under_way}

    def __iter__(self) -> Iterator[Bars]:
        """Step through all bars, yielding each once everything at its end has happened."""
        self.backtest.start()
        for index, bars in enumerate(self.feed):
            self.backtest.step(bars)
            self.asked = (
                [action[0] for action in self.plan[index] if action[0] in OUTSIDE] if index < len(self.plan) else []
            )
            for action in self.asked:
                OUTSIDE[action](self.backtest)
            yield bars

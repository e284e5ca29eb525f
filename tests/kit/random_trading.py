"""Random markets, settings and strategies for whole backtests, as hypothesis draws them, and the run that follows from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from ordersmith.actors.bars import Bars, CorporateAction, CorporateActionKind, Row
from ordersmith.actors.messages import Flatten, HaltTrading, ResumeTrading
from ordersmith.actors.model import Order, Purpose, TimeInForce
from ordersmith.actors.strategy import Strategy
from ordersmith.config import load
from ordersmith.supervisor.backtest import Backtest

SYMBOLS = {"A": "1", "L": "5"}
"""The symbols with their lots."""

HOUR_NS = 3_600_000_000_000

Action = tuple[Any, ...]


class ListFeed:
    """Bars from a list: what a feed is to a backtest, with sessions of two bars each and the corporate actions of each session."""

    def __init__(self, steps: list[dict[str, Row]], actions: list[CorporateAction]) -> None:
        self.symbols = tuple(SYMBOLS)
        self.start_ns = HOUR_NS
        self.step_count = len(steps)
        self.bars = [
            Bars(
                (index + 1) * HOUR_NS,
                (index + 2) * HOUR_NS,
                index // 2,
                index % 2 == 1,
                rows,
                tuple(action for action in actions if index % 2 == 0 and action.session == index // 2),
            )
            for index, rows in enumerate(steps)
        ]

    def __iter__(self) -> Iterator[Bars]:
        return iter(self.bars)


def _row(opened: int, closed: int, up: int, down: int, volume: int) -> Row:
    low, high = max(min(opened, closed) - down, 1), max(opened, closed) + up
    return (opened / 100, high / 100, low / 100, closed / 100, float(volume))


PRICE = st.integers(900, 1100)
WICK = st.integers(0, 60)
ROWS = st.builds(_row, PRICE, PRICE, WICK, WICK, st.sampled_from([0, 7, 100, 1000, 20_000]))
STEPS = st.lists(st.fixed_dictionaries({"A": ROWS}, optional={"L": ROWS}), min_size=6, max_size=10)

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
ACTIONS_OF_COMPANIES = st.lists(SPLITS | DIVIDENDS, max_size=3)

QUANTITY = st.sampled_from(["5", "10", "35", "200", "1500", "3"])
TICKS = st.integers(-140, 140)
ORDINAL = st.integers(0, 9)
ORDER = st.tuples(
    st.just("order"),
    st.sampled_from([*SYMBOLS, *SYMBOLS, *SYMBOLS, "NONE"]),
    st.sampled_from(["BUY", "BUY", "SELL"]),
    QUANTITY,
    st.one_of(
        st.just({}),
        st.fixed_dictionaries({"limit_price": TICKS}),
        st.fixed_dictionaries({"stop_price": TICKS}),
        st.fixed_dictionaries({"stop_price": TICKS, "limit_price": TICKS}),
        st.fixed_dictionaries({"trail_amount": st.sampled_from(["0.01", "0.2", "1"])}),
        st.fixed_dictionaries({"trail_percent": st.sampled_from(["0.1", "2", "7.5"])}),
    ),
    st.sampled_from([TimeInForce.GTC, TimeInForce.GTC, TimeInForce.GTC, TimeInForce.DAY, *TimeInForce]),
    st.sampled_from([Purpose.ENTRY, Purpose.ENTRY, Purpose.ENTRY, Purpose.EXIT]),
)
REPLACE = st.tuples(st.just("replace"), ORDINAL, st.none() | QUANTITY, TICKS)
TARGETS = st.tuples(
    st.just("targets"),
    st.dictionaries(st.sampled_from(list(SYMBOLS)), st.sampled_from([0, 5, 50, -40, 300]), min_size=1),
    st.booleans(),
)
RARE = st.sampled_from([("flatten",), ("flatten",), ("halt",), *[("resume",)] * 5])
ACTIONS: st.SearchStrategy[Action] = st.one_of(
    ORDER, ORDER, ORDER, st.tuples(st.just("cancel"), ORDINAL), REPLACE, REPLACE, TARGETS, RARE
)
PLANS = st.lists(st.lists(ACTIONS, min_size=1, max_size=5), min_size=3, max_size=9)

CASH = st.sampled_from(["700", "20000", "1000000"])
SETTINGS = st.fixed_dictionaries(
    {
        "slippage": st.sampled_from(["0", "0.001", "0.0333"]),
        "commission": st.sampled_from(["0", "1", "0.35"]),
        "fill": st.sampled_from(["next_open", "close"]),
        "limit_fill": st.sampled_from(["through", "touch"]),
        "participation": st.sampled_from(["0.1", "0.025", "1"]),
        "price_increment": st.sampled_from(["0.0001", "0.01", "0.03"]),
        "path": st.sampled_from(["pessimistic", "adaptive", "optimistic"]),
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
    }
)


OUTSIDE: dict[str, Callable[[Backtest], Any]] = {
    "flatten": lambda backtest: backtest.ask("rebalancer", Flatten),
    "halt": lambda backtest: backtest.ask("circuit_breaker", lambda to: HaltTrading("drawn", to)),
    "resume": lambda backtest: backtest.ask("circuit_breaker", lambda to: ResumeTrading("drawn", to)),
}
"""What a person does at the end of a bar, after the strategy."""


class RandomTrader(Strategy):
    """Does at the end of each bar what the plan says; prices are ticks from the last close."""

    def __init__(self, plan: list[list[Action]]) -> None:
        self.plan = plan
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

    def _price(self, symbol: str, ticks: int | None) -> Decimal | None:
        if ticks is None:
            return None
        return Decimal(repr(self.closes.get(symbol, 10.0))) + Decimal(ticks).scaleb(-2)

    def _order(
        self, symbol: str, side: str, quantity: str, prices: dict[str, Any], tif: TimeInForce, purpose: Purpose
    ) -> None:
        make = Order.buy if side == "BUY" else Order.sell
        terms = {name: self._price(symbol, at) if isinstance(at, int) else at for name, at in prices.items()}
        self.ids += self.submit(make(symbol, quantity, time_in_force=tif, purpose=purpose, **terms))

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
        targets, keep = settings["targets"], settings["keep"]
        backtest = {name: value for name, value in settings.items() if name not in {"targets", "keep"}}
        self.settings = load(
            {
                "execution": {
                    "mode": "backtest",
                    "backtest": backtest,
                    "targets": {"time_in_force": targets.value},
                },
                "instruments": {"symbols": {symbol: {"lot": lot} for symbol, lot in SYMBOLS.items()}},
                "journal": {"keep": keep},
                "risk": {"price_collar": None},
            }
        )
        self.feed = ListFeed(steps, actions or [])
        self.trader = RandomTrader(plan)
        self.plan = plan
        self.asked: list[str] = []
        self.backtest = Backtest(self.settings, self.feed, (("main", self.trader),))

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

"""Random markets, settings and strategies for whole backtests, as hypothesis draws them, and the run that follows from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from ordersmith.actors.messages import Flatten, HaltTrading, ResumeTrading
from ordersmith.actors.model import Bars, Order, Purpose, Row, TimeInForce
from ordersmith.actors.strategy import Strategy
from ordersmith.config import load
from ordersmith.supervisor.backtest import Backtest

SYMBOLS = {"A": "1", "L": "5"}
"""The symbols with their lots."""

HOUR_NS = 3_600_000_000_000

Action = tuple[Any, ...]


class ListFeed:
    """Bars from a list: what a feed is to a backtest, with sessions of two bars each."""

    def __init__(self, steps: list[dict[str, Row]]) -> None:
        self.symbols = tuple(SYMBOLS)
        self.start_ns = HOUR_NS
        self.step_count = len(steps)
        self.bars = [
            Bars(index * HOUR_NS, (index + 1) * HOUR_NS, index // 2, index % 2 == 0, rows)
            for index, rows in enumerate(steps, 1)
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

QUANTITY = st.sampled_from(["5", "10", "35", "200", "1500", "3"])
TICKS = st.integers(-140, 140)
ORDINAL = st.integers(0, 9)
ORDER = st.tuples(
    st.just("order"),
    st.sampled_from([*SYMBOLS, *SYMBOLS, *SYMBOLS, "NONE"]),
    st.sampled_from(["BUY", "BUY", "SELL"]),
    QUANTITY,
    st.none() | TICKS,
    st.sampled_from([TimeInForce.GTC, TimeInForce.GTC, TimeInForce.DAY]),
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

SETTINGS = st.fixed_dictionaries(
    {
        "slippage": st.sampled_from(["0", "0.001", "0.0333"]),
        "commission": st.sampled_from(["0", "1", "0.35"]),
        "fill": st.sampled_from(["next_open", "close"]),
        "limit_fill": st.sampled_from(["through", "touch"]),
        "participation": st.sampled_from(["0.1", "0.025", "1"]),
        "price_increment": st.sampled_from(["0.0001", "0.01", "0.03"]),
        "account": st.fixed_dictionaries(
            {"type": st.sampled_from(["cash", "margin"]), "cash": st.sampled_from(["700", "20000", "1000000"])}
        ),
        "targets": st.sampled_from(list(TimeInForce)),
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
        self, symbol: str, side: str, quantity: str, ticks: int | None, tif: TimeInForce, purpose: Purpose
    ) -> None:
        make = Order.buy if side == "BUY" else Order.sell
        order = make(symbol, quantity, self._price(symbol, ticks), time_in_force=tif, purpose=purpose)
        self.ids += self.submit(order)

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
            limited = status.order.limit_price is not None
            self.replace(order_id, quantity, self._price(status.symbol, ticks) if limited else None)

    def _targets(self, targets: dict[str, int], close_others: bool) -> None:
        self.set_targets(targets, close_others=close_others)


class RandomRun:
    """A backtest of a drawn market, setting and plan, stepped bar by bar."""

    def __init__(self, settings: dict[str, Any], steps: list[dict[str, Row]], plan: list[list[Action]]) -> None:
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
        self.feed = ListFeed(steps)
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

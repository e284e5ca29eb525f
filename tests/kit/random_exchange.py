"""Random rules, orders and bars for an exchange, and a run that plays them on whatever has `handle` and `on_bars`."""

from __future__ import annotations

from decimal import Decimal
from math import nan
from random import Random
from typing import Any

import msgspec
from hypothesis import strategies as st

from ordersmith.actors.bars import Bars
from ordersmith.actors.model import Instrument, Order, OrderType, Purpose, Side, Terms, TimeInForce
from ordersmith.actors.ports import Accepted, CancelRequest, NewOrder, Replaced, ReplaceRequest
from ordersmith.adapters.simulated.exchange import ExchangeRules

MINUTE_NS = 60_000_000_000
SECOND_NS = 1_000_000_000
FOREVER_NS = 1 << 62
STOPS = (OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP)
EXITS = (Purpose.EXIT, Purpose.PROTECTIVE)
WAITING = (TimeInForce.DAY, TimeInForce.GTC)
INSTRUMENTS = {"A": Instrument(), "L": Instrument(lot=Decimal(5))}


RULES = st.builds(
    ExchangeRules,
    slippage=st.sampled_from([Decimal(0), Decimal("0.001"), Decimal("0.013")]),
    commission=st.sampled_from([Decimal(0), Decimal("1.5")]),
    fill=st.sampled_from(["next_open", "close"]),
    limit_fill=st.sampled_from(["through", "touch"]),
    participation=st.sampled_from([None, Decimal("0.1"), Decimal("0.35")]),
    price_increment=st.sampled_from([Decimal("0.0001"), Decimal("0.01"), Decimal("0.025")]),
    account_type=st.sampled_from(["cash", "margin"]),
    cash=st.sampled_from([Decimal(600), Decimal(2000), Decimal(100_000)]),
    initial_margin=st.sampled_from([Decimal("0.5"), Decimal("0.25")]),
    maintenance_margin=st.just(Decimal("0.1")),  # so low that no margin is called: a naive exchange knows of none
    path=st.sampled_from(["pessimistic", "adaptive", "optimistic"]),
    same_bar_exits=st.booleans(),
)
CENTS = st.integers(993, 1007)


@st.composite
def rows(draw: Any) -> Any:
    low, *inner, high = sorted(draw(st.lists(CENTS, min_size=4, max_size=4)))
    if draw(st.booleans()):
        inner.reverse()
    fraction = draw(st.sampled_from([0.0, 0.0, 0.00123]))
    volume = draw(st.sampled_from([0.0, 7.0, 40.0, 120.5, 1000.0, nan]))
    opened, closed = inner if draw(st.booleans()) else (low, high)
    return (*(cents / 100 + fraction for cents in (opened, high, low, closed)), volume)


BAR = st.tuples(
    st.just("bar"),
    st.one_of(
        st.fixed_dictionaries({"A": rows(), "L": rows()}),
        st.fixed_dictionaries({"A": rows()}),
        st.fixed_dictionaries({"L": rows()}),
    ),
    st.sampled_from(["", "", "", "closes", "closes", "is the last that came"]),
)
TRAIL = st.integers(1, 9)
PRICES = st.tuples(CENTS, CENTS, TRAIL)
KINDS = [
    *[(kind, in_force) for kind in (OrderType.MARKET, OrderType.LIMIT) for in_force in TimeInForce],
    *[(kind, in_force) for kind in STOPS for in_force in WAITING] * 2,
    *[(OrderType.LIMIT, in_force) for in_force in WAITING] * 2,
]
NEW = st.tuples(
    st.just("new"),
    st.sampled_from("AAL"),
    st.booleans(),
    st.sampled_from([5, 10, 10, 25, 60, 12]),
    st.sampled_from(KINDS),
    PRICES,
    st.sampled_from([Purpose.ENTRY, Purpose.ENTRY, Purpose.EXIT, Purpose.PROTECTIVE]),
)
WAIT = st.tuples(st.just("wait"), st.integers(1, 59))
CANCEL = st.tuples(st.just("cancel"), st.integers(0, 30))
REPLACE = st.tuples(
    st.just("replace"), st.integers(0, 30), st.sampled_from([0, 5, 10, 25, 60, 12]), PRICES, st.booleans()
)
FIRST_BARS = ("bar", {"A": (10.0, 10.2, 9.8, 10.0, 500.0), "L": (9.9, 10.2, 9.8, 10.1, 500.0)}, "")
BY_HAND = st.builds(
    lambda starts, actions: [FIRST_BARS] * starts + actions,
    st.sampled_from([1, 1, 1, 0]),
    st.lists(st.one_of(BAR, BAR, NEW, NEW, NEW, WAIT, CANCEL, REPLACE), min_size=25, max_size=60),
)


def crowd(seed: int) -> list[Any]:
    """Return actions in which much happens: entries, then exits of all kinds, in a market that moves."""
    draw = Random(seed)
    actions: list[Any] = [FIRST_BARS]

    def prices() -> tuple[int, int, int]:
        return draw.randint(993, 1007), draw.randint(993, 1007), draw.randint(1, 9)

    for _ in range(draw.randint(8, 20)):
        for _ in range(draw.randint(0, 4)):
            if draw.random() < 0.15:
                actions.append(("wait", draw.randint(1, 59)))
            if draw.random() < 0.2:
                quantity = draw.choice([5, 10, 25, 60])
                actions.append(("replace", draw.randint(0, 30), quantity, prices(), draw.random() < 0.5))
            elif draw.random() < 0.1:
                actions.append(("cancel", draw.randint(0, 30)))
            else:
                purpose = draw.choice([Purpose.ENTRY, Purpose.EXIT, Purpose.PROTECTIVE])
                quantity, kind = draw.choice([5, 10, 10, 25, 60]), draw.choice(KINDS)
                actions.append(("new", draw.choice("AAL"), draw.random() < 0.5, quantity, kind, prices(), purpose))
        rows = {}
        for symbol in draw.choice(["A", "AL", "AL", "L"]):
            cents = sorted(draw.randint(993, 1007) for _ in range(4))
            low, high = cents[0], cents[3]
            opened, closed = draw.sample(cents, 2)
            fraction = draw.choice([0.0, 0.0, 0.00123])
            volume = draw.choice([0.0, 40.0, 120.5, 1000.0, 1000.0, nan])
            rows[symbol] = (*(each / 100 + fraction for each in (opened, high, low, closed)), volume)
        actions.append(("bar", rows, draw.choice(["", "", "", "closes", "is the last that came"])))
    return actions


ACTIONS = st.one_of(BY_HAND, st.integers(0, 1 << 32).map(crowd), st.integers(0, 1 << 32).map(crowd))


class Run:
    """Plays actions on an exchange and keeps what came of them: (instant, bars met, report)."""

    def __init__(self, exchange: Any) -> None:
        self.exchange = exchange
        self.now_ns = 0
        self.begun_ns = 0  # where the next bar begins
        self.session = 0
        self.bars: list[Bars] = []
        self.legs: list[str] = []
        self.taken: list[str] = []
        self.terms: dict[str, Order] = {}  # by wire id, with what a replacement changed
        self.sent_ns: dict[str, int] = {}
        self.reports: list[tuple[int, Bars | None, Any]] = []

    def play(self, actions: list[Any]) -> Run:
        for kind, *arguments in actions:
            getattr(self, kind)(*arguments)
        for leg in list(self.legs):
            self.keep(self.exchange.handle(CancelRequest(leg), self.now_ns))
        return self

    def keep(self, reports: list[Any]) -> None:
        bars = self.bars[-1] if self.bars else None
        self.reports += [(self.now_ns, bars, report) for report in reports]
        self.taken += [report.wire_id for report in reports if isinstance(report, Accepted | Replaced)]

    def recent(self, index: int) -> str:
        """Return a leg, mostly one of the last that were taken, sometimes one that never was."""
        legs = self.taken[-4:] if index % 4 else self.legs[-6:]
        return legs[index // 4 % len(legs)] if legs else "none.1"

    def bar(self, bar_rows: Any, ends: str) -> None:
        start_ns = self.begun_ns
        self.begun_ns = self.now_ns = start_ns + MINUTE_NS
        self.bars.append(Bars(start_ns, self.now_ns, self.session, ends == "closes", bar_rows))
        self.session += bool(ends)
        self.keep(self.exchange.on_bars(self.bars[-1]))

    def wait(self, seconds: int) -> None:
        """Let time pass inside the bar that has begun."""
        self.now_ns = max(self.now_ns, self.begun_ns + seconds * SECOND_NS)

    def send(self, wire_id: str, order: Order, command: Any) -> None:
        self.legs.append(wire_id)
        self.terms[wire_id] = order
        self.sent_ns[wire_id] = self.now_ns
        self.keep(self.exchange.handle(command, self.now_ns))

    def new(self, symbol: str, buys: bool, quantity: int, kind: Any, prices: Any, purpose: Purpose) -> None:
        wire_id = f"o{len(self.legs)}.1"
        side = Side.BUY if buys else Side.SELL
        terms = Terms(Decimal(quantity), **prices_of(kind[0], prices))
        plain = Order(symbol=symbol, side=side, quantity=Decimal(0), order_type=kind[0], purpose=purpose)
        order = terms.applied_to(msgspec.structs.replace(plain, time_in_force=kind[1]))
        self.send(wire_id, order, NewOrder(wire_id, order, FOREVER_NS, 0))

    def cancel(self, index: int) -> None:
        self.keep(self.exchange.handle(CancelRequest(self.recent(index)), self.now_ns))

    def replace(self, index: int, quantity: int, prices: Any, keeps_stop: bool) -> None:
        wire_id = self.recent(index)
        if wire_id not in self.terms:
            return
        old = self.terms[wire_id]
        base_id = wire_id.rpartition(".")[0]
        new_wire_id = f"{base_id}.{len(self.legs) + 1}"
        changed: dict[str, Decimal | None] = {**prices_of(old.order_type, prices)}
        if keeps_stop:
            stops = ("stop_price", "trail_amount", "trail_percent")
            changed = {"limit_price": changed.get("limit_price"), **{name: getattr(old, name) for name in stops}}
        terms = Terms(Decimal(quantity), **changed)
        command = ReplaceRequest(wire_id, new_wire_id, terms, FOREVER_NS, 0)
        self.send(new_wire_id, terms.applied_to(old), command)


def prices_of(kind: OrderType, prices: tuple[int, int, int]) -> dict[str, Decimal]:
    """Return the prices that an order of this type has."""
    limit, stop, trail = (Decimal(cents) / 100 for cents in prices)
    by_type: dict[OrderType, dict[str, Decimal]] = {
        OrderType.MARKET: {},
        OrderType.LIMIT: {"limit_price": limit},
        OrderType.STOP: {"stop_price": stop},
        OrderType.STOP_LIMIT: {"limit_price": limit, "stop_price": stop},
        OrderType.TRAILING_STOP: {"trail_amount": trail} if prices[0] % 2 else {"trail_percent": trail * 10},
    }
    return by_type[kind]

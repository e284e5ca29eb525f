"""What holds whatever is asked of the sandbox's broker, and in whatever order: sums, ends, and the same future after a dump."""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import suppress
from decimal import Decimal
from typing import Any

from alpaca_books_kit import BRACKET, CLOSE, MINUTE_NS, NOON, SECOND_NS
from hypothesis import given, settings
from hypothesis import strategies as st

from ordersmith.adapters.sandbox.alpaca_broker import BrokerSettings, Refusal, SandboxBroker

TERMINAL = {"fill", "canceled", "expired", "replaced", "rejected"}
OPEN = {"new", "partially_filled", "accepted", "pending_new", "held", "pending_cancel", "pending_replace"}
SYMBOLS = ("AAPL", "MSFT")
PRICES = [f"{price}" for price in range(90, 112)]
QUANTITIES = ["1", "7", "10", "10", "30"]

PRICE = st.sampled_from(PRICES)
TERMS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "market": ({"type": "market"}, ()),
    "limit": ({"type": "limit"}, ("limit_price",)),
    "stop": ({"type": "stop"}, ("stop_price",)),
    "stop_limit": ({"type": "stop_limit"}, ("stop_price", "limit_price")),
    "trailing": ({"type": "trailing_stop", "trail_price": "2"}, ()),
    "bracket": ({**BRACKET, "type": "market"}, ()),
    "bracket_limit": ({**BRACKET, "type": "limit"}, ("limit_price",)),
    "fraction": ({"type": "limit", "qty": "2.5"}, ("limit_price",)),
    "short_bracket": (
        {
            **BRACKET,
            "side": "sell",
            "type": "market",
            "take_profit": {"limit_price": "95"},
            "stop_loss": {"stop_price": "105"},
        },
        (),
    ),
    "oco": ({**BRACKET, "order_class": "oco", "type": "limit"}, ()),
    "oto": ({"order_class": "oto", "type": "market", "stop_loss": {"stop_price": "97"}}, ()),
    "notional": ({"type": "market", "notional": "333.33", "qty": None}, ()),
}

KINDS = [
    *[(kind, "day") for kind in sorted(TERMS)],
    *[(kind, in_force) for kind in ("market", "limit") for in_force in ("gtc", "ioc", "fok", "opg", "cls")],
    *[(kind, "gtc") for kind in ("stop", "trailing", "bracket_limit", "oco", "limit")],
]
SUBMIT = st.tuples(
    st.just("submit"),
    st.sampled_from(KINDS),
    st.sampled_from(SYMBOLS),
    st.sampled_from(["buy", "sell"]),
    st.sampled_from(QUANTITIES),
    PRICE,
)
PRICE_OF = {
    "market": "qty",
    "limit": "limit_price",
    "stop": "stop_price",
    "stop_limit": "limit_price",
    "trailing_stop": "trail",
}
PICK = st.integers(0, 11)
STEPS = st.one_of(
    SUBMIT,
    SUBMIT,
    SUBMIT,
    SUBMIT,
    st.tuples(st.just("quote"), st.sampled_from(SYMBOLS), st.integers(88, 112), st.sampled_from([None, 1, 5, 100])),
    st.tuples(st.just("quote"), st.sampled_from(SYMBOLS), st.integers(97, 103), st.sampled_from([None, 3, 8])),
    st.tuples(st.just("bar"), st.sampled_from(SYMBOLS), st.lists(st.integers(88, 112), min_size=4, max_size=4)),
    st.tuples(st.just("cancel"), PICK),
    st.tuples(st.just("replace"), PICK, st.sampled_from([False, False, True]), PRICE),
    st.tuples(st.just("replace"), PICK, st.just(value=False), PRICE),
    st.tuples(st.just("fill"), PICK, st.sampled_from(["1", "3", "10"]), PRICE),
    st.tuples(st.just("close"), st.sampled_from(SYMBOLS)),
    st.tuples(st.just("cancel_all")),
    st.tuples(st.just("fee"), st.integers(-5, 5)),
    st.tuples(st.just("dividend"), st.sampled_from(SYMBOLS)),
    st.tuples(st.just("wait"), st.sampled_from([SECOND_NS, SECOND_NS, 3 * SECOND_NS, CLOSE - NOON])),
    st.tuples(st.just("wait"), st.sampled_from([1, SECOND_NS, 2 * SECOND_NS, MINUTE_NS])),
)
AMENDS = st.one_of(
    st.tuples(st.just("bust"), PICK),
    st.tuples(st.just("correct"), PICK, st.sampled_from(["1", "2"]), PRICE),
)
DELAYS = st.sampled_from([0, 0, SECOND_NS, 2 * SECOND_NS])
SETTINGS = st.builds(
    BrokerSettings,
    seed=st.integers(0, 3),
    multiplier=st.sampled_from([1, 2, 4]),
    new_delay_ns=DELAYS,
    cancel_delay_ns=DELAYS,
    replace_delay_ns=DELAYS,
    partial_probability=st.sampled_from([0.0, 0.5]),
    participation=st.sampled_from([None, Decimal("0.01")]),
    hours=st.sampled_from(["exchange", "always"]),
)


class Player:
    """Plays steps on a broker; what it refuses has no effect, and that is checked by everything else."""

    def __init__(self, terms: BrokerSettings) -> None:
        self.settings = terms
        self.broker = SandboxBroker(terms, NOON)
        self.now_ns = NOON
        self.updates: list[dict[str, Any]] = []

    def begin(self) -> None:
        """Quote both symbols, and be long one of them, so that there is something to sell."""
        for symbol in SYMBOLS:
            self.quote(symbol, 100, None)
        self.play(("submit", ("market", "day"), "AAPL", "buy", "30", "100"))
        self.play(("wait", 3 * SECOND_NS))

    def play(self, step: tuple[Any, ...]) -> None:
        what, *args = step
        with suppress(Refusal):
            getattr(self, what)(*args)
        self.updates += self.broker.take_updates()

    def pick(self, number: int) -> str:
        """Return an order of the last ones: mostly an open one."""
        rows = (number % 5 and self.broker.orders(limit=7)) or self.broker.orders(status="all", limit=7)
        return str(rows[number % len(rows)]["id"])

    def submit(self, kind: tuple[str, str], symbol: str, side: str, qty: str, price: str) -> None:
        (terms, prices), time_in_force = TERMS[kind[0]], kind[1]
        body = {"side": side, "qty": qty, "symbol": symbol, "time_in_force": time_in_force, **terms}
        body |= dict.fromkeys(prices, price)
        self.broker.submit(self.now_ns, body)

    def quote(self, symbol: str, price: int, size: int | None) -> None:
        self.broker.on_quote(self.now_ns, symbol, price, price + 0.02, size, size)

    def bar(self, symbol: str, prices: list[int]) -> None:
        self.now_ns += MINUTE_NS
        opened, close = float(prices[0]), float(prices[3])
        self.broker.on_bars(self.now_ns, {symbol: (opened, float(max(prices)), float(min(prices)), close, 1000.0)})

    def cancel(self, number: int) -> None:
        self.broker.cancel(self.now_ns, self.pick(number))

    def cancel_all(self) -> None:
        self.broker.cancel_all(self.now_ns)

    def replace(self, number: int, wants_quantity: bool, value: str) -> None:
        order_id = self.pick(number)
        field = "qty" if wants_quantity else PRICE_OF[self.broker.order(order_id)["type"]]
        self.broker.replace(self.now_ns, order_id, {field: value})

    def fill(self, number: int, qty: str, price: str) -> None:
        self.broker.fill(self.now_ns, self.pick(number), qty, price)

    def close(self, symbol: str) -> None:
        self.broker.close_position(self.now_ns, symbol)

    def fee(self, amount: int) -> None:
        self.broker.book_activity(self.now_ns, "FEE", net_amount=amount)

    def dividend(self, symbol: str) -> None:
        self.broker.book_activity(self.now_ns, "DIV", symbol=symbol, per_share_amount="0.17")

    def bust(self, number: int) -> None:
        self.broker.bust(self.now_ns, self.pick(number))

    def correct(self, number: int, qty: str, price: str) -> None:
        self.broker.correct(self.now_ns, self.pick(number), qty, price)

    def wait(self, ns: int) -> None:
        self.now_ns += ns
        self.broker.advance(self.now_ns)

    def activities(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        while page := self.broker.activities(page_token=rows[-1]["id"] if rows else None):
            rows += page
        return rows


def check_sums(player: Player) -> None:
    """Check that cash and positions are what the activities make of the start, and orders what their fills make of them."""
    cash, held = player.settings.cash, defaultdict(Decimal)
    filled: dict[str, Decimal] = defaultdict(Decimal)
    for row in player.activities():
        if row["activity_type"] == "FILL":
            qty = Decimal(row["qty"]) * (1 if row["side"] == "buy" else -1)
            cash -= qty * Decimal(row["price"])
            held[row["symbol"]] += qty
            filled[row["order_id"]] += Decimal(row["qty"])
        else:
            cash += Decimal(row["net_amount"])
    assert Decimal(player.broker.account()["cash"]) == cash
    assert {row["symbol"]: Decimal(row["qty"]) for row in player.broker.positions()} == {
        symbol: qty for symbol, qty in held.items() if qty
    }
    last = {update["order"]["id"]: update["order"] for update in player.updates}
    for row in player.broker.orders(status="all", limit=500):
        assert Decimal(row["filled_qty"]) == filled[row["id"]]
        assert Decimal(last[row["id"]]["filled_qty"]) == filled[row["id"]]
        assert row["qty"] is None or filled[row["id"]] <= Decimal(row["qty"])


def check_ends(player: Player) -> None:
    """Check that each order has ended once if it is over, not at all if it is open, and that nothing trades after an end."""
    ends = Counter(update["order"]["id"] for update in player.updates if update["event"] in TERMINAL)
    for row in player.broker.orders(status="all", limit=500):
        assert ends[row["id"]] == (row["status"] not in OPEN), row
    over: set[str] = set()
    for update in player.updates:
        order_id = update["order"]["id"]
        assert order_id not in over or update["event"] not in {*TERMINAL, "partial_fill", "new"}
        if update["event"] in TERMINAL:
            over.add(order_id)


def check_groups(player: Player) -> None:
    """Check that exits never trade more than their entry did."""
    for row in player.broker.orders(status="all", limit=500, nested=True):
        if row["order_class"] == "bracket" and row["legs"] and not row["replaces"]:
            chain = {leg["id"] for leg in row["legs"]}
            exits = sum((Decimal(leg["filled_qty"]) for leg in row["legs"]), Decimal(0))
            assert exits <= Decimal(row["qty"]), chain


@given(terms=SETTINGS, steps=st.lists(STEPS, min_size=15, max_size=50))
@settings(max_examples=150, deadline=None)
def test_nothing_is_made_and_nothing_is_lost(terms: BrokerSettings, steps: list[Any]) -> None:
    """Cash and positions are the start, the fills and the activities; each order's fills are its sum; each order ends once."""
    player = Player(terms)
    player.begin()
    for step in steps:
        player.play(step)
    check_sums(player)
    check_ends(player)
    check_groups(player)
    player.play(("wait", 100 * 86_400 * SECOND_NS))
    assert player.broker.orders() == []
    check_sums(player)
    check_ends(player)


@given(terms=SETTINGS, steps=st.lists(st.one_of(STEPS, STEPS, AMENDS), min_size=15, max_size=40))
@settings(max_examples=80, deadline=None)
def test_the_sums_hold_after_busts_and_corrections(terms: BrokerSettings, steps: list[Any]) -> None:
    """Fills that are taken back or changed leave cash, positions and orders as the activities say."""
    player = Player(terms)
    player.begin()
    for step in steps:
        player.play(step)
    check_sums(player)


@given(
    terms=SETTINGS,
    before=st.lists(STEPS, min_size=8, max_size=25),
    after=st.lists(st.one_of(STEPS, AMENDS), min_size=5, max_size=20),
)
@settings(max_examples=80, deadline=None)
def test_who_loads_a_dump_has_the_same_future(terms: BrokerSettings, before: list[Any], after: list[Any]) -> None:
    """At any point a broker that is made from a dump says, does and remembers what the first one does."""
    first, second = Player(terms), Player(terms)
    first.begin()
    for step in before:
        first.play(step)
    second.broker.load(first.broker.dump())
    second.now_ns = first.now_ns
    first.updates.clear()
    for step in after:
        first.play(step)
        second.play(step)
    assert first.updates == second.updates
    assert first.broker.dump() == second.broker.dump()


@given(terms=SETTINGS, steps=st.lists(STEPS, min_size=15, max_size=50))
@settings(max_examples=100, deadline=None)
def test_no_order_does_the_opposite_of_what_it_is_for(terms: BrokerSettings, steps: list[Any]) -> None:
    """What opens never makes a position smaller, and what closes neither makes it greater nor turns it over."""
    player = Player(terms)
    player.begin()
    for step in steps:
        player.play(step)
    held: dict[str, Decimal] = defaultdict(Decimal)
    for update in player.updates:
        if update["event"] not in {"fill", "partial_fill"}:
            continue
        order, after = update["order"], Decimal(update["position_qty"])
        before, held[order["symbol"]] = held[order["symbol"]], after
        assert before * after >= 0
        assert (abs(after) > abs(before)) is order["position_intent"].endswith("to_open")
        assert abs(after - before) == Decimal(update["qty"])

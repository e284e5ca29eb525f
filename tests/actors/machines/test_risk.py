"""The checks of the gate, one row for each reason; which purpose needs which; and that nothing odd ever passes or raises."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ordersmith
from ordersmith.actors.machines.account_checks import BEHIND_NS, BEHIND_RECORDS
from ordersmith.actors.machines.exposure import AccountRisk, SymbolRisk
from ordersmith.actors.machines.order_checks import NEEDED, PRICES, intent_key
from ordersmith.actors.machines.risk import CHECKS, CHECKS_FOR, Case, Limits, render, review
from ordersmith.actors.model import Instrument, Order, OrderType, Purpose, Side, TimeInForce, TradingState
from ordersmith.actors.ports import BrokerRule, Capabilities, RuleKind

D = Decimal
NOTHING, PLAIN = D(0), Instrument()
BUY, SELL = Side.BUY, Side.SELL
ENTRY, CHILD, EXIT, PROTECTIVE, LIQUIDATION = (
    Purpose.ENTRY,
    Purpose.CHILD,
    Purpose.EXIT,
    Purpose.PROTECTIVE,
    Purpose.LIQUIDATION,
)
CAN = Capabilities(order_types=tuple(OrderType), times_in_force=(TimeInForce.DAY,))
ONLY_MARKET = Capabilities(order_types=(OrderType.MARKET,), times_in_force=(TimeInForce.DAY,))
AUCTIONS = Capabilities(
    order_types=tuple(OrderType),
    times_in_force=(TimeInForce.DAY, TimeInForce.OPG),
    excluded=((OrderType.MARKET, TimeInForce.OPG),),
    extended_hours=True,
)
UNEVEN: dict[str, Any] = {
    "account_type": "margin",
    "initial_margin": D("0.5"),
    "short_initial_margin": D("1.5"),
}
MARGIN: dict[str, Any] = {"account_type": "margin", "initial_margin": D("0.5")}


def order(side: Side = BUY, quantity: object = 10, limit: object = None, symbol: str = "A", **terms: Any) -> Order:
    price = None if limit is None else D(str(limit))
    kind = OrderType.MARKET if limit is None else OrderType.LIMIT
    return Order(
        **{
            "symbol": symbol,
            "side": side,
            "quantity": D(str(quantity)),
            "order_type": kind,
            "limit_price": price,
            **terms,
        }
    )


def stop(at: object, limit: object = None, **terms: Any) -> Order:
    """Return an order to buy with a stop price, and with a limit a stop-limit order."""
    kind = OrderType.STOP if limit is None else OrderType.STOP_LIMIT
    price = None if at is None else D(str(at))
    return order(**{"limit": limit, "order_type": kind, "stop_price": price, **terms})


def trailing(amount: object = None, percent: object = None, **terms: Any) -> Order:
    numbers = (None if value is None else D(str(value)) for value in (amount, percent))
    trails = dict(zip(("trail_amount", "trail_percent"), numbers, strict=True))
    return order(**{"order_type": OrderType.TRAILING_STOP, **trails, **terms})


def case(
    what: Order,
    *,
    limits: Mapping[str, Any] | None = None,
    held: Mapping[str, tuple[int, int, int]] | None = None,
    cash: int = 100_000,
    reserved: int = 0,
    state: TradingState = TradingState.ACTIVE,
    last: object = 20,
    instrument: Instrument | None = PLAIN,
    connected: bool = True,
    intents: Mapping[str, int] | None = None,
    now_ns: int = 0,
    delta: object = None,
    prices: Mapping[str, object] | None = None,
    remaining: Decimal | None = None,
    held_cost: Decimal = NOTHING,
    can: Capabilities = CAN,
    unsettled: int = 0,
    accrued: int = 0,
    backlog: tuple[int, int] | None = None,
    frozen: Mapping[str, int] | None = None,
    market: Any = None,
) -> Case:
    """Return a case: `held` is position, open buys and open sells by symbol; every other symbol costs 50 where `prices` says nothing."""
    symbols = {symbol: SymbolRisk(*(D(part) for part in parts)) for symbol, parts in (held or {}).items()}
    account = AccountRisk(D(cash), D(reserved), symbols, dict(intents or {}), connected, known=True, capabilities=can)
    account.unsettled, account.accrued = D(unsettled), D(accrued)
    account.frozen = {symbol: D(above) for symbol, above in (frozen or {}).items()}
    price = None if last is None else D(str(last))

    def last_price(symbol: str) -> Decimal | None:
        if symbol == what.symbol:
            return price
        other = (prices or {}).get(symbol, 50)
        return None if other is None else D(str(other))

    added = what.quantity if delta is None else D(str(delta))
    rules = Limits(**(limits or {}))
    behind = None if backlog is None else lambda at_ns: backlog
    seen = (now_ns, remaining, held_cost, behind, market)
    return Case(what, added, instrument, price, last_price, account, state, rules, *seen)


def behind(records: int, age_ns: int) -> dict[str, str]:
    limits = {"limit": str(BEHIND_RECORDS), "limit_ns": str(BEHIND_NS)}
    return {"records": str(records), "age_ns": str(age_ns), **limits}


def books(ours: int, brokers: int, worst: int) -> dict[str, str]:
    return {"position": str(ours), "brokers": str(brokers), "worst_case": str(worst)}


RULED = Capabilities(
    order_types=tuple(OrderType),
    times_in_force=tuple(TimeInForce),
    rules=(BrokerRule(RuleKind.SUB_PENNY, "42210000", "no half pennies", "its manual"),),
)
FINE = Instrument(tick=D("0.001"))
PENNIES = {"rule": "SUB_PENNY", "source": "its manual", "limit_price": "1.001", "unit": "0.01"}

# --- One row for each reason -------------------------------------------------------------------------------------------

DENIALS: list[tuple[str, Case, dict[str, str]]] = [
    ("UNKNOWN_SYMBOL", case(order(), instrument=None), {"symbol": "A"}),
    ("NOT_TRADABLE", case(order(), instrument=Instrument(tradable=False)), {"symbol": "A"}),
    ("BAD_PURPOSE", case(order(purpose=Purpose.CANCEL)), {"purpose": "cancel"}),
    ("BAD_QUANTITY", case(order(quantity=0)), {"quantity": "0"}),
    ("BAD_QUANTITY", case(order(quantity=-5)), {"quantity": "-5"}),
    ("BAD_QUANTITY", case(order(quantity="NaN")), {"quantity": "NaN"}),
    ("BAD_QUANTITY", case(order(quantity="Infinity")), {"quantity": "Infinity"}),
    ("LOT_SIZE", case(order(quantity="10.5")), {"quantity": "10.5", "lot": "1"}),
    ("LOT_SIZE", case(order(quantity=150), instrument=Instrument(lot=D(100))), {"quantity": "150", "lot": "100"}),
    ("LOT_SIZE", case(order(quantity="1E+400")), {"quantity": "1E+400", "lot": "1"}),
    ("BAD_PRICE", case(order(limit_price=D(5))), {"limit_price": "5"}),
    ("BAD_PRICE", case(order(limit=0)), {"limit_price": "0"}),
    ("BAD_PRICE", case(order(limit=-1)), {"limit_price": "-1"}),
    ("BAD_PRICE", case(order(limit="NaN")), {"limit_price": "NaN"}),
    ("BAD_PRICE", case(order(order_type=OrderType.LIMIT)), {"limit_price": "None"}),
    ("BAD_PRICE", case(order(stop_price=D(5))), {"stop_price": "5"}),
    ("BAD_PRICE", case(order(limit=20, trail_percent=D(5))), {"trail_percent": "5"}),
    ("BAD_PRICE", case(stop(None)), {"stop_price": "None"}),
    ("BAD_PRICE", case(stop("NaN")), {"stop_price": "NaN"}),
    ("BAD_PRICE", case(stop(-1)), {"stop_price": "-1"}),
    ("BAD_PRICE", case(stop(25, order_type=OrderType.STOP_LIMIT)), {"limit_price": "None"}),
    ("BAD_PRICE", case(stop(None, limit=25, order_type=OrderType.STOP_LIMIT)), {"stop_price": "None"}),
    ("BAD_PRICE", case(stop(25, limit=25, order_type=OrderType.STOP)), {"limit_price": "25"}),
    ("BAD_PRICE", case(trailing()), {"trail_amount": "None"}),
    ("BAD_PRICE", case(trailing(amount=3, percent=5)), {"trail_percent": "5"}),
    ("BAD_PRICE", case(trailing(amount=3, stop_price=D(19))), {"stop_price": "19"}),
    ("BAD_PRICE", case(trailing(amount=0)), {"trail_amount": "0"}),
    ("BAD_PRICE", case(trailing(percent=100)), {"trail_percent": "100"}),
    ("BAD_PRICE", case(trailing(percent="Infinity")), {"trail_percent": "Infinity"}),
    ("PRICE_TICK", case(stop("25.001")), {"stop_price": "25.001", "tick": "0.01"}),
    (
        "PRICE_TICK",
        case(order(limit="0.50001"), instrument=Instrument(tick_below_one=D("0.0001"))),
        {"limit_price": "0.50001", "tick": "0.0001"},
    ),
    ("PRICE_TICK", case(trailing(amount="0.005")), {"trail_amount": "0.005", "tick": "0.01"}),
    ("PRICE_TICK", case(order(limit="20.001")), {"limit_price": "20.001", "tick": "0.01"}),
    ("PRICE_TICK", case(order(limit="1E+400")), {"limit_price": "1E+400", "tick": "0.01"}),
    ("TRADING_HALTED", case(order(), state=TradingState.HALTED), {"trading_state": "HALTED"}),
    ("TRADING_REDUCING", case(order(), state=TradingState.REDUCING), {"trading_state": "REDUCING"}),
    ("NOT_CONNECTED", case(order(), connected=False), {}),
    ("42210000", case(order(limit="1.001"), can=RULED, instrument=FINE), PENNIES),
    ("JOURNAL_BEHIND", case(order(), backlog=(10_000, 0)), behind(10_000, 0)),
    ("JOURNAL_BEHIND", case(order(purpose=CHILD), backlog=(1, 200_000_000)), behind(1, 200_000_000)),
    ("SYMBOL_FROZEN", case(order(), frozen={"A": 1}), books(0, 1, 11)),
    ("SYMBOL_FROZEN", case(order(SELL, purpose=CHILD), held={"A": (20, 0, 0)}, frozen={"A": -5}), books(20, 15, 5)),
    # An exit by our books that would open a position by the broker's, in each direction, and counting what is open.
    (
        "SYMBOL_FROZEN",
        case(order(SELL, purpose=EXIT), held={"A": (10, 0, 0)}, frozen={"A": -1}),
        books(10, 9, -1),
    ),
    ("SYMBOL_FROZEN", case(order(purpose=LIQUIDATION), held={"A": (-10, 0, 0)}, frozen={"A": 1}), books(-10, -9, 1)),
    ("SYMBOL_FROZEN", case(order(purpose=PROTECTIVE), held={"A": (-10, 0, 0)}, frozen={"A": 20}), books(-10, 10, 20)),
    ("SYMBOL_FROZEN", case(order(SELL, purpose=EXIT), held={"A": (15, 0, 5)}, frozen={"A": -1}), books(15, 14, -1)),
    ("SYMBOL_FROZEN", case(order(SELL, purpose=EXIT), held={"A": (10, 0, 0)}, frozen={"A": -10}), books(10, 0, -10)),
    ("UNSUPPORTED", case(order(time_in_force=TimeInForce.GTC)), {"order": "MARKET GTC"}),
    ("UNSUPPORTED", case(stop(25), can=ONLY_MARKET), {"order": "STOP DAY"}),
    ("UNSUPPORTED", case(order(time_in_force=TimeInForce.OPG), can=AUCTIONS), {"order": "MARKET OPG"}),
    ("UNSUPPORTED", case(order(limit=20, extended_hours=True)), {"order": "LIMIT DAY"}),
    ("UNSUPPORTED", case(order(extended_hours=True), can=AUCTIONS), {"order": "MARKET DAY"}),
    (
        "UNSUPPORTED",
        case(order(limit=20, extended_hours=True, time_in_force=TimeInForce.OPG), can=AUCTIONS),
        {"order": "LIMIT OPG"},
    ),
    ("NO_MARKET_DATA", case(order(), last=None), {"last": "None"}),
    ("NO_MARKET_DATA", case(order(), last="NaN"), {"last": "NaN"}),
    ("NO_MARKET_DATA", case(order(limit=20), last=0), {"last": "0"}),
    ("STALE_MARKET", case(order(), limits={"stale_after_ns": 60}), {}),
    (
        "PRICE_COLLAR",
        case(order(limit="22.01"), limits={"price_collar": D("0.1")}),
        {"limit_price": "22.01", "last": "20", "collar": "0.1", "bound": "22.0"},
    ),
    (
        "PRICE_COLLAR",
        case(order(SELL, limit="17.99"), limits={"price_collar": D("0.1")}, held={"A": (10, 0, 0)}),
        {"limit_price": "17.99", "last": "20", "collar": "0.1", "bound": "18.0"},
    ),
    (
        "PRICE_COLLAR",  # it trades at 30 or above, so its limit is measured from there
        case(stop(30, limit="33.01"), limits={"price_collar": D("0.1")}),
        {"limit_price": "33.01", "last": "20", "collar": "0.1", "bound": "33.0"},
    ),
    ("MAX_ORDER_QUANTITY", case(order(), limits={"max_order_quantity": D(9)}), {"quantity": "10", "limit": "9"}),
    (
        "MAX_ORDER_NOTIONAL",
        case(order(), limits={"max_order_notional": D(199)}),
        {"quantity": "10", "price": "20", "notional": "200", "limit": "199"},
    ),
    (
        "MAX_ORDER_NOTIONAL",
        case(order(limit=21), limits={"max_order_notional": D(209)}),
        {"quantity": "10", "price": "21", "notional": "210", "limit": "209"},
    ),
    (
        "MAX_POSITION",
        case(order(), limits={"max_position_quantity": D(34)}, held={"A": (20, 5, 0)}),
        {"position": "20", "worst_case": "35", "limit": "34"},
    ),
    (
        "MAX_POSITION",
        case(order(SELL), limits={"max_position_quantity": D(34), **MARGIN}, held={"A": (-20, 0, 5)}),
        {"position": "-20", "worst_case": "-35", "limit": "34"},
    ),
    (
        "MAX_GROSS_EXPOSURE",  # 15 of A at 20, and at worst 10 of B at 50
        case(order(), limits={"max_gross_exposure": D(799)}, held={"A": (2, 3, 0), "B": (4, 6, 1)}),
        {"worst_case": "800", "limit": "799"},
    ),
    ("SHORT_SALE", case(order(SELL)), {"position": "0", "open_sell": "0", "worst_case": "-10"}),
    (
        "SHORT_SALE",
        case(order(SELL), held={"A": (15, 0, 6)}),
        {"position": "15", "open_sell": "6", "worst_case": "-1"},
    ),
    (
        "NOT_SHORTABLE",
        case(order(SELL), limits=MARGIN, held={"A": (9, 0, 0)}, instrument=Instrument(shortable=False)),
        {"position": "9", "open_sell": "0", "worst_case": "-1"},
    ),
    ("BUYING_POWER", case(order(), cash=250, reserved=51), {"cost": "200", "available": "199"}),
    (
        "BUYING_POWER",  # equity 100 + 5 × 50 must cover half of 5 of B and 23 of A
        case(order(quantity=23), limits=MARGIN, cash=100, held={"B": (5, 0, 0)}),
        {"cost": "355.0", "available": "350"},
    ),
    (
        "BUYING_POWER",  # 3 × 20 short at 150 %, and half of 10 of B, of which the orders on the other side need less
        case(order(SELL, quantity=2), limits=UNEVEN, cash=-161, held={"A": (-1, 0, 0), "B": (4, 6, 5)}),
        {"cost": "340.0", "available": "19"},
    ),
    (
        "BUYING_POWER",  # the sale that is open could leave it 10 short, which needs more than 2 long
        case(order(quantity=2), limits=UNEVEN, cash=299, held={"A": (0, 0, 10)}),
        {"cost": "300.0", "available": "299"},
    ),
    ("BUYING_POWER", case(order(), cash=250, unsettled=51), {"cost": "200", "available": "199"}),
    ("BUYING_POWER", case(stop(25), cash=249), {"cost": "250", "available": "249"}),
    ("BUYING_POWER", case(stop(15), cash=199), {"cost": "200", "available": "199"}),
    ("BUYING_POWER", case(stop(25, limit=24), cash=239), {"cost": "240", "available": "239"}),
    ("BUYING_POWER", case(trailing(amount=3), cash=229), {"cost": "230", "available": "229"}),
    ("BUYING_POWER", case(trailing(percent=10), cash=219), {"cost": "220", "available": "219"}),
    (
        "MAX_ORDER_NOTIONAL",
        case(stop(25), limits={"max_order_notional": D(249)}),
        {"quantity": "10", "price": "25", "notional": "250", "limit": "249"},
    ),
    (
        "BUYING_POWER",  # a replacement at a higher price: 4 are filled, 6 at 30 instead of at 20
        case(order(limit=30), cash=150, reserved=120, delta=0, remaining=D(6), held_cost=D(120)),
        {"cost": "60", "available": "30"},
    ),
    (
        "DUPLICATE_INTENT",
        case(order(), limits={"duplicate_window_ns": 100}, intents={intent_key(order()): 50}, now_ns=150),
        {"age_ns": "100", "window_ns": "100"},
    ),
    ("EXIT_FLIPS", case(order(SELL, purpose=EXIT), limits=MARGIN), {"position": "0", "worst_case": "-10"}),
    (
        "EXIT_FLIPS",
        case(order(SELL, purpose=LIQUIDATION), limits=MARGIN, held={"A": (15, 0, 6)}),
        {"position": "15", "worst_case": "-1"},
    ),
    (
        "EXIT_FLIPS",
        case(order(BUY, purpose=PROTECTIVE), limits=MARGIN, held={"A": (-9, 0, 0)}),
        {"position": "-9", "worst_case": "1"},
    ),
]


@pytest.mark.parametrize(
    ("code", "what", "numbers"), DENIALS, ids=[f"{code}-{index}" for index, (code, *_) in enumerate(DENIALS)]
)
def test_a_denial_has_its_code_and_the_numbers_that_it_saw(code: str, what: Case, numbers: dict[str, str]) -> None:
    """Each check denies with its own code, a sentence, and the numbers by which the decision can be repeated."""
    denial = review(what)
    assert denial is not None
    assert (denial.code, denial.numbers) == (code, numbers)
    assert denial.text


def test_every_check_denies_something_here() -> None:
    """The rows above leave no check out."""
    exercised = set()
    for code, what, _ in DENIALS:
        if code != "BAD_PURPOSE":
            exercised.add(next(check for check in CHECKS_FOR[what.order.purpose] if check(what) is not None))
    assert exercised == {check for check, _ in CHECKS}


PASSES: dict[str, Case] = {
    "a plain buy": case(order()),
    "a journal nearly behind": case(order(), backlog=(9_999, 199_999_999)),
    "an exit with the journal behind": case(order(SELL, purpose=EXIT), held={"A": (10, 0, 0)}, backlog=(10**6, 10**12)),
    "a buy while another symbol is frozen": case(order(), frozen={"B": 5}),
    "an exit by both books": case(order(SELL, purpose=EXIT), held={"A": (11, 0, 0)}, frozen={"A": -1}),
    "an exit of a short by both books": case(order(purpose=EXIT), held={"A": (-11, 0, 0)}, frozen={"A": 1}),
    "the last cent": case(order(), cash=200),
    "all that is held": case(order(SELL), held={"A": (10, 0, 0)}),
    "exactly the collar": case(order(limit=22), limits={"price_collar": D("0.1")}),
    "a far resting buy": case(order(limit="0.01"), limits={"price_collar": D("0.1")}),
    "a far resting sale": case(order(SELL, limit=9000), limits={"price_collar": D("0.1")}, held={"A": (10, 0, 0)}),
    "a stop-limit at its collar": case(stop(30, limit=33), limits={"price_collar": D("0.1")}),
    "a sell stop-limit at its collar": case(
        stop(10, limit=9, side=SELL), limits={"price_collar": D("0.1")}, held={"A": (10, 0, 0)}
    ),
    "a stop far away": case(stop(90), limits={"price_collar": D("0.1")}),
    "a sell stop that triggers at once": case(stop(25, side=SELL, purpose=PROTECTIVE), held={"A": (10, 0, 0)}),
    "a buy stop that triggers at once": case(stop(15), cash=200),
    "a buy stop with its cash": case(stop(25), cash=250),
    "a stop-limit with its cash": case(stop(25, limit=24), cash=240),
    "a trailing buy with its cash": case(trailing(percent=10), cash=220),
    "a trailing sale": case(
        trailing(amount=3, side=SELL), limits={"max_order_notional": D(200)}, held={"A": (10, 0, 0)}
    ),
    "a limit order in extended hours": case(order(limit=20, extended_hours=True), can=AUCTIONS),
    "a limit order in the auction": case(order(limit=20, time_in_force=TimeInForce.OPG), can=AUCTIONS),
    "exactly the short margin": case(
        order(SELL, quantity=2), limits=UNEVEN, cash=200, held={"A": (-1, 0, 0), "B": (4, 6, 5)}
    ),
    "a margin that accrued dividends cover": case(order(quantity=10), limits=MARGIN, cash=50, accrued=50),
    "exactly the order quantity": case(order(), limits={"max_order_quantity": D(10)}),
    "exactly the notional": case(order(), limits={"max_order_notional": D(200)}),
    "exactly the position": case(order(), limits={"max_position_quantity": D(35)}, held={"A": (20, 5, 0)}),
    "exactly the exposure": case(order(), limits={"max_gross_exposure": D(800)}, held={"A": (2, 3, 0), "B": (4, 6, 1)}),
    "a short on margin": case(order(SELL), limits=MARGIN),
    "exactly the margin": case(order(quantity=10), limits=MARGIN, cash=100),
    "a reducer without buying power": case(order(SELL), limits=MARGIN, cash=-10_000, held={"A": (10, 0, 0)}),
    "a buy that covers a short": case(order(), limits=MARGIN, cash=0, held={"A": (-10, 0, 0)}),
    "a reducer above the position limit": case(
        order(SELL), limits={"max_position_quantity": D(5)}, held={"A": (30, 0, 0)}
    ),
    "a reducer while reducing": case(order(SELL), state=TradingState.REDUCING, held={"A": (10, 0, 0)}),
    "covering while reducing": case(order(), limits=MARGIN, state=TradingState.REDUCING, held={"A": (-10, 0, 0)}),
    "protection while halted": case(order(SELL, purpose=PROTECTIVE), state=TradingState.HALTED, held={"A": (10, 0, 0)}),
    "liquidation while halted": case(
        order(SELL, purpose=LIQUIDATION), state=TradingState.HALTED, held={"A": (10, 0, 0)}
    ),
    "liquidation of any size": case(
        order(SELL, purpose=LIQUIDATION),
        limits={"max_order_quantity": D(1), "max_order_notional": D(1)},
        held={"A": (10, 0, 0)},
    ),
    "the same intent later": case(
        order(), limits={"duplicate_window_ns": 100}, intents={intent_key(order()): 49}, now_ns=150
    ),
    "the same exit at once": case(
        order(SELL, purpose=EXIT),
        limits={"duplicate_window_ns": 100},
        intents={intent_key(order(SELL, purpose=EXIT)): 0},
        held={"A": (10, 0, 0)},
    ),
    "the same intent without a window": case(order(), intents={intent_key(order()): 0}),
    "a replacement that costs no more": case(
        order(limit=19), cash=200, reserved=200, delta=0, remaining=D(10), held_cost=D(200)
    ),
}


@pytest.mark.parametrize("what", PASSES.values(), ids=PASSES)
def test_what_is_within_the_limits_passes(what: Case) -> None:
    """An order exactly at a limit passes, and a check applies only to what it is meant for."""
    assert review(what) is None


@pytest.mark.parametrize(
    ("side", "position", "open_buy", "open_sell", "reduces"),
    [
        (SELL, 10, 0, 0, True),
        (SELL, 9, 0, 0, False),
        (SELL, 15, 0, 6, False),  # what is being closed already cannot be closed again
        (SELL, 15, 9, 5, True),  # open buys do not make room for a sale
        (SELL, 0, 0, 0, False),
        (SELL, -10, 0, 0, False),
        (BUY, -10, 0, 0, True),
        (BUY, -9, 0, 0, False),
        (BUY, -15, 6, 0, False),
        (BUY, -15, 5, 9, True),
        (BUY, 10, 0, 0, False),
    ],
)
def test_a_reducer_only_closes_what_is_held(
    side: Side, position: int, open_buy: int, open_sell: int, reduces: bool
) -> None:
    """An order reduces if, with all that is open on its side, it does not go beyond flat; a buy can, of a short."""
    what = case(order(side), held={"A": (position, open_buy, open_sell)})
    assert what.reduces() is reduces
    halfway = case(order(side), held={"A": (position, open_buy, open_sell)}, state=TradingState.REDUCING, limits=MARGIN)
    denial = review(halfway)
    assert (denial is None) is reduces
    exits = review(case(order(side, purpose=EXIT), held={"A": (position, open_buy, open_sell)}, limits=MARGIN))
    assert (exits is None) is reduces


def test_the_worst_case_counts_open_orders() -> None:
    """Orders that are open count as filled on their own side, and not on the other."""
    limits = {"max_position_quantity": D(100)}
    assert review(case(order(quantity=50), limits=limits, held={"A": (20, 30, 90)})) is None
    denial = review(case(order(quantity=51), limits=limits, held={"A": (20, 30, 90)}))
    assert denial is not None
    assert denial.numbers["worst_case"] == "101"


def test_the_price_of_another_symbol_cannot_stop_the_gate() -> None:
    """A symbol that is held and has no price, or an absurd one, counts as nothing and raises nothing."""
    for absurd in (None, "NaN", "sNaN", "Infinity", "-1"):
        what = case(
            order(), limits={"max_gross_exposure": D(200), **MARGIN}, held={"B": (5, 5, 5)}, prices={"B": absurd}
        )
        assert review(what) is None


def test_an_intent_is_known_by_its_meaning() -> None:
    """Quantities written differently are one intent; another parent, strategy, side, price or time makes another."""
    assert intent_key(order(quantity="10", limit="5")) == intent_key(order(quantity="10.0", limit="5.00"))
    keys = {
        intent_key(each)
        for each in (
            order(),
            order(SELL),
            order(quantity=11),
            order(limit=5),
            order(limit=6),
            order(symbol="B"),
            order(strategy="s"),
            order(parent="twap:1"),
            order(parent="twap:2"),
            stop(5),
            stop(6),
            stop(5, limit=6),
            trailing(amount=5),
            trailing(percent=5),
            order(time_in_force=TimeInForce.OPG),
            order(time_in_force=TimeInForce.CLS),
            order(limit=5, extended_hours=True),
        )
    }
    assert len(keys) == 17


# --- Check × purpose ---------------------------------------------------------------------------------------------------

APPLIES = {
    # check                entry child exit protective liquidation
    "known_symbol": (True, True, True, True, True),
    "quantity": (True, True, True, True, True),
    "price": (True, True, True, True, True),
    "trading_state": (True, True, True, False, False),
    "broker_session": (True, True, True, True, True),
    "journal_behind": (True, True, False, False, False),
    "symbol_frozen": (True, True, True, True, True),
    "broker_rules": (True, True, True, True, True),
    "capability": (True, True, True, True, True),
    "market_data": (True, True, True, True, True),
    "stale_market": (True, True, False, False, False),
    "price_collar": (True, True, True, True, True),
    "order_quantity": (True, True, True, True, False),
    "order_notional": (True, True, True, True, False),
    "position": (True, True, False, False, False),
    "gross_exposure": (True, True, False, False, False),
    "short_sale": (True, True, True, True, True),
    "buying_power": (True, True, False, False, False),
    "duplicate_intent": (True, True, False, False, False),
    "exit_flips": (False, False, True, True, True),
}
ORDERED = (ENTRY, CHILD, EXIT, PROTECTIVE, LIQUIDATION)


def test_the_table_of_checks_and_purposes() -> None:
    """Which purpose needs which check, and in which order they run, is decided here and nowhere by accident."""
    table = {check.__name__: tuple(purpose in purposes for purpose in ORDERED) for check, purposes in CHECKS}
    assert table == APPLIES
    assert list(table) == list(APPLIES)
    for position, purpose in enumerate(ORDERED):
        names = [check.__name__ for check in CHECKS_FOR[purpose]]
        assert names == [name for name, row in APPLIES.items() if row[position]]


def test_an_order_cannot_have_the_purpose_of_a_cancel() -> None:
    """The purpose that needs no checks is for cancels only: an order that claims it is denied."""
    assert CHECKS_FOR[Purpose.CANCEL] == ()
    denial = review(case(order(quantity="1E+9", purpose=Purpose.CANCEL)))
    assert denial is not None
    assert denial.code == "BAD_PURPOSE"


def test_render_shows_the_table() -> None:
    """The Markdown has one line for each check, with a column for every purpose, cancel included."""
    head, _, *rows = render().splitlines()
    assert [cell.strip() for cell in head.strip("|").split("|")] == ["check", *Purpose]
    for (name, applies), row in zip(APPLIES.items(), rows, strict=True):
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells == [name, *("yes" if yes else "–" for yes in applies), "–"]


# --- Nothing odd passes, nothing raises --------------------------------------------------------------------------------

ODD = [
    D(text)
    for text in (
        "NaN sNaN -NaN Infinity -Infinity 0 -0 -1 -0.01 1E+400 1E-400 -1E+400 9E+999999 1E-999999 0.3 1E+34 "
        "12345678901234567890123456789012345678901234567890"
    ).split()
]
odd_numbers = st.sampled_from(ODD) | st.decimals() | st.decimals(allow_nan=False, allow_infinity=False)
limits_of_all_kinds = st.sampled_from(
    [
        {},
        {"max_order_quantity": D(100), "max_order_notional": D(10_000), "price_collar": D("0.1")},
        {"max_position_quantity": D(50), "max_gross_exposure": D(1000), "duplicate_window_ns": 5},
        {**MARGIN, "max_gross_exposure": D(1000), "price_collar": D("0.5"), "duplicate_window_ns": 5},
    ]
)


@settings(max_examples=1000, deadline=None)
@given(
    odd_numbers,
    st.none() | odd_numbers,
    st.none() | odd_numbers,
    limits_of_all_kinds,
    st.sampled_from(ORDERED),
    st.sampled_from(Side),
    st.sampled_from(TradingState),
    st.integers(-20, 20),
)
def test_only_sensible_numbers_pass(
    quantity: Decimal,
    limit: Decimal | None,
    last: Decimal | None,
    limits: dict[str, Any],
    purpose: Purpose,
    side: Side,
    state: TradingState,
    position: int,
) -> None:
    """Whatever quantity, limit and market come, the gate answers without raising, and what passes is a whole, positive, known number."""
    kind = OrderType.MARKET if limit is None else OrderType.LIMIT
    what = msgspec.structs.replace(order(side, purpose=purpose), quantity=quantity, limit_price=limit, order_type=kind)
    denial = review(case(what, limits=limits, last=last, state=state, held={"A": (position, 0, 0), "B": (3, 2, 1)}))
    if denial is not None:
        return
    assert quantity.is_finite()
    assert quantity > 0
    assert quantity == quantity.to_integral_value()
    assert last is not None
    assert last.is_finite()
    assert last > 0
    if limit is not None:
        assert limit.is_finite()
        assert limit > 0
        assert limit * 100 == (limit * 100).to_integral_value()
    price = limit or last
    if (
        purpose in (ENTRY, CHILD)
        and not case(what, held={"A": (position, 0, 0)}).reduces()
        and "max_order_notional" in limits
    ):
        assert quantity * price <= 10_000


@settings(max_examples=1000, deadline=None)
@given(
    st.sampled_from(OrderType),
    st.sampled_from(Side),
    st.fixed_dictionaries({field: st.none() | odd_numbers | st.just(D(15)) for field in PRICES}),
    limits_of_all_kinds,
)
def test_only_an_order_with_the_prices_of_its_type_passes(
    kind: OrderType, side: Side, prices: dict[str, Decimal | None], limits: dict[str, Any]
) -> None:
    """Whatever prices come with whatever type, nothing raises, and what passes has those that its type needs, all positive."""
    what = msgspec.structs.replace(order(side), order_type=kind, **prices)
    denial = review(case(what, limits=limits, held={"A": (10, 0, 0)}))
    if denial is not None:
        return
    given = {field: price for field, price in prices.items() if price is not None}
    possible = ({"trail_amount"}, {"trail_percent"}) if kind is OrderType.TRAILING_STOP else (set(NEEDED[kind]),)
    assert set(given) in possible
    assert all(price.is_finite() and price > 0 for price in given.values())
    assert given.get("trail_percent", 0) < 100


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 60), st.sampled_from(Side), st.integers(-50, 50), st.integers(0, 30), st.integers(0, 30))
def test_exits_never_flip(quantity: int, side: Side, position: int, open_buy: int, open_sell: int) -> None:
    """If every open order on its side fills, an exit that passed still leaves the position flat or on the side where it was."""
    held = {"A": (position, open_buy, open_sell)}
    for purpose in (EXIT, PROTECTIVE, LIQUIDATION):
        if review(case(order(side, quantity, purpose=purpose), limits=MARGIN, held=held)) is None:
            after = position + open_buy + quantity if side is BUY else position - open_sell - quantity
            assert position
            assert after * position >= 0


# --- The only way through ----------------------------------------------------------------------------------------------


def constructions(text: str, name: str) -> list[int]:
    return [
        node.lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and (getattr(node.func, "id", None) == name or getattr(node.func, "attr", None) == name)
    ]


def test_only_the_gate_makes_an_approval() -> None:
    """In the whole package `ApprovedOrder` is constructed in risk_gate.py only, and there in one place."""
    root = Path(str(ordersmith.__file__)).parent
    folders = [root / name for name in ("actors", "adapters", "config", "supervisor")]
    files = [path for folder in folders for path in folder.rglob("*.py")] + list(root.glob("*.py"))
    assert len(files) > 40
    makers = {
        path.relative_to(root).as_posix(): lines
        for path in files
        if (lines := constructions(path.read_text(encoding="utf-8"), "ApprovedOrder"))
    }
    assert list(makers) == ["actors/risk_gate.py"]
    assert len(makers["actors/risk_gate.py"]) == 1
    assert constructions("m.ApprovedOrder(1)\nx = ApprovedOrder(2)", "ApprovedOrder") == [1, 2]


def test_an_approval_is_what_a_placement_needs() -> None:
    """The messages that place and replace take an approval, not an order."""
    from ordersmith.actors.messages import ApprovedOrder, PlaceOrder, ReplaceLeg

    for message in (PlaceOrder, ReplaceLeg):
        kinds = {field.name: field.type for field in msgspec.structs.fields(message)}
        assert kinds["approved"] is ApprovedOrder

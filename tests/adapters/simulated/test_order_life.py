"""What the exchange answers: refusals, cancels, replacements, expiry, status."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ordersmith.actors.model import Instrument, Order, OrderType, Side, Terms, TimeInForce
from ordersmith.actors.ports import (
    Accepted,
    BrokerOrderState,
    BrokerPosition,
    Cancelled,
    CancelRefused,
    CommandKind,
    Connect,
    Connected,
    Disconnect,
    Disconnected,
    Executed,
    Expired,
    NewOrder,
    NotSent,
    OrderAbsent,
    OrderFound,
    Rejected,
    Replaced,
    ReplaceRefused,
    StatusRequest,
)
from ordersmith.actors.snapshots import SyncAccount
from ordersmith.adapters.simulated.exchange import ExchangeRules, SimulatedExchange
from ordersmith.adapters.simulated.orders import OrderIndex

GTC = {"time_in_force": TimeInForce.GTC}


def with_terms(**terms: Any) -> Order:
    return Order(**{"symbol": "A", "side": "BUY", "quantity": Decimal(1), **terms})


@pytest.mark.parametrize(
    ("order", "code", "number"),
    [
        (Order.buy("X", 1), "UNKNOWN_SYMBOL", "X"),
        (with_terms(order_type="STOP"), "UNSUPPORTED_ORDER_TYPE", "STOP"),
        (with_terms(time_in_force="FOK"), "UNSUPPORTED_TIME_IN_FORCE", "FOK"),
        (Order.buy("A", 1, stop_price="9", time_in_force="IOC"), "UNSUPPORTED_TIME_IN_FORCE", "DAY, GTC"),
        (Order.buy("A", 1, "9", stop_price="9", time_in_force="OPG"), "UNSUPPORTED_TIME_IN_FORCE", "STOP_LIMIT"),
        (Order.buy("A", 1, trail_amount="1", time_in_force="CLS"), "UNSUPPORTED_TIME_IN_FORCE", "TRAILING_STOP"),
        (with_terms(stop_price=Decimal(9)), "BAD_PRICE", "stop_price"),
        (with_terms(trail_percent=Decimal(9)), "BAD_PRICE", "trail_percent"),
        (Order.buy("A", 1, "9", trail_amount="1", order_type="LIMIT"), "BAD_PRICE", "trail_amount"),
        (with_terms(order_type=OrderType.STOP), "BAD_PRICE", "stop_price"),
        (Order.sell("A", 1, stop_price="9.001"), "BAD_PRICE", "9.001"),
        (Order.sell("A", 1, stop_price="0"), "BAD_PRICE", "0"),
        (with_terms(order_type=OrderType.STOP_LIMIT, stop_price=Decimal(9)), "BAD_PRICE", "limit_price"),
        (with_terms(order_type=OrderType.STOP, stop_price=Decimal(9), limit_price=Decimal(9)), "BAD_PRICE", "limit"),
        (with_terms(order_type=OrderType.TRAILING_STOP), "BAD_PRICE", "none"),
        (Order.buy("A", 1, trail_amount="1", trail_percent="1"), "BAD_PRICE", "both"),
        (Order.buy("A", 1, trail_amount="0.001"), "BAD_PRICE", "0.001"),
        (Order.buy("A", 1, trail_percent="100"), "BAD_PRICE", "100"),
        (Order.buy("A", 1, trail_percent="NaN"), "BAD_PRICE", "NaN"),
        (Order.sell("A", 1, trail_amount="10"), "BAD_PRICE", "10"),
        (Order.buy("A", 1, extended_hours=True), "UNSUPPORTED_EXTENDED_HOURS", "LIMIT"),
        (Order.buy("A", 1, "9", extended_hours=True, time_in_force="IOC"), "UNSUPPORTED_EXTENDED_HOURS", "IOC"),
        (Order.buy("A", 1, stop_price="9", extended_hours=True), "UNSUPPORTED_EXTENDED_HOURS", "STOP"),
        (Order.buy("A", 10_000, stop_price="10.01"), "INSUFFICIENT_BUYING_POWER", "100100"),
        (Order.buy("A", 10_001, stop_price="9"), "INSUFFICIENT_BUYING_POWER", "100010"),
        (Order.buy("A", 9_100, trail_amount="1"), "INSUFFICIENT_BUYING_POWER", "100100"),
        (Order.buy("B", 1, trail_amount="1"), "NO_MARKET_DATA", "B"),
        (Order.buy("A", 0), "BAD_QUANTITY", "0"),
        (Order.buy("A", -5), "BAD_QUANTITY", "-5"),
        (Order.buy("A", "1.5"), "BAD_QUANTITY", "1.5"),
        (Order.buy("L", 15), "BAD_QUANTITY", "15"),
        (Order.buy("A", Decimal("NaN")), "BAD_QUANTITY", "NaN"),
        (Order.buy("A", Decimal("Infinity")), "BAD_QUANTITY", "Infinity"),
        (Order.buy("A", Decimal("1e60")), "BAD_QUANTITY", "1E+60"),
        (Order.buy("A", 1, "10.001"), "BAD_PRICE", "10.001"),
        (Order.buy("A", 1, "-10"), "BAD_PRICE", "-10"),
        (Order.buy("A", 1, "0"), "BAD_PRICE", "0"),
        (Order.buy("A", 1, Decimal("NaN")), "BAD_PRICE", "NaN"),
        (Order.buy("A", 1, Decimal("1e60")), "BAD_PRICE", "1E+60"),
        (with_terms(order_type="LIMIT"), "UNSUPPORTED_ORDER_TYPE", "LIMIT"),  # a bare string is no OrderType
        (with_terms(limit_price=Decimal(10)), "BAD_PRICE", "10"),
        (Order.buy("A", 10_001), "INSUFFICIENT_BUYING_POWER", "100010"),
        (Order.buy("A", 1000, "100.01"), "INSUFFICIENT_BUYING_POWER", "100010"),
        (Order.sell("A", 1), "SHORT_SALE_NOT_ALLOWED", "0 held"),
        (Order.buy("B", 1), "NO_MARKET_DATA", "B"),
    ],
)
def test_refused_orders(market: Any, order: Order, code: str, number: str) -> None:
    """Each refusal has its code and a text with the number; the order never works and is remembered as rejected."""
    m = market()
    m.bar(10.0)
    (report,) = m.send(order)
    assert isinstance(report, Rejected)
    assert (report.wire_id, report.code) == ("o1.1", code)
    assert number in report.text
    assert m.status("o1.1") == OrderFound("o1.1", "", BrokerOrderState.REJECTED, Decimal(0), None)
    assert m.exchange.buying_power() == 100_000


@pytest.mark.parametrize("wire_id", ["o1.1", "o1.2", "o1"])
@pytest.mark.parametrize("fate", ["open", "filled", "cancelled", "rejected"])
def test_an_id_is_taken_for_ever(market: Any, wire_id: str, fate: str) -> None:
    """A second order under the same base id is refused, whatever became of the first, and does not disturb it."""
    m = market()
    m.bar(10.0)
    m.send(Order.sell("A", 1) if fate == "rejected" else Order.buy("A", 1), "o1.1")
    if fate == "filled":
        m.bar(10.0)
    if fate == "cancelled":
        m.cancel("o1.1")
    before = m.status("o1.1")
    (report,) = m.send(Order.buy("A", 1), wire_id)
    assert (report.wire_id, report.code) == (wire_id, "DUPLICATE_ORDER_ID")
    assert m.status("o1.1") == before


def test_too_late_to_send(market: Any) -> None:
    """An order after its deadline is not sent and its id stays free; at the deadline it is in time."""
    m = market()
    m.bar(10.0)
    (report,) = m.send(Order.buy("A", 1), "o1.1", m.now_ns - 1)
    assert (type(report), report.kind) == (NotSent, CommandKind.NEW)
    assert "1 ns" in report.reason
    assert m.status("o1") == OrderAbsent("o1")
    assert m.send(Order.buy("A", 1), "o1.1", m.now_ns) == [Accepted("o1.1", "main-1")]


def test_too_late_to_replace(market: Any) -> None:
    """A replacement after its deadline is not sent and the order works on; at the deadline it is in time."""
    m = market()
    m.bar(10.0)
    m.buy(1)
    (report,) = m.replace("o1.1", "o1.2", 2, None, m.now_ns - 1)
    assert (type(report), report.wire_id, report.kind) == (NotSent, "o1.2", CommandKind.REPLACE)
    assert m.status("o1").wire_id == "o1.1"
    assert isinstance(m.replace("o1.1", "o1.2", 2, None, m.now_ns)[0], Replaced)


def test_session(market: Any) -> None:
    """Connecting tells what can be done, a read the whole account; disconnecting is confirmed and leaves orders working."""
    m = market()
    m.bar(10.0)
    m.buy(3)
    m.buy(2, symbol="B", limit="7.00")
    m.bars({"A": (10.0, 10.0, 10.0, 10.0, 1e6), "B": (6.0, 6.0, 6.0, 6.0, 1e6)})
    (connected,) = m.exchange.handle(Connect(), m.now_ns)
    assert isinstance(connected, Connected)
    assert connected.account == "main"
    (account,) = m.exchange.handle(SyncAccount(7, ""), m.now_ns)
    assert (account.as_of, account.cash) == (7, 100_000 - 30 - 12)
    assert account.positions == (
        BrokerPosition("A", Decimal(3), Decimal(10)),
        BrokerPosition("B", Decimal(2), Decimal(6)),
    )
    assert connected.capabilities.native_replace
    m.buy(1)
    assert m.exchange.handle(Disconnect(), m.now_ns) == [Disconnected("requested")]
    assert m.status("o3").state is BrokerOrderState.WORKING


def test_a_read_of_the_account_lists_what_is_open(market: Any) -> None:
    """A read lists every open order with what is filled and open of it, in order of arrival, and none that has ended."""
    m = market()
    m.bar(10.0)
    m.buy(25)
    m.buy(5, limit="8.00")
    m.buy(1)
    m.cancel("o3.1")
    m.bar(11.0, volume=100.0)
    m.replace("o1.1", "o1.2", 20, None, m.now_ns)
    working = BrokerOrderState.WORKING
    assert m.exchange.snapshot(3).orders == (
        OrderFound("o2.1", "main-2", working, Decimal(0), None, Decimal(0), "A", Side.BUY, Decimal(5), Decimal(8)),
        OrderFound("o1.2", "main-4", working, Decimal(10), Decimal(11), Decimal(0), "A", Side.BUY, Decimal(10), None),
    )
    assert (m.exchange.snapshot(3).executions, m.exchange.snapshot(3).cursor) == ((), "")


def test_an_unknown_command_is_an_error(market: Any) -> None:
    """What is no command raises, naming those that are."""
    with pytest.raises(TypeError, match=r"Accepted is none .* NewOrder"):
        market().exchange.handle(Accepted("a", "b"), 0)


def test_cancel_is_final(market: Any) -> None:
    """A cancelled or filled order cannot be cancelled again, and an unknown one never."""
    m = market()
    m.bar(10.0)
    m.buy(1)
    m.buy(1)
    assert m.cancel("o1.1") == [Cancelled("o1.1")]
    m.bar(10.0)
    for wire_id, code in (
        ("o1.1", "TOO_LATE"),
        ("o2.1", "TOO_LATE"),
        ("o2.7", "UNKNOWN_ORDER"),
        ("o9.1", "UNKNOWN_ORDER"),
    ):
        (report,) = m.cancel(wire_id)
        assert (type(report), report.wire_id, report.code) == (CancelRefused, wire_id, code)


def test_replace_while_partly_filled(market: Any) -> None:
    """A replacement keeps the fills, counts them in its total, and its executions go on from there under the new leg."""
    m = market()
    m.bar(10.0)
    m.buy(25, "10.00")
    (first,) = m.bar(10.0, volume=100.0)
    assert m.replace("o1.1", "o1.2", 18, "11.00") == [Replaced("o1.2", "main-2", Terms(Decimal(18), Decimal(11)))]
    (second,) = m.bar(10.5)
    assert (first.wire_id, first.fill.fill_key, first.cumulative_quantity) == ("o1.1", "main-1:10", 10)
    assert (second.wire_id, second.fill.fill_key, second.cumulative_quantity) == ("o1.2", "main-2:18", 18)
    assert second.fill.quantity == 8
    for asked in ("o1", "o1.1", "o1.2"):
        assert m.status(asked) == OrderFound(
            "o1.2", "main-2", BrokerOrderState.DONE, Decimal(18), (10 * 10 + 8 * Decimal("10.5")) / 18
        )
    assert m.status("o1.3") == OrderAbsent("o1.3")


def test_replace_loses_the_place_in_the_queue(market: Any) -> None:
    """Who replaces an order stands behind those that came before."""
    m = market()
    m.bar(10.0)
    m.buy(8)
    m.buy(8)
    m.replace("o1.1", "o1.2", 8)
    assert [(report.wire_id, report.fill.quantity) for report in m.bar(10.0, volume=100.0)] == [
        ("o2.1", 8),
        ("o1.2", 2),
    ]


@pytest.mark.parametrize(
    ("wire_id", "new_wire_id", "quantity", "limit", "code"),
    [
        ("o1.1", "o1.2", 10, "10.00", "TOO_LATE"),  # exactly what is filled
        ("o1.1", "o1.2", 9, "10.00", "TOO_LATE"),
        ("o1.1", "o1.2", 0, "10.00", "BAD_QUANTITY"),
        ("o1.1", "o1.2", "10.5", "10.00", "BAD_QUANTITY"),
        ("o1.1", "o1.2", 20, "10.001", "BAD_PRICE"),
        ("o1.1", "o1.2", 20, None, "BAD_PRICE"),
        ("o1.1", "o1.2", 10_000, "10.01", "INSUFFICIENT_BUYING_POWER"),
        ("o1.1", "o1.1", 20, "10.00", "DUPLICATE_ORDER_ID"),
        ("o1.1", "o7.2", 20, "10.00", "UNKNOWN_ORDER"),
        ("o7.1", "o7.2", 20, "10.00", "UNKNOWN_ORDER"),
        ("o2.1", "o2.2", 20, "10.00", "TOO_LATE"),  # cancelled
        ("o3.1", "o3.3", 20, "10.00", "TOO_LATE"),  # replaced by o3.2
        ("o3.2", "o3.1", 20, "9.00", "DUPLICATE_ORDER_ID"),
        ("o4.1", "o4.2", 20, "9.00", "BAD_PRICE"),  # a market order
    ],
)
def test_refused_replacements(
    market: Any, wire_id: str, new_wire_id: str, quantity: int, limit: str | None, code: str
) -> None:
    """A replacement that cannot be leaves the order as it was and says why."""
    m = market()
    m.bar(10.0)
    m.buy(25, "10.00", **GTC)
    m.bar(10.0, volume=100.0)
    m.buy(1, "9.00")
    m.cancel("o2.1")
    m.buy(1, "9.00")
    m.replace("o3.1", "o3.2", 2, "9.00")
    m.buy(1)
    before = (m.status("o1"), m.status("o3"), m.status("o4"), m.exchange.buying_power())
    (report,) = m.replace(wire_id, new_wire_id, quantity, limit)
    assert (type(report), report.wire_id, report.code) == (ReplaceRefused, new_wire_id, code)
    assert (m.status("o1"), m.status("o3"), m.status("o4"), m.exchange.buying_power()) == before


def test_a_replaced_leg_cannot_be_cancelled(market: Any) -> None:
    """The old leg is gone; the new one is cancelled by its own id."""
    m = market()
    m.bar(10.0)
    m.buy(5)
    m.replace("o1.1", "o1.2", 6)
    (report,) = m.cancel("o1.1")
    assert (report.code, "o1.2" in report.text) == ("TOO_LATE", True)
    assert m.cancel("o1.2") == [Cancelled("o1.2")]


def test_day_orders_end_with_their_session(market: Any) -> None:
    """DAY orders are matched with the last bar and then expire; GTC orders and what came later stay."""
    m = market()
    m.bar(10.0, closes=True)
    m.buy(5, "9.00")
    m.buy(5, "8.00", **GTC)
    m.buy(5, "9.50")
    assert m.bar(10.0, session=1) == []
    m.buy(5, "9.00")
    reports = m.bar(10.0, 10.0, 9.2, 10.0, session=1, closes=True)
    assert [(type(report), report.wire_id) for report in reports] == [
        (Executed, "o3.1"),
        (Expired, "o1.1"),
        (Expired, "o4.1"),
    ]
    assert m.status("o1").state is BrokerOrderState.EXPIRED
    m.buy(5, "9.00")
    assert m.bar(10.0, session=2) == []
    assert m.bar(10.0, session=2, closes=True) == [Expired("o5.1")]
    assert m.status("o2").state is BrokerOrderState.WORKING


def test_a_session_ends_for_symbols_without_a_bar(market: Any) -> None:
    """The last bars of the session expire the orders of every symbol."""
    m = market()
    m.bar(10.0)
    m.buy(5, "9.00", symbol="B")
    assert m.bar(10.0, closes=True) == [Expired("o1.1")]


def test_a_session_whose_last_bars_are_missing_ends_with_the_next(market: Any) -> None:
    """Where no bar closed the session, the first bars of another expire its orders before they are matched."""
    m = market()
    m.bar(10.0, session=1)
    m.buy(5)
    m.buy(5, "9.00")
    assert len(m.bar(10.0, session=1)) == 1
    m.buy(5)
    reports = m.bar(8.0, session=2)
    assert [(type(report), report.wire_id) for report in reports] == [(Expired, "o2.1"), (Executed, "o3.1")]


def test_close_mode_at_the_end_of_a_session(market: Any) -> None:
    """An order at the session's last instant may fill at that close; what is left belongs to the next session."""
    m = market(fill="close")
    m.bar(10.0, volume=100.0, closes=True)
    assert [type(report) for report in m.buy(25)] == [Accepted, Executed]
    assert m.bar(10.0, session=1, volume=100.0)[0].cumulative_quantity == 20
    assert [type(report) for report in m.bar(10.0, session=1, volume=30.0, closes=True)] == [Executed, Expired]


def test_status_follows_the_order(market: Any) -> None:
    """A status tells state, fills and average price by base id or leg; an id that never was is absent."""
    m = market()
    m.bar(10.0)
    m.buy(25)
    open_terms = (Decimal(0), "A", Side.BUY, Decimal(25), None)
    assert m.status("o1") == OrderFound("o1.1", "main-1", BrokerOrderState.WORKING, Decimal(0), None, *open_terms)
    m.bar(11.0, volume=100.0)
    assert m.status("o1.1").average_price == 11
    m.cancel("o1.1")
    assert m.status("o1.1") == OrderFound("o1.1", "main-1", BrokerOrderState.CANCELLED, Decimal(10), Decimal(11))
    assert m.status("o2") == OrderAbsent("o2")
    assert m.status("o1.2") == OrderAbsent("o1.2")


def test_the_memory_of_finished_orders_is_bounded(market: Any) -> None:
    """The last `size` finished orders are known, never more than twice as many are held, open ones always are."""
    m = market()
    m.exchange._orders = m.exchange._book.orders = index = OrderIndex(size=10)
    m.bar(10.0)
    m.send(Order.buy("A", 1, "1.00", **GTC), "old.1")
    for n in range(100):
        m.send(Order.buy("A", 1), f"x{n}.1")
        m.cancel(f"x{n}.1")
        assert len(index._younger) + len(index._elder) <= 20
        known = [k for k in range(n + 1) if isinstance(m.status(f"x{k}"), OrderFound)]
        assert known[-10:] == list(range(max(0, n - 9), n + 1))
    assert m.status("old").state is BrokerOrderState.WORKING
    assert isinstance(m.status("x0"), OrderAbsent)


def test_ids_without_a_leg_are_their_own_base() -> None:
    """A wire id without a dot names order and leg at once."""
    exchange = SimulatedExchange(ExchangeRules(), {"A": Instrument()}, account="second")
    (report,) = exchange.handle(NewOrder("plain", Order.buy("A", 1, "1.00"), 10, 0), 10)
    assert report == Accepted("plain", "second-1")
    assert exchange.handle(StatusRequest("plain"), 10)[0].wire_id == "plain"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("path", "straight"),
        ("outside_session", "maybe"),
        ("opg_cutoff_ns", -1),
        ("cls_cutoff_ns", -1),
        ("latency_submit_ns", -1),
        ("latency_cancel_ns", -1),
        ("slippage", Decimal(1)),
        ("slippage", Decimal("-0.1")),
        ("commission", Decimal(-1)),
        ("participation", Decimal(0)),
        ("participation", Decimal("1.1")),
        ("price_increment", Decimal(0)),
        ("initial_margin", Decimal(0)),
        ("cash", Decimal("Infinity")),
        ("fill", "open"),
        ("limit_fill", "always"),
        ("account_type", "gold"),
    ],
)
def test_impossible_rules_are_errors(field: str, value: Any) -> None:
    """A rule that cannot be is refused when it is made, by name and value."""
    with pytest.raises(ValueError, match=f"{field}: .*{value}.*give"):
        ExchangeRules(**{field: value})


@pytest.mark.parametrize("latency", ["latency_submit_ns", "latency_cancel_ns"])
def test_a_latency_contradicts_fill_close(latency: str) -> None:
    """With a latency nothing can arrive at the close that it has seen."""
    with pytest.raises(ValueError, match=r"fill: close .*latency"):
        ExchangeRules(fill="close", **{latency: 1})

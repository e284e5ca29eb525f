"""Reservations: event by event, and against a recomputation from the open orders."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ordersmith.actors.events import (
    CancelReason,
    CashMoved,
    CashSettled,
    Denial,
    DividendAccrued,
    OrderApproved,
    OrderCancelled,
    OrderDenied,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    OrderReplaceRefused,
    OrderRestated,
    PositionAdjusted,
    SessionClosed,
    SessionOpened,
)
from ordersmith.actors.machines.exposure import INTENTS_KEPT, Exposure, SymbolRisk, usable
from ordersmith.actors.model import Fill, OrderState, OrderType, Side, Terms, TimeInForce
from ordersmith.actors.ports import AdjustmentCause, BrokerPosition, Capabilities, CashKind

D = Decimal
BUY, SELL = Side.BUY, Side.SELL


def opened(cash: str = "1000", *positions: BrokerPosition) -> SessionOpened:
    can = Capabilities(order_types=tuple(OrderType), times_in_force=tuple(TimeInForce))
    return SessionOpened("main", D(cash), positions, can)


def approved(
    order_id: str,
    side: Side,
    quantity: int | Decimal,
    price: Decimal | str = "10",
    symbol: str = "A",
    *,
    replaces: bool = False,
    intent: str = "",
) -> OrderApproved:
    return OrderApproved(order_id, "main", symbol, side, D(quantity), D(price), replaces, intent)


def filled(order_id: str, side: Side, quantity: int | Decimal, price: Decimal | str = "10", symbol: str = "A") -> Any:
    fill = Fill(fill_key="k", quantity=D(quantity), price=D(price), at_ns=0)
    change = D(quantity)
    return OrderFilled(
        order_id, "main", "", symbol, side, fill, change, change * D(price), D(1), OrderState.PARTIALLY_FILLED
    )


def replaced(order_id: str, quantity: int, price: str | None = None) -> OrderReplaced:
    return OrderReplaced(order_id, order_id + ".1", "b", Terms(D(quantity), None if price is None else D(price)))


def restated(order_id: str, quantity: int | Decimal, price: Decimal | str | None = None) -> OrderRestated:
    return OrderRestated(order_id, Terms(D(quantity), None if price is None else D(price)), "split")


def adjusted(cause: AdjustmentCause, quantity: int, cash: int = 0, new_symbol: str = "") -> PositionAdjusted:
    return PositionAdjusted("main", "1", cause, "A", D(quantity), D(cash), new_symbol)


def numbers(exposure: Exposure, symbol: str = "A") -> tuple[Decimal, Decimal, Decimal, Decimal]:
    """Return position, open buys, open sells, and the currency that is reserved."""
    account = exposure.account("main")
    risk = account.symbols.get(symbol, SymbolRisk())
    return risk.position, risk.open_buy, risk.open_sell, account.reserved


def after(*events: Any) -> Exposure:
    exposure = Exposure()
    exposure.session_opened(opened())
    for event in events:
        tell(exposure, event)
    return exposure


def tell(exposure: Exposure, event: Any) -> None:
    match event:
        case OrderApproved():
            exposure.approved(event, 0)
        case OrderFilled():
            exposure.filled(event)
        case OrderReplaced():
            exposure.replaced(event)
        case OrderReplaceRefused():
            exposure.replace_refused(event)
        case OrderRestated():
            exposure.restated(event)
        case PositionAdjusted():
            exposure.position_adjusted(event)
        case CashMoved():
            exposure.cash_moved(event)
        case DividendAccrued():
            exposure.dividend_accrued(event)
        case CashSettled():
            exposure.cash_settled(event)
        case _:
            exposure.closed(event)


ASKED = [approved("o", BUY, 10), approved("o", BUY, 15, "12", replaces=True)]
REQUESTED = OrderCancelled("o", CancelReason.REQUESTED)
NO = OrderReplaceRefused("o", "NO", "")


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        # position, open buy, open sell, reserved
        ([approved("o", BUY, 10)], (0, 10, 0, 100)),
        ([approved("o", SELL, 10)], (0, 0, 10, 0)),
        ([approved("o", BUY, 10), filled("o", BUY, 4, "9")], (4, 6, 0, 60)),
        ([approved("o", BUY, 10), filled("o", BUY, 10)], (10, 0, 0, 0)),
        ([approved("o", BUY, 10), filled("o", BUY, 4), REQUESTED], (4, 0, 0, 0)),
        ([approved("o", BUY, 10), REQUESTED, filled("o", BUY, 4)], (4, 0, 0, 0)),  # late
        ([approved("o", BUY, 10), OrderRejected("o", "NO", "")], (0, 0, 0, 0)),
        ([approved("o", BUY, 10), OrderDenied("o", Denial("X", "", {}))], (0, 0, 0, 0)),
        ([approved("o", BUY, 10), REQUESTED, REQUESTED], (0, 0, 0, 0)),
        ([approved("o", SELL, 10), filled("o", SELL, 4)], (-4, 0, 6, 0)),
        # a replacement holds the worst of old and new until the broker has answered
        ([approved("o", BUY, 10), approved("o", BUY, 15, "12", replaces=True)], (0, 15, 0, 180)),
        ([approved("o", BUY, 10), approved("o", BUY, 5, replaces=True)], (0, 10, 0, 100)),
        ([approved("o", BUY, 10), approved("o", BUY, 8, "20", replaces=True)], (0, 10, 0, 160)),
        ([approved("o", BUY, 10), approved("o", BUY, 15, "12", replaces=True), replaced("o", 15)], (0, 15, 0, 180)),
        ([approved("o", BUY, 10), approved("o", BUY, 5, replaces=True), replaced("o", 5)], (0, 5, 0, 50)),
        ([approved("o", BUY, 10), approved("o", BUY, 15, replaces=True), NO], (0, 10, 0, 100)),
        (
            [approved("o", BUY, 10), approved("o", BUY, 15, replaces=True), OrderReplaceRefused("o", "X", "", True)],
            (0, 15, 0, 150),  # a second replacement was denied; the first is still asked
        ),
        (
            [approved("o", BUY, 10), filled("o", BUY, 4), approved("o", BUY, 15, replaces=True), replaced("o", 15)],
            (4, 11, 0, 110),
        ),
        (
            [approved("o", BUY, 10), approved("o", BUY, 15, replaces=True), filled("o", BUY, 10)],
            (10, 5, 0, 50),  # the old leg is done, the new one may still come
        ),
        ([approved("o", BUY, 10), approved("o", BUY, 15, replaces=True), filled("o", BUY, 10), NO], (10, 0, 0, 0)),
        (
            [approved("o", BUY, 10), approved("o", BUY, 8, replaces=True), filled("o", BUY, 8), replaced("o", 8)],
            (8, 0, 0, 0),
        ),
        ([approved("o", BUY, 10), approved("o", BUY, 15, replaces=True), REQUESTED], (0, 0, 0, 0)),
        ([approved("gone", BUY, 15, replaces=True)], (0, 0, 0, 0)),
        # what the broker makes of an order holds from then on; without a limit it costs as much as before
        ([approved("o", BUY, 10), restated("o", 20, "5")], (0, 20, 0, 100)),
        ([approved("o", BUY, 10), restated("o", 20)], (0, 20, 0, 100)),
        ([approved("o", BUY, 10), restated("o", 10, "9.5")], (0, 10, 0, 95)),
        ([approved("o", SELL, 10), restated("o", 5)], (0, 0, 5, 0)),
        ([approved("o", BUY, 10), filled("o", BUY, 4), restated("o", 16, "5")], (4, 12, 0, 60)),
        ([approved("o", BUY, 10), filled("o", BUY, 4), restated("o", 4)], (4, 0, 0, 0)),
        ([approved("o", BUY, 10), REQUESTED, restated("o", 20)], (0, 0, 0, 0)),
        ([approved("o", BUY, 3), restated("o", 7)], (0, 7, 0, D("30.00000003"))),  # rounded up, never down
        # while a replacement is asked, the worst of before and after; its answer counts
        ([*ASKED, restated("o", 20, "5")], (0, 30, 0, 180)),
        ([*ASKED, restated("o", 20, "5"), replaced("o", 30, "6")], (0, 30, 0, 180)),
        ([*ASKED, restated("o", 20, "5"), replaced("o", 15, "12")], (0, 15, 0, 180)),
        ([*ASKED, restated("o", 20, "5"), NO], (0, 20, 0, 100)),
        ([*ASKED, restated("o", 5, "20")], (0, 15, 0, 180)),
        ([*ASKED, restated("o", 10, "9")], (0, 15, 0, 180)),
        ([*ASKED, filled("o", BUY, 4), restated("o", 16, "5")], (4, 22, 0, 132)),
        ([*ASKED, filled("o", BUY, 4), restated("o", 16, "5"), replaced("o", 26, "6")], (4, 22, 0, 132)),
    ],
)
def test_what_an_order_reserves(events: list[Any], expected: tuple[int, ...]) -> None:
    """A reservation begins with the approval, shrinks with fills, and ends by proof only."""
    assert numbers(after(*events)) == expected


@pytest.mark.parametrize(
    "events",
    [
        [approved("o", BUY, 10), filled("o", BUY, 10)],
        [approved("o", BUY, 10), approved("o", BUY, 8, replaces=True), filled("o", BUY, 8), replaced("o", 8)],
        [approved("o", BUY, 10), approved("o", BUY, 15, replaces=True), filled("o", BUY, 10), NO],
        [approved("o", BUY, 10), REQUESTED],
    ],
)
def test_a_finished_order_is_forgotten(events: list[Any]) -> None:
    """Nothing stays behind of an order that can add nothing any more."""
    assert after(*events).open == {}


def test_a_correction_gives_back_what_it_takes() -> None:
    """A fill that is corrected downwards while the order is open is reserved again."""
    exposure = after(approved("o", BUY, 10), filled("o", BUY, 4), filled("o", BUY, -3))
    assert numbers(exposure) == (1, 9, 0, 90)


def test_cash_moves_with_notional_and_commission() -> None:
    """A buy costs its notional and the commission, a sale brings the notional less the commission."""
    exposure = after(filled("a", BUY, 10, "20"), filled("b", SELL, 4, "25"))
    assert exposure.account("main").cash == 1000 - 201 + 99


def test_the_worst_case_is_the_larger_side() -> None:
    """The worst case of a symbol is all buys filling or all sells filling, whichever leaves more."""
    assert SymbolRisk(D(10), D(5), D(40)).worst() == 30
    assert SymbolRisk(D(10), D(25), D(40)).worst() == 35
    assert SymbolRisk(D(-10), D(0), D(3)).worst() == 13


@pytest.mark.parametrize(
    ("price", "counts"),
    [(None, 0), (D("NaN"), 0), (D("sNaN"), 0), (D("Infinity"), 0), (D(0), 0), (D(-1), 0), (D("0.01"), D("0.01"))],
)
def test_a_price_that_is_none_adds_nothing(price: Decimal | None, counts: Decimal | int) -> None:
    """Only a positive number is a price; nothing else enters a sum, or raises."""
    assert usable(price) == counts
    exposure = after(filled("a", BUY, 10, "20"), approved("b", BUY, 5))
    account = exposure.account("main")
    assert account.gross(lambda symbol: price) == 10 * counts
    assert account.stakes(lambda symbol: price) == (account.equity(lambda symbol: price), 15 * counts)
    assert account.stakes(lambda symbol: price, apart="A")[1] == 0
    assert account.equity(lambda symbol: price) == account.cash + 10 * counts


def test_the_account_is_adopted_once() -> None:
    """A reconnect says that the session is back, and changes neither cash nor positions."""
    exposure = Exposure()
    exposure.session_opened(opened("500", BrokerPosition("A", D(7), D(3))))
    exposure.session_ended(SessionClosed("main", "lost"))
    assert not exposure.account("main").connected
    exposure.session_opened(opened("9", BrokerPosition("A", D(1), D(3))))
    account = exposure.account("main")
    assert account.connected
    assert (account.cash, account.symbols["A"].position) == (D(500), D(7))


SPLIT, IN_LIEU, CHANGE = AdjustmentCause.SPLIT, AdjustmentCause.CASH_IN_LIEU, AdjustmentCause.SYMBOL_CHANGE


@pytest.mark.parametrize(
    ("event", "cash", "position"),
    [
        (adjusted(SPLIT, 10), 900, 20),
        (adjusted(SPLIT, -9), 900, 1),
        (adjusted(IN_LIEU, -1, 11), 911, 9),
        (adjusted(AdjustmentCause.LIQUIDATION, -10, 95), 995, 0),
        (CashMoved("main", "1", CashKind.BORROW_FEE, D(-3), "A"), 897, 10),
    ],
)
def test_what_happens_without_an_order_moves_position_and_cash(event: Any, cash: int, position: int) -> None:
    """A split changes the quantity alone, a payment in lieu and a liquidation bring cash, and so does a movement of cash."""
    exposure = Exposure()
    exposure.session_opened(opened("900", BrokerPosition("A", D(10), D(10))))
    tell(exposure, event)
    assert (exposure.account("main").cash, exposure.account("main").symbols["A"].position) == (cash, position)


def test_a_position_moves_to_its_new_symbol() -> None:
    """The position is counted under the new name, with one already there; what is open under the old one stays until it ends."""
    exposure = Exposure()
    exposure.session_opened(opened("1", BrokerPosition("A", D(10), D(10)), BrokerPosition("N", D(-3), D(10))))
    tell(exposure, approved("o", BUY, 4))
    tell(exposure, adjusted(CHANGE, -10, new_symbol="N"))
    symbols = exposure.account("main").symbols
    assert (symbols["N"].position, symbols["A"]) == (7, SymbolRisk(D(0), D(4), D(0)))
    tell(exposure, adjusted(CHANGE, 0, new_symbol="A"))  # to itself is no change
    assert symbols["A"] == SymbolRisk(D(0), D(4), D(0))
    exposure = Exposure()
    exposure.session_opened(opened("1", BrokerPosition("A", D(10), D(10))))
    tell(exposure, adjusted(CHANGE, -10, new_symbol="A"))
    assert exposure.account("main").symbols["A"].position == 10
    tell(exposure, adjusted(CHANGE, -10, new_symbol="N"))
    assert list(exposure.account("main").symbols) == ["N"]


def test_a_declared_dividend_is_equity_before_it_is_cash() -> None:
    """Equity rises when a dividend is declared and not again when it is paid; one that was never declared counts when it is paid."""
    exposure = after()
    account = exposure.account("main")

    def equity() -> Decimal:
        return account.equity(lambda symbol: None)

    tell(exposure, CashMoved("main", "1", CashKind.DIVIDEND, D(5), "A"))
    assert (equity(), account.cash, account.accrued) == (1005, 1005, 0)
    tell(exposure, DividendAccrued("main", "2", "A", D(7)))
    tell(exposure, DividendAccrued("main", "3", "B", D(-2)))
    assert (equity(), account.cash, account.accrued) == (1010, 1005, 5)
    tell(exposure, CashMoved("main", "4", CashKind.DIVIDEND, D(7), "A"))
    tell(exposure, CashMoved("main", "5", CashKind.INTEREST, D(1)))
    assert (equity(), account.cash, account.accrued) == (1011, 1013, -2)
    tell(exposure, CashMoved("main", "6", CashKind.DIVIDEND, D(-2), "B"))
    assert (equity(), account.cash, account.accrued) == (1011, 1011, 0)


def test_what_sales_bring_is_spent_once_it_is_settled() -> None:
    """Where sales settle later, their proceeds less commission are cash, and nothing to spend until the broker says so."""
    exposure = Exposure(settles_later=True)
    exposure.session_opened(opened("100", BrokerPosition("A", D(10), D(10))))
    account = exposure.account("main")
    tell(exposure, approved("b", BUY, 3))
    tell(exposure, filled("s", SELL, 4, "25"))
    assert (account.cash, account.unsettled, account.spendable) == (199, 99, 70)
    tell(exposure, CashSettled("main", "1", D(99)))
    assert (account.cash, account.unsettled, account.spendable) == (199, 0, 169)
    at_once = after(filled("s", SELL, 4, "25")).account("main")
    assert (at_once.unsettled, at_once.spendable) == (0, 1099)


def test_intents_are_remembered_up_to_a_bound() -> None:
    """The latest intents are kept, each once, and the oldest beyond the bound are forgotten."""
    exposure = Exposure()
    for number in range(INTENTS_KEPT + 5):
        exposure.approved(approved(f"o{number}", SELL, 1, intent=f"i{number}"), number)
    exposure.approved(approved("again", SELL, 1, intent="i5"), 7777)
    intents = exposure.account("main").intents
    assert len(intents) == INTENTS_KEPT
    assert intents["i5"] == 7777
    assert "i4" not in intents
    assert list(intents)[-1] == "i5"


# --- Against a recomputation -------------------------------------------------------------------------------------------


class OpenOrder:
    def __init__(self, order_id: str, symbol: str, side: Side, quantity: Decimal, price: Decimal) -> None:
        self.order_id, self.symbol, self.side = order_id, symbol, side
        self.quantity, self.price, self.filled = quantity, price, D(0)
        self.asked: tuple[Decimal, Decimal] | None = None

    def rest(self) -> Decimal:
        return max(self.quantity - self.filled, D(0))

    def worst(self) -> tuple[Decimal, Decimal]:
        quantity, price = self.asked or (self.quantity, self.price)
        rest = max(quantity - self.filled, D(0))
        return max(self.rest(), rest), max(self.rest() * self.price, rest * price)

    def is_done(self) -> bool:
        return not self.rest() and self.asked is None


prices = st.integers(1, 5000).map(lambda cents: D(cents) / 100)


class Reservations(RuleBasedStateMachine):
    """Orders come, fill, are replaced and go, late fills included; the sums are taken anew after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.exposure = after()
        self.orders: dict[str, OpenOrder] = {}
        self.gone: list[OpenOrder] = []
        self.positions = {"A": D(0), "B": D(0)}
        self.cash = D(1000)
        self.made = 0

    @rule(symbol=st.sampled_from("AB"), side=st.sampled_from(Side), quantity=st.integers(1, 20), price=prices)
    def approve(self, symbol: str, side: Side, quantity: int, price: Decimal) -> None:
        self.made += 1
        order = OpenOrder(f"o{self.made}", symbol, side, D(quantity), price)
        self.orders[order.order_id] = order
        tell(self.exposure, approved(order.order_id, side, quantity, price, symbol))

    def pick(self, data: st.DataObject, *, asked: bool | None = None) -> OpenOrder | None:
        known = [o for o in self.orders.values() if asked is None or (o.asked is not None) is asked]
        return data.draw(st.sampled_from(known)) if known else None

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), price=prices)
    def fill(self, data: st.DataObject, price: Decimal) -> None:
        order = self.pick(data)
        assert order is not None
        most = order.worst()[0]
        if most:
            self.book(order, D(data.draw(st.integers(1, int(most)))), price)

    @precondition(lambda self: self.gone)
    @rule(data=st.data(), quantity=st.integers(1, 9), price=prices)
    def fill_late(self, data: st.DataObject, quantity: int, price: Decimal) -> None:
        self.book(data.draw(st.sampled_from(self.gone)), D(quantity), price)

    def book(self, order: OpenOrder, quantity: Decimal, price: Decimal) -> None:
        order.filled += quantity
        sign = 1 if order.side is BUY else -1
        self.positions[order.symbol] += sign * quantity
        self.cash -= sign * quantity * price + 1
        tell(self.exposure, filled(order.order_id, order.side, quantity, price, order.symbol))
        self.drop_if_done(order)

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), rest=st.integers(1, 40), price=prices)
    def restate(self, data: st.DataObject, rest: int, price: Decimal) -> None:
        """The broker changes what is left of an order that is not being replaced."""
        order = self.pick(data, asked=False)
        if order is not None and order.rest():
            order.quantity, order.price = order.filled + rest, price
            tell(self.exposure, restated(order.order_id, order.quantity, price))

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), ratio=st.sampled_from([2, 4, 5]))
    def split_while_asked(self, data: st.DataObject, ratio: int) -> None:
        """A split restates an order that is being replaced: as much is held as before at least, until there is an answer."""
        order = self.pick(data, asked=True)
        if order is None or order.asked is None or not order.rest():
            return
        held = self.exposure.open[order.order_id]
        before = held.held()
        rest = order.rest() * ratio
        order.quantity, order.price = order.filled + rest, order.price / ratio
        tell(self.exposure, restated(order.order_id, order.quantity, order.price))
        quantity, cost = held.held()
        assert quantity >= max(rest, before[0])
        assert cost >= max(rest * order.price, before[1])
        tell(self.exposure, OrderReplaceRefused(order.order_id, "NO", ""))
        order.asked = None

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), how=st.sampled_from(["cancelled", "rejected", "denied"]))
    def close(self, data: st.DataObject, how: str) -> None:
        order = self.pick(data)
        assert order is not None
        event = {
            "cancelled": OrderCancelled(order.order_id, CancelReason.BROKER),
            "rejected": OrderRejected(order.order_id, "NO", ""),
            "denied": OrderDenied(order.order_id, Denial("X", "", {})),
        }[how]
        tell(self.exposure, event)
        self.gone.append(self.orders.pop(order.order_id))

    @rule(data=st.data(), quantity=st.integers(1, 30), price=prices)
    def ask_to_replace(self, data: st.DataObject, quantity: int, price: Decimal) -> None:
        order = self.pick(data, asked=False)
        if order is not None:
            order.asked = (D(quantity), price)
            tell(self.exposure, approved(order.order_id, order.side, quantity, price, order.symbol, replaces=True))

    @rule(data=st.data(), yes=st.booleans())
    def answer(self, data: st.DataObject, yes: bool) -> None:
        order = self.pick(data, asked=True)
        if order is None or order.asked is None:
            return
        if yes:
            order.quantity, order.price = order.asked
            tell(self.exposure, OrderReplaced(order.order_id, "w", "b", Terms(order.quantity, order.price)))
        else:
            tell(self.exposure, OrderReplaceRefused(order.order_id, "NO", ""))
        order.asked = None
        self.drop_if_done(order)

    def drop_if_done(self, order: OpenOrder) -> None:
        if order.is_done() and order.order_id in self.orders:
            self.gone.append(self.orders.pop(order.order_id))

    @invariant()
    def sums_equal_the_open_orders(self) -> None:
        account = self.exposure.account("main")
        assert set(self.exposure.open) == set(self.orders)
        reserved = D(0)
        for symbol, position in self.positions.items():
            mine = [order for order in self.orders.values() if order.symbol == symbol]
            risk = account.symbols.get(symbol, SymbolRisk())
            assert risk.position == position
            assert risk.open_buy == sum((o.worst()[0] for o in mine if o.side is BUY), D(0))
            assert risk.open_sell == sum((o.worst()[0] for o in mine if o.side is SELL), D(0))
            reserved += sum((o.worst()[1] for o in mine if o.side is BUY), D(0))
        assert account.reserved == reserved
        assert account.cash == self.cash

    def teardown(self) -> None:
        """Close what is left: then nothing is reserved."""
        for order_id in list(self.orders):
            tell(self.exposure, OrderCancelled(order_id, CancelReason.EXPIRED))
        account = self.exposure.account("main")
        assert self.exposure.open == {}
        assert account.reserved == 0
        assert all(risk.open_buy == risk.open_sell == 0 for risk in account.symbols.values())


Reservations.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestReservationsAgainstARecomputation = Reservations.TestCase

"""The ledger: exact by construction, and checked against fractions."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordersmith.actors.events import CashMoved, OrderFilled, PositionAdjusted, SessionOpened
from ordersmith.actors.machines.position import COST_UNIT, Holding, Ledger, book
from ordersmith.actors.model import Fill, OrderState, OrderType, Side, TimeInForce
from ordersmith.actors.ports import AdjustmentCause, BrokerPosition, Capabilities, CashKind

D = Decimal
FREE = D(0)
CAN = Capabilities(order_types=tuple(OrderType), times_in_force=tuple(TimeInForce))


def opened(cash: str = "1000", *held: tuple[str, str, str], account: str = "main") -> SessionOpened:
    positions = tuple(BrokerPosition(symbol, D(quantity), D(price)) for symbol, quantity, price in held)
    return SessionOpened(account, D(cash), positions, CAN)


def filled(
    side: Side, quantity: Decimal, notional: Decimal, commission: Decimal = FREE, symbol: str = "A"
) -> OrderFilled:
    fill = Fill(fill_key="k", quantity=quantity, price=D(1), at_ns=0)
    return OrderFilled("o", "main", "s", symbol, side, fill, quantity, notional, commission, OrderState.FILLED)


def buy(quantity: str, price: str, commission: str = "0") -> OrderFilled:
    return filled(Side.BUY, D(quantity), D(quantity) * D(price), D(commission))


def sell(quantity: str, price: str, commission: str = "0") -> OrderFilled:
    return filled(Side.SELL, D(quantity), D(quantity) * D(price), D(commission))


def ledger_of(*fills: OrderFilled) -> Ledger:
    ledger = Ledger()
    ledger.open(opened())
    for fill in fills:
        ledger.fill(fill)
    return ledger


@pytest.mark.parametrize(
    ("fills", "cash", "quantity", "cost", "realized"),
    [
        ([buy("10", "20", "1")], "799", "10", "200", "0"),
        ([buy("10", "20"), buy("10", "22")], "580", "20", "420", "0"),
        ([buy("10", "20"), sell("4", "25")], "900", "6", "120", "20"),
        ([buy("10", "20"), sell("10", "19", "2")], "988", "0", "0", "-10"),
        ([sell("10", "20")], "1200", "-10", "-200", "0"),
        ([sell("10", "20"), buy("4", "15")], "1140", "-6", "-120", "20"),
        ([buy("10", "20"), sell("15", "30")], "1250", "-5", "-150", "100"),  # through zero, to short
        ([sell("10", "20"), buy("15", "30")], "750", "5", "150", "-100"),  # through zero, to long
        ([sell("10", "20"), buy("10", "20"), buy("3", "7")], "979", "3", "21", "0"),
    ],
)
def test_a_fill_moves_cash_cost_and_realized_profit(
    fills: list[OrderFilled], cash: str, quantity: str, cost: str, realized: str
) -> None:
    """What adds to a position adds to its cost; what closes part of it realizes profit at average cost, also through zero."""
    account = ledger_of(*fills).accounts["main"]
    holding = account.holdings["A"]
    assert (account.cash, holding.quantity, holding.cost, holding.realized_pnl) == (
        D(cash),
        D(quantity),
        D(cost),
        D(realized),
    )
    assert account.commission == sum((fill.commission for fill in fills), D(0))


@pytest.mark.parametrize(
    ("held", "cost", "realized"),
    [(D(10), D(205), D(0)), (D(-10), D(-195), D(0)), (D(0), D(0), D(-5))],
)
def test_a_corrected_price_moves_no_quantity(held: Decimal, cost: Decimal, realized: Decimal) -> None:
    """A correction without quantity changes the cost of what is held, and the profit where nothing is held any more."""
    holding = Holding(held, held * 20, D(0))
    book(holding, D(0), D(5))
    assert (holding.quantity, holding.cost, holding.realized_pnl) == (held, cost, realized)


def test_a_bust_takes_a_fill_back() -> None:
    """A fill and its reversal leave cash and holding as they were."""
    account = ledger_of(buy("10", "20", "1"), filled(Side.BUY, D(-10), D(-200), D(-1))).accounts["main"]
    holding = account.holdings["A"]
    assert (account.cash, account.commission, holding.quantity, holding.cost) == (D(1000), D(0), D(0), D(0))


def test_cost_that_does_not_divide_is_rounded_once() -> None:
    """Closing a third of a holding takes a rounded share of its cost, and what stays and what left add up exactly."""
    holding = Holding(D(3), D(100), D(0))
    book(holding, D(-1), D(-40))
    assert holding.cost == D("66.66666667")
    assert holding.realized_pnl == D("6.66666667")
    book(holding, D(-2), D(-80))
    assert (holding.quantity, holding.cost, holding.realized_pnl) == (D(0), D(0), D(20))


SPINOFF, TRANSFER = AdjustmentCause.SPINOFF, AdjustmentCause.TRANSFER
SPLIT, IN_LIEU = AdjustmentCause.SPLIT, AdjustmentCause.CASH_IN_LIEU
LIQUIDATION, CHANGE = AdjustmentCause.LIQUIDATION, AdjustmentCause.SYMBOL_CHANGE


def adjusted(cause: AdjustmentCause, quantity: object, cash: object = 0, **names: str) -> PositionAdjusted:
    return PositionAdjusted("main", "1", cause, "A", D(str(quantity)), D(str(cash)), **names)


@pytest.mark.parametrize(
    ("held", "events", "cash", "quantity", "cost", "realized"),
    [
        ("10", [adjusted(SPLIT, 10)], "1000", "20", "200", "0"),
        ("15", [adjusted(SPLIT, "-13.5"), adjusted(IN_LIEU, "-0.5", "95")], "1095", "1", "200", "-5"),
        ("-15", [adjusted(SPLIT, "13.5"), adjusted(IN_LIEU, "0.5", "-95")], "905", "-1", "-200", "5"),
        ("10", [adjusted(LIQUIDATION, -10, "190")], "1190", "0", "0", "-10"),
        ("-10", [adjusted(LIQUIDATION, 4, "-60")], "940", "-6", "-120", "20"),
        ("10", [adjusted(SPLIT, -10)], "1000", "0", "0", "-200"),  # nothing is left of it
    ],
)
def test_an_adjustment_keeps_cost_or_realizes_profit(
    held: str, events: list[PositionAdjusted], cash: str, quantity: str, cost: str, realized: str
) -> None:
    """A split changes the quantity at the same cost; what is paid out or liquidated is sold, or bought back, for its cash."""
    ledger = Ledger()
    ledger.open(opened("1000", ("A", held, "20" if abs(int(held)) == 10 else str(D(300) / 15))))
    for event in events:
        ledger.adjust(event)
    account = ledger.accounts["main"]
    holding = account.holdings["A"]
    assert (account.cash, holding.quantity) == (D(cash), D(quantity))
    assert (holding.cost, holding.realized_pnl) == (D(cost), D(realized))


@pytest.mark.parametrize(
    ("held", "quantity", "price", "holding", "transfers"),
    [
        ("10", "5", "30", Holding(D(15), D(350), D(0)), "150"),  # in, at a price
        ("10", "5", "0", Holding(D(15), D(200), D(0)), "0"),  # in, at a price that nobody knows
        ("10", "-4", "30", Holding(D(6), D(120), D(0)), "-80"),  # out: at what it had cost, and no profit
        ("10", "-10", "30", Holding(D(0), D(0), D(0)), "-200"),
        ("-10", "4", "30", Holding(D(-6), D(-120), D(0)), "80"),
        ("-10", "-4", "30", Holding(D(-14), D(-320), D(0)), "-120"),
        ("10", "-15", "30", Holding(D(-5), D(-150), D(100)), "-450"),  # more than was held: as if it had been sold
    ],
)
def test_shares_that_are_moved_are_paid_in_or_out(
    held: str, quantity: str, price: str, holding: Holding, transfers: str
) -> None:
    """Shares moved in count as paid in at their price, and out at their cost: neither cash nor profit comes of it."""
    ledger = Ledger()
    ledger.open(opened("1000", ("A", held, "20")))
    ledger.adjust(PositionAdjusted("main", "1", TRANSFER, "A", D(quantity), price=D(price)))
    account = ledger.accounts["main"]
    assert account.holdings["A"] == holding
    assert (account.cash, account.income, account.transfers) == (1000, 0, D(transfers))


def test_what_is_adopted_was_traded_by_somebody_else() -> None:
    """What a person says was sold elsewhere counts as paid out at its price, and realizes the profit that it made."""
    ledger = Ledger()
    ledger.open(opened("1000", ("A", "10", "20")))
    ledger.adjust(PositionAdjusted("main", "1", AdjustmentCause.ADOPTED, "A", D(-4), price=D(30)))
    account = ledger.accounts["main"]
    assert account.holdings["A"] == Holding(D(6), D(120), D(40))
    assert (account.cash, account.transfers) == (1000, -120)


@pytest.mark.parametrize("quantity", ["5", "-5"])
def test_shares_of_a_spinoff_come_for_nothing(quantity: str) -> None:
    """What a company is split into costs nothing, or is owed by whom is short; a sale of it later is all profit."""
    ledger = ledger_of(buy("10", "20"))
    ledger.adjust(PositionAdjusted("main", "1", SPINOFF, "N", D(quantity)))
    account = ledger.accounts["main"]
    assert account.holdings == {"A": Holding(D(10), D(200), D(0)), "N": Holding(D(quantity), D(0), D(0))}
    assert (account.cash, account.income, account.transfers) == (800, 0, 0)


def test_a_merger_is_told_as_what_it_does() -> None:
    """Ten shares that become four of another company keep their cost; those that are bought out are sold for the cash."""
    ledger = ledger_of(buy("10", "20"))
    ledger.adjust(adjusted(CHANGE, -10, new_symbol="N"))
    ledger.adjust(PositionAdjusted("main", "2", SPLIT, "N", D(-6)))
    assert ledger.accounts["main"].holdings == {"N": Holding(D(4), D(200), D(0))}
    ledger.adjust(PositionAdjusted("main", "3", LIQUIDATION, "N", D(-4), D(260)))
    assert ledger.accounts["main"].holdings == {"N": Holding(D(0), D(0), D(60))}


def test_a_holding_moves_to_its_new_symbol() -> None:
    """Under another name a holding keeps its cost and its profit, and is added to one that is there."""
    ledger = ledger_of(buy("10", "20"), sell("4", "25"))
    ledger.adjust(adjusted(CHANGE, -6, new_symbol="N"))
    assert ledger.accounts["main"].holdings == {"N": Holding(D(6), D(120), D(20))}
    ledger.fill(buy("4", "40"))
    ledger.adjust(adjusted(CHANGE, -4, new_symbol="N"))
    assert ledger.accounts["main"].holdings == {"N": Holding(D(10), D(280), D(20))}
    ledger.fill(sell("2", "50"))
    ledger.adjust(adjusted(CHANGE, 2, new_symbol="N"))
    assert ledger.accounts["main"].holdings == {"N": Holding(D(8), D(224), D(64))}


def test_income_is_kept_apart_from_profit_and_transfers_from_both() -> None:
    """What dividends, interest and fees bring or cost is income; what was paid in is neither income nor profit."""
    ledger = ledger_of(buy("10", "20"))
    moves = ((CashKind.DIVIDEND, 5), (CashKind.BORROW_FEE, -2), (CashKind.INTEREST, 1), (CashKind.FEE, -3))
    for kind, amount in (*moves, (CashKind.TRANSFER, 400)):
        ledger.move_cash(CashMoved("main", "1", kind, D(amount), "A"))
    account = ledger.accounts["main"]
    assert (account.cash, account.income, account.transfers) == (1201, 1, 400)
    assert account.holdings == {"A": Holding(D(10), D(200), D(0))}


def test_the_first_session_is_adopted_and_later_ones_are_not() -> None:
    """What the broker holds at the first connection is taken over at its average price; a reconnect changes nothing."""
    ledger = Ledger()
    ledger.open(opened("500", ("A", "10", "20"), ("B", "-4", "7.5")))
    ledger.open(opened("9999", ("A", "1", "1")))
    account = ledger.accounts["main"]
    assert account.cash == 500
    positions = ledger.positions("main")
    assert {symbol: (p.quantity, p.average_price) for symbol, p in positions.items()} == {
        "A": (D(10), D(20)),
        "B": (D(-4), D("7.5")),
    }


def test_what_came_before_the_account_was_opened_is_in_what_it_opens_with() -> None:
    """A fee or a split between the connection and the first reading of the account is booked no second time, and stops nothing."""
    ledger = Ledger()
    ledger.move_cash(CashMoved("main", "1", CashKind.FEE, D("-4.03")))
    ledger.adjust(PositionAdjusted("main", "2", AdjustmentCause.SPLIT, "A", D(10)))
    assert ledger.accounts == {}
    ledger.open(opened("95.97", ("A", "20", "5")))
    account = ledger.accounts["main"]
    assert (account.cash, account.income, ledger.quantity("main", "A")) == (D("95.97"), 0, 20)


def test_positions_leave_out_what_is_closed_and_keep_accounts_apart() -> None:
    """Only open holdings of the asked account are positions; an unknown account has none."""
    ledger = ledger_of(buy("10", "20"), sell("10", "20"), filled(Side.BUY, D(1), D(5), symbol="B"))
    ledger.open(opened("1", ("C", "1", "1"), account="other"))
    assert list(ledger.positions("main")) == ["B"]
    assert list(ledger.positions("other")) == ["C"]
    assert ledger.positions("nobody") == {}
    assert ledger.quantity("main", "B") == 1
    assert ledger.quantity("main", "A") == ledger.quantity("nobody", "A") == 0


def test_every_change_has_a_version() -> None:
    """Readers that keep what they computed see by the version that they must do it again."""
    ledger = Ledger()
    versions = [ledger.version]
    ledger.open(opened())
    versions.append(ledger.version)
    ledger.fill(buy("1", "1"))
    versions.append(ledger.version)
    ledger.adjust(adjusted(SPLIT, 1))
    versions.append(ledger.version)
    ledger.move_cash(CashMoved("main", "1", CashKind.FEE, D(1)))
    versions.append(ledger.version)
    assert len(set(versions)) == 5


# --- Against fractions -------------------------------------------------------------------------------------------------


class FractionBook:
    """Average cost as in a textbook, on fractions, nothing rounded."""

    def __init__(self, cash: int) -> None:
        self.cash = self.start = Fraction(cash)
        self.held: dict[str, Fraction] = {}
        self.average: dict[str, Fraction] = {}
        self.realized = Fraction(0)
        self.commission = Fraction(0)

    def fill(self, symbol: str, quantity: Fraction, price: Fraction, commission: Fraction) -> None:
        self.cash -= quantity * price + commission
        self.commission += commission
        held = self.held.get(symbol, Fraction(0))
        after = held + quantity
        if held * quantity >= 0:
            cost = abs(held) * self.average.get(symbol, Fraction(0)) + abs(quantity) * price
            self.average[symbol] = cost / abs(after) if after else Fraction(0)
        else:
            closed = min(abs(quantity), abs(held)) * (1 if held > 0 else -1)
            self.realized += closed * (price - self.average[symbol])
            if after * held < 0:
                self.average[symbol] = price
        self.held[symbol] = after


fills = st.lists(
    st.tuples(
        st.sampled_from("AB"),
        st.integers(-50, 50).filter(bool),
        st.integers(1, 99999).map(lambda ticks: D(ticks) / 1000),
        st.integers(0, 500).map(lambda cents: D(cents) / 100),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(fills)
def test_the_books_are_exact(told: list[tuple[str, int, Decimal, Decimal]]) -> None:
    """Cash is exact, cash + cost - realized never drifts, and average cost stays within its unit of the textbook's."""
    ledger, naive = Ledger(), FractionBook(1000)
    ledger.open(opened())
    for symbol, quantity, price, commission in told:
        side = Side.BUY if quantity > 0 else Side.SELL
        ledger.fill(filled(side, D(abs(quantity)), abs(quantity) * price, commission, symbol))
        naive.fill(symbol, Fraction(quantity), Fraction(price), Fraction(commission))
    account = ledger.accounts["main"]
    assert Fraction(account.cash) == naive.cash
    assert Fraction(account.commission) == naive.commission
    marks = {"A": D("12.34"), "B": D("56.789")}
    realized = sum((holding.realized_pnl for holding in account.holdings.values()), D(0))
    cost = sum((holding.cost for holding in account.holdings.values()), D(0))
    unrealized = sum((h.quantity * marks[symbol] - h.cost for symbol, h in account.holdings.items()), D(0))
    value = sum((h.quantity * marks[symbol] for symbol, h in account.holdings.items()), D(0))
    assert account.cash + cost - realized == 1000 - account.commission
    assert account.cash + value == 1000 + realized + unrealized - account.commission
    slack = Fraction(COST_UNIT) * (len(told) + 1)
    assert abs(Fraction(realized) - naive.realized) <= slack
    for symbol, holding in account.holdings.items():
        assert Fraction(holding.quantity) == naive.held[symbol]
        assert abs(Fraction(holding.cost) - naive.held[symbol] * naive.average[symbol]) <= slack


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-9, 9), st.integers(-20000, 20000).map(lambda cents: D(cents) / 100)), max_size=30)
)
def test_corrections_keep_the_books_exact(changes: list[tuple[int, Any]]) -> None:
    """Whatever quantities and notionals come, corrections of either sign among them, cost - realized moves by the notional only."""
    holding, paid = Holding(), D(0)
    for quantity, notional in changes:
        book(holding, D(quantity), notional)
        paid += notional
        assert holding.cost - holding.realized_pnl == paid
        assert holding.quantity or not holding.cost


cents = st.integers(-20000, 20000).map(lambda number: D(number) / 100)
changes = st.one_of(
    st.tuples(st.just("fill"), st.sampled_from("AB"), st.integers(-50, 50).filter(bool), cents.filter(bool)),
    st.tuples(st.just("split"), st.sampled_from("AB"), st.sampled_from([2, 3, D("1.5"), D("0.1"), D(1) / 3]), cents),
    st.tuples(st.just("liquidate"), st.sampled_from("AB"), st.integers(1, 4), cents),
    st.tuples(st.just("rename"), st.sampled_from("AB"), st.sampled_from("ABC"), cents),
    st.tuples(st.just("move"), st.sampled_from("AB"), st.sampled_from(CashKind), cents),
    st.tuples(st.just("shares"), st.sampled_from("AB"), st.integers(-50, 50).filter(bool), cents),
    st.tuples(st.just("spin"), st.sampled_from("AB"), st.integers(1, 9), cents),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(changes, max_size=30))
def test_cash_and_cost_are_what_was_won_and_what_came(told: list[tuple[str, str, Any, Decimal]]) -> None:
    """Whatever happens, cash + cost - realized - income - transfers + commission is what there was at the start."""
    ledger = Ledger()
    ledger.open(opened())
    account = ledger.accounts["main"]
    for what, symbol, number, amount in told:
        held = ledger.quantity("main", symbol)
        match what:
            case "fill":
                side = Side.BUY if number > 0 else Side.SELL
                ledger.fill(filled(side, D(abs(number)), abs(number * amount), D("0.35"), symbol))
            case "split":
                after = (held * number).quantize(D("1E-9"))
                ledger.adjust(PositionAdjusted("main", "", SPLIT, symbol, after - held))
                fraction = after % 1
                ledger.adjust(PositionAdjusted("main", "", IN_LIEU, symbol, -fraction, amount if fraction else D(0)))
                assert ledger.quantity("main", symbol) == int(after)
            case "liquidate":
                closed = -(held / number).to_integral_value()
                ledger.adjust(PositionAdjusted("main", "", LIQUIDATION, symbol, closed, amount if closed else D(0)))
            case "rename":
                together = ledger.quantity("main", number) + held if number != symbol else held
                ledger.adjust(PositionAdjusted("main", "", CHANGE, symbol, -held, new_symbol=number))
                assert ledger.quantity("main", number) == together
            case "shares":
                ledger.adjust(PositionAdjusted("main", "", TRANSFER, symbol, D(number), price=abs(amount)))
            case "spin":
                came = PositionAdjusted("main", "", SPINOFF, "ABC"[number % 3], D(number) if held > 0 else -D(number))
                ledger.adjust(came)
            case "move":
                ledger.move_cash(CashMoved("main", "", number, amount, symbol))
    holdings = account.holdings.values()
    realized = sum((holding.realized_pnl for holding in holdings), D(0))
    cost = sum((holding.cost for holding in holdings), D(0))
    assert account.cash + cost - realized - account.income - account.transfers + account.commission == 1000
    assert all(holding.quantity or not holding.cost for holding in holdings)

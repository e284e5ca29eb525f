"""What is told of the stream's events, the activities' rows and look-ups, in whatever order they come."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordersmith.actors.model import Side
from ordersmith.actors.ports import (
    Accepted,
    BrokerOrderState,
    Cancelled,
    CancelRefused,
    Executed,
    Expired,
    OrderFound,
    Rejected,
    Restated,
)
from ordersmith.adapters.alpaca.known_orders import Amount, KnownOrder, KnownOrders, leg_of
from ordersmith.adapters.alpaca.telling import Teller, Told
from ordersmith.adapters.alpaca.wire import WireActivity, WireOrder, WireUpdate

PRICES = {4: "10", 7: "11", 10: "12"}
PIECES = ((4, 4), (7, 3), (10, 3))
"""An order for 10 that fills by 4, 3 and 3: the sum after each, and its quantity."""


def order(filled: Any = 0, status: str = "new", **fields: Any) -> WireOrder:
    terms = {"id": "b1", "client_order_id": "a.0", "symbol": "A", "side": "buy", "qty": Decimal(10)}
    price = None if not filled else Decimal(11)
    return WireOrder(**{**terms, "status": status, "filled_qty": Decimal(filled), "filled_avg_price": price, **fields})


def update(event: str, wire: WireOrder, **fields: Any) -> WireUpdate:
    return WireUpdate(event=event, order=wire, **fields)


def fill(cumulative: int, quantity: int, execution_id: str = "") -> WireUpdate:
    status = "filled" if cumulative == 10 else "partially_filled"
    return update(
        "fill" if cumulative == 10 else "partial_fill",
        order(cumulative, status),
        execution_id=execution_id or f"e{cumulative}",
        price=Decimal(PRICES.get(cumulative, "10")),
        qty=Decimal(quantity),
        timestamp="2026-11-22T08:11:09Z",
    )


def row(cumulative: int, quantity: int) -> WireActivity:
    return WireActivity(
        id=f"20261122::{cumulative}",
        activity_type="FILL",
        order_id="b1",
        cum_qty=Decimal(cumulative),
        qty=Decimal(quantity),
        price=Decimal(PRICES.get(cumulative, "10")),
        transaction_time="2026-11-22T08:11:09Z",
    )


class Stage:
    """A teller, and the fills that it has told, the highest revision of each."""

    def __init__(self) -> None:
        self.orders = KnownOrders()
        self.teller = Teller(self.orders)
        self.fills: dict[str, Executed] = {}
        self.reports: list[Any] = []

    def see(self, event: WireUpdate | WireActivity) -> Told:
        if isinstance(event, WireActivity):
            known = self.orders.by_id[event.order_id or ""]
            report = self.teller.row(event, known, 0)
            told = Told(() if report is None else (report,))
        else:
            known = self.learn(event.order)
            told = self.teller.update(event, known, 0)
        for each in told.reports:
            self.reports.append(each)
            if isinstance(each, Executed):
                before = self.fills.get(each.fill.fill_key)
                if before is None or before.fill.revision < each.fill.revision:
                    self.fills[each.fill.fill_key] = each
        return told

    def learn(self, wire: WireOrder) -> KnownOrder:
        known = self.orders.learn(wire)
        assert known is not None
        self.orders.complete(known)
        return known

    @property
    def filled(self) -> Decimal:
        return sum((each.fill.quantity for each in self.fills.values()), Decimal(0))

    def prices(self) -> list[tuple[str, Decimal, Decimal]]:
        return sorted((key, each.fill.quantity, each.fill.price) for key, each in self.fills.items())


EVENTS: list[Any] = [
    update("new", order()),
    *(fill(*piece) for piece in PIECES),
    *(row(*piece) for piece in PIECES),
    update("pending_cancel", order(4, "pending_cancel")),
]


@given(st.data())
def test_any_order_of_the_same_facts_tells_the_same_fills(data: st.DataObject) -> None:
    """Stream and activities, shuffled and repeated, tell three fills with the same keys, quantities and prices, never more."""
    stage = Stage()
    stage.learn(order())
    shuffled = data.draw(st.permutations(EVENTS + data.draw(st.lists(st.sampled_from(EVENTS), max_size=6))))
    for event in shuffled:
        stage.see(event)
        assert stage.filled <= 10
    assert stage.prices() == [
        ("b1:10", Decimal(3), Decimal(12)),
        ("b1:4", Decimal(4), Decimal(10)),
        ("b1:7", Decimal(3), Decimal(11)),
    ]
    assert all(each.fill.revision == 0 for each in stage.fills.values())


def test_a_last_update_with_the_total_is_not_a_fill_of_the_total() -> None:
    """A final event whose quantity is the whole order's overlaps what filled before: it is looked up and not booked (B4)."""
    stage = Stage()
    stage.see(fill(4, 4))
    told = stage.see(fill(10, 10))
    assert told.reports == ()
    assert told.read_fills
    assert told.look_up == "b1"
    assert stage.filled == 4


def test_the_activities_correct_what_the_stream_said_wrong() -> None:
    """A fill of the total, told first, is corrected by a revision once the activities say what it was."""
    stage = Stage()
    stage.see(fill(10, 10))
    for piece in PIECES:
        stage.see(row(*piece))
    assert stage.filled == 10
    assert stage.fills["b1:10"].fill.revision == 1


def test_a_bust_takes_a_fill_back_once() -> None:
    """A busted execution has a higher revision and no quantity, however often that is said; the sum is the order's."""
    stage = Stage()
    stage.see(fill(4, 4))
    stage.see(fill(7, 3))
    bust = update("trade_bust", order(4, "partially_filled"), execution_id="e7")
    told = stage.see(bust)
    stage.see(bust)
    (report,) = told.reports
    assert isinstance(report, Executed)
    assert (report.fill.fill_key, report.fill.quantity, report.fill.revision) == ("b1:7", 0, 1)
    assert report.cumulative_quantity == 4
    assert told.read_due
    assert stage.filled == 4
    assert stage.fills["b1:7"].fill.revision == 1


def test_a_correction_changes_a_fill_once_and_can_be_busted() -> None:
    """A corrected execution keeps its key, with the new price; its own bust finds it by either id."""
    stage = Stage()
    stage.see(fill(4, 4))
    correct = update(
        "trade_correct",
        order(4, "partially_filled"),
        execution_id="e4b",
        previous_execution_id="e4",
        qty=Decimal(4),
        price=Decimal(9),
    )
    stage.see(correct)
    stage.see(correct)
    assert stage.prices() == [("b1:4", Decimal(4), Decimal(9))]
    assert stage.fills["b1:4"].fill.revision == 1
    stage.see(row(4, 4))
    assert stage.prices() == [("b1:4", Decimal(4), Decimal(9))]
    stage.see(update("trade_bust", order(0, "new"), execution_id="e4b"))
    assert (stage.filled, stage.fills["b1:4"].fill.revision) == (0, 2)


def test_a_fill_after_a_bust_at_the_same_sum_is_another_revision() -> None:
    """When an order fills anew what was taken back, that counts."""
    stage = Stage()
    stage.see(fill(4, 4))
    stage.see(update("trade_bust", order(0, "new"), execution_id="e4"))
    stage.see(fill(4, 4, "e4-again"))
    assert (stage.filled, stage.fills["b1:4"].fill.revision) == (4, 2)


def test_a_bust_of_an_unknown_execution_is_looked_up() -> None:
    """What was taken back and is not known is asked for: the order, and the whole account."""
    stage = Stage()
    told = stage.see(update("trade_bust", order(0), execution_id="nobody's"))
    assert (told.reports, told.look_up, told.read_due) == ((), "b1", True)


@pytest.mark.parametrize(
    ("event", "status", "kind"),
    [
        ("new", "new", Accepted),
        ("pending_new", "pending_new", Accepted),
        ("accepted", "accepted", Accepted),
        ("canceled", "canceled", Cancelled),
        ("expired", "expired", Expired),
        ("rejected", "rejected", Rejected),
        ("order_cancel_rejected", "new", CancelRefused),
        ("restated", "new", Restated),
        ("done_for_day", "done_for_day", None),
        ("pending_cancel", "pending_cancel", None),
        ("suspended", "suspended", None),
        ("held", "held", Accepted),
    ],
)
def test_what_an_event_is_told_as(event: str, status: str, kind: type | None) -> None:
    """Each event of an order without fills is told as the table says; done for the day is no end."""
    told = Stage().see(update(event, order(0, status)))
    assert [type(report) for report in told.reports] == ([] if kind is None else [kind])
    assert told.look_up == ""


@pytest.mark.parametrize("event", ["brand_new_event", "order_replace_rejected"])
def test_an_event_that_proves_nothing_is_looked_up(event: str) -> None:
    """An event that nobody knows is not guessed at and not dropped: the order is asked for (M3, B14)."""
    assert Stage().see(update(event, order())) == Told(look_up="b1")


def test_an_end_with_fills_that_nobody_told_says_how_many() -> None:
    """An order that is cancelled after fills which the stream did not bring is told with their sum at once."""
    stage = Stage()
    stage.see(fill(4, 4))
    told = stage.see(update("canceled", order(7, "canceled")))
    (found,) = told.reports
    assert isinstance(found, OrderFound)
    assert (found.state, found.cumulative_quantity) == (BrokerOrderState.CANCELLED, 7)
    assert told.read_fills


def test_the_end_of_a_leg_in_whose_place_another_may_be_is_not_the_orders() -> None:
    """While a later leg may exist the cancel of the one before is told to nobody; when it never was, it is (C6)."""
    stage = Stage()
    known = stage.learn(order())
    stage.orders.asked("a.1")
    ended = update("canceled", order(0, "canceled"))
    assert stage.see(ended).reports == ()
    assert stage.teller.found(known) is None
    stage.orders.never_was("a.1")
    assert stage.teller.found(known) == known.found(BrokerOrderState.CANCELLED)


def test_a_later_leg_counts_what_the_legs_before_filled() -> None:
    """The sum and the average price of a second leg are over both; its keys are its own."""
    stage = Stage()
    stage.learn(order(4, "canceled", filled_avg_price=Decimal(10)))
    second = order(2, "partially_filled", id="b2", client_order_id="a.1", qty=Decimal(8), filled_avg_price=Decimal(13))
    told = stage.see(update("partial_fill", second, qty=Decimal(2), price=Decimal(13), execution_id="z"))
    (report,) = told.reports
    assert isinstance(report, Executed)
    assert (report.wire_id, report.fill.fill_key, report.cumulative_quantity) == ("a.1", "b2:2", 6)
    found = stage.teller.found(stage.orders.by_id["b2"])
    assert found is not None
    assert (found.cumulative_quantity, found.average_price, found.open_quantity) == (6, 11, 6)


def test_a_leg_whose_predecessors_are_unknown_says_which_to_look_up() -> None:
    """After a restart the legs before are asked for; one that Alpaca does not know has filled nothing."""
    orders = KnownOrders()
    known = orders.learn(order(0, client_order_id="a.2"))
    assert known is not None
    assert orders.complete(known) == ("a.0", "a.1")
    assert known.earlier is None
    orders.learn(order(3, "canceled", id="b0", client_order_id="a.0", filled_avg_price=Decimal(10)))
    orders.was_never_there("a.1")
    assert orders.complete(known) == ()
    assert known.earlier == Amount(Decimal(3), Decimal(30))


def test_an_order_that_a_person_replaced_is_the_same_leg() -> None:
    """The order that takes its place has another id and no name of ours, and is still the leg that it was."""
    stage = Stage()
    stage.learn(order(4, "replaced", replaced_by="b2", filled_avg_price=Decimal(10)))
    known = stage.learn(order(0, id="b2", client_order_id="random", replaces="b1", limit_price=Decimal(9)))
    assert known.wire_id == "a.0"
    assert (known.terms().quantity, known.terms().limit_price) == (14, 9)


@given(st.permutations([order(), order(4, "partially_filled"), order(7, "partially_filled"), order(7, "canceled")]))
def test_an_old_statement_undoes_nothing(statements: list[WireOrder]) -> None:
    """In whatever order statements of one order come, what has filled and that it has ended stay (B3)."""
    orders = KnownOrders()
    for statement in statements:
        orders.learn(statement)
    known = orders.by_id["b1"]
    assert (known.order.filled, known.state) == (7, BrokerOrderState.CANCELLED)


@pytest.mark.parametrize(
    ("client_id", "is_ours"),
    [
        ("os-b1-7.0", True),
        ("a.12", True),
        ("61e69015-8549-4bfd-b9c3-01e75843f47d", False),
        ("a.b", False),
        (".0", False),
        ("x" * 41 + ".0", False),
        ("", False),
        (None, False),
    ],
)
def test_an_id_of_our_form(client_id: str | None, is_ours: bool) -> None:
    """Ours is what a leg's wire id looks like; whatever else is somebody else's."""
    assert (leg_of(client_id) is not None) is is_ours


def test_ended_orders_are_forgotten_and_open_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory is bounded by dropping the oldest that have ended."""
    from ordersmith.adapters.alpaca import known_orders

    monkeypatch.setattr(known_orders, "KEPT", 5)
    orders = KnownOrders()
    kept = orders.learn(order(id="open", client_order_id="open.0"))
    for number in range(20):
        known = orders.learn(order(0, "canceled", id=f"b{number}", client_order_id=f"n{number}.0"))
        assert known is not None
        known.is_told_ended = True
    assert len(orders.by_id) == 5
    assert orders.by_wire_id["open.0"] is kept


def test_legs_that_never_were_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replacements that were never sent do not add up, and one that came to be after all is kept."""
    from ordersmith.adapters.alpaca import known_orders

    monkeypatch.setattr(known_orders, "KEPT", 5)
    orders = KnownOrders()
    for number in range(1, 20):
        orders.asked(f"o.{number}")
        orders.never_was(f"o.{number}")
        if number == 3:
            there = orders.learn(order(id="late", client_order_id="o.3"))
    assert orders.by_wire_id["o.3"] is there
    assert len(orders.by_wire_id) == 6
    assert "o.19" in orders.by_wire_id


def test_a_sell_short_is_a_sale() -> None:
    """Alpaca's third side is no purchase."""
    known = KnownOrders().learn(order(side="sell_short"))
    assert known is not None
    assert known.found(BrokerOrderState.WORKING).side is Side.SELL
    assert msgspec.structs.asdict(known.found(BrokerOrderState.WORKING))["open_quantity"] == 10

"""What the log says of each fact, and how loudly."""

from __future__ import annotations

from decimal import Decimal
from typing import get_args

import pytest

from ordersmith.actors import account_events, doubt_events, events
from ordersmith.actors.actor import Event, Record
from ordersmith.actors.model import Fill, Order, OrderState, OrderType, Side, Terms, TradingState
from ordersmith.actors.ports import CashKind, CommandKind
from ordersmith.actors.snapshots import Difference
from ordersmith.supervisor import event_lines
from ordersmith.supervisor.event_lines import event_line

TWO_O_CLOCK = 1_577_887_200_000_000_000
ID = "os-1a2b-7"


def line_of(event):
    return event_line(Record(12, TWO_O_CLOCK, -1, event))


def test_every_event_has_its_line():
    """A new event needs a line in the table, and the table has no other."""
    assert set(event_lines._LINES) == set(get_args(events.AnyEvent))


def test_lines_are_named_noun_verb():
    """Each name is `noun.verb_past`, belongs to one event, and goes out at a level that the service knows."""
    names = [name for _, name in event_lines._LINES.values()]
    assert len(set(names)) == len(names)
    assert all(len(name.split(".")) == 2 and name == name.lower() for name in names)
    assert {level for level, _ in event_lines._LINES.values() if isinstance(level, str)} <= {
        "debug",
        "info",
        "warning",
        "error",
    }


def test_no_field_hides_what_every_line_has():
    """No event has a field that would overwrite the time, the level or the name of its line."""
    fields = {name for kind in get_args(events.AnyEvent) for name in kind.__struct_fields__}
    assert not fields & {"event", "level", "timestamp", "logger", "record", "at", "exc_info"}


SENT = Order(symbol="A", side=Side.BUY, quantity=Decimal("10.50"), client_order_id=ID, limit_price=Decimal("1E+2"),
             order_type=OrderType.LIMIT, account="paper", strategy="hosted")  # fmt: skip
FILL = Fill(fill_key="f1", quantity=Decimal(5), price=Decimal("101.10"), at_ns=TWO_O_CLOCK, commission=Decimal("1.50"))
OF_ORDER = {"client_order_id": ID}


@pytest.mark.parametrize(
    ("event", "level", "name", "fields"),
    [
        (
            events.OrderSubmitted(ID, SENT, events.Arrival(TWO_O_CLOCK, Decimal(100))),
            "info",
            "order.submitted",
            {**OF_ORDER, "symbol": "A", "side": "BUY", "quantity": "10.5", "order_type": "LIMIT", "limit_price": "100",
             "account": "paper", "strategy": "hosted"},
        ),
        (
            events.OrderDenied(ID, events.Denial("PRICE_COLLAR", "too far", {"last": "100"})),
            "warning",
            "risk.denied",
            {**OF_ORDER, "code": "PRICE_COLLAR", "text": "too far", "numbers": {"last": "100"}},
        ),
        (
            events.OrderFilled(ID, "paper", "hosted", "A", Side.BUY, FILL, Decimal(2), Decimal(202), Decimal(0), OrderState.FILLED),
            "info",
            "order.filled",
            {**OF_ORDER, "account": "paper", "strategy": "hosted", "symbol": "A", "side": "BUY", "fill_key": "f1", "quantity": "5",
             "price": "101.1", "at_ns": TWO_O_CLOCK, "commission": "1.5", "state": "FILLED"},
        ),
        (
            events.OrderReplaced(ID, f"{ID}.2", "b-9", Terms(Decimal(3), Decimal("9.90"))),
            "info",
            "order.replaced",
            {**OF_ORDER, "wire_id": f"{ID}.2", "broker_order_id": "b-9", "quantity": "3", "limit_price": "9.9"},
        ),
        (
            events.OrderInDoubt(ID, CommandKind.NEW, "no answer"),
            "error",
            "order.doubted",
            {**OF_ORDER, "kind": CommandKind.NEW.value, "reason": "no answer"},
        ),
        (
            events.TargetsSet("p1", {"A": Decimal("10.0")}, "ENTRY", ""),
            "info",
            "targets.set",
            {"plan": "p1", "targets": {"A": "10"}, "purpose": "ENTRY"},
        ),
        (
            account_events.BooksDisagree("paper", "A", Decimal(10), Decimal(0)),
            "error",
            "books.disagreed",
            {"account": "paper", "symbol": "A", "ours": "10", "brokers": "0"},
        ),
        (doubt_events.JournalFailed("no space left"), "error", "journal.failed", {"text": "no space left"}),
        (
            events.MarginCalled("paper", "m1", Decimal(1), Decimal("NaN"), liquidates=False, text=""),
            "error",
            "margin.called",
            {"account": "paper", "activity_id": "m1", "equity": "1", "required": "NaN", "liquidates": False},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_line_has_what_the_event_says(event, level, name, fields):
    """A line has the record's number and time, then the event's own words and exact numbers, and nothing that is empty."""
    line = line_of(event)
    assert (line.level, line.event) == (level, name)
    assert line.fields == {"record": 12, "at": "2020-01-01T14:00:00+00:00", **fields}


def test_a_target_that_is_given_up_is_louder_than_one_that_is_reached():
    """The warning has the symbol, the position that stays, what is missing and why; zero is said, too."""
    assert line_of(events.TargetDropped("p1", "A", "REACHED")).level == "info"
    dropped = events.TargetDropped("p1", "A", "40310000", Decimal(50), Decimal(-50), "o-1", "potential wash trade")
    line = line_of(dropped)
    assert (line.level, line.event) == ("warning", "target.dropped")
    told = {"symbol": "A", "reason": "40310000", "held": "50", "missing": "-50", "text": "potential wash trade"}
    assert line.fields.items() >= told.items()
    assert line_of(events.TargetDropped("p1", "A", "NO", Decimal(0), Decimal(5))).fields["held"] == "0"


@pytest.mark.parametrize(
    ("state", "level"),
    [(TradingState.ACTIVE, "info"), (TradingState.REDUCING, "warning"), (TradingState.HALTED, "error")],
)
def test_trading_that_stops_is_louder_than_trading_that_goes_on(state, level):
    """A halt is an error, a reduction a warning, and trading again is news."""
    assert line_of(events.TradingStateChanged(state, "MANUAL", "", 3)).level == level


def test_a_suspicion_is_louder_than_its_end():
    """A read that differs from our books warns; one that agrees again does not."""
    suspected = line_of(account_events.BooksSuspected("paper", (Difference("A", Decimal(1), Decimal("2.0")),)))
    assert (suspected.level, suspected.fields["differences"]) == (
        "warning",
        [{"symbol": "A", "ours": "1", "brokers": "2"}],
    )
    over = line_of(account_events.BooksSuspected("paper"))
    assert (over.level, over.fields.get("differences")) == ("info", None)


class NeverHeardOf(Event, frozen=True):
    text: str


def test_an_unknown_event_is_not_lost():
    """An event without a line in the table is a warning under its own name."""
    line = line_of(NeverHeardOf("what"))
    assert (line.level, line.event, line.fields["text"]) == ("warning", "unknown.NeverHeardOf", "what")


@pytest.mark.parametrize(("kind", "level"), [(CashKind.FEE, "info"), (CashKind.OTHER, "warning")])
def test_cash_that_nobody_can_name_is_a_warning(kind, level):
    """What the broker calls with a word of its own is for a person to look at."""
    assert line_of(events.CashMoved("main", "1", kind, Decimal(-3))).level == level

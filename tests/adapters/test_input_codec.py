"""Messages as bytes: whatever any actor takes, and any input, comes back as it was."""

from __future__ import annotations

import types
from decimal import Decimal
from enum import Enum
from typing import Any, ClassVar

import msgspec
import pytest
from any_values import ANYTHING, values_of
from hypothesis import given, settings
from hypothesis import strategies as st

from ordersmith import actors
from ordersmith.actors import account_events, doubt_events, events
from ordersmith.actors.actor import Actor, Record
from ordersmith.actors.bars import Bars
from ordersmith.actors.events import OrderAccepted
from ordersmith.actors.machines.breaker import BreakerRules
from ordersmith.actors.machines.risk import Limits
from ordersmith.actors.messages import CancelOrders, GetOrderStatus, HistoryFound, LookUpOrder, SetTargets
from ordersmith.actors.model import Side
from ordersmith.adapters.input_codec import InputCodec, UnknownType, kinds_in, name_of
from ordersmith.supervisor import inputs
from ordersmith.supervisor.inputs import Asked, Input, Posted, PricesShown
from ordersmith.supervisor.lifecycle import Lifecycle
from ordersmith.supervisor.tree import build

KINDS = kinds_in(actors, inputs)
CODEC = InputCodec(KINDS)


def below(kind: type) -> set[type]:
    return {leaf for child in kind.__subclasses__() for leaf in {child} | below(child)}


ACTORS = {kind for kind in below(Actor) if kind.__module__.startswith("ordersmith.actors.")}
TAKEN = sorted({message for actor in ACTORS for message in actor.handlers}, key=name_of)
INPUTS = sorted(below(Input), key=name_of)


def same(one: Any, other: Any) -> bool:
    """Tell whether two values cannot be told apart: their types, and the digits of their decimals too."""
    if type(one) is not type(other):
        return False
    if isinstance(one, msgspec.Struct):
        return all(same(getattr(one, name), getattr(other, name)) for name in one.__struct_fields__)
    if isinstance(one, Bars):
        return all(same(getattr(one, name), getattr(other, name)) for name in Bars.__slots__)
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return repr(one) == repr(other)


def test_there_is_something_to_try():
    """The actors of the tree and the kinds of input are found."""
    assert {kind.__name__ for kind in ACTORS} >= {"Desk", "Order", "BrokerConnection", "RiskGate", "StrategyHost"}
    assert len(TAKEN) > 60
    assert {kind.__name__ for kind in INPUTS} >= {"Posted", "Asked", "Committed", "PricesShown", "Stopping"}


@pytest.mark.parametrize("kind", [*TAKEN, *INPUTS], ids=name_of)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_every_message_of_every_actor_comes_back(kind, data):
    """A message of any type that an actor has a handler for, and any input, is what it was, down to the digits."""
    made = data.draw(values_of(kind))
    for value in (made, Posted("an/actor", made, -3)):
        assert same(CODEC.decode(CODEC.encode(value)), value)


@given(ANYTHING)
def test_what_a_request_brings_along_comes_back(then):
    """Fields whose type says nothing may hold records, messages and whatever these hold."""
    record = Record(3, 4, -5, OrderAccepted("a", "a.0", "b"))
    value = Posted("journal", HistoryFound("a", (record, record), LookUpOrder("a", then)), 9)
    assert same(CODEC.decode(CODEC.encode(value)), value)


def test_bars_come_back():
    """Bars are no struct; whole numbers stay whole, and what is not a number is still none."""
    bars = Bars(1, 2, 3, True, {"A": (1.5, 2.0, 1, 0.1, float("nan")), "B": (1.0, 1.0, 1.0, 1.0, 1e300)}, regular=False)
    again = CODEC.decode(CODEC.encode(PricesShown(bars))).bars
    assert same(again, bars)
    assert list(again.rows) == ["A", "B"]


@pytest.mark.parametrize(
    "value",
    [
        GetOrderStatus(("one",), None),
        CancelOrders(["one"]),
        Asked(1, "desk", SetTargets({"A": 1})),
        Limits(
            max_order_quantity=1,
            max_order_notional=Decimal("1.00"),
            max_position_quantity=Decimal(1),
            max_gross_exposure=Decimal(1),
            price_collar=None,
            duplicate_window_ns=0,
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_does_not_keep_to_its_annotations_comes_back_as_it_was(value):
    """Nobody checks a message against its annotations, so the log cannot go by them."""
    assert same(CODEC.decode(CODEC.encode(value)), value)


def test_floats_of_other_libraries_and_other_mappings_are_written_as_our_own():
    """They are equal, and that is all that anybody goes by."""

    class TheirFloat(float):
        pass

    assert same(CODEC.decode(CODEC.encode([TheirFloat(0.1)])), [0.1])
    targets = types.MappingProxyType({"A": Decimal(1)})
    assert CODEC.decode(CODEC.encode(SetTargets(targets))).targets == targets


class Strange(msgspec.Struct):
    """A struct that no module of the actors defines."""


class Colour(Enum):
    RED = "red"


@pytest.mark.parametrize(
    "value",
    [Strange(), Colour.RED, object(), {1, 2}, Lifecycle, build],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_a_type_that_cannot_be_written_is_named(value):
    """However deep it is, the error says which type it is, and what is taken."""
    kind = type(value)
    with pytest.raises(UnknownType, match=rf"{kind.__qualname__}: a value of this type.*accepted: structs"):
        CODEC.encode(Posted("desk", CancelOrders((("one", value),))))


class TestTables:
    """A log begins with the names of its types; its reader goes by them, not by the types that it happens to have."""

    FEW: ClassVar[dict[str, type]] = {name_of(kind): kind for kind in (Posted, CancelOrders, Side)}

    def test_another_order_of_the_types_is_no_matter(self):
        """A version with more types reads what one with fewer wrote."""
        writer = InputCodec(self.FEW)
        value = Posted("desk", (CancelOrders(("a",)), Side.SELL))
        assert same(InputCodec.for_table(writer.names, KINDS).decode(writer.encode(value)), value)

    def test_a_name_that_is_not_known_is_told(self):
        """Only when a value of it is met."""
        writer = InputCodec(self.FEW)
        reader = InputCodec.for_table(writer.names, {name_of(Posted): Posted})
        assert reader.decode(writer.encode(Posted("a", None))) == Posted("a", None)
        with pytest.raises(UnknownType, match=r"actors\.messages\.CancelOrders: this version knows no such type"):
            reader.decode(writer.encode(CancelOrders(())))


def test_names_do_not_depend_on_the_package():
    """A log is read under whatever name the package is installed."""
    assert name_of(BreakerRules) == "actors.machines.breaker.BreakerRules"
    assert KINDS["actors.machines.breaker.BreakerRules"] is BreakerRules


def test_all_events_are_there():
    """Records come back with answers of the journal, so every event can be written."""
    for module in (events, account_events, doubt_events):
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, msgspec.Struct) and value.__module__ == module.__name__:
                assert KINDS[name_of(value)] is value

"""hypothesis strategies for the values of a type, made by looking into it: a new field is tried as soon as it is there."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec
from hypothesis import strategies as st

from ordersmith.actors.bars import Bars, CorporateAction
from ordersmith.actors.events import OrderAccepted
from ordersmith.actors.messages import CancelOrders

DIGITS = st.decimals(allow_nan=False, allow_infinity=False)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False)
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=20),
    int: INTEGERS,
    bool: st.booleans(),
    bytes: st.binary(max_size=20),
    float: FLOATS,
    Decimal: DIGITS,
    type(None): st.none(),
    msgspec.UnsetType: st.just(msgspec.UNSET),
}
ANYTHING = st.deferred(
    lambda: st.one_of(*PLAIN.values(), values_of(CancelOrders), values_of(OrderAccepted), st.tuples(DIGITS, st.text()))
)
"""What a field holds whose type says nothing."""


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for the values of a type."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return ANYTHING
    if kind in PLAIN:
        return PLAIN[kind]
    if kind is Bars:
        return bars()
    if origin in (typing.Union, types.UnionType):
        return st.one_of([values_of(member) for member in arguments])
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    if origin in (dict, Mapping):
        return st.dictionaries(values_of(arguments[0]), values_of(arguments[1]), max_size=3)
    if origin is tuple and arguments[1:] == (Ellipsis,):
        return st.lists(values_of(arguments[0]), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*map(values_of, arguments))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return structs(kind)
    raise TypeError(f"{kind!r}: say here how values of this type are made")


def structs(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    if kind.__subclasses__() and not kind.__struct_fields__:  # a base such as Message: one of those below it
        return values_of(CancelOrders)
    hints = typing.get_type_hints(kind)
    return st.fixed_dictionaries({name: values_of(hints[name]) for name in kind.__struct_fields__}).map(
        lambda fields: kind(**fields)
    )


def bars() -> st.SearchStrategy[Bars]:
    rows = st.dictionaries(st.text(max_size=5), st.tuples(*[FLOATS] * 5), max_size=3)
    actions = st.lists(structs(CorporateAction), max_size=2).map(tuple)
    return st.builds(Bars, INTEGERS, INTEGERS, INTEGERS, st.booleans(), rows, actions, st.booleans())

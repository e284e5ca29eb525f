"""What a broker refuses, checked before it is sent: one small pure function for each kind of rule, and the table of them.

The rules themselves are data that the broker's adapter declares (`ports.Capabilities.rules`), each with the broker's own
code and the place where it is written. A rule that is not sure does not deny: the broker still has the last word, while
an exit that is denied here keeps a risk that is surely there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from ..events import Denial
from ..model import ZERO, Order, OrderType, Purpose, Side
from ..ports import BrokerRule, RuleKind
from .exposure import Exposure, Reservation, usable

if TYPE_CHECKING:
    from .risk import Case

BUY = Side.BUY
ONE = Decimal(1)
CENT, FINE_CENT = Decimal("0.01"), Decimal("0.0001")
NEW_RISK = (Purpose.ENTRY, Purpose.CHILD)
AT_ANY_PRICE = (OrderType.MARKET, OrderType.STOP)
OUTSIDE = frozenset({OrderType.TRAILING_STOP})
"""Order types that no rule against wash trades looks at."""


class Resting(msgspec.Struct, frozen=True):
    """An open order on the other side of a new one. Of one that is not ours it may be that only its limit `is_known`."""

    order_id: str
    order_type: OrderType
    limit_price: Decimal | None
    is_ours: bool = True
    is_known: bool = True


Numbers = dict[str, str]
Finding = tuple[str, Numbers]
"""What a rule says besides the broker's sentence, and the numbers that it saw."""


def broker_rules(case: Case) -> Denial | None:
    """Return the first of the broker's rules that the order would break."""
    can = case.account.capabilities
    for rule in (can.rules or ()) if can is not None else ():
        found = FUNCTIONS[rule.kind](case, rule)
        if found is not None:
            more, numbers = found
            told = {"rule": rule.kind.value, "source": rule.source} | numbers
            return Denial(rule.code, f"the broker would refuse it: {rule.text}; {more}", told)
    return None


# --- What an order is --------------------------------------------------------------------------------------------------


def words_of(order: Order, quantity: Decimal) -> dict[str, str]:
    """Return an order in the words that TERMS rules are written in; `quantity` is what is asked for now."""
    return {
        "order_class": "simple",
        "order_type": order.order_type.value.lower(),
        "time_in_force": order.time_in_force.value.lower(),
        "hours": "extended" if order.extended_hours else "regular",
        "quantity": "fractional" if quantity % ONE else "whole",
        "side": order.side.value.lower(),
    }


def broken_terms(rules: Iterable[BrokerRule], words: Mapping[str, str]) -> BrokerRule | None:
    """Return the first of the TERMS rules that an order of these words breaks."""
    for rule in rules:
        if rule.kind is RuleKind.TERMS and _is(words, rule.about) and not _is(words, rule.takes):
            return rule
    return None


def _is(words: Mapping[str, str], wanted: Mapping[str, tuple[str, ...]]) -> bool:
    return all(words[name] in values for name, values in wanted.items())


def terms(case: Case, rule: BrokerRule) -> Finding | None:
    words = words_of(case.order, _asked(case))
    if broken_terms((rule,), words) is None:
        return None
    is_so = " and ".join(words[name] for name in rule.about)
    wanted = ", ".join(f"{name} {' or '.join(values)}" for name, values in rule.takes.items())
    return f"an order that is {is_so} needs {wanted}", {name: words[name] for name in (*rule.about, *rule.takes)}


def id_length(case: Case, rule: BrokerRule) -> Finding | None:
    """Leave room for the number of the leg, which comes behind the id."""
    order_id = case.order.client_order_id
    if len(order_id) + LEG_ROOM <= rule.limit:
        return None
    more = f"{order_id!r} has {len(order_id)}, and {LEG_ROOM} are kept for the number of its leg"
    return more, {"length": str(len(order_id)), "limit": str(rule.limit)}


LEG_ROOM = 8
"""A dot and seven digits: an order may be replaced that often."""


def sub_penny(case: Case, rule: BrokerRule) -> Finding | None:
    for field in ("limit_price", "stop_price"):
        price = getattr(case.order, field)
        if price is None:
            continue
        unit = CENT if price >= ONE else FINE_CENT
        if price % unit:
            return f"{field} {price} is no multiple of {unit}", {field: str(price), "unit": str(unit)}
    return None


# --- What is held and open ---------------------------------------------------------------------------------------------


def minimum_notional(case: Case, rule: BrokerRule) -> Finding | None:
    """Look at what is bought or sold short only: whether so little can be sold is the broker's to say."""
    amount = _asked(case) * usable(case.price)
    if not amount or amount >= rule.limit or case.reduces():
        return None
    return f"the order is worth {amount:f}", {"notional": f"{amount:f}", "limit": str(rule.limit)}


def fraction_short(case: Case, rule: BrokerRule) -> Finding | None:
    if case.order.side is BUY or not _asked(case) % ONE or case.worst_after() >= ZERO:
        return None
    more = f"it could leave {case.worst_after()} {case.order.symbol}"
    return more, {"position": str(case.symbol.position), "worst_case": str(case.worst_after())}


def held_quantity(case: Case, rule: BrokerRule) -> Finding | None:
    """Refuse to sell more of a long position than no other order is selling yet, and the same of a short one."""
    symbol, is_buy = case.symbol, case.order.side is BUY
    held, closing = (-symbol.position, symbol.open_buy) if is_buy else (symbol.position, symbol.open_sell)
    if held <= ZERO or case.delta <= held - closing:
        return None
    free = max(held - closing, ZERO)
    more = f"{case.delta} asked, {free} of {held} {case.order.symbol} free, open orders close the rest"
    return more, {"requested": str(case.delta), "available": str(free), "held_for_orders": str(closing)}


def opposite_side(case: Case, rule: BrokerRule) -> Finding | None:
    """Without a position the one side would open a long one and the other a short one."""
    if case.symbol.position or not case.resting:
        return None
    others = [other for other in case.resting if other.is_ours or case.order.purpose in NEW_RISK]
    if not others:
        return None
    return f"{_named(others[0])} is in the way; cancel it first", {"existing_order_id": others[0].order_id}


def wash_trade(case: Case, rule: BrokerRule) -> Finding | None:
    order = case.order
    for other in case.resting or ():
        if _counts(other, case) and collide(order.side is BUY, order, other):
            more = f"{_named(other)} is in the way; cancel it first, or price the two so that they cannot meet"
            return more, {"existing_order_id": other.order_id, "existing_type": other.order_type.value}
    return None


def collide(is_buy: bool, new: Order | Resting, other: Order | Resting) -> bool:
    """Tell whether two orders of one symbol, on two sides, could trade with each other. `is_buy` says it of the first.

    One that has no limit could meet any other; two limits meet where the buyer's is not below the seller's.
    """
    if new.order_type in OUTSIDE or other.order_type in OUTSIDE:
        return False
    if new.limit_price is None or other.limit_price is None:
        return True
    if new.order_type in AT_ANY_PRICE or other.order_type in AT_ANY_PRICE:
        return True
    bid, offer = (new.limit_price, other.limit_price) if is_buy else (other.limit_price, new.limit_price)
    return bid >= offer


def _asked(case: Case) -> Decimal:
    return case.order.quantity if case.remaining is None else case.remaining


def _counts(other: Resting, case: Case) -> bool:
    """Of an order whose type is not known it is not known what the broker makes of it either: it holds up no exit."""
    return other.is_known or case.order.purpose in NEW_RISK


def _named(other: Resting) -> str:
    limit = "" if other.limit_price is None else f" at {other.limit_price}"
    whose = "" if other.is_ours else ", which is not ours"
    return f"the open order {other.order_id} ({other.order_type}{limit}{whose})"


def resting(exposure: Exposure, order: Order, view: Callable[[str], Any]) -> tuple[Resting, ...]:
    """Return the open orders on the other side of a new one. `view` shows what is known of an order's actor by name."""
    ours = (
        _ours(order_id, held, view("order/" + order_id))
        for order_id, held in exposure.open.items()
        if held.symbol == order.symbol and held.account == order.account and held.side is not order.side
    )
    return (*ours, *_others(exposure, order))


def _ours(order_id: str, held: Reservation, machine: Any) -> Resting:
    """Return an order of ours at the worst of its limit and of the one that it is being given."""
    order = None if machine is None else machine.order
    if order is None:
        return Resting(order_id, OrderType.LIMIT if held.price else OrderType.MARKET, held.price or None)
    limit, offered = order.limit_price, held.offered
    if limit is not None and offered is not None:
        limit = max(limit, offered.price) if held.side is BUY else min(limit, offered.price)
    return Resting(order_id, order.order_type, limit)


def _others(exposure: Exposure, order: Order) -> Iterator[Resting]:
    for other in exposure.look(order.account).externals.values():
        if other.symbol == order.symbol and other.side is not order.side:
            kind, limit = other.order_type, other.limit_price
            likely = OrderType.MARKET if limit is None else OrderType.LIMIT
            is_known = kind not in (None, OrderType.MARKET)  # one at the market is gone before it is in the way
            yield Resting(other.broker_order_id, kind or likely, limit, is_ours=False, is_known=is_known)


FUNCTIONS: dict[RuleKind, Callable[[Case, BrokerRule], Finding | None]] = {
    RuleKind.TERMS: terms,
    RuleKind.ID_LENGTH: id_length,
    RuleKind.SUB_PENNY: sub_penny,
    RuleKind.MINIMUM_NOTIONAL: minimum_notional,
    RuleKind.FRACTION_SHORT: fraction_short,
    RuleKind.HELD_QUANTITY: held_quantity,
    RuleKind.WASH_TRADE: wash_trade,
    RuleKind.OPPOSITE_SIDE: opposite_side,
}
"""What looks at each kind of rule: it returns None for an order that keeps it."""

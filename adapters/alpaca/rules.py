"""What Alpaca takes and what it refuses, as data: each row has Alpaca's error code, its sentence, and where that is written.

The gate checks the rows before an order is sent, and the sandbox answers with them. They are about US equities. What
depends on the asset (tradable, shortable, fractionable) is in its `Instrument`. Where the documentation gives no code for
a refusal, it is the one of an order whose terms do not go together, 42210000.
"""

from __future__ import annotations

from decimal import Decimal

from ...actors.machines.broker_rules import Resting, broken_terms, collide
from ...actors.model import OrderType, TimeInForce
from ...actors.ports import BrokerRule, Capabilities, OrderClass, RuleKind

FORBIDDEN = "40310000"
"""HTTP 403: the order is in good form, but not with what the account holds and has open."""
BAD_TERMS = "42210000"
"""HTTP 422: terms that do not go together, or a price or an asset that is not traded so."""
BAD_FIELD = "40010001"
"""HTTP 422: a field that cannot be read, or an id that is taken."""

ORDERS = "docs.alpaca.markets/docs/orders-at-alpaca"
FRACTIONS = "docs.alpaca.markets/docs/fractional-trading"
PROTECTION = "docs.alpaca.markets/docs/user-protection"
REFERENCE = "docs.alpaca.markets/reference/postorder"

ANY_FRACTION = ("fractional", "notional")
DAY_OR_GTC = ("day", "gtc")
PLAIN_TYPES = ("market", "limit")


def _terms(text: str, source: str, about: dict[str, tuple[str, ...]], **takes: tuple[str, ...]) -> BrokerRule:
    return BrokerRule(RuleKind.TERMS, BAD_TERMS, text, source, about, takes)


CLASS_RULES: tuple[BrokerRule, ...] = (
    _terms(
        "fractional orders must be DAY orders",
        FRACTIONS,
        {"quantity": ANY_FRACTION},
        time_in_force=("day",),
    ),
    _terms(
        "fractional orders must be simple orders",
        FRACTIONS,
        {"quantity": ANY_FRACTION},
        order_class=("simple",),
    ),
    _terms(
        "fractional orders must be market, limit, stop, or stop_limit orders",
        FRACTIONS,
        {"quantity": ANY_FRACTION},
        order_type=("market", "limit", "stop", "stop_limit"),
    ),
    _terms(
        "extended hours order must be DAY or GTC limit orders",
        ORDERS + "#submitting-an-extended-hours-eligible-order",
        {"hours": ("extended",)},
        order_type=("limit",),
        time_in_force=DAY_OR_GTC,
    ),
    _terms(
        "extended hours are not supported for bracket, oco and oto orders",
        ORDERS + "#bracket-orders",
        {"hours": ("extended",)},
        order_class=("simple",),
    ),
    _terms(
        "trailing stop orders must be simple DAY or GTC orders",
        ORDERS + "#trailing-stop-orders",
        {"order_type": ("trailing_stop",)},
        time_in_force=DAY_OR_GTC,
        order_class=("simple",),
    ),
    _terms(
        "bracket and oto orders must be DAY or GTC orders",
        ORDERS + "#bracket-orders",
        {"order_class": ("bracket", "oto")},
        time_in_force=DAY_OR_GTC,
    ),
    _terms(
        "oco orders must be DAY or GTC limit orders",
        ORDERS + "#oco-orders",
        {"order_class": ("oco",)},
        order_type=("limit",),
        time_in_force=DAY_OR_GTC,
    ),
    _terms(
        "opg and cls orders must be market or limit orders",
        ORDERS + "#order-types-vs-supported-time-in-force",
        {"time_in_force": ("opg", "cls")},
        order_type=PLAIN_TYPES,
    ),
    _terms(
        "ioc and fok orders must be market or limit orders",
        ORDERS + "#order-types-vs-supported-time-in-force",
        {"time_in_force": ("ioc", "fok")},
        order_type=PLAIN_TYPES,
    ),
    _terms(
        "mleg orders are for options only",
        REFERENCE,
        {"order_class": ("mleg",)},
        order_class=("simple", "bracket", "oco", "oto"),
    ),
)
"""Which class, type, time in force, hours and quantity go together; the first that is broken is the answer."""

WASH_TRADE = BrokerRule(RuleKind.WASH_TRADE, FORBIDDEN, "potential wash trade detected. use complex orders", PROTECTION)
OPPOSITE_SIDE = BrokerRule(
    RuleKind.OPPOSITE_SIDE,
    FORBIDDEN,
    "a long buy and a short sell of one symbol cannot be open together",
    "github.com/alpacahq/Alpaca-API/issues/82",
)
HELD_QUANTITY = BrokerRule(
    RuleKind.HELD_QUANTITY,
    FORBIDDEN,
    "insufficient qty available for order",
    "github.com/alpacahq/Alpaca-API/issues/282, and " + ORDERS + "#bracket-orders",
)
FRACTION_SHORT = BrokerRule(RuleKind.FRACTION_SHORT, BAD_TERMS, "fractional orders cannot be sold short", FRACTIONS)
SUB_PENNY = BrokerRule(
    RuleKind.SUB_PENNY,
    BAD_TERMS,
    "sub-penny increment does not fulfill minimum pricing criteria",
    ORDERS + "#sub-penny-increments-for-limit-orders",
)
MINIMUM_NOTIONAL = BrokerRule(
    RuleKind.MINIMUM_NOTIONAL,
    FORBIDDEN,
    "cost basis must be >= minimal amount of order 1",
    FRACTIONS,
    limit=Decimal(1),
)
ID_LENGTH = BrokerRule(
    RuleKind.ID_LENGTH,
    BAD_FIELD,
    "client_order_id must be no more than 48 characters",
    REFERENCE + ": 128 today, 48 in the reference before it",
    limit=Decimal(48),
)

RULES: tuple[BrokerRule, ...] = (
    ID_LENGTH,
    *CLASS_RULES,
    SUB_PENNY,
    MINIMUM_NOTIONAL,
    FRACTION_SHORT,
    HELD_QUANTITY,
    WASH_TRADE,
    OPPOSITE_SIDE,
)
"""All that the gate looks at, in this order: first the order by itself, then what is held and open."""


def broken_class_rule(
    order_class: str,
    order_type: str,
    time_in_force: str,
    extended_hours: bool = False,
    has_notional: bool = False,
    is_fractional: bool = False,
    side: str = "buy",
) -> BrokerRule | None:
    """Return the first row of `CLASS_RULES` that an order breaks, in the words of Alpaca's API; no class is a simple order."""
    return broken_terms(
        CLASS_RULES,
        {
            "order_class": order_class or "simple",
            "order_type": order_type,
            "time_in_force": time_in_force,
            "hours": "extended" if extended_hours else "regular",
            "quantity": "notional" if has_notional else "fractional" if is_fractional else "whole",
            "side": side,
        },
    )


def wash_reason(
    side: str,
    order_type: str,
    limit_price: Decimal | None,
    existing_type: str,
    existing_limit: Decimal | None,
) -> str | None:
    """Return the `reject_reason` of a new simple order that could trade with an open one of the other side, None if it could not.

    Bracket, oco, oto and trailing stop orders are outside of this protection, whichever of the two they are.
    """
    new = Resting("", OrderType(order_type.upper()), limit_price)
    existing = Resting("", OrderType(existing_type.upper()), existing_limit)
    if not collide(side == "buy", new, existing):
        return None
    return f"opposite side {'limit' if 'limit' in existing_type else 'market/stop'} order exists"


CAPABILITIES = Capabilities(
    native_replace=False,  # its own can overfill: alpacahq/Alpaca-API#165
    order_types=tuple(OrderType),
    times_in_force=tuple(TimeInForce),
    excluded=tuple(
        (kind, each)
        for kind in OrderType
        for each in TimeInForce
        if broken_class_rule("simple", kind.value.lower(), each.value.lower())
    ),
    extended_hours=True,
    rules=RULES,
    order_classes=tuple(OrderClass),
)
"""What the port declares. IOC, FOK, OPG and CLS need Alpaca's consent: an account without it has such orders rejected."""

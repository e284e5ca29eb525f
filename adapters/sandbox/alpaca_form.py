"""An order as a client asks for it: read from JSON, and refused where it could not be an order of any account.

Which class, type and time in force go together is `alpaca.rules.CLASS_RULES`, the table that our gate checks against, too. The
rest is docs.alpaca.markets, "Placing Orders"; the texts are as Alpaca's where those are known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from ...actors.model import ZERO
from ..alpaca.rules import broken_class_rule
from .alpaca_json import read_number
from .alpaca_refusal import Refusal, malformed, unprocessable

ONE = Decimal(1)
LONGEST_ID = 128

SIDES = ("buy", "sell")
TYPES = ("market", "limit", "stop", "stop_limit", "trailing_stop")
TIMES_IN_FORCE = ("day", "gtc", "opg", "cls", "ioc", "fok")
CLASSES = ("", "simple", "bracket", "oco", "oto")
INTENTS = ("", "buy_to_open", "buy_to_close", "sell_to_open", "sell_to_close")

PRICES = {
    "market": (),
    "limit": ("limit_price",),
    "stop": ("stop_price",),
    "stop_limit": ("limit_price", "stop_price"),
    "trailing_stop": (),
}
"""The prices that a type of order has; no other is allowed. A trailing stop has one of two trails instead."""


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """A readable request for an order."""

    symbol: str
    side: str
    type: str
    time_in_force: str
    order_class: str
    position_intent: str
    client_order_id: str
    extended_hours: bool
    qty: Decimal | None
    notional: Decimal | None
    limit_price: Decimal | None
    stop_price: Decimal | None
    trail_price: Decimal | None
    trail_percent: Decimal | None
    take_profit: Decimal | None
    stop_loss: Decimal | None
    stop_loss_limit: Decimal | None

    @property
    def is_buy(self) -> bool:
        return self.side == "buy"

    @property
    def is_complex(self) -> bool:
        return self.order_class not in {"", "simple"}

    @property
    def is_fractional(self) -> bool:
        return self.notional is not None or (self.qty is not None and self.qty % ONE != ZERO)


def read_form(body: Mapping[str, Any]) -> Form:
    """Read and check a request. Raises the Refusal that Alpaca would answer with."""
    order_class = _choice(body, "order_class", CLASSES, default="")
    take_profit, stop_loss = _leg(body, "take_profit"), _leg(body, "stop_loss")
    limit = read_number(body.get("limit_price"), "limit_price")
    profit = read_number(take_profit.get("limit_price"), "take_profit.limit_price")
    if order_class == "oco" and profit is None:
        profit = limit  # the price of an OCO may stand in either place
    extended = body.get("extended_hours") or False
    if not isinstance(extended, bool):
        raise malformed(f"extended_hours: {extended!r} is neither true nor false")
    form = Form(
        symbol=_text(body, "symbol", required=True),
        side=_choice(body, "side", SIDES),
        type=_choice(body, "type", TYPES, default="limit" if order_class == "oco" else None),
        time_in_force=_choice(body, "time_in_force", TIMES_IN_FORCE),
        order_class=order_class,
        position_intent=_choice(body, "position_intent", INTENTS, default=""),
        client_order_id=_text(body, "client_order_id"),
        extended_hours=extended,
        qty=read_number(body.get("qty"), "qty"),
        notional=read_number(body.get("notional"), "notional"),
        limit_price=profit if order_class == "oco" else limit,
        stop_price=read_number(body.get("stop_price"), "stop_price"),
        trail_price=read_number(body.get("trail_price"), "trail_price"),
        trail_percent=read_number(body.get("trail_percent"), "trail_percent"),
        take_profit=profit,
        stop_loss=read_number(stop_loss.get("stop_price"), "stop_loss.stop_price"),
        stop_loss_limit=read_number(stop_loss.get("limit_price"), "stop_loss.limit_price"),
    )
    for rule in RULES:
        refusal = rule(form)
        if refusal is not None:
            raise refusal
    return form


def _text(body: Mapping[str, Any], field: str, *, required: bool = False) -> str:
    value = body.get(field)
    if value is None or value == "":
        if required:
            raise malformed(f"{field} is required")
        return ""
    if not isinstance(value, str):
        raise malformed(f"{field}: {value!r} is no text")
    return value


def _choice(body: Mapping[str, Any], field: str, choices: tuple[str, ...], default: str | None = None) -> str:
    value = body.get(field)
    if value is None and default is not None:
        return default
    if value not in choices:
        raise malformed(f"invalid {field}: {value!r}; give one of {', '.join(filter(None, choices))}")
    return str(value)


def _leg(body: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    leg = body.get(field) or {}
    if not isinstance(leg, Mapping):
        raise malformed(f"{field}: {leg!r} is no object")
    return leg


# --- The rules: each returns why not, or None ---------------------------------------------------------------------------


def _size(form: Form) -> Refusal | None:
    if (form.qty is None) is (form.notional is None):
        return malformed(
            "qty or notional is required" if form.qty is None else "only one of qty or notional is accepted"
        )
    for name, size, decimals in (("qty", form.qty, 9), ("notional", form.notional, 2)):
        if size is not None and size <= ZERO:
            return malformed(f"{name} must be > 0")
        if size is not None and _decimals(size) > decimals:
            return unprocessable(f"{name} value must be limited to {decimals} decimal places")
    return None


def _client_id(form: Form) -> Refusal | None:
    if len(form.client_order_id) > LONGEST_ID:
        return malformed(f"client_order_id must be no more than {LONGEST_ID} characters")
    return None


def _prices(form: Form) -> Refusal | None:
    for field in ("limit_price", "stop_price"):
        given, wanted = getattr(form, field) is not None, field in PRICES[form.type]
        name = field.replace("_", " ")
        if wanted and not given:
            return malformed(f"{form.type} orders require a {name}")
        if given and not wanted:
            return malformed(f"{form.type} orders require no {name}")
    trails = [trail for trail in (form.trail_price, form.trail_percent) if trail is not None]
    if len(trails) != (form.type == "trailing_stop"):
        return malformed("trailing_stop orders, and no others, require one of trail_price or trail_percent")
    if trails and trails[0] <= ZERO:
        return malformed("the trail must be > 0")
    return None


def _sub_penny(form: Form) -> Refusal | None:
    return sub_penny(
        limit_price=form.limit_price,
        stop_price=form.stop_price,
        take_profit_limit_price=form.take_profit,
        stop_loss_stop_price=form.stop_loss,
        stop_loss_limit_price=form.stop_loss_limit,
    )


def sub_penny(**prices: Decimal | None) -> Refusal | None:
    """Return the refusal of the first price that is not positive, or finer than a cent, or a hundredth of one below $1."""
    for name, price in prices.items():
        if price is not None and price <= ZERO:
            return malformed(f"{name} must be > 0")
        if price is not None and _decimals(price) > (2 if price >= ONE else 4):
            text = f"invalid {name} {price:f}. sub-penny increment does not fulfill minimum pricing criteria"
            return unprocessable(text)
    return None


def _class_rules(form: Form) -> Refusal | None:
    rule = broken_class_rule(
        form.order_class,
        form.type,
        form.time_in_force,
        form.extended_hours,
        has_notional=form.notional is not None,
        is_fractional=form.is_fractional,
        side=form.side,
    )
    return None if rule is None else Refusal(422, int(rule.code), rule.text)


def _legs(form: Form) -> Refusal | None:
    profit, stop = form.take_profit is not None, form.stop_loss is not None
    if form.stop_loss_limit is not None and not stop:
        return unprocessable("stop_loss.limit_price requires stop_loss.stop_price")
    if form.order_class in {"bracket", "oco"} and not (profit and stop):
        return unprocessable(f"{form.order_class} orders require take_profit.limit_price and stop_loss.stop_price")
    if form.order_class == "oto" and profit is stop:
        return unprocessable("oto orders require one of take_profit.limit_price or stop_loss.stop_price")
    if not form.is_complex and (profit or stop):
        return unprocessable("take_profit and stop_loss require order_class bracket, oco or oto")
    return None


def _leg_prices(form: Form) -> Refusal | None:
    if not form.is_complex:
        return None
    exit_sells = form.is_buy if form.order_class != "oco" else not form.is_buy
    sign = 1 if exit_sells else -1
    profit, stop, base = form.take_profit, form.stop_loss, form.limit_price if form.order_class != "oco" else None
    above, below = (">=", "<=") if exit_sells else ("<=", ">=")
    plus, minus = ("+", "-") if exit_sells else ("-", "+")
    cent = Decimal("0.01")
    if profit is not None and stop is not None and (profit - stop) * sign < cent:
        return unprocessable(f"take_profit.limit_price must be {above} stop_loss.stop_price {plus} 0.01")
    if base is not None and profit is not None and (profit - base) * sign < cent:
        return unprocessable(f"take_profit.limit_price must be {above} base_price {plus} 0.01", base_price=f"{base:f}")
    if base is not None and stop is not None and (base - stop) * sign < cent:
        return unprocessable(f"stop_loss.stop_price must be {below} base_price {minus} 0.01", base_price=f"{base:f}")
    return None


def _decimals(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(-int(exponent), 0)


RULES: tuple[Callable[[Form], Refusal | None], ...] = (
    _size,
    _client_id,
    _class_rules,
    _legs,
    _prices,
    _sub_penny,
    _leg_prices,
)

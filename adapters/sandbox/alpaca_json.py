"""How Alpaca writes things: numbers as strings, times as RFC 3339 in UTC, and which fields a row has."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any

from ...actors.model import ZERO
from .alpaca_hours import SECOND_NS, instant_ns
from .alpaca_refusal import malformed
from .alpaca_state import ARITHMETIC, Asset, Booking, Execution, Json, Order

AVERAGE = Decimal("0.000001")


def number(value: Decimal | None) -> str | None:
    """Return a number as text: no exponent, no zeros that say nothing."""
    if value is None:
        return None
    return f"{value.normalize(ARITHMETIC):f}" if value else "0"


def moment(at_ns: int | None) -> str | None:
    """Return an instant as RFC 3339 in UTC, exact to the nanosecond."""
    if at_ns is None:
        return None
    seconds, fraction = divmod(at_ns, SECOND_NS)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    digits = f".{fraction:09d}".rstrip("0").rstrip(".")
    return f"{text}{digits}Z"


def read_moment(text: str, field: str) -> int:
    """Return the instant that a request names: RFC 3339, or a date, which begins at midnight in New York."""
    try:
        if len(text) == 10:
            return instant_ns(date.fromisoformat(text), time())
        whole, fraction, zone = _parts(text)
        seconds = int(datetime.fromisoformat(whole + zone).timestamp())
        return seconds * SECOND_NS + int(fraction.ljust(9, "0")[:9])
    except ValueError:
        raise malformed(f"{field}: {text!r} is no time; give RFC 3339 (2026-11-20T14:30:00Z) or a date") from None


def _parts(text: str) -> tuple[str, str, str]:
    """Split a time into what is before the fraction of its second, the fraction, and the zone."""
    whole, rest = text[:19], text[19:].replace("Z", "+00:00").replace(" ", "+")
    digits = rest[1:].split("+")[0].split("-")[0] if rest.startswith(".") else ""
    zone = rest[len(digits) + 1 :] if digits else rest
    if not zone:
        raise ValueError(text)
    return whole, digits or "0", zone


def read_number(value: object, field: str) -> Decimal | None:
    """Return a number of a request, given as text or as a number; None where it is not given."""
    if value is None or value == "":
        return None
    try:
        read = Decimal(str(value))
    except InvalidOperation:
        raise malformed(f"{field}: {value!r} is no number") from None
    if isinstance(value, bool) or not read.is_finite():
        raise malformed(f"{field}: {value!r} is no number")
    return read


def needed_number(value: object, field: str) -> Decimal:
    """Return a number that has to be there."""
    read = read_number(value, field)
    if read is None:
        raise malformed(f"{field} is required")
    return read


def read_price(value: Decimal | float | str | None) -> Decimal | None:
    """Return a price of the market, None for what is none: not known, not a number, zero."""
    return read_size(value) or None


def read_size(value: Decimal | float | str | None) -> Decimal | None:
    """Return a size of the market, None for what is none."""
    if value is None:
        return None
    read = Decimal(str(value))
    return read if read.is_finite() and read >= ZERO else None


def average(value: Decimal, qty: Decimal, step: Decimal = AVERAGE) -> Decimal:
    """Return an average price, rounded as it is shown."""
    return ARITHMETIC.divide(value, qty).quantize(step, ROUND_HALF_EVEN, ARITHMETIC)


def order_row(order: Order, legs: list[Json] | None = None) -> Json:
    """Return an order as Alpaca shows it."""
    filled = order.filled_qty
    return {
        "id": order.id,
        "client_order_id": order.client_order_id,
        "created_at": moment(order.created_ns),
        "updated_at": moment(order.updated_ns),
        "submitted_at": moment(order.submitted_ns),
        "filled_at": moment(order.filled_ns),
        "expired_at": moment(order.expired_ns),
        "expires_at": moment(order.expires_ns),
        "canceled_at": moment(order.canceled_ns),
        "failed_at": moment(order.failed_ns),
        "replaced_at": moment(order.replaced_ns),
        "replaced_by": order.replaced_by,
        "replaces": order.replaces,
        "asset_id": order.asset_id,
        "symbol": order.symbol,
        "asset_class": "us_equity",
        "notional": number(order.notional),
        "qty": number(order.qty),
        "filled_qty": number(filled),
        "filled_avg_price": number(average(order.filled_value, filled)) if filled else None,
        "order_class": order.order_class,
        "order_type": order.type,
        "type": order.type,
        "side": order.side,
        "position_intent": order.position_intent,
        "time_in_force": order.time_in_force,
        "limit_price": number(order.limit_price),
        "stop_price": number(order.stop_price),
        "status": order.status,
        "extended_hours": order.extended_hours,
        "legs": legs or None,
        "trail_percent": number(order.trail_percent),
        "trail_price": number(order.trail_price),
        "hwm": number(order.hwm),
        "subtag": None,
        "source": None,
    }


def fill_row(execution: Execution) -> Json:
    """Return the FILL activity of an execution."""
    return {
        "id": execution.activity_id,
        "activity_type": "FILL",
        "transaction_time": moment(execution.at_ns),
        "type": "fill" if execution.order_status == "filled" else "partial_fill",
        "price": number(execution.price),
        "qty": number(execution.qty),
        "side": execution.side,
        "symbol": execution.symbol,
        "leaves_qty": number(execution.leaves_qty),
        "order_id": execution.order_id,
        "cum_qty": number(execution.cum_qty),
        "order_status": execution.order_status,
    }


def booking_row(booking: Booking) -> Json:
    """Return an activity that is no trade, with those fields alone that it has."""
    optional: dict[str, Any] = {
        "symbol": booking.symbol,
        "qty": number(booking.qty),
        "per_share_amount": number(booking.per_share_amount),
        "price": number(booking.price),
    }
    return {
        "id": booking.activity_id,
        "activity_type": booking.type,
        "date": booking.date,
        "net_amount": number(booking.net_amount),
        "description": booking.description,
        "status": "executed",
        **{name: value for name, value in optional.items() if value is not None},
    }


def asset_row(asset: Asset) -> Json:
    """Return an asset as Alpaca shows it."""
    terms = asset.terms
    return {
        "id": asset.id,
        "class": "us_equity",
        "exchange": terms.exchange,
        "symbol": terms.symbol,
        "name": terms.name or terms.symbol,
        "status": asset.status,
        "tradable": terms.tradable and asset.status == "active",
        "marginable": terms.marginable,
        "shortable": terms.shortable,
        "easy_to_borrow": terms.easy_to_borrow,
        "fractionable": terms.fractionable,
        "maintenance_margin_requirement": 30,
        "attributes": [],
    }


def percent(part: Decimal, whole: Decimal) -> str:
    """Return a ratio as Alpaca writes it, zero where there is nothing to compare with."""
    return number(average(part, whole, Decimal("0.0000000001")) if whole else ZERO) or "0"

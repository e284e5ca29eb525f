"""Account activities: what moved cash or shares without an order, and the listing of these with the fills.

An activity's id begins with its date, so that one that is booked for an earlier day stands among those of that day: who only
asks for what is new since the last id never sees it. Rows are paged by id.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

import msgspec

from ...actors.model import ZERO
from . import alpaca_ledger as ledger
from . import alpaca_life as life
from .alpaca_desk import Desk
from .alpaca_hours import instant_ns, local_date
from .alpaca_json import booking_row, fill_row, read_moment
from .alpaca_refusal import malformed
from .alpaca_settings import Listed
from .alpaca_state import ARITHMETIC, Booking, Json

CENT = Decimal("0.01")
SHARE = Decimal(1)
LARGEST_PAGE = 100

SPLITS = ("SPLIT", "SSP")
RENAMES = ("NC", "SC")
SHARES = ("JNLS", "ACATS", "SPIN", "SSO", "MA", "REORG")
"""Activities that move `qty` shares; of the others a quantity is what they were computed from."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is to be booked. `ratio` is new shares for one old one."""

    type: str
    symbol: str | None = None
    net_amount: Decimal | None = None
    qty: Decimal | None = None
    per_share_amount: Decimal | None = None
    price: Decimal | None = None
    ratio: Decimal | None = None
    new_symbol: str | None = None
    date: str | None = None
    description: str = ""
    keep_orders: bool = False


def book(desk: Desk, event: Event) -> list[Json]:
    """Book an event: move cash and shares, and write down the activities."""
    if event.type == "FILL":
        raise malformed("FILL: fills are made with fill()")
    if event.type in SPLITS:
        bookings = _split(desk, event)
    elif event.type in RENAMES:
        bookings = _rename(desk, event)
    else:
        bookings = [_plain(desk, event)]
    desk.state.bookings.extend(bookings)
    return [booking_row(each) for each in bookings]


def _booking(desk: Desk, event: Event, **fields: object) -> Booking:
    day = event.date or local_date(desk.now_ns).isoformat()
    try:
        midnight = instant_ns(dt.date.fromisoformat(day), dt.time())
    except ValueError:
        raise malformed(f"date: {day!r} is no date; give it as 2026-11-20") from None
    made = Booking(
        activity_id=desk.activity_id(midnight),
        type=event.type,
        date=day,
        symbol=event.symbol,
        description=event.description,
    )
    return msgspec.structs.replace(made, **fields)


def _plain(desk: Desk, event: Event) -> Booking:
    """Move cash by the amount, and shares where the type says so."""
    amount, qty = event.net_amount, event.qty
    if amount is None and event.per_share_amount is not None and event.symbol:
        qty = desk.held(event.symbol) if qty is None else qty
        amount = (event.per_share_amount * qty).quantize(CENT, ROUND_HALF_UP)
    if amount is None and not (event.type in SHARES and qty):
        raise malformed("net_amount is required, or per_share_amount with symbol")
    terms = {"per_share_amount": event.per_share_amount, "price": event.price, "qty": qty}
    booking = _booking(desk, event, net_amount=amount or ZERO, **terms)
    desk.state.cash += amount or ZERO
    if event.type in SHARES and qty:
        symbol = _listed(desk, event.symbol)
        ledger.move(desk, symbol, qty, abs(qty) * (event.price or ZERO))
    return booking


def _split(desk: Desk, event: Event) -> list[Booking]:
    """Make `ratio` shares of one. With a price the fraction that is left over is paid out instead of held."""
    symbol, ratio = _listed(desk, event.symbol), event.ratio
    if ratio is None or ratio <= ZERO:
        raise malformed("ratio is required: new shares for one old one, such as 2, or 0.1 for a reverse split")
    held = desk.held(symbol)
    after = (held * ratio).quantize(ledger.ATOM, ROUND_DOWN)
    whole = after if event.price is None else after.quantize(SHARE, ROUND_DOWN)
    bookings = [_booking(desk, event, qty=whole - held)]
    if after != whole and event.price is not None:
        paid = ((after - whole) * event.price).quantize(CENT, ROUND_HALF_UP)
        lieu = msgspec.structs.replace(event, type="CIL", description="cash in lieu of a fraction")
        bookings.append(_booking(desk, lieu, net_amount=paid, qty=after - whole, price=event.price))
        desk.state.cash += paid
    if whole != held:
        ledger.move(desk, symbol, whole - held)
    for prices in (desk.state.last_prices, desk.state.day_prices):
        if symbol in prices:
            prices[symbol] /= ratio
    desk.state.quotes.pop(symbol, None)
    _touch_orders(desk, symbol, event)
    return bookings


def _rename(desk: Desk, event: Event) -> list[Booking]:
    """Take the shares out under the old symbol and put them in under the new one, at the same cost."""
    old, new = _listed(desk, event.symbol), event.new_symbol
    if not new or new == old:
        raise malformed("new_symbol is required, and another one")
    state, held, holding = desk.state, desk.held(old), desk.holding(old)
    asset = state.assets[old]
    if new not in state.assets:
        desk.list_asset(msgspec.structs.replace(asset.terms, symbol=new))
    asset.status = "inactive"
    bookings = [_booking(desk, event, qty=-held)] if held else []
    bookings += [_booking(desk, event, symbol=new, qty=held)] if held else []
    if held:
        cost = ARITHMETIC.divide(holding.cost * abs(held), holding.basis) if holding.basis else ZERO
        ledger.move(desk, old, -held)
        ledger.move(desk, new, held, cost)
    if old in state.last_prices and new not in state.last_prices:
        state.last_prices[new] = state.last_prices[old]
    state.quotes.pop(old, None)
    _touch_orders(desk, old, event)
    return bookings


def _touch_orders(desk: Desk, symbol: str, event: Event) -> None:
    """Cancel the open orders of a symbol that is no more what it was, unless they are to be kept as they are."""
    if event.keep_orders:
        return
    for order in desk.open_orders(symbol):
        if order.is_open:
            life.end(desk, order, "canceled", reason="CORPORATE_ACTION")


def _listed(desk: Desk, symbol: str | None) -> str:
    """Return a symbol, which is listed from now on."""
    if not symbol:
        raise malformed("symbol is required")
    if symbol not in desk.state.assets:
        desk.list_asset(Listed(symbol=symbol, name=symbol))
    return symbol


# --- Listing ------------------------------------------------------------------------------------------------------------


def rows(
    desk: Desk,
    types: Sequence[str],
    after: str | None,
    until: str | None,
    date: str | None,
    direction: str,
    page_size: int,
    page_token: str | None,
) -> list[Json]:
    """Return a page of activities. `after` and `until` are exclusive; an activity with a date happens at its midnight."""
    if date is not None and (after is not None or until is not None):
        raise malformed("date cannot be used with after or until")
    if direction not in {"asc", "desc"}:
        raise malformed(f"invalid direction: {direction!r}; give asc or desc")
    since = None if after is None else read_moment(after, "after")
    before = None if until is None else read_moment(until, "until")
    found = [
        (row["id"], row)
        for at_ns, row in _all(desk)
        if (not types or row["activity_type"] in types)
        and (since is None or at_ns > since)
        and (before is None or at_ns < before)
        and (date is None or local_date(at_ns).isoformat() == date)
    ]
    found.sort(key=lambda each: each[0], reverse=direction == "desc")
    if page_token:
        found = [each for each in found if (each[0] > page_token if direction == "asc" else each[0] < page_token)]
    return [row for _, row in found[: max(1, min(page_size, LARGEST_PAGE))]]


def _all(desk: Desk) -> Iterator[tuple[int, Json]]:
    """Yield every activity with its time. A fill that was taken back is none."""
    for execution in desk.state.executions.values():
        if not execution.is_busted:
            yield execution.at_ns, fill_row(execution)
    for booking in desk.state.bookings:
        yield instant_ns(dt.date.fromisoformat(booking.date), dt.time()), booking_row(booking)

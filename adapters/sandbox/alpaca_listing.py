"""The listing of orders: which, in what order, and with or without legs beneath.

With `nested` a leg stands beneath the order that it hangs on, if that one is listed, and else by itself: so every row that the
filters let through is seen, and an open leg of an entry that is filled is not lost.
"""

from __future__ import annotations

from collections.abc import Sequence

from .alpaca_desk import Desk
from .alpaca_json import order_row, read_moment
from .alpaca_orders import rows_with_legs
from .alpaca_refusal import malformed
from .alpaca_state import Json, Order

LARGEST_PAGE = 500
STATUSES = ("open", "closed", "all")


def rows(
    desk: Desk,
    status: str,
    limit: int,
    after: str | None,
    until: str | None,
    direction: str,
    nested: bool,
    side: str | None,
    symbols: Sequence[str],
) -> list[Json]:
    """Return orders by the time of their arrival. Refused are a status, a direction, or a time that cannot be read."""
    for field, value, choices in (("status", status, STATUSES), ("direction", direction, ("asc", "desc"))):
        if value not in choices:
            raise malformed(f"invalid {field}: {value!r}; give one of {', '.join(choices)}")
    since = None if not after else read_moment(after, "after")
    before = None if not until else read_moment(until, "until")

    def is_wanted(order: Order) -> bool:
        return (
            (status == "all" or order.is_open is (status == "open"))
            and (since is None or order.submitted_ns > since)
            and (before is None or order.submitted_ns < before)
            and side in {None, "", order.side}
            and (not symbols or order.symbol in symbols)
        )

    found = [order for order in _candidates(desk, status) if is_wanted(order)]
    found.sort(key=lambda order: order.number, reverse=direction == "desc")
    if nested:
        beneath = {leg for order in found for leg in order.legs}
        found = [order for order in found if order.id not in beneath]
    page = found[: max(1, min(limit, LARGEST_PAGE))]
    return [rows_with_legs(desk, order) if nested else order_row(order) for order in page]


def _candidates(desk: Desk, status: str) -> list[Order]:
    return desk.open_orders() if status == "open" else list(desk.state.orders.values())

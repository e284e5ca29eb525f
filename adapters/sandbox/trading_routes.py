"""Alpaca's trading API by HTTP: which path and method asks the broker for what.

docs.alpaca.markets, "Trading API": orders, positions, account, activities, assets, clock, calendar.
"""

from __future__ import annotations

from .alpaca_refusal import Refusal
from .http_front import Act, Answer, Call
from .office import Office

MOST_ORDERS = 500
MOST_ACTIVITIES = 100


def submit(office: Office, call: Call) -> Answer:
    return Answer(200, office.broker.submit(call.now_ns, call.body or {}))


def orders(office: Office, call: Call) -> Answer:
    status = call.query.get("status") or "open"
    direction = call.query.get("direction") or "desc"
    _one_of("status", status, ("open", "closed", "all"))
    _one_of("direction", direction, ("asc", "desc"))
    found = office.broker.orders(
        status=status,
        limit=call.whole("limit", 50, MOST_ORDERS),
        after=call.query.get("after") or None,
        until=call.query.get("until") or None,
        direction=direction,
        nested=call.flag("nested"),
        side=call.query.get("side") or None,
        symbols=call.listed("symbols"),
    )
    return Answer(200, found)


def cancel_all(office: Office, call: Call) -> Answer:
    return Answer(207, office.broker.cancel_all(call.now_ns))


def order(office: Office, call: Call) -> Answer:
    return Answer(200, office.broker.order(call.named["order_id"], call.flag("nested")))


def order_by_client_id(office: Office, call: Call) -> Answer:
    return Answer(200, office.broker.order_by_client_id(call.query.get("client_order_id", "")))


def replace(office: Office, call: Call) -> Answer:
    return Answer(200, office.broker.replace(call.now_ns, call.named["order_id"], call.body or {}))


def cancel(office: Office, call: Call) -> Answer:
    office.broker.cancel(call.now_ns, call.named["order_id"])
    return Answer(204)


def positions(office: Office, call: Call) -> Answer:
    return Answer(200, office.broker.positions())


def position(office: Office, call: Call) -> Answer:
    return Answer(200, office.broker.position(call.named["symbol"]))


def close_position(office: Office, call: Call) -> Answer:
    part = call.query.get("qty") or None, call.query.get("percentage") or None
    return Answer(200, office.broker.close_position(call.now_ns, call.named["symbol"], *part))


def close_all(office: Office, call: Call) -> Answer:
    return Answer(207, office.broker.close_all(call.now_ns, call.flag("cancel_orders")))


def account(office: Office, call: Call) -> Answer:
    return Answer(200, office.broker.account())


def activities(office: Office, call: Call) -> Answer:
    direction = call.query.get("direction") or "desc"
    _one_of("direction", direction, ("asc", "desc"))
    one = call.named.get("type")
    found = office.broker.activities(
        types=(one,) if one else call.listed("activity_types"),
        after=call.query.get("after") or None,
        until=call.query.get("until") or None,
        date=call.query.get("date") or None,
        direction=direction,
        page_size=call.whole("page_size", MOST_ACTIVITIES, MOST_ACTIVITIES),
        page_token=call.query.get("page_token") or None,
    )
    return Answer(200, found)


def assets(office: Office, call: Call) -> Answer:
    return Answer(200, office.broker.assets(call.query.get("status") or None, call.query.get("asset_class") or None))


def asset(office: Office, call: Call) -> Answer:
    return Answer(200, office.broker.asset(call.named["symbol"]))


def clock(office: Office, call: Call) -> Answer:
    return Answer(200, office.broker.clock(call.now_ns))


def calendar(office: Office, call: Call) -> Answer:
    return Answer(200, office.broker.calendar(call.query.get("start") or None, call.query.get("end") or None))


def _one_of(name: str, value: str, accepted: tuple[str, ...]) -> None:
    if value not in accepted:
        raise Refusal(422, 40010001, f"{name} must be one of {', '.join(accepted)}, and is {value}")


ROUTES: tuple[tuple[str, str, Act], ...] = (
    ("POST", "/v2/orders", submit),
    ("GET", "/v2/orders", orders),
    ("DELETE", "/v2/orders", cancel_all),
    ("GET", "/v2/orders:by_client_order_id", order_by_client_id),
    ("GET", "/v2/orders/{order_id}", order),
    ("PATCH", "/v2/orders/{order_id}", replace),
    ("DELETE", "/v2/orders/{order_id}", cancel),
    ("GET", "/v2/positions", positions),
    ("DELETE", "/v2/positions", close_all),
    ("GET", "/v2/positions/{symbol}", position),
    ("DELETE", "/v2/positions/{symbol}", close_position),
    ("GET", "/v2/account", account),
    ("GET", "/v2/account/activities", activities),
    ("GET", "/v2/account/activities/{type}", activities),
    ("GET", "/v2/assets", assets),
    ("GET", "/v2/assets/{symbol}", asset),
    ("GET", "/v2/clock", clock),
    ("GET", "/v2/calendar", calendar),
)

"""`/sandbox/…`: what a test, or a person, does to the sandbox from outside, and what they look at.

Bodies are JSON objects; what is wrong with one is said with its field and what would be accepted. Nothing here is struck by faults,
counted by the limit, or seen in the log. Requests that a web page could have made are refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from ...config.problems import InvalidSettings, Problem
from .admin_bodies import (
    ActivityBody,
    Asked,
    BarBody,
    ExecutionName,
    OrderName,
    PlayBody,
    QuoteBody,
    RawBody,
)
from .alpaca_refusal import Refusal
from .fault_profile import rules_of
from .http_front import Answer, read_json
from .market import Quote, row
from .office import Office
from .sandbox_config import HOST
from .stamps import now_ns, parsed, rfc3339

EVERYTHING = 10**9


# --- Looking ---------------------------------------------------------------------------------------------------------------


def state(office: Office, asked: Asked) -> Any:
    return {
        "kind": office.config.kind,
        "key": office.config.key,
        "started": rfc3339(office.started_ns),
        "now": rfc3339(now_ns()),
        "playing": office.playing.is_set(),
        "symbols": list(office.tape.symbols),
        "account": office.broker.account(),
        "trade_links": list(office.trade.told()),
        "data_links": list(office.data.told()),
        "refused_links": {"trade": office.trade.refused, "data": office.data.refused},
        "faults": office.faults.struck,
        "updates": office.updates_told,
    }


def orders(office: Office, asked: Asked) -> Any:
    """Return all orders, oldest first, legs among them; or those of a status, a symbol, a client order id."""
    query = asked.query
    found = office.broker.orders(status=query.get("status", "all"), limit=EVERYTHING, direction="asc")
    return [
        order
        for order in found
        if query.get("symbol") in (None, order["symbol"])
        and query.get("client_order_id") in (None, order["client_order_id"])
    ]


def updates(office: Office, asked: Asked) -> Any:
    """Return what the broker has said, whether or not anybody heard it."""
    after = asked.after()
    return [update for update in office.updates if update["number"] > after]


def log(office: Office, asked: Asked) -> Any:
    query = asked.query
    methods = tuple(word for word in query.get("method", "").upper().split(",") if word)
    return office.log.entries(
        methods=methods,
        path=query.get("path", ""),
        client_order_id=query.get("client_order_id"),
        after=asked.after(),
    )


def clear_log(office: Office, asked: Asked) -> Any:
    office.log.clear()
    return {}


# --- Faults ----------------------------------------------------------------------------------------------------------------


def faults(office: Office, asked: Asked) -> Any:
    return {"standing": [standing.told() for standing in office.faults.standing], "struck": office.faults.struck}


def add_faults(office: Office, asked: Asked) -> Any:
    return [standing.told() for standing in office.faults.add_from_admin(rules_of(asked.body))]


def clear_faults(office: Office, asked: Asked) -> Any:
    office.faults.clear()
    return {}


def remove_fault(office: Office, asked: Asked) -> Any:
    number = asked.named["number"]
    if not number.isdigit() or not office.faults.remove(int(number)):
        known = ", ".join(str(standing.number) for standing in office.faults.standing)
        raise Refusal(404, 40410000, f"there is no fault {number}; in force: {known or 'none'}")
    return {}


# --- The market ------------------------------------------------------------------------------------------------------------


def set_quote(office: Office, asked: Asked) -> Any:
    body = asked.read(QuoteBody, "symbol")
    symbol, now = body.symbol, now_ns()
    assert symbol is not None
    if body.price is not None:
        office.tick({symbol: float(body.price)})
    elif body.bid is None or body.ask is None:
        raise InvalidSettings(
            [Problem(path="bid", value=None, message="needs ask too; accepted: bid and ask, or price")]
        )
    else:
        quote = Quote(float(body.bid), float(body.ask), float(body.bid_size), float(body.ask_size), now)
        office.quote({symbol: quote})
    last = office.market.last_quote(symbol)
    assert last is not None
    return {"symbol": symbol, **last._asdict()}


def add_bar(office: Office, asked: Asked) -> Any:
    body = asked.read(BarBody, "symbol", "open", "high", "low", "close")
    at = now_ns() // 60_000_000_000 * 60_000_000_000 if body.time is None else parsed(body.time)
    prices = [float(value) for value in (body.open, body.high, body.low, body.close, body.volume) if value is not None]
    assert body.symbol is not None
    office.data.tell(office.market.bar(body.symbol, row(at, *prices)))
    return {"symbol": body.symbol, "t": rfc3339(at)}


def play(office: Office, asked: Asked) -> Any:
    body = asked.read(PlayBody, "playing")
    office.playing.set() if body.playing else office.playing.clear()
    return {"playing": body.playing}


# --- The broker ------------------------------------------------------------------------------------------------------------


def submit(office: Office, asked: Asked) -> Any:
    return office.broker.submit(now_ns(), asked.fields())


def replace(office: Office, asked: Asked) -> Any:
    body = asked.fields()
    name = OrderName(order_id=body.pop("order_id", None), client_order_id=body.pop("of_client_order_id", None))
    return office.broker.replace(now_ns(), _order_id(office, name), body)


def cancel(office: Office, asked: Asked) -> Any:
    office.broker.cancel(now_ns(), _order_id(office, asked.read(OrderName)))
    return {}


def fill(office: Office, asked: Asked) -> Any:
    body = asked.read(OrderName, "qty", "price")
    assert body.qty is not None
    assert body.price is not None
    return office.broker.fill(now_ns(), _order_id(office, body), body.qty, body.price)


def bust(office: Office, asked: Asked) -> Any:
    body = asked.read(ExecutionName, "execution_id")
    assert body.execution_id is not None
    return office.broker.bust(now_ns(), body.execution_id)


def correct(office: Office, asked: Asked) -> Any:
    body = asked.read(ExecutionName, "execution_id", "qty", "price")
    assert body.execution_id is not None
    assert body.qty is not None
    assert body.price is not None
    return office.broker.correct(now_ns(), body.execution_id, body.qty, body.price)


def book(office: Office, asked: Asked) -> Any:
    body = asked.read(ActivityBody, "activity_type")
    fields = msgspec.structs.asdict(body)
    return office.broker.book_activity(now_ns(), fields.pop("activity_type"), **fields)


def close_session(office: Office, asked: Asked) -> Any:
    """End the market's session now: what is for the close trades, other orders of the day expire."""
    office.broker.close_session(now_ns())
    return {}


def set_account(office: Office, asked: Asked) -> Any:
    return office.broker.set_account(**_flags(asked.fields()))


def set_asset(office: Office, asked: Asked) -> Any:
    flags = asked.fields()
    symbol = flags.pop("symbol", None)
    if not isinstance(symbol, str):
        raise InvalidSettings(
            [Problem(path="symbol", value=symbol, message="is missing; accepted: a symbol such as AAPL")]
        )
    return office.broker.set_asset(symbol, **_flags(flags))


def send_raw(office: Office, asked: Asked) -> Any:
    body = asked.read(RawBody, "stream")
    hubs = {"trade": office.trade, "data": office.data}
    if body.stream not in hubs:
        raise InvalidSettings([Problem(path="stream", value=body.stream, message="accepted: trade or data")])
    # As it came: the reader of settings has its own idea of numbers.
    hubs[body.stream].tell_raw(asked.body.get("message"))
    return {}


def _order_id(office: Office, name: OrderName) -> str:
    if name.order_id is not None:
        return name.order_id
    if name.client_order_id is None:
        raise InvalidSettings(
            [Problem(path="order_id", value=None, message="is missing; accepted: order_id or client_order_id")]
        )
    found: str = office.broker.order_by_client_id(name.client_order_id)["id"]
    return found


def _flags(body: dict[str, Any]) -> dict[str, bool]:
    wrong = [name for name, value in body.items() if not isinstance(value, bool)]
    if wrong:
        raise InvalidSettings(
            [Problem(path=name, value=body[name], message="accepted: true or false") for name in wrong]
        )
    return body


Do = Callable[[Office, Asked], Any]

ROUTES: tuple[tuple[str, str, Do], ...] = (
    ("GET", "/sandbox/state", state),
    ("GET", "/sandbox/orders", orders),
    ("GET", "/sandbox/updates", updates),
    ("GET", "/sandbox/log", log),
    ("DELETE", "/sandbox/log", clear_log),
    ("GET", "/sandbox/faults", faults),
    ("POST", "/sandbox/faults", add_faults),
    ("DELETE", "/sandbox/faults", clear_faults),
    ("DELETE", "/sandbox/faults/{number}", remove_fault),
    ("POST", "/sandbox/quote", set_quote),
    ("POST", "/sandbox/bar", add_bar),
    ("POST", "/sandbox/play", play),
    ("POST", "/sandbox/order", submit),
    ("POST", "/sandbox/replace", replace),
    ("POST", "/sandbox/cancel", cancel),
    ("POST", "/sandbox/fill", fill),
    ("POST", "/sandbox/bust", bust),
    ("POST", "/sandbox/correct", correct),
    ("POST", "/sandbox/activity", book),
    ("POST", "/sandbox/close_session", close_session),
    ("POST", "/sandbox/account", set_account),
    ("POST", "/sandbox/asset", set_asset),
    ("POST", "/sandbox/raw", send_raw),
)


def handler(office: Office, do: Do) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return the handler of a route."""

    async def handle(request: web.Request) -> web.Response:
        if _is_from_a_page(request):
            return _told(
                Answer(403, {"message": f"only for programs on this machine; call http://{HOST}:PORT directly"})
            )
        try:
            body = read_json(await request.read())
        except ValueError as error:
            return _told(Answer(400, {"message": f"the body is not JSON: {error}; accepted: an object such as {{}}"}))
        try:
            found = do(office, Asked(request.match_info, request.query, body))
        except InvalidSettings as error:
            return _told(Answer(422, {"message": str(error), "problems": [_problem(each) for each in error.problems]}))
        except Refusal as refusal:
            return _told(Answer(refusal.status, refusal.body))
        except (ValueError, TypeError) as error:
            return _told(Answer(422, {"message": str(error)}))
        if request.method != "GET":
            office.publish()
            await office.trade.flush()
            await office.data.flush()
        return _told(Answer(200, found))

    return handle


def _is_from_a_page(request: web.Request) -> bool:
    """Whether a browser may have sent this for some web page: by its origin, or under a name that was bound anew."""
    return "Origin" in request.headers or request.host.rpartition(":")[0] not in (HOST, "localhost")


def _told(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, body=msgspec.json.encode(answer.body), content_type="application/json")


def _problem(problem: Problem) -> dict[str, str]:
    return {"path": problem.path, "message": problem.message}

"""What a journal and a sandbox of Alpaca say of each other, worked out anew from both: the judge of the rounds at the sandbox.

The sandbox's own words are its orders, its log of requests and what it has said of executions, whether or not anybody heard it. The
journal is read from its file. Nothing here folds an order as the product does.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from alpaca_sandbox_kit import SandboxClient
from crash_checker import ALARMS, CENT, ZERO, Journal, Life

from ordersmith.actors.account_events import SessionDenied
from ordersmith.adapters.alpaca.known_orders import leg_of

ENDED = frozenset({"filled", "canceled", "expired", "rejected", "replaced"})
STORM_ALARMS = tuple(alarm for alarm in ALARMS if alarm is not SessionDenied)
"""The storm refuses a key now and then; who is refused at the start has a person look, and is started again."""

LIMITED = 429


class Sandbox(NamedTuple):
    """A sandbox's facts: orders with ids of our form by order and leg, others, requests, executions, holdings."""

    legs: dict[str, list[Any]]
    others: list[Any]
    log: list[Any]
    fills: dict[str, list[Any]]
    positions: dict[str, Decimal]
    cash: Decimal

    @classmethod
    def of(cls, client: SandboxClient) -> Sandbox:
        """Ask a sandbox in which nothing moves and no fault is in force."""
        legs: defaultdict[str, list[Any]] = defaultdict(list)
        others = []
        for order in client.orders():
            leg = leg_of(order["client_order_id"])
            legs[leg.order_id].append(order) if leg is not None else others.append(order)
        fills: defaultdict[str, list[Any]] = defaultdict(list)
        for update in client.updates():
            if update["event"] in ("fill", "partial_fill"):
                fills[update["order"]["id"]].append(update)
        positions = {row["symbol"]: Decimal(row["qty"]) for row in client.alpaca("GET", "/v2/positions")}
        cash = Decimal(client.alpaca("GET", "/v2/account")["cash"])
        return cls(dict(legs), others, client.log(method="POST,PATCH,DELETE"), dict(fills), positions, cash)


def after_kill(journal_path: Path, client: SandboxClient) -> list[str]:
    """Return what is wrong as a kill has left it: what was sent without a record, or twice. Requests may still be coming in."""
    log = client.log(method="POST,PATCH,DELETE")
    return _sends(Journal(journal_path, STORM_ALARMS), log)


def at_rest(journal_path: Path, client: SandboxClient) -> tuple[list[str], Journal]:
    """Return what is wrong once a process has come to rest and ended, and what the journal says."""
    journal = Journal(journal_path, STORM_ALARMS)
    return findings_of(journal, Sandbox.of(client)), journal


def findings_of(journal: Journal, sandbox: Sandbox) -> list[str]:
    """Return what the two say differently, and what either should not say at all."""
    found = _sends(journal, sandbox.log) + _books(journal, sandbox)
    found += [f"an order that is not of our form: {order}" for order in sandbox.others]
    for order_id, legs in sandbox.legs.items():
        if order_id not in journal.orders:
            found.append(f"{order_id}: {len(legs)} legs at the sandbox and none in the journal")
    for order_id, life in journal.orders.items():
        legs = sandbox.legs.get(order_id, [])
        why = [*_legs(life, legs), *_fate(life, legs), *_fills(life, legs, sandbox)]
        found += [f"{order_id} ({life.last}): {each}" for each in why]
    return found


# --- What was sent -----------------------------------------------------------------------------------------------------


def _sends(journal: Journal, log: list[Any]) -> list[str]:
    """What was sent has a durable intent, and was sent once: again only after the one answer that says that nothing was done."""
    found = list(journal.findings)
    lives = journal.orders
    intended = Counter(wire for life in lives.values() for wire in (*life.wires, *life.replacements))
    found += [f"{wire}: was intended {count} times" for wire, count in intended.items() if count > 1]
    found += [f"{order_id}: {len(life.wires)} first legs" for order_id, life in lives.items() if len(life.wires) > 1]
    posts: defaultdict[str, list[Any]] = defaultdict(list)
    for entry in log:
        if entry["method"] == "POST" and entry["path"] == "/v2/orders":
            posts[entry["client_order_id"]].append(entry)
        elif entry["method"] == "PATCH":
            found.append(f"a replacement by Alpaca's own means: {entry}")
    for wire, entries in posts.items():
        if wire not in intended:
            found.append(f"{wire}: was sent without a durable intent")
        for before, after in pairwise(entries):
            if before["status"] != LIMITED:
                how = f"{before['fault'] or 'no fault'}, acted: {before['acted']}, answer {before['status']}"
                found.append(f"{wire}: was sent again (request {after['number']}) after {how}")
    return found


# --- One order ---------------------------------------------------------------------------------------------------------


def _legs(life: Life, legs: list[Any]) -> list[str]:
    """Each order of the broker's is a leg that was intended, once, and at most one of them is open."""
    names = Counter(leg["client_order_id"] for leg in legs)
    intended = {*life.wires, *life.replacements}
    found = [f"{count} orders for {wire}" for wire, count in names.items() if count > 1]
    found += [f"{wire} was never intended" for wire in names if wire not in intended]
    is_open = [leg["client_order_id"] for leg in legs if leg["status"] not in ENDED]
    if len(is_open) > 1:
        found.append(f"open more than once: {is_open}")
    if life.broker_id and not legs:
        found.append(f"accepted as {life.broker_id}, and the sandbox does not know it")
    if life.rejected and any(leg["status"] != "rejected" for leg in legs):
        found.append("rejected in the journal, and the sandbox took it")
    last = (life.wires + life.replacements)[-1:]
    if life.given_up and (is_open or names.keys() & set(last)):
        found.append(f"given up as not found, and the sandbox has {last}")
    return found


def _fate(life: Life, legs: list[Any]) -> list[str]:
    """An order is over on both sides, or open on both with the same terms."""
    works = [leg for leg in legs if leg["status"] not in ENDED]
    if life.person_called:
        return []
    if not works:
        return [] if life.is_over else ["lost: neither over, nor open at the sandbox"]
    if life.is_over:
        return [f"over in the journal and open at the sandbox: {works}"]
    leg = works[0]
    limit = None if leg["limit_price"] is None else Decimal(leg["limit_price"])
    theirs = (leg["client_order_id"], leg["id"], Decimal(leg["qty"]) - Decimal(leg["filled_qty"]), limit)
    ours = (life.wire, life.broker_id, life.quantity - life.filled, life.limit_price)
    return [] if ours == theirs else [f"{ours} in the journal, {theirs} at the sandbox"]


def _fills(life: Life, legs: list[Any], sandbox: Sandbox) -> list[str]:
    """Every execution is booked once, under its own key, and nothing else is."""
    theirs = {
        f"{leg['id']}:{Decimal(fill['order']['filled_qty'])}": fill
        for leg in legs
        for fill in sandbox.fills.get(leg["id"], [])
    }
    found = [f"the fill {key} was booked {count} times" for key, count in life.keys.items() if count > 1]
    found += [f"the fill {key} is not the sandbox's" for key, count in life.keys.items() if count and key not in theirs]
    found += [f"the fill {key} is missing" for key in theirs if not life.keys[key]]
    quantity = sum((Decimal(leg["filled_qty"]) for leg in legs), ZERO)
    notional = sum((Decimal(fill["qty"]) * Decimal(fill["price"]) for fill in theirs.values()), ZERO)
    if (quantity, notional) != (life.filled, life.notional):
        found.append(
            f"filled {life.filled} for {life.notional} in the journal, {quantity} for {notional} at the sandbox"
        )
    if life.filled > life.quantity:
        found.append(f"{life.filled} filled of {life.quantity}")
    return found


def _books(journal: Journal, sandbox: Sandbox) -> list[str]:
    found = []
    if not abs(journal.cash - sandbox.cash) < CENT:
        found.append(f"cash: {journal.cash} in the journal, {sandbox.cash} at the sandbox")
    ours = {symbol: quantity for symbol, quantity in journal.positions.items() if quantity}
    if ours != sandbox.positions:
        found.append(f"positions: {ours} in the journal, {sandbox.positions} at the sandbox")
    return found

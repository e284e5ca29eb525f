"""What Alpaca's words for an order prove: the status of an order, and the event of a trade update.

docs.alpaca.markets, "Orders at Alpaca" (order lifecycle) and "Websocket Streaming" (trade updates). Alpaca adds words without a new
version of its API: a word that is not in these tables proves nothing, and the order is looked up.
"""

from __future__ import annotations

from enum import Enum

from ...actors.ports import BrokerOrderState
from .wire import WireOrder

WORKING = BrokerOrderState.WORKING

STATE_OF: dict[str, BrokerOrderState] = {
    "new": WORKING,
    "accepted": WORKING,
    "pending_new": WORKING,
    "accepted_for_bidding": WORKING,
    "partially_filled": WORKING,
    "held": WORKING,
    "stopped": WORKING,
    "suspended": WORKING,
    "pending_review": WORKING,
    "pending_cancel": WORKING,
    "pending_replace": WORKING,
    "done_for_day": WORKING,  # no end: a GTC order goes on, and of a DAY order `expired` or `canceled` follows
    "calculated": WORKING,
    "filled": BrokerOrderState.DONE,
    "canceled": BrokerOrderState.CANCELLED,
    "replaced": BrokerOrderState.CANCELLED,
    "expired": BrokerOrderState.EXPIRED,
    "rejected": BrokerOrderState.REJECTED,
}


class Meaning(Enum):
    """What is to be done about an event."""

    WORKS = "works"
    EXECUTED = "executed"
    ENDED = "ended"
    REPLACED = "replaced"
    CANCEL_REFUSED = "cancel refused"
    RESTATED = "restated"
    BUSTED = "busted"
    CORRECTED = "corrected"
    LOOK_UP = "look up"
    NOTHING = "nothing"


MEANING_OF: dict[str, Meaning] = {
    "new": Meaning.WORKS,
    "accepted": Meaning.WORKS,
    "pending_new": Meaning.WORKS,
    "held": Meaning.WORKS,  # an exit that waits for its entry: Alpaca has it
    "fill": Meaning.EXECUTED,
    "partial_fill": Meaning.EXECUTED,
    "canceled": Meaning.ENDED,
    "expired": Meaning.ENDED,
    "rejected": Meaning.ENDED,
    "replaced": Meaning.REPLACED,
    "order_cancel_rejected": Meaning.CANCEL_REFUSED,
    "order_replace_rejected": Meaning.LOOK_UP,
    "restated": Meaning.RESTATED,
    "trade_bust": Meaning.BUSTED,
    "trade_correct": Meaning.CORRECTED,
    "pending_cancel": Meaning.NOTHING,
    "pending_replace": Meaning.NOTHING,
    "done_for_day": Meaning.NOTHING,
    "stopped": Meaning.NOTHING,
    "suspended": Meaning.NOTHING,
    "calculated": Meaning.NOTHING,
}

ENDS: dict[str, BrokerOrderState] = {
    "canceled": BrokerOrderState.CANCELLED,
    "expired": BrokerOrderState.EXPIRED,
    "rejected": BrokerOrderState.REJECTED,
}


def state_of(order: WireOrder) -> BrokerOrderState | None:
    """Return what the order's status proves, None for a status that is not known."""
    if order.status == "calculated" and order.qty is not None and order.filled >= order.qty:
        return BrokerOrderState.DONE
    return STATE_OF.get(order.status)

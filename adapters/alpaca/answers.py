"""What came of a request: an answer, no answer to what was written, or a request that was certainly not written.

And what an answer to an order says. The rule is money's: only a refusal that Alpaca itself has written down is a rejection. What a proxy,
a time-out or an unknown status says of an order is that nobody knows.
"""

from __future__ import annotations

from enum import Enum
from functools import cached_property
from typing import Any

import msgspec

from ...actors.errors import BrokerAuthError, BrokerProtocolError, BrokerUnavailable
from .wire import WireOrder, decode

DUPLICATE = 40010001
"""The code of a client order id that was used before, and of other malformed fields, told apart by the message."""

TEXT_LENGTH = 300
DETAIL_LENGTH = 60
DETAILS = (
    "reject_reason",
    "existing_order_id",
    "related_orders",
    "symbol",
    "existing_qty",
    "held_for_orders",
    "available",
    "buying_power",
    "cost_basis",
    "daytrading_buying_power",
)
"""What a refusal may say besides its message, in the order in which it is told. Nothing else is: who knows what it is."""


class Answer(msgspec.Struct, frozen=True, dict=True):
    """An HTTP answer. `limit`, `remaining` and `reset_s` (seconds of the epoch) are the rate limit as its headers state it."""

    status: int
    body: bytes = b""
    limit: int | None = None
    remaining: int | None = None
    reset_s: float | None = None

    @property
    def is_ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def code(self) -> int | None:
        """Alpaca's own code of a refusal."""
        code = self._said.get("code")
        return code if isinstance(code, int) else None

    @property
    def message(self) -> str:
        """Alpaca's own words about a refusal, "" where the answer is not Alpaca's."""
        return str(self._said.get("message") or "")[:TEXT_LENGTH]

    @property
    def refusal(self) -> str:
        """Alpaca's own words about a refusal, and what else it says of it: which order is in the way, what is available."""
        more = ", ".join(f"{name} {_short(self._said[name])}" for name in DETAILS if self._said.get(name))
        return f"{self.message} ({more})" if more else self.message

    @property
    def text(self) -> str:
        """What the answer says, in a line."""
        said = self.refusal or " ".join(self.body.decode(errors="replace").split())[:120]
        return f"{self.status} {said}".strip()

    @cached_property
    def _said(self) -> dict[str, Any]:
        try:
            said = msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            return {}
        return said if isinstance(said, dict) else {}


class Unsent(msgspec.Struct, frozen=True):
    """The request was certainly not written."""

    reason: str


class Unanswered(msgspec.Struct, frozen=True):
    """The request was, or may have been, written, and no answer can be read."""

    reason: str


Outcome = Answer | Unsent | Unanswered


class Verdict(Enum):
    """What an answer to a command proves."""

    TAKEN = "taken"
    REFUSED = "refused"
    LIMITED = "limited"
    UNKNOWN = "unknown"


REFUSALS = frozenset({400, 401, 403, 404, 422})
"""The statuses with which Alpaca refuses, if it says so itself: with a code or a message."""

CANCEL_REFUSALS = frozenset({400, 401, 403, 404, 422})


def verdict_on_order(answer: Answer, client_order_id: str) -> Verdict:
    """Judge the answer to a new order. A client order id that is taken is taken by the order itself, on an earlier try."""
    if answer.status == 429:
        return Verdict.LIMITED
    if answer.status in (200, 201):
        return Verdict.TAKEN if _is_order(answer, client_order_id) else Verdict.UNKNOWN
    if answer.status not in REFUSALS or not (answer.code or answer.message):
        return Verdict.UNKNOWN
    is_duplicate = answer.code == DUPLICATE and "client_order_id" in answer.message and "unique" in answer.message
    return Verdict.UNKNOWN if is_duplicate else Verdict.REFUSED


def verdict_on_cancel(answer: Answer) -> Verdict:
    """Judge the answer to a cancel: taken does not mean cancelled."""
    if answer.status == 429:
        return Verdict.LIMITED
    if answer.is_ok:
        return Verdict.TAKEN
    return Verdict.REFUSED if answer.status in CANCEL_REFUSALS else Verdict.UNKNOWN


def read_of(outcome: Outcome, what: str) -> Answer:
    """Return the answer to a question if it is one. Raises BrokerAuthError, BrokerUnavailable or BrokerProtocolError.

    404 is an answer to who asks for one thing; whoever asks so looks at the status first.
    """
    if isinstance(outcome, Unsent | Unanswered):
        reason = outcome.reason  # of which some begin with what was asked
        raise BrokerUnavailable(reason if reason.startswith(f"{what}: ") else f"{what}: {reason}")
    if outcome.is_ok:
        return outcome
    if outcome.status in (401, 403):
        raise BrokerAuthError(
            f"Alpaca refused the key ({what}: {outcome.text}); check that key and secret are of this account"
        )
    if 400 <= outcome.status < 500 and outcome.status != 429:
        raise BrokerProtocolError(f"{what}: Alpaca answered {outcome.text}")
    raise BrokerUnavailable(f"{what}: Alpaca answered {outcome.text}")


def _short(value: Any) -> str:
    """Return a value of an answer as a word of a sentence."""
    text = " ".join(str(value).split())
    return text if len(text) <= DETAIL_LENGTH else text[: DETAIL_LENGTH - 1] + "…"


def _is_order(answer: Answer, client_order_id: str) -> bool:
    try:
        return decode(answer.body, WireOrder, "POST /orders").client_order_id == client_order_id
    except BrokerProtocolError:
        return False

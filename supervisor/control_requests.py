"""What may be asked of a running service from outside, and the form of its answers: one JSON object a line, each way.

Both ends read their lines with these structs, so that nothing else passes: no unknown field, no number that is not exact,
no text without a bound.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec

REQUEST_BYTES = 64 * 1024
ANSWER_BYTES = 1024 * 1024
"""Bounds of a line."""

ANSWER_WITHIN_S = 30.0
"""How long an answer may take: what is asked waits for the journal, and that may be in trouble."""

LISTED = 100
"""How many orders an answer names; it counts them all."""

Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=1000, pattern=r"\S")]
"""Why somebody does something: it is written into the journal."""
OrderId = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do"):
    """Something that a person wants of the service."""


class GetStatus(Request, frozen=True, tag="status"):
    """How does it go? Answered by a `status.Status`."""


class Halt(Request, frozen=True, tag="halt"):
    """Halt trading: from then on only cancels, protection and liquidation pass."""

    reason: Reason


class Resume(Request, frozen=True, tag="resume"):
    """Resume trading; a journal that could not be written is tried again first."""

    reason: Reason


class Cancel(Request, frozen=True, tag="cancel"):
    """Cancel these orders, or all that are open."""

    order_ids: Annotated[tuple[OrderId, ...], msgspec.Meta(max_length=1000)] = ()
    every: bool = False


class ResolveOrder(Request, frozen=True, tag="resolve order"):
    """Say what became of an order that nobody can prove."""

    order_id: OrderId
    verdict: Literal["absent", "filled", "release"]
    reason: Reason
    quantity: Decimal | None = None
    price: Decimal | None = None


class ResolveSymbol(Request, frozen=True, tag="resolve symbol"):
    """Say how a disagreement with the broker about a symbol, or about cash (""), ends."""

    symbol: Annotated[str, msgspec.Meta(max_length=64)]
    verdict: Literal["adopt", "release"]
    reason: Reason


AnyRequest = GetStatus | Halt | Resume | Cancel | ResolveOrder | ResolveSymbol


class Answer(msgspec.Struct, frozen=True):
    """`text` is the answer in words, `result` what it is made of. Of what was not done, `done` is false and `text` says why."""

    done: bool
    text: str
    result: Any = None


def refused(text: str) -> Answer:
    """Return the answer to what is not done."""
    return Answer(False, text)


encode = msgspec.json.Encoder().encode
decode_request = msgspec.json.Decoder(AnyRequest).decode
decode_answer = msgspec.json.Decoder(Answer).decode

"""The public state of an order as a table: (what is proved of it, how much of it filled) -> one of the six states of the design card.

Everything that decides an order's public state is in this file. `render()` is the table of ARCHITECTURE.md.
"""

from __future__ import annotations

from enum import StrEnum

from ..model import OrderState


class Proof(StrEnum):
    """What is proved of an order, weakest first.

    It only ever rises, so the order in which facts arrive does not matter.
    """

    NOTHING = "NOTHING"
    DENIED = "DENIED"
    INTENDED = "INTENDED"
    WORKING = "WORKING"
    NOT_FOUND = "NOT_FOUND"
    REJECTED = "REJECTED"
    NOT_SENT = "NOT_SENT"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"


class Extent(StrEnum):
    """How much of the ordered quantity is filled."""

    NONE = "none"
    PART = "part"
    ALL = "all"


RANK = {proof: rank for rank, proof in enumerate(Proof)}

_S = OrderState

PUBLIC_STATE: dict[tuple[Proof, Extent], OrderState] = {
    (Proof.NOTHING, Extent.NONE): _S.PENDING,
    (Proof.NOTHING, Extent.PART): _S.PARTIALLY_FILLED,
    (Proof.NOTHING, Extent.ALL): _S.FILLED,
    (Proof.DENIED, Extent.NONE): _S.REJECTED,
    (Proof.DENIED, Extent.PART): _S.CANCELLED,
    (Proof.DENIED, Extent.ALL): _S.FILLED,
    (Proof.INTENDED, Extent.NONE): _S.SUBMITTED,
    (Proof.INTENDED, Extent.PART): _S.PARTIALLY_FILLED,
    (Proof.INTENDED, Extent.ALL): _S.FILLED,
    (Proof.WORKING, Extent.NONE): _S.SUBMITTED,
    (Proof.WORKING, Extent.PART): _S.PARTIALLY_FILLED,
    (Proof.WORKING, Extent.ALL): _S.FILLED,
    (Proof.NOT_FOUND, Extent.NONE): _S.REJECTED,
    (Proof.NOT_FOUND, Extent.PART): _S.CANCELLED,
    (Proof.NOT_FOUND, Extent.ALL): _S.FILLED,
    (Proof.REJECTED, Extent.NONE): _S.REJECTED,
    (Proof.REJECTED, Extent.PART): _S.CANCELLED,
    (Proof.REJECTED, Extent.ALL): _S.FILLED,
    (Proof.NOT_SENT, Extent.NONE): _S.CANCELLED,
    (Proof.NOT_SENT, Extent.PART): _S.CANCELLED,
    (Proof.NOT_SENT, Extent.ALL): _S.FILLED,
    (Proof.EXPIRED, Extent.NONE): _S.CANCELLED,
    (Proof.EXPIRED, Extent.PART): _S.CANCELLED,
    (Proof.EXPIRED, Extent.ALL): _S.FILLED,
    (Proof.CANCELLED, Extent.NONE): _S.CANCELLED,
    (Proof.CANCELLED, Extent.PART): _S.CANCELLED,
    (Proof.CANCELLED, Extent.ALL): _S.FILLED,
}

STATES_OF: dict[Proof, dict[Extent, OrderState]] = {
    proof: {extent: PUBLIC_STATE[proof, extent] for extent in Extent} for proof in Proof
}
"""The same table by row, for who looks up one state of every order: a pair as key would have to be made each time."""

ENDED = frozenset(proof for proof in Proof if proof is Proof.DENIED or RANK[proof] >= RANK[Proof.NOT_FOUND])
"""What proves that nothing more is expected of an order, however much of it has filled."""

MEANING = {
    Proof.NOTHING: "submitted to us, not yet through the gate",
    Proof.DENIED: "the gate refused it; `reason` is its code",
    Proof.INTENDED: "the intent to send it is durable; no answer yet",
    Proof.WORKING: "the broker works it",
    Proof.NOT_FOUND: "given up: it is proved, or a person said, that the broker does not have it",
    Proof.REJECTED: "the broker refused it",
    Proof.NOT_SENT: "it was certainly never written to the wire",
    Proof.EXPIRED: "its time in force ended",
    Proof.CANCELLED: "cancelled, by us or by the broker",
}


def render() -> str:
    """Return the table as Markdown."""
    lines = ["| proved | meaning | nothing filled | partly filled | all filled |", "|---|---|---|---|---|"]
    for proof in Proof:
        cells = [PUBLIC_STATE[proof, extent].value for extent in Extent]
        lines.append(f"| {proof} | {MEANING[proof]} | {' | '.join(cells)} |")
    return "\n".join(lines)

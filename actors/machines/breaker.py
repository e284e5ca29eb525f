"""The circuit breaker's memory and rules: what goes wrong too often in a window, or at all, halts trading; a person can halt and resume.

Repeated rejections may mend themselves: after a cooldown the breaker goes one step back, HALTED to REDUCING to ACTIVE.
Every other halt waits for a person: by hand, by escalation, for orders whose outcome is unknown again and again, for books
that differ from the broker's, for a journal that cannot be written, for an order that was given up and is there after all,
or of which more has filled than was ordered.
A margin call trips nothing: it is recorded and counted, and what becomes of it is the broker's and the strategy's.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from ..events import TradingStateChanged
from ..model import TradingState


class HaltReason(StrEnum):
    """Why the trading state is what it is."""

    START = "START"
    REPEATED_REJECTIONS = "REPEATED_REJECTIONS"
    COOLDOWN = "COOLDOWN"
    MANUAL = "MANUAL"
    ESCALATION = "ESCALATION"
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
    POSITION_MISMATCH = "POSITION_MISMATCH"
    JOURNAL = "JOURNAL"
    ORDER_RESURFACED = "ORDER_RESURFACED"
    STRATEGY = "STRATEGY"
    OVERFILL = "OVERFILL"


MENDS = (HaltReason.REPEATED_REJECTIONS, HaltReason.COOLDOWN)
"""Why trading may be halted and come back by itself."""


GO_ON: dict[str, str] = {
    HaltReason.REPEATED_REJECTIONS: "see why orders are rejected; it ends by itself after breaker.cooldown, or resume",
    HaltReason.COOLDOWN: "it goes on by itself a cooldown later, or resume",
    HaltReason.MANUAL: "resume ends it",
    HaltReason.ESCALATION: "see the log for the cause and correct it, then start again",
    HaltReason.OUTCOME_UNKNOWN: "see what is in doubt (`ordersmith status`), resolve it, then resume",
    HaltReason.POSITION_MISMATCH: "say whose books are right (resolve_symbol, `ordersmith resolve symbol`), then resume",
    HaltReason.JOURNAL: "see to the disk, then resume",
    HaltReason.ORDER_RESURFACED: "look at that order at the broker, then resume",
    HaltReason.STRATEGY: "correct the strategy and start again; resume allows orders of others",
    HaltReason.OVERFILL: "compare the position with the broker's, then resume",
}
"""What a person does about it."""

WORDS_AT_MOST = 300


def halt_words(reason: str, text: str) -> str:
    """Return why trading is not active and how it goes on, as a clause for whoever is denied an order; "" if that is not known."""
    go_on = GO_ON.get(reason)
    told = text if len(text) <= WORDS_AT_MOST else f"{text[:WORDS_AT_MOST]}…"
    return "" if go_on is None else f"{reason}: {told}; to go on: {go_on}"


class BreakerRules(msgspec.Struct, frozen=True, kw_only=True):
    """`rejections` within `window_ns` halt trading; `cooldown_ns` later it recovers a step, None: only by a person.

    So do `unknowns` new orders within `window_ns` whose outcome is unknown, but these wait for a person always.
    """

    rejections: int = 10
    window_ns: int = 60_000_000_000
    cooldown_ns: int | None = 300_000_000_000
    unknowns: int = 5


class BreakerState(msgspec.Struct):
    """The trading state, since when, why (and in which words), and the rejections and unknown outcomes inside the window."""

    trading_state: TradingState = TradingState.ACTIVE
    epoch: int = 0
    reason: HaltReason = HaltReason.START
    changed_ns: int = 0
    rejections: list[int] = msgspec.field(default_factory=list)
    unknowns: list[int] = msgspec.field(default_factory=list)
    text: str = ""

    def rejected(self, at_ns: int, rules: BreakerRules) -> None:
        """Count a rejection by the broker."""
        self.rejections = [seen for seen in self.rejections if seen > at_ns - rules.window_ns][-rules.rejections :]
        self.rejections.append(at_ns)

    def unknown(self, at_ns: int, rules: BreakerRules) -> None:
        """Count a new order whose outcome is unknown."""
        self.unknowns = [seen for seen in self.unknowns if seen > at_ns - rules.window_ns][-rules.unknowns :]
        self.unknowns.append(at_ns)

    def changed(self, event: TradingStateChanged, at_ns: int) -> None:
        """Take over a change; whoever goes on after a halt starts with a clean window."""
        self.trading_state, self.epoch = event.state, event.epoch
        self.reason, self.text, self.changed_ns = HaltReason(event.reason), event.text, at_ns
        self.rejections, self.unknowns = [], []

    def tripped(self, rules: BreakerRules) -> bool:
        """Whether the rejections in the window are too many."""
        return self.trading_state is not TradingState.HALTED and len(self.rejections) >= rules.rejections

    def lost_sight(self, rules: BreakerRules) -> bool:
        """Whether the outcomes that are unknown are too many."""
        return not self.waits_for_person and len(self.unknowns) >= rules.unknowns

    @property
    def waits_for_person(self) -> bool:
        """Whether trading is halted and nothing but a person ends that."""
        return self.trading_state is TradingState.HALTED and self.reason not in MENDS

    def change(self, state: TradingState, reason: HaltReason, text: str) -> TradingStateChanged:
        """Return the record of a change."""
        return TradingStateChanged(state, reason.value, text, self.epoch + 1)

    def recovers_at_ns(self, rules: BreakerRules) -> int | None:
        """Return when the state may go one step back by itself, None if it may not."""
        if self.trading_state is TradingState.ACTIVE or self.reason not in MENDS or rules.cooldown_ns is None:
            return None
        return self.changed_ns + rules.cooldown_ns

    def one_step_back(self) -> TradingState:
        """Return the state after a cooldown."""
        return TradingState.REDUCING if self.trading_state is TradingState.HALTED else TradingState.ACTIVE

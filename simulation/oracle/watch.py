"""What is told to whoever watches a run: the wire, the broker's truth, the process, and how it all stands at the end.

Everybody who takes part calls this while it happens, at the simulated instant at which it happens. A watcher changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from ...actors.actor import Record
from ...actors.model import Fill, Order
from ...actors.ports import CancelRequest, NewOrder, ReplaceRequest
from .rest import Rest

Written = NewOrder | CancelRequest | ReplaceRequest


class OracleLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits that the core was told to keep, in shares and in currency; None is none."""

    max_position_quantity: Decimal | None = None
    max_gross_exposure: Decimal | None = None


class Watch(Protocol):
    """All that can be seen of a run."""

    # --- The wire --------------------------------------------------------------------------------------------------------

    def written(self, command: Written) -> None:
        """The bytes have left: the broker will get them, whatever becomes of the answer."""

    def session(self, up: bool, account: str = "") -> None:
        """The port's session with the broker has opened for the account that the broker calls so, or is lost, as the port sees it."""

    def snapshot_told(self) -> None:
        """A complete read of the account was posted to the core."""

    # --- The truth -------------------------------------------------------------------------------------------------------

    def accepted(self, wire_id: str, order: Order) -> None:
        """The leg works at the broker, with these terms; a replaced leg has ended by now, or ends at the same instant."""

    def executed(self, wire_id: str, fill: Fill) -> None:
        """A leg was executed; a higher revision corrects or busts. Orders that are not ours have the wire id ""."""

    def ended(self, wire_id: str, how: str) -> None:
        """Nothing of the leg works any more: cancelled, expired, rejected, filled or replaced."""

    def adjusted(self, symbol: str, quantity: Decimal, cash: Decimal, ratio: Decimal) -> None:
        """The account changed without a trade: a split (of this ratio, else 1), a dividend, a fee, a transfer."""

    def manual(self, symbol: str, signed_quantity: Decimal, price: Decimal) -> None:
        """A person traded in the account, past us."""

    # --- The process -----------------------------------------------------------------------------------------------------

    def booted(self, boot: int, restored_to: int | None) -> None:
        """A process begins.

        Its journal is exactly what was said to be durable, or, when an older copy was put back, that up to the record
        `restored_to`. Called before any record of the new process is stated.
        """

    def crashed(self, kind: str) -> None:
        """The process is gone; what it stated and what never became durable is gone with it."""

    def stated(self, records: Sequence[Record]) -> None:
        """The core has recorded these; called before any command that rests on them is written."""

    def durable(self, records: Sequence[Record]) -> None:
        """These are on disk for good, whether or not the core has heard of it; each once, in the order of their numbers."""

    def asked(self, ask: int, request: Any) -> None:
        """A caller outside asks; `ask` is not used again before the next boot."""

    def answered(self, ask: int, answer: Any) -> None:
        """The caller has the answer."""

    def priced(self, symbol: str, price: float, is_bad: bool) -> None:
        """This price is put to the core, which holds it by the end of its next turn of the pump."""

    # --- The end ---------------------------------------------------------------------------------------------------------

    def at_rest(self, rest: Rest) -> None:
        """Nothing has gone wrong for long enough: this is how things stand."""

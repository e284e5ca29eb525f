"""Everything that can come into a live core from outside, as data: what it does is a function of these and their times.

So a session can be written down and run again (`replay.py`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from ..actors.bars import Bars
from ..actors.model import Instrument
from ..actors.quotes import Quote


class Input(msgspec.Struct, frozen=True, tag=True):
    """Something that a tick takes in."""


class Posted(Input, frozen=True):
    """A message to an actor: a broker's report, an answer of the store, an order of the runtime. Without a cause it is one."""

    actor: str
    message: Any
    cause: int = 0


class Asked(Input, frozen=True):
    """A request from outside, under the number that its answer comes back with. It leaves `reply_to` to the core."""

    ask: int
    actor: str
    request: Any


class Committed(Input, frozen=True):
    """The store says: everything up to `number` is durable."""

    number: int


class StoreFailed(Input, frozen=True):
    """The store cannot write now, and says why."""

    text: str


class StoreRestored(Input, frozen=True):
    """The store writes again, and has written what waited."""


class RunEnded(Input, frozen=True):
    """The task of a `run()` actor's incarnation ended by itself, which is a crash."""

    actor: str
    incarnation: int
    error: str


class PricesKnown(Input, frozen=True):
    """The last prices as of a restart, which everybody was shown before."""

    bars: Bars


class PricesMatched(Input, frozen=True):
    """A simulated broker has matched these bars; what came of it follows, and nobody is shown the prices yet."""

    bars: Bars


class PricesShown(Input, frozen=True):
    """Bars for everybody: last prices and hosted strategies."""

    bars: Bars


class PricesQuoted(Input, frozen=True):
    """Quotes of a live feed: last prices for everybody, and what the gate judges by."""

    quotes: tuple[Quote, ...]


class InstrumentsKnown(Input, frozen=True):
    """All symbols that can be traded, by what the broker says; others cannot."""

    instruments: dict[str, Instrument]


class LimitsChanged(Input, frozen=True):
    """Limits that hold from now on: tighter ones, of a configuration that was read again."""

    limits: Any
    breaker: Any


class HostsStopped(Input, frozen=True):
    """The hosted strategies have had their say; the rest goes on, until what they began is brought to an end."""


class Stopping(Input, frozen=True):
    """Stop the tree in order."""

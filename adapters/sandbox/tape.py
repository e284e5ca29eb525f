"""Where prices come from: spans of time, one after the other, each with a bar of every symbol and the way there.

A span is played in wall time, at the sandbox's speed; what the prices were in their own time is asked of `history`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from ...actors.bars import CorporateAction
from ...actors.bars import Row as Prices
from .frames import Frame
from .market import Row


class Span(NamedTuple):
    """A stretch of the market. `path` has the prices of every symbol at steps of the same length; the bars are what they make.

    `actions` are the corporate actions in force from its start on.
    """

    seconds: float
    bars: dict[str, Prices]
    path: list[dict[str, float]]
    actions: tuple[CorporateAction, ...] = ()


class Tape(Protocol):
    """A source of prices, live and past."""

    @property
    def symbols(self) -> tuple[str, ...]: ...

    def opening(self, now_ns: int) -> dict[str, float]:
        """Return the prices that the market stands at before anything is played."""
        ...

    def spans(self, start_ns: int, steps: int) -> Iterator[Span]:
        """Yield what happens from `start_ns` on, each span in about so many steps."""
        ...

    def history(self, symbol: str, frame: Frame, start_ns: int, end_ns: int, at_most: int) -> list[Row]:
        """Return the first bars that begin at `start_ns` or later and not after `end_ns`, in order of time."""
        ...


class NoTape:
    """No prices but those that are set by hand."""

    symbols: tuple[str, ...] = ()

    def opening(self, now_ns: int) -> dict[str, float]:
        return {}

    def spans(self, start_ns: int, steps: int) -> Iterator[Span]:
        return iter(())

    def history(self, symbol: str, frame: Frame, start_ns: int, end_ns: int, at_most: int) -> list[Row]:
        return []

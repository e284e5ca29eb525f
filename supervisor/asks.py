"""Open requests from outside. The table belongs to the dispatcher, not to an actor: no crash can lose an asker.

An answer is complete when all its parts are there; what can no longer be answered is answered `Unknown`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..actors.actor import ReplyTo
from ..actors.errors import Overloaded
from ..actors.messages import Unknown

Answer = Callable[[Any], None]
_MISSING: Any = object()


class _Ask:
    __slots__ = ("answer", "missing", "parts", "split")

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.parts: list[Any] = [_MISSING]
        self.missing = 1
        self.split = False


class Asks:
    """Open asks by number, at most `bound`."""

    def __init__(self, bound: int = 10_000) -> None:
        self._bound = bound
        self._open: dict[int, _Ask] = {}
        self._last = 0

    def open(self, answer: Answer) -> ReplyTo:
        """Register an ask; `answer` is called exactly once. Raises Overloaded at the bound."""
        if len(self._open) >= self._bound:
            raise Overloaded(
                f"{len(self._open)} requests are open, the bound is {self._bound}; wait for answers and ask again"
            )
        self._last += 1
        self._open[self._last] = _Ask(answer)
        return ReplyTo(self._last)

    def split(self, to: ReplyTo, parts: int) -> None:
        """Make the answer a list of `parts` parts."""
        ask = self._open.get(to.ask)
        if ask is not None:
            ask.parts, ask.missing, ask.split = [_MISSING] * parts, parts, True

    def reply(self, to: ReplyTo, value: Any) -> tuple[Answer, Any] | None:
        """Fill in a part. Return the answer and its value once complete; a reply to a closed ask is dropped."""
        ask = self._open.get(to.ask)
        if ask is None:
            return None
        if ask.missing and ask.parts[to.index] is _MISSING:
            ask.parts[to.index] = value
            ask.missing -= 1
        if ask.missing:
            return None
        del self._open[to.ask]
        return ask.answer, (ask.parts if ask.split else ask.parts[0])

    def give_up(self, numbers: Iterable[int] | None = None) -> list[tuple[Answer, Any]]:
        """Answer `Unknown` to the given asks, or to all."""
        lost = [number for number in (list(self._open) if numbers is None else numbers) if number in self._open]
        return [(self._open.pop(number).answer, Unknown()) for number in lost]

    def __len__(self) -> int:
        return len(self._open)

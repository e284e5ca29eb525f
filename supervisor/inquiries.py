"""Who asks a live core from outside and waits: each is answered exactly once, whatever happens to the core."""

from __future__ import annotations

from typing import Any

import anyio

from ..actors.errors import Overloaded

BOUND = 10_000


class Inquiry:
    """Somebody who asked and waits."""

    __slots__ = ("_answer", "_given", "number", "request")

    def __init__(self, number: int, request: Any) -> None:
        self.number = number
        self.request = request
        self._given = anyio.Event()
        self._answer: Any = None

    def give(self, answer: Any) -> None:
        """Answer; an exception is raised where the question was asked. Of several answers the first counts."""
        if not self._given.is_set():
            self._answer = answer
            self._given.set()

    async def answer(self) -> Any:
        """Wait for the answer and return it."""
        await self._given.wait()
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


class Inquiries:
    """All that are open, by the number that their answer comes back with."""

    def __init__(self) -> None:
        self._last = 0
        self._open: dict[int, Inquiry] = {}

    def open(self, request: Any) -> Inquiry:
        """Return a new one. Raises Overloaded at the bound."""
        if len(self._open) >= BOUND:
            raise Overloaded(f"{len(self._open)} requests are open; wait for answers and ask again")
        self._last += 1
        inquiry = self._open[self._last] = Inquiry(self._last, request)
        return inquiry

    def close(self, inquiry: Inquiry) -> None:
        """Forget one: answered, or nobody waits any more."""
        self._open.pop(inquiry.number, None)

    def give(self, number: int, answer: Any) -> None:
        """Answer one, if it still waits."""
        if number in self._open:
            self._open[number].give(answer)

    def give_all(self, error: Exception, *, but: Any = None) -> None:
        """Answer all with an error, except those whose request `but` tells to be spared."""
        for inquiry in list(self._open.values()):
            if but is None or not but(inquiry.request):
                inquiry.give(error)

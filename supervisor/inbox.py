"""What has come in and waits for a tick, in order. Quotes are conflated: of each symbol only the newest waits."""

from __future__ import annotations

from .inputs import Input, PricesQuoted


class Inbox:
    """Inputs of the next tick."""

    def __init__(self) -> None:
        self._waiting: list[Input] = []
        self._quoted_at: int | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, made: Input) -> None:
        """Take an input. Quotes join those that wait already, so that a slow tick does not make the next one slower."""
        if type(made) is not PricesQuoted:
            self._waiting.append(made)
        elif self._quoted_at is None:
            self._quoted_at = len(self._waiting)
            self._waiting.append(made)
        else:
            before = self._waiting[self._quoted_at]
            assert isinstance(before, PricesQuoted)
            newest = {quote.symbol: quote for quote in (*before.quotes, *made.quotes)}
            self._waiting[self._quoted_at] = PricesQuoted(tuple(newest.values()))

    def take(self) -> list[Input]:
        """Take out all that waits."""
        taken, self._waiting, self._quoted_at = self._waiting, [], None
        return taken

    def take_only(self, kinds: frozenset[type]) -> list[Input]:
        """Take out what is of these kinds; the rest waits on."""
        inputs = self.take()
        for made in inputs:
            if type(made) not in kinds:
                self.put(made)
        return [made for made in inputs if type(made) in kinds]
